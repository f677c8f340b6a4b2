"""A gateway under everything at once, for a while, and then its books: scripts/soak.sh.

    soak.py [SECONDS] [SEED]

Two simulated providers fail at random. Clients of every kind ask through the gateway: plain and
streamed, some leave, some read slowly, some have wrong keys, some ask what the cache knows. Meanwhile
keys are made, changed and revoked from the command line, the configuration is reloaded, and in the
first part the gateway is killed (-9) and started again and again. In the second part one process stays,
and its memory and open files are compared between two moments of silence.

Every request has a tag of its own, which reaches the log as `user`, and tells the simulator what usage
to report. So there are three books to compare: what the clients saw, what the providers answered, and
the rows.
"""

import collections
import json
import os
import random
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from soak_books import FAULTS, PRICES, check_books
from support import RELAY_BIN, Relay, Sim, model, provider, raw_request, usd, wait_for

CLIENTS = 14
HANG_SECONDS = 30  # the gateway's own total timeout is 20
REVOKED_AFTER_SECONDS = 2  # one in the contract, and one for this machine's other work
GROWTH_BYTES_MAX = 3 << 20
GROWTH_FILES_MAX = 2
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]

Seen = collections.namedtuple("Seen", "tag kind id ended status life_begin life_end")


class Soak:
    """What all threads share."""

    def __init__(self, folder, seconds, seed):
        self.seed, self.seconds = seed, seconds
        self.lock, self.file_lock = threading.Lock(), threading.Lock()
        self.sims = {name: Sim(folder, name=name) for name in "ab"}
        for n, sim in enumerate(self.sims.values()):
            sim.set(seed=seed + n, ttft="lognormal:4:40", tps=4000, rules=[
                {"match": {"chance": chance}, "then": then} for chance, then in FAULTS])
        self.relay = Relay(folder / "relay", {
            "server": {"workers": 4, "shutdown_grace": "10s"},
            "providers": {name: provider(sim, api_key=["sk-sim-first-key", "sk-sim-other-key"])
                          for name, sim in self.sims.items()},
            "models": [model(f"{p}/{m}", input=float(i), output=float(o), cached_input=float(i),
                             quality=50) for (p, m), (i, o) in PRICES.items()],
            "aliases": {"both": ["a/m", "b/m"]},
            "targets": {"min_quality": 30},  # what the simulators list besides has none
            "cache": {"max_entries": 300},
            "timeouts": {"connect": "1s", "first_token": "5s", "idle": "5s", "total": "20s"},
            "log": {"level": "warn"},
        })
        self.stop, self.pause = threading.Event(), threading.Event()
        self.working, self.up = 0, True
        self.life = 0  # how often the gateway was killed
        self.seen, self.complaints = [], []
        self.counts = collections.Counter()
        self.number = 0
        self.keys = {"steady": self.relay.make_key("steady"),
                     "limited": self.relay.make_key("limited", rpm=200),
                     "poor": self.relay.make_key("poor", budget_usd="0.02", budget_period="total")}
        self.passing = self.relay.make_key("passing")  # changed by the keeper all the time
        self.changing = False
        self.revoked = collections.deque(maxlen=8)  # (key, when)
        self.upstream = {}  # (sim, number) -> what the provider answered

    def complain(self, text):
        with self.lock:
            self.complaints.append(text)
        print("soak:", text[:2000], flush=True)

    def new_tag(self):
        with self.lock:
            self.number += 1
            return f"t{self.number}"


