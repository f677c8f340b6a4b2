"""A real redis-server 8 for a test: on a free loopback port, in the test's folder, always stopped.

RELAY_REDIS_SERVER names the program; else it is the one that scripts/setup.sh unpacked."""

import os
import signal
import socket

import pytest

from support import ROOT, Process, free_port, wait_for

PROGRAM = os.environ.get("RELAY_REDIS_SERVER", str(ROOT / "build/deps/redis/redis-server"))

needs_redis = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK),
                                 reason="there is no redis-server 8 (scripts/setup.sh test)")


class Redis(Process):
    def __init__(self, folder, *args, config=""):
        self.folder = folder
        self.args = args
        (folder / "redis.conf").write_text(config)
        self.port = free_port()
        self.process = None
        self.log_path = folder / "redis.log"
        self.start()

    def start(self):
        super().__init__([PROGRAM, str(self.folder / "redis.conf"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                          "--dir", str(self.folder), *self.args], self.log_path)
        wait_for(self._listens, why=lambda: f"redis-server did not start: {self.log()}")

    def _listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def stop(self, seconds=10):
        if self.is_running():
            self.signal(signal.SIGCONT)
        return super().stop(seconds)

    def ask(self, *words):
        """One command; the reply's lines, without their ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(b"*%d\r\n" % len(words) + b"".join(
                b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words))
            s.sendall(b"*1\r\n$4\r\nQUIT\r\n")
            data = b""
            while piece := s.recv(65536):
                data += piece
        assert data.endswith(b"+OK\r\n"), data
        return data[:-len(b"+OK\r\n")].decode(errors="replace").split("\r\n")[:-1]

    def keys(self, pattern="*"):
        return [line for line in self.ask("KEYS", pattern) if line.startswith("rl:")]
