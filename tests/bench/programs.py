"""Starts what the scorecard measures, each on its own core, and reads what it costs.

Everything is stopped by the process id that was started here; everything listens on loopback; all
files lie in one temporary folder. Only Python's standard library."""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

START_SECONDS = 20
PROXY_CORE, LOAD_CORE = 0, 1
# Every built-in provider that speaks OpenAI's dialect: `auto` chooses among all their models.
PROVIDERS = ("openai", "groq", "mistral", "deepseek", "xai", "together", "fireworks", "cerebras")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, seconds, why):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {why()}")
        time.sleep(0.02)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def tree(pid):
    """A process and all that it has started, and these."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += tree(int(child))
    return found


class Process:
    """A child pinned to a core, or to some, with its output in a file."""

    def __init__(self, command, log, core, env=None, cwd=None):
        self.log_path = Path(log)
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env,
                cwd=cwd, preexec_fn=lambda: os.sched_setaffinity(0, {core} if isinstance(core, int) else core))
        self.pid = self.child.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_ready(self, port):
        def look():
            if self.child.poll() is not None:
                raise SystemExit(f"bench: {self.log_path.name}: {self.log()[-2000:]}")
            return answers(port)
        wait_for(look, START_SECONDS, lambda: f"did not start: {self.log()[-2000:]}")

    def pids(self):
        return [self.pid]

    def cpu_ns(self):
        """Time on a core since its start, by thread name; of all its processes together."""
        times = {}
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").iterdir():
                try:
                    name = (task / "comm").read_text().strip()
                    spent = int((task / "schedstat").read_text().split()[0])
                except OSError:
                    continue
                times[name] = times.get(name, 0) + spent
        return times

    def waited_ns(self, thread):
        """Time that its threads of that name were ready and had no core, since the start."""
        return sum(int((task / "schedstat").read_text().split()[1]) for pid in self.pids()
                   for task in Path(f"/proc/{pid}/task").iterdir()
                   if (task / "comm").read_text().startswith(thread))

    def memory_kb(self):
        """{'rss', 'pss', 'private_dirty'} in kB."""
        total = {"rss": 0, "pss": 0, "private_dirty": 0}
        for pid in self.pids():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            for name in total:
                total[name] += int(re.search(rf"(?mi)^{name}:\s+(\d+) kB", text)[1])
        return total

    def stop(self, seconds=40):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


class Mock(Process):
    """relay-sim --bench: the upstream of both proxies, and what the load asks directly."""

    def __init__(self, sim, folder, name="mock", tls=None, core=LOAD_CORE):
        self.port = free_port()
        command = [sim, "--bench", "--listen", f"127.0.0.1:{self.port}", "--with-parent"]
        if tls:
            command += ["--tls-cert", tls.cert, "--tls-key", tls.key]
        super().__init__(command, folder / f"{name}.log", core)
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}"
        self.wait_ready(self.port)

    def pace(self, gap_ms):
        """Milliseconds between the events of a stream; 0: all at once."""
        talk = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        talk.request("POST", "/__sim/config", json.dumps({"gap_ms": gap_ms or None}))
        if talk.getresponse().status != 200:
            raise SystemExit("bench: relay-sim refused its pace")
        talk.close()


class Authority:
    """A certificate authority of the bench and its server's certificate for localhost."""

    def __init__(self, folder):
        self.ca, self.cert, self.key = (str(folder / n) for n in ("ca.pem", "cert.pem", "key.pem"))
        ca_key, request = str(folder / "ca.key"), str(folder / "request.pem")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        extension = folder / "names.ext"
        extension.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for command in (
                ["req", "-x509", *new_key, "-keyout", ca_key, "-out", self.ca, "-days", "2",
                 "-subj", "/CN=bench authority"],
                ["req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost"],
                ["x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-out", self.cert,
                 "-days", "2", "-extfile", str(extension)]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)