class Client(threading.Thread):
    """One after the other, requests of random kinds."""

    KINDS = {"plain": 20, "stream": 20, "tools": 6, "cached": 12, "leave_plain": 6, "leave_stream": 8,
             "slow": 1, "wrong": 4, "bad": 3, "limited": 4, "poor": 4, "passing": 6, "revoked": 2}

    def __init__(self, soak, n):
        super().__init__(name=f"client {n}", daemon=True)
        self.soak, self.random = soak, random.Random(soak.seed * 1000 + n)
        self.http, self.left = None, 0

    def run(self):
        soak = self.soak
        while not soak.stop.is_set():
            if soak.pause.is_set():
                self.close()
                time.sleep(0.02)
                continue
            with soak.lock:
                soak.working += 1
            try:
                self.one(self.random.choices(*zip(*self.KINDS.items()))[0])
            except Exception as error:  # a client that dies would hide what it found
                soak.complain(f"{self.name}: {type(error).__name__} {error}")
            finally:
                with soak.lock:
                    soak.working -= 1
        self.close()

    def close(self):
        if self.http is not None:
            self.http.close()
        self.http = None

    def client(self):
        if self.left == 0 or self.http is None:
            self.close()
            self.http = httpx.Client(base_url=self.soak.relay.url, trust_env=False, timeout=HANG_SECONDS)
            self.left = self.random.randrange(1, 60)
        self.left -= 1
        return self.http

    def body(self, kind, tag):
        pick = self.random
        usage = f"prompt_tokens={pick.randrange(1, 3000)};completion_tokens={pick.randrange(1, 900)}"
        body = {"model": pick.choice(["a/m", "both", "both", "auto"]), "user": tag,
                "max_tokens": 2000, "stream": pick.random() < 0.5, "messages": []}
        text = f"{tag} [[sim:{usage}]]"
        if kind == "cached":
            body.update(model="both", temperature=0, max_tokens=1000)
            text = f"question {pick.randrange(25)} [[sim:prompt_tokens=100;completion_tokens=50]]"
        if kind in ("plain", "leave_plain"):
            body["stream"] = False
        if kind in ("stream", "leave_stream", "slow"):
            body["stream"] = True
        if kind == "tools":
            body["tools"], text = TOOLS, "get_weather " + text
        if kind == "slow":
            text = text.replace("[[sim:", "[[sim:tokens=20000;tps=0;")
        if kind in ("leave_plain", "leave_stream"):
            text = text.replace("[[sim:", "[[sim:tokens=400;tps=2000;")
        body["messages"].append({"role": "user", "content": text})
        return body

    def one(self, kind):
        soak, tag = self.soak, self.soak.new_tag()
        body, key, begin = self.body(kind, tag), soak.keys.get(kind, soak.keys["steady"]), soak.life
        if kind == "wrong":
            key = key[:-1] + ("A" if key[-1] != "A" else "B")
        if kind == "passing":
            key = soak.passing
        if kind == "bad":
            body["max_tokens"] = -1
        revoked = list(soak.revoked)
        if kind == "revoked" and revoked:
            key, when = self.random.choice(revoked)
            if time.monotonic() - when < REVOKED_AFTER_SECONDS:
                return
        if kind == "slow":
            id, ended, status = self.read_slowly(key, body)
        else:
            id, ended, status = self.ask(kind, key, body)
        if kind == "revoked" and revoked and status not in (401, None):
            soak.complain(f"a revoked key got {status}")
        if kind not in ("wrong", "revoked") and status == 401:
            # The keeper revokes passing keys: one may have been picked up just before.
            if kind != "passing" or key == soak.passing and not soak.changing:
                soak.complain(f"a good key got 401: {kind} {tag}")
        with soak.lock:
            soak.seen.append(Seen(tag, kind, id, ended, status, begin, soak.life))
            soak.counts[kind] += 1
            soak.counts[f"status {status}" if ended else "no end seen"] += 1

    def ask(self, kind, key, body):
        """(x-relay-id, was the end seen, status)"""
        id = status = None
        leave_at = self.random.randrange(1, 40) if kind == "leave_stream" else None
        timeout = self.random.uniform(0.001, 0.15) if kind == "leave_plain" else HANG_SECONDS
        tail = b""
        try:
            with self.client().stream("POST", "/v1/chat/completions", json=body, timeout=timeout,
                                      headers={"authorization": f"Bearer {key}"}) as answer:
                id, status = answer.headers["x-relay-id"], answer.status_code
                is_stream = answer.headers["content-type"].startswith("text/event-stream")
                for n, block in enumerate(answer.iter_raw()):
                    tail = tail[-4096:] + block
                    if n == leave_at:
                        return id, False, status
            if not is_stream:
                return id, True, status
            if not tail.rstrip().endswith(b"data: [DONE]"):
                self.soak.complain(f"a stream ended properly without [DONE]: {body['user']} {tail[-300:]}")
            return id, True, status
        except httpx.TimeoutException:
            self.close()
            if kind != "leave_plain":
                self.soak.complain(f"a request hangs: {kind} {body['user']} {id}")
            return id, False, status
        except httpx.TransportError:
            self.close()  # cut, refused, or the gateway is being killed
            if id is None:
                time.sleep(0.05)
            # An error event is the end of a stream that was cut.
            return id, b'data: {"error"' in tail and tail.endswith(b"\n\n"), status

    def read_slowly(self, key, body):
        head = data = b""
        try:
            with socket.create_connection(("127.0.0.1", self.soak.relay.port), HANG_SECONDS) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
                s.sendall(raw_request(key, body, "Connection: close\r\n"))
                while block := s.recv(65536):
                    data = data[-65536:] + block
                    if not head:
                        head = data
                        time.sleep(1)
                    time.sleep(0.01)
        except socket.timeout:
            self.soak.complain(f"a slow reader hangs: {body['user']}")
        except OSError:
            pass
        id, status = re.search(rb"x-relay-id: (\S+)", head), re.match(rb"HTTP/1.1 (\d+)", head)
        is_stream = b"text/event-stream" in head
        ended = is_stream and b"data: [DONE]" in data[-200:] or is_stream and b'data: {"error"' in data
        return id and id[1].decode(), bool(ended), status and int(status[1])


