"""Starts the real programs and looks at them from outside: relay, relay-sim, and what they leave.

Nothing here knows how Relay is made. A Relay is a process with a configuration file, a folder for its
data and a free port; a Sim is a simulated provider with its control API. Both are always stopped by
their own process id.
"""

import collections
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
BIN_DIR = Path(os.environ.get("RELAY_BIN_DIR", ROOT / "build"))
RELAY_BIN = os.environ.get("RELAY_BIN", str(BIN_DIR / "relay"))
SIM_BIN = os.environ.get("RELAY_SIM_BIN", str(BIN_DIR / "relay-sim"))
# How long to wait for what is sure to come. Longer than it takes on the busiest machine: a test that passes
# never waits so long.
SURELY_SECONDS = 90
# More than one by default, so that what workers share is shared.
# A build with AddressSanitizer keeps freed memory for a while: no test of memory there.
IS_ASAN = b"__asan_init" in Path(RELAY_BIN).read_bytes() if Path(RELAY_BIN).exists() else False
WORKERS = int(os.environ.get("RELAY_TEST_WORKERS", 2))


_reserved = collections.deque(maxlen=256)


def free_port():
    """A port of this machine where nothing listens. It stays bound, without listening, so that nobody
    else is given it: a server with SO_REUSEADDR may listen there, and until then connections are
    refused."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
    if sys.platform == "linux":
        _reserved.append(s)
    else:
        s.close()
    return port


def wait_for(what, seconds=SURELY_SECONDS, why="it did not happen in time"):
    """The first true value of what(), asked again and again."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(why() if callable(why) else why)
        time.sleep(0.01)


def clean_environment(**extra):
    """No provider keys, proxies or settings of the machine that runs the tests."""
    keep = ("PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
            "TSAN_OPTIONS")
    env = {k: v for k, v in os.environ.items() if k in keep}
    # Nothing listens there: an Ollama of this machine has no part in the tests.
    env["OLLAMA_HOST"] = "http://127.0.0.1:1"
    # Nor does anything leave this machine: https to elsewhere ends at a proxy that is not there.
    env["HTTPS_PROXY"] = "http://127.0.0.1:1"
    # The embedding model beside the program is for the tests that name it.
    env["RELAY_CACHE_MODEL"] = "none"
    env.update({k: str(v) for k, v in extra.items()})
    return env


class Process:
    """A child with its output in a file, so that no pipe can fill up."""

    def __init__(self, command, log, env=None, cwd=None, **owner):
        self.command = command
        self.log_path = Path(log)
        self.file = open(log, "ab")
        self.process = subprocess.Popen(command, stdout=self.file, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, env=env, cwd=cwd, **owner)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def is_running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=SURELY_SECONDS):
        """SIGTERM; the exit status. What does not end is killed and -9."""
        if self.is_running():
            self.process.terminate()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.file.close()
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.file.close()


class Sim(Process):
    """relay-sim. Settings: relay-sim --fields; they also work as [[sim:NAME=VALUE]] in a prompt."""

    def __init__(self, folder, *args, name="sim"):
        super().__init__([SIM_BIN, "--listen", "127.0.0.1:0", "--record", "4096", *args], Path(folder) / f"{name}.log")
        found = wait_for(lambda: re.search(r"listening on (https?)://([\d.]+):(\d+)", self.log()),
                         why=lambda: f"relay-sim did not start: {self.log()}")
        self.port = int(found[3])
        self.url = f"{found[1]}://127.0.0.1:{self.port}"
        self.base_url = self.url + "/v1"
        self.client = httpx.Client(base_url=self.url + "/__sim/", timeout=SURELY_SECONDS, trust_env=False,
                                   verify=False)

    def _ask(self, method, path, **kw):
        answer = self.client.request(method, path, **kw)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def set(self, **settings):
        """Merge patch over the configuration: sim.set(status=503), sim.set(rules=[...])."""
        return self._ask("POST", "config", json=settings)

    def rules(self, *rules):
        return self.set(rules=list(rules))

    def reset(self):
        return self._ask("POST", "reset")

    def stats(self):
        return self._ask("GET", "stats")

    def requests(self, path="/chat/completions", limit=1000):
        """What arrived, oldest first, without the questions for models."""
        seen = self._ask("GET", "requests", params={"limit": limit})["requests"]
        return [r for r in seen if path is None or r["path"].endswith(path)]

    def last(self, path="/chat/completions"):
        return self.requests(path)[-1]

    def count(self, path="/chat/completions"):
        """How many arrived, refused ones included."""
        return len(self.requests(path, 4096))

    def find(self, text, path="/chat/completions"):
        """Those whose body has the text."""
        return [r for r in self.requests(path) if text in r.get("body", "")]

    def stop(self, seconds=SURELY_SECONDS):
        self.client.close()
        return super().stop(seconds)


