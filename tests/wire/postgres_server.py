"""A real PostgreSQL for a test: on a free loopback port, in a folder of its own, always stopped.

RELAY_POSTGRES_BIN names the folder of its programs; else it is the newest under /usr/lib/postgresql,
else where PATH finds `postgres`. It refuses to run as root: a test that does runs it as `nobody`. fsync
is off, since no test cuts the power: what was committed outlives every kill."""

import csv
import io
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from support import Process, free_port, wait_for

USER = "relay"
PASSWORD = "s3cret word"


def _version(folder):
    try:
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True).stdout
    except OSError:
        return 0
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else 0


def _find():
    if "RELAY_POSTGRES_BIN" in os.environ:
        folders = [Path(os.environ["RELAY_POSTGRES_BIN"])]
    else:
        folders = list(Path("/usr/lib/postgresql").glob("*/bin"))
        if on_path := shutil.which("postgres"):
            folders.append(Path(on_path).parent)
    folders = [f for f in folders if _version(f) >= 15]
    return max(folders, key=_version, default=None)


BIN = _find()

needs_postgres = pytest.mark.skipif(BIN is None, reason="there is no PostgreSQL 15 or newer (scripts/setup.sh test)")


def _children(pid):
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Postgres(Process):
    """Settings: Postgres(max_connections=20). The database is `relay`."""

    def __init__(self, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="relay-postgres-"))
        self.port = free_port()
        self.settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
                         "shared_buffers": "32MB", "max_connections": 60, "port": self.port, **settings}
        self.process = None
        self.log_path = self.folder / "log"
        self.owner = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.owner = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        secret = self.folder / "secret"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o644)
        subprocess.run([BIN / "initdb", "-D", self.folder / "data", "-U", USER, "--no-locale", "-E", "UTF8",
                        "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL, cwd="/", **self.owner)
        self.start()
        self.query("CREATE DATABASE relay", database="postgres")

    def start(self):
        """Returns when it answers. After a kill what it left may be there for a moment yet, so a start
        that fails is tried again."""
        def is_up():
            if self.process is None or not self.is_running():
                super(Postgres, self).__init__(
                    [str(BIN / "postgres"), "-D", str(self.folder / "data"),
                     *(word for name, value in self.settings.items() for word in ("-c", f"{name}={value}"))],
                    self.log_path, cwd="/", **self.owner)
                time.sleep(0.1)
            return subprocess.run([BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", "postgres",
                                   "-U", USER]).returncode == 0
        self.process = None
        wait_for(is_up, why=lambda: f"PostgreSQL did not start: {self.log()}")

    @property
    def url(self):
        return f"postgresql://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/relay"

    def query(self, sql, database="relay"):
        """The result's rows, as dicts of text; NULL is None."""
        done = subprocess.run([BIN / "psql", "-X", "-q", "--csv", "-P", "null=\\N", "-v", "ON_ERROR_STOP=1",
                               "-d", self.url[:-len("relay")] + database, "-c", sql], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [{name: None if value == "\\N" else value for name, value in row.items()}
                for row in csv.DictReader(io.StringIO(done.stdout))]

    def value(self, sql):
        """The first value of the first row."""
        return next(iter(self.query(sql)[0].values()))

    def processes(self):
        return [self.pid, *_children(self.pid)]

    def _signal_all(self, number):
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def freeze(self):
        """Connections stay open and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self):
        self._signal_all(signal.SIGCONT)

    def kill(self):
        """All of its processes at once, with no warning."""
        self._signal_all(signal.SIGKILL)
        super().kill()

    def stop(self, seconds=20):
        """Ends it, and its connections with it; start() starts it again."""
        if not self.is_running():
            return self.process.returncode
        self.thaw()
        self.signal(signal.SIGINT)
        return self._wait(seconds)

    def _wait(self, seconds):
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._signal_all(signal.SIGKILL)
            status = self.process.wait()
        self.file.close()
        return status

    def remove(self):
        """Ends it for good."""
        if self.is_running():
            self.thaw()
            self.signal(signal.SIGQUIT)
            self._wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)