class Keeper(threading.Thread):
    """An operator: keys made, changed, rotated, revoked; reloads, right and wrong ones."""

    def __init__(self, soak):
        super().__init__(name="keeper", daemon=True)
        self.soak, self.random = soak, random.Random(soak.seed)

    def run(self):
        while not self.soak.stop.wait(self.random.uniform(0.2, 0.8)):
            if self.soak.pause.is_set():
                continue
            try:
                self.random.choice([self.replace_key, self.update_key, self.reload, self.reload_wrong])()
            except Exception as error:
                self.soak.complain(f"keeper: {type(error).__name__} {error}")

    def replace_key(self):
        soak, relay = self.soak, self.soak.relay
        old, id = soak.passing, relay.key_id(soak.passing)
        soak.changing = True
        if self.random.random() < 0.3:
            new = relay.run("keys", "rotate", id, "--grace", "0s").stdout.strip()
        else:
            new = relay.make_key("passing")
        self.use_at_once(new)
        soak.passing = new
        relay.run("keys", "revoke", id, check=False)  # one that was rotated has expired already
        soak.revoked.append((old, time.monotonic()))
        soak.changing = False
        soak.counts["keys replaced"] += 1

    def use_at_once(self, key):
        """A new key works once the command that made it has returned."""
        try:
            answer = httpx.get(self.soak.relay.url + "/v1/models", timeout=HANG_SECONDS, trust_env=False,
                               headers={"authorization": f"Bearer {key}"})
            if answer.status_code != 200:
                self.soak.complain(f"a new key got {answer.status_code} {answer.text}")
        except httpx.TransportError:
            pass  # the gateway is being killed

    def update_key(self):
        self.soak.relay.run("keys", "update", self.soak.relay.key_id(self.soak.passing), "--rpm",
                            str(self.random.choice([0, 100000])), "--tags", f"n={self.random.random()}")
        self.soak.counts["keys updated"] += 1

    def hup(self):
        with self.soak.lock:
            if self.soak.up and self.soak.relay.is_running():
                self.soak.relay.signal(signal.SIGHUP)

    def reload(self):
        with self.soak.file_lock:
            self.soak.relay.configure({"aliases": {"both": self.random.sample(["a/m", "b/m"], 2)},
                                       "routing": {"explore": self.random.choice([0, 0.1])}})
        self.hup()
        self.soak.counts["reloads"] += 1

    def reload_wrong(self):
        with self.soak.file_lock:
            good = self.soak.relay.config_path.read_text()
            self.soak.relay.write_config(good[:-10])
            self.hup()
            time.sleep(0.1)
            self.soak.relay.write_config(good)
        self.soak.counts["wrong reloads"] += 1


class Reader(threading.Thread):
    """Copies what the simulators recorded before their ring forgets it."""

    def __init__(self, soak):
        super().__init__(name="reader", daemon=True)
        self.soak = soak
        self.from_number = {name: 1 for name in soak.sims}

    def run(self):
        while not self.soak.stop.wait(1):
            self.read()

    def read(self):
        for name, sim in self.soak.sims.items():
            first = self.from_number[name]
            wanted = sim.stats()["requests"] - first + 200
            if wanted > 4096:
                self.soak.complain(f"{name} has forgotten requests")
            open_numbers = []
            records = sim.requests("/chat/completions", min(4096, max(1, wanted)))
            for record in records:
                self.soak.upstream[name, record["number"]] = record
                if record["outcome"] == "open":
                    open_numbers.append(record["number"])
            if records:
                self.from_number[name] = min(open_numbers + [records[-1]["number"] + 1])


# --- the run