class Relay(Process):
    """A gateway with its data in a folder of its own.

    config is merged over defaults that switch off what would make tests depend on each other
    (limits, exploration)."""

    def __init__(self, folder, config=None, env=None, start=True, tls=False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.scheme = "https" if tls else "http"
        self.config_path = self.folder / "relay.json"
        self.data = self.folder / "data"
        self.config = {
            "server": {"listen": f"127.0.0.1:{self.port}", "workers": WORKERS},
            "store": f"sqlite:{self.data}/relay.db",
            "limits": {"rpm": 0, "tpm": 0},
            "routing": {"explore": 0},
            "targets": {"min_quality": 0, "max_latency_ms": 0},
            "log": {"level": "debug"},
        }
        self.configure(config or {})
        self.env = clean_environment(**(env or {}))
        self.process = None
        self.file = None
        self.log_path = self.folder / "relay.log"
        if start:
            self.start()

    def configure(self, changes):
        """Merges changes into the file; SIGHUP or a start makes them count."""
        def merge(into, new):
            for key, value in new.items():
                if isinstance(value, dict) and isinstance(into.get(key), dict):
                    merge(into[key], value)
                else:
                    into[key] = value
        merge(self.config, changes)
        self.write_config(json.dumps(self.config, indent=1))

    def write_config(self, text):
        self.config_path.write_text(text)

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def base_url(self):
        return self.url + "/v1"

    def start(self, wait=True):
        super().__init__([RELAY_BIN, "serve", "--config", str(self.config_path)], self.log_path,
                         env=self.env, cwd=self.folder)
        if wait:
            wait_for(self._is_ready, why=lambda: f"relay did not start: {self.log()}")

    def _is_ready(self):
        assert self.is_running(), f"relay stopped with {self.process.returncode}: {self.log()}"
        try:
            with httpx.Client(trust_env=False, verify=False) as c:
                return c.get(self.url + "/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def reload(self, **changes):
        """Changes the file, sends SIGHUP and waits until the log tells the outcome."""
        if changes:
            self.configure(changes)
        size = len(self.log())
        self.signal(signal.SIGHUP)
        wait_for(lambda: re.search(r"(?i)(reload|configuration).*\n", self.log()[size:]),
                 why="SIGHUP left no line in the log")
        return self.log()[size:]

    # --- the command line

    def run(self, *args, check=True, env=None, input=None):
        done = subprocess.run([RELAY_BIN, *args, "--config", str(self.config_path)],
                              capture_output=True, text=True, timeout=SURELY_SECONDS,
                              cwd=self.folder, env={**self.env, **(env or {})}, input=input)
        assert not check or done.returncode == 0, f"{args}: {done.returncode} {done.stderr}"
        return done

    def make_key(self, name="test", **options):
        """relay keys create; options as flags: rpm=3, budget_usd=1."""
        flags = []
        for option, value in options.items():
            flags += ["--" + option.replace("_", "-"), str(value)]
        done = self.run("keys", "create", "--name", name, *flags)
        key = done.stdout.strip()
        assert re.fullmatch(r"glw_[0-9A-Za-z]{40}", key), repr(done.stdout)
        return key

    def keys(self):
        return json.loads(self.run("keys", "list", "--json").stdout)["keys"]

    def key_id(self, key):
        return next(k["id"] for k in self.keys() if k["tag"] == key[:8])

    @property
    def first_key(self):
        return (self.data / "first-key").read_text().strip()

    @property
    def admin_key(self):
        return self.config.get("admin", {}).get("key") or (self.data / "admin-key").read_text().strip()

    # --- the request log

    def query(self, sql, *args):
        path = self.data / "relay.db"
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=SURELY_SECONDS)
        try:
            db.row_factory = sqlite3.Row
            return [dict(r) for r in db.execute(sql, args)]
        finally:
            db.close()

    def row(self, id):
        """The one row of a request, by the answer's x-relay-id."""
        rows = wait_for(lambda: self.query("SELECT * FROM requests WHERE id = ?", id),
                        why=lambda: f"no row for {id}; log: {self.log()[-3000:]}")
        assert len(rows) == 1, rows
        return rows[0]

    def rows(self, where="1", *args):
        return self.query(f"SELECT * FROM requests WHERE {where} ORDER BY id", *args)

    def wait_rows(self, count, where="1", *args):
        rows = []

        def enough():
            rows[:] = self.rows(where, *args)
            return len(rows) >= count
        wait_for(enough, why=lambda: f"{len(rows)} rows instead of {count} where {where}")
        assert len(rows) == count, rows
        return rows

    def attempts(self, id):
        return self.query("SELECT * FROM attempts WHERE request_id = ? ORDER BY n", id)

    # --- metrics

    def metrics_text(self):
        with httpx.Client(trust_env=False, verify=False) as c:
            answer = c.get(self.url + "/metrics", timeout=SURELY_SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.text

    def metric(self, name, **labels):
        """The sum of the samples of this name whose labels fit; 0 where there is none."""
        from prometheus_client.parser import text_string_to_metric_families
        total = 0.0
        for family in text_string_to_metric_families(self.metrics_text()):
            for s in family.samples:
                if s.name == name and all(s.labels.get(k) == v for k, v in labels.items()):
                    total += s.value
        return total

    def http(self, key=None, **kw):
        """A plain HTTP client for /v1 with the key's header."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        kw.setdefault("timeout", SURELY_SECONDS)
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, verify=False, **kw)

    def memory_bytes(self):
        with open(f"/proc/{self.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


Event = collections.namedtuple("Event", "data error")


def chat(model, content="hello", **more):
    """A request body."""
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def ask(client, model, content="hello", headers=None, **more):
    """One plain request; the httpx answer."""
    return client.post("/v1/chat/completions", json=chat(model, content, **more), headers=headers)


def sse(text):
    """The data of each event of a whole stream, comments left out; JSON parsed, [DONE] as it is."""
    out = []
    for block in re.split(r"\n\n", text):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        assert all(line.startswith("data: ") for line in lines), block
        data = "\n".join(line[6:] for line in lines)
        out.append(data if data == "[DONE]" else json.loads(data))
    return out


def stream(client, model, content="hello", headers=None, **more):
    """One streamed request read to its end: (answer, events, was it cut). The answer has the head."""
    body = chat(model, content, stream=True, **more)
    text = b""
    cut = False
    with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        try:
            for block in answer.iter_raw():
                text += block
        except (httpx.RemoteProtocolError, httpx.ReadError):
            cut = True
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        return answer, sse(text.decode()), cut
    return answer, json.loads(text) if text else None, cut


def content_of(events):
    """The text that a stream's chunks make together, first choice."""
    return "".join(c["delta"].get("content") or "" for e in events if isinstance(e, dict)
                   for c in e.get("choices", []) if c["index"] == 0)


def usd(text):
    return None if text is None else Decimal(text)


def error_of(answer, status, code):
    """Checks the reference's error shape; the error object."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    body = answer.json()
    error = body["error"]
    assert set(error) >= {"message", "type", "param", "code"}, error
    assert error["code"] == code, error
    assert error["message"] and isinstance(error["message"], str)
    assert "relay" in body or "relay" in error, body
    relay = body.get("relay") or error["relay"]
    assert set(relay) >= {"id", "step", "provider"}, relay
    return error


def raw_exchange(port, data, seconds=SURELY_SECONDS, close_write=False):
    """Sends bytes as they are; everything that comes until the other side closes or it gets late.
    (bytes, closed by the other side)"""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as s:
        try:
            s.sendall(data)
            if close_write:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        got = b""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            s.settimeout(max(0.01, end - time.monotonic()))
            try:
                block = s.recv(65536)
            except socket.timeout:
                return got, False
            except OSError:
                return got, True
            if not block:
                return got, True
            got += block
        return got, False


def raw_request(key, body, extra="", method="POST", path="/v1/chat/completions", length=None):
    """The bytes of a request, to be sent by raw_exchange."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: "
            f"{len(body) if length is None else length}\r\n{extra}\r\n")
    return head.encode("latin-1") + body


def parse_answers(data):
    """Splits the bytes of answers with content-length into (status, headers, body)."""
    out = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        size = int(headers.get("content-length", len(rest)))
        out.append((status, headers, rest[:size]))
        data = rest[size:]
    return out


def provider(sim, **more):
    return {"kind": "openai", "base_url": sim.base_url, "api_key": "sk-sim-0123456789", **more}


def model(id, **more):
    """A model of the configuration with everything known."""
    return {"id": id, "input": 1, "output": 2, "quality": 50, "context": 100000, "max_output": 8192,
            "capabilities": ["tools", "json", "vision"], **more}


# Cheapest first: the order in which an alias tries them.
CHEAP = [("a", 1), ("b", 2), ("c", 3), ("d", 4)]


def make_four(start, **config):
    """Four providers, one simulator each, and an alias that goes through them in order of price."""
    sims = {name: start.sim(name=name) for name, _ in CHEAP}
    relay = start.relay({
        "providers": {n: provider(sims[n], api_key=f"sk-{n}-secret-1") for n, _ in CHEAP},
        "models": [model(f"{n}/m", input=p, output=p) for n, p in CHEAP],
        "aliases": {"any": [f"{n}/m" for n, _ in CHEAP]}, **config})
    relay.sims = sims
    relay.client = relay.http(relay.first_key)
    return relay


def counts(relay):
    """How many requests each of the four got."""
    return [relay.sims[n].count() for n, _ in CHEAP]


def fail(relay, name, **how):
    """One of the four fails from now on."""
    relay.sims[name].set(**how)