NGINX_CONFIG = """
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log error;
daemon off;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream mock {{ server 127.0.0.1:{mock}; keepalive 256; keepalive_requests 1000000000; }}
    upstream mock_tls {{ server 127.0.0.1:{mock_tls}; keepalive 256; keepalive_requests 1000000000; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_ssl_trusted_certificate {ca};
    proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_server_name on;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    server {{ listen 127.0.0.1:{plain} backlog=16384; location / {{ proxy_pass http://mock; }} }}
    server {{ listen 127.0.0.1:{stream} backlog=16384;
        location / {{ proxy_pass http://mock; proxy_buffering off; }} }}
    server {{ listen 127.0.0.1:{tls} backlog=16384; location / {{ proxy_pass https://mock_tls; }} }}
}}
"""


class Nginx(Process):
    """One worker. `plain` and `tls` buffer as nginx does by itself; `stream` does not."""

    def __init__(self, program, folder, mock, mock_tls, ca):
        self.ports = {name: free_port() for name in ("plain", "stream", "tls")}
        config = folder / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(folder=folder, mock=mock.port, mock_tls=mock_tls.port,
                                              ca=ca, **self.ports))
        super().__init__([program, "-c", str(config), "-p", str(folder), "-e", "stderr"],
                         folder / "nginx.log", PROXY_CORE)
        for port in self.ports.values():
            self.wait_ready(port)

    def pids(self):
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children]  # the worker: the master does nothing


class Relay(Process):
    """One worker and everything on. The upstream is every provider's address. `more` adds to the configuration
    and replaces what is in it; providers are added."""

    def __init__(self, program, folder, upstream, ca=None, cache_bytes="64MiB", name="relay", more=None,
                 workers=1, core=PROXY_CORE):
        self.program, self.home, self.port, self.core = program, folder / name, free_port(), core
        self.home.mkdir()
        self.ports = {"plain": self.port, "stream": self.port, "tls": self.port}
        self.config = self.home / "relay.json"
        provider = {"base_url": upstream + "/v1", "api_key": "bench"}
        if ca:
            provider["ca_file"] = ca
        self.config.write_text(json.dumps({
            "server": {"listen": f"127.0.0.1:{self.port}", "workers": workers},
            "store": f"sqlite:{self.home}/data/relay.db",
            "providers": {provider_name: provider for provider_name in PROVIDERS} |
                         (more or {}).get("providers", {}),
            "cache": {"max_bytes": cache_bytes, "semantic": False},
            "log": {"level": "warn"},
            **{key: value for key, value in (more or {}).items() if key != "providers"},
        }))
        keep = ("PATH", "HOME", "LANG", "TMPDIR")
        self.env = {k: v for k, v in os.environ.items() if k in keep}
        self.env["OLLAMA_HOST"] = "http://127.0.0.1:1"
        self.start()
        self.key = self.run("keys", "create", "--name", "bench", "--rpm", "1000000000", "--tpm",
                            "1000000000000").strip()

    def start(self):
        super().__init__([self.program, "serve", "--config", str(self.config)],
                         self.home / "relay.log", self.core, env=self.env, cwd=self.home)
        self.wait_ready(self.port)

    def run(self, *arguments):
        return subprocess.run([self.program, *arguments, "--config", str(self.config)], check=True,
                              capture_output=True, text=True, env=self.env, cwd=self.home).stdout

    def rows(self):
        """(rows, rows of whole answers) of the request log; Relay is stopped."""
        with sqlite3.connect(f"file:{self.home}/data/relay.db?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*), coalesce(sum(status = 200), 0) FROM requests").fetchone()


class Load:
    """Runs relay-load beside the mock."""

    def __init__(self, program, folder, cores=(LOAD_CORE,)):
        self.program, self.folder, self.cores = program, folder, cores

    def command(self, port, key, stream, options, expect):
        options = {"body": self.folder / ("stream.json" if stream else "plain.json"), **options}
        return [self.program, "--port", str(port), "--key", key, *expect,
                *(f"--{name}" if value is True else f"--{name}={value}"
                  for name, value in options.items())]

    def start(self, *arguments):
        return subprocess.Popen(self.command(*arguments), stdout=subprocess.PIPE, text=True,
                                preexec_fn=lambda: os.sched_setaffinity(0, self.cores))

    @staticmethod
    def finish(child):
        out = child.communicate()[0].strip().splitlines()
        if not out or not out[-1].startswith("{"):
            raise SystemExit("bench: relay-load printed no result")
        return json.loads(out[-1])