def restart(soak, gracefully):
    """SIGTERM, or SIGKILL as if the machine's memory had run out. No process may end by itself."""
    began = time.monotonic()
    with soak.lock:
        soak.up = False  # until the next one takes signals, SIGHUP ends it
        if not soak.relay.is_running():
            soak.complaints.append("the gateway ended by itself: " + soak.relay.log()[-3000:])
        soak.life += not gracefully
        if not gracefully:
            soak.relay.kill()
    if gracefully and soak.relay.stop(20) != 0:
        soak.complain("the gateway did not stop well: " + soak.relay.log()[-3000:])
    with soak.file_lock:
        soak.relay.start()
    soak.up = True
    name = "stop and start" if gracefully else "kill and start"
    soak.counts[name] += 1
    soak.counts[f"slowest {name}, ms"] = max(soak.counts[f"slowest {name}, ms"],
                                             round((time.monotonic() - began) * 1000))


def connections(port, column, state):
    """How many connections have this port at this end (1: ours, 2: theirs) and are in this state."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[column] == f"0100007F:{port:04X}" and line[3] == state for line in lines)


def be_silent(soak):
    """All clients pause; the gateway's memory, and its open files by kind, pooled connections apart."""
    soak.pause.set()
    wait_for(lambda: soak.working == 0, HANG_SECONDS + 5, "clients do not come to rest")
    wait_for(lambda: soak.relay.metric("relay_inflight") == 0, 10, "requests are left in flight")
    time.sleep(1.5)
    folder = f"/proc/{soak.relay.pid}/fd"
    files = collections.Counter(re.sub(r"\d+", "", os.readlink(f"{folder}/{n}")) for n in os.listdir(folder))
    established, half_closed = "01", "08"
    left = connections(soak.relay.port, 1, established) + connections(soak.relay.port, 1, half_closed)
    if left:
        soak.complain(f"{left} connections of clients that have gone")
    for sim in soak.sims.values():
        files["socket:[]"] -= connections(sim.port, 2, established)
        if connections(sim.port, 2, half_closed):
            soak.complain("a connection that its provider has closed is kept")
    return soak.relay.memory_bytes(), files


def run(soak):
    began = time.monotonic()
    threads = [Client(soak, n) for n in range(CLIENTS)] + [Keeper(soak), Reader(soak)]
    for thread in threads:
        thread.start()
    choices = random.Random(soak.seed)
    while time.monotonic() - began < soak.seconds * 0.5:
        time.sleep(soak.seconds / 20 * choices.uniform(0.3, 1))
        restart(soak, gracefully=choices.random() < 0.3)
    time.sleep(soak.seconds * 0.2)
    memory, files = be_silent(soak)
    soak.pause.clear()
    time.sleep(soak.seconds * 0.3)
    memory_end, files_end = be_silent(soak)
    soak.stop.set()
    for thread in threads:
        thread.join(HANG_SECONDS)
    threads[-1].read()
    print(f"soak: memory {memory / 1e6:.1f} -> {memory_end / 1e6:.1f} MB, "
          f"open files {files.total()} -> {files_end.total()}")
    sanitized = re.search(rb"__[at]san_init", Path(RELAY_BIN).read_bytes())
    if memory_end - memory > GROWTH_BYTES_MAX and not sanitized:
        soak.complain(f"memory grew by {memory_end - memory} bytes")
    if files_end.total() - files.total() > GROWTH_FILES_MAX:
        soak.complain(f"open files grew from {files} to {files_end}")
    spent = next(usd(k["budget_spent_usd"]) for k in soak.relay.keys() if k["name"] == "poor")
    if not soak.relay.is_running() or soak.relay.stop(30) != 0:
        soak.complain("the gateway did not stop well: " + soak.relay.log()[-3000:])
    for sim in soak.sims.values():
        sim.stop()
    return spent


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(100000)
    folder = Path(tempfile.mkdtemp(prefix="relay-soak-"))
    print(f"soak: {seconds:.0f} s, seed {seed}, files in {folder}", flush=True)
    soak = Soak(folder, seconds, seed)
    try:
        spent = run(soak)
        check_books(soak, spent)
    finally:
        for process in (soak.relay, *soak.sims.values()):
            if process.is_running():
                process.stop()
    print("soak:", ", ".join(f"{name} {n}" for name, n in sorted(soak.counts.items())))
    print(f"soak: {len(soak.seen)} requests, {len(soak.complaints)} complaints")
    sys.exit(1 if soak.complaints else 0)


if __name__ == "__main__":
    main()
