#!/usr/bin/env python3
"""The scorecard: Relay beside nginx's proxy_pass and the bare mock, on this machine, in one run.

    scorecard.py --relay build/relay --sim build/relay-sim --load build/release/bench/relay-load

Short rounds in random order; in each, every side does the same work, and the ratio is taken to nginx
in the same round: a machine that is slow for a while is slow for both. Printed are medians and, behind
the ratio, its quarter and three quarters. Nothing here fails for being slow. A wrong answer fails it.
docs/benchmarks.md says what each side does and leaves out."""

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from programs import LOAD_CORE, PROXY_CORE, Authority, Load, Mock, Nginx, Relay
from table import Row, print_markdown, print_rows
from translation import Translation

EVENTS = 35  # of the mock's stream: 34 and [DONE]
BODY_BYTES = 600
MARK = "#" * 16
RAMP_SECONDS = 16


def write_bodies(folder, model="auto"):
    """A chat request of 600 bytes, whose sixteen #s become a number of its own in each request."""
    for name, extra in (("plain", ""), ("stream", '"stream":true,"stream_options":{"include_usage":true},')):
        front = ('{"model":"' + model + '",' + extra + '"messages":[{"role":"system","content":"You are a '
                 'helpful assistant."},{"role":"user","content":"' + MARK + ' ')
        back = '"}],"temperature":0.7,"max_tokens":200}'
        words = ("Please tell me in a few sentences what a gateway between an application and its "
                 "language models is good for. ")
        room = BODY_BYTES - len(front) - len(back)
        (folder / f"{name}.json").write_text(front + (words * 9)[:room] + back)


class Bench:
    def __init__(self, options, folder):
        self.quick = options.quick
        self.options = options
        self.folder = folder
        write_bodies(folder)
        tls = Authority(folder)
        self.mock = Mock(options.sim, folder)
        self.mock_tls = Mock(options.sim, folder, "mock-tls", tls)
        self.nginx = Nginx(options.nginx, folder, self.mock, self.mock_tls, tls.ca)
        self.relay = Relay(options.relay, folder, self.mock.url)
        self.relay_tls = Relay(options.relay, folder, self.mock_tls.url, tls.ca, name="relay-tls")
        self.load = Load(options.load, folder)
        self.direct_body()
        self.rows = []
        self.wrong = []
        self.answered = {}  # answers that each Relay gave: its log must have as many rows
        self.began = time.monotonic()

    def direct_body(self):
        """What the mock answers is what every side must deliver; Relay adds `cost` to the usage."""
        import http.client
        talk = http.client.HTTPConnection("127.0.0.1", self.mock.port, timeout=5)
        talk.request("POST", "/v1/chat/completions", (self.folder / "plain.json").read_bytes())
        (self.folder / "expected.json").write_bytes(talk.getresponse().read())
        talk.close()

    def arguments(self, side, kind, stream, options):
        port = side.port if side in (self.mock, self.mock_tls) else side.ports[kind]
        expect = ([f"--expect-events={EVENTS}"] if stream else
                  [f"--expect-body={self.folder / 'expected.json'}"])
        if isinstance(side, Relay):
            expect.append("--cost")
        return port, getattr(side, "key", "none"), stream, options, expect

    def note(self, side, what, result):
        if isinstance(side, Relay):
            self.answered[side] = self.answered.get(side, 0) + result["answered"]
        if result["wrong"] or not result["answered"]:
            self.wrong.append(f"{what}: {type(side).__name__}: {result['wrong']} wrong answers "
                              f"({result['why']}), {result['answered']} right")

    def run(self, side, what, kind, stream, **options):
        """One slice: the load's result, with the CPU time that the side spent, by thread."""
        before = side.cpu_ns()
        result = self.load.finish(self.load.start(*self.arguments(side, kind, stream, options)))
        after = side.cpu_ns()
        self.note(side, what, result)
        result["cpu_us"] = {name: (after[name] - before.get(name, 0)) / 1000 for name in after}
        return result

    def rounds(self, what, sides, kind, stream, count, **options):
        """For each side a list of its results, round by round; before it, one that does not count."""
        results = {side: [] for side in sides}
        for number in range(count + 1):
            for side in random.sample(sides, len(sides)):
                result = self.run(side, what, kind, stream, **options)
                if number > 0:
                    results[side].append(result)
        self.say(what)
        return results

    def say(self, what):
        print(f"  {time.monotonic() - self.began:5.0f} s  {what}", file=sys.stderr, flush=True)

    def cpu_row(self, what, relay, mock, kind, stream, targets, unit="request", **options):
        count = 3 if self.quick else self.options.rounds
        options.setdefault("seconds", 0.5 if self.quick else 1)
        sides = [self.nginx, relay] + ([mock] if mock else [])
        got = self.rounds(what, sides, kind, stream, count, **options)
        per = "events" if unit == "chunk" else "answered"

        def cost(result, keep=lambda name: True):
            spent = sum(us for name, us in result["cpu_us"].items() if keep(name))
            return spent / max(1, result[per])
        beside = [cost(r) for r in got[self.nginx]]
        parts = [("whole process", lambda name: True), ("worker thread", lambda n: n.startswith("relay-w")),
                 ("store thread", lambda n: n == "relay-store")]
        for part, keep in parts:
            mine = [cost(r, keep) for r in got[relay]]
            self.rows.append(Row(f"{what}, CPU per {unit}: {part}", "µs", mine, beside, targets.get(part)))
        if mock:
            self.rows.append(Row(f"{what}: the mock itself, CPU per {unit}", "µs",
                                 [cost(r) for r in got[mock]], beside, None))

    def latency_rows(self, what, stream, field):
        count = 3 if self.quick else self.options.rounds
        got = self.rounds(what, [self.nginx, self.relay, self.mock], "stream" if stream else "plain",
                          stream, count, connections=1, seconds=0.5 if self.quick else 1)
        for share in ("p50", "p99"):
            beside = [r[field][share] for r in got[self.nginx]]
            self.rows.append(Row(f"{what}, {share}", "µs", [r[field][share] for r in got[self.relay]],
                                 beside, 1.0))
            self.rows.append(Row(f"{what}, {share}: the mock itself", "µs",
                                 [r[field][share] for r in got[self.mock]], beside, None))

    # --- memory

    def fresh_relay(self, name, **options):
        return Relay(self.options.relay, self.folder, self.mock.url, name=name, **options)

    def rest_rows(self, relay):
        beside = self.fresh_nginx().memory_kb()
        mine = relay.memory_kb()
        for name, text in (("rss", "RSS"), ("pss", "PSS"), ("private_dirty", "private dirty")):
            self.rows.append(Row(f"memory at rest, {text}", "MB", [mine[name] / 1024],
                                 [beside[name] / 1024], None, most=12 if name == "rss" else None))

    def fresh_nginx(self):
        self.nginx.stop()
        self.nginx = Nginx(self.options.nginx, self.folder, self.mock, self.mock_tls,
                           str(self.folder / "ca.pem"))
        time.sleep(0.5)  # its worker is a process of its own
        return self.nginx

    def held(self, side, streams):
        """kB that a side grows by while so many slow streams are open. They begin over some seconds, as
        clients come, not all in one instant."""
        before = side.memory_kb()
        options = {"connections": streams, "requests": streams, "seconds": 600, "announce": True,
                   "rate": streams / RAMP_SECONDS}
        child = self.load.start(*self.arguments(side, "stream", True, options))
        child.stdout.readline()  # every answer has begun
        time.sleep(2)
        now = side.memory_kb()
        result = self.load.finish(child)
        self.note(side, f"{streams} streams", result)
        return {name: now[name] - before[name] for name in now}

    def stream_rows(self, relay):
        streams, gap_ms = (500 if self.quick else 5000), 500 if self.quick else 1000
        self.mock.pace(gap_ms)
        grown, beside = self.held(relay, streams), self.held(self.nginx, streams)
        self.mock.pace(0)
        # What the request and its answer so far weigh: the body, and some events of 212 bytes.
        events = (RAMP_SECONDS / 2 + 2) * 1000 / gap_ms
        own_kb = (BODY_BYTES + 212 * events) / 1024
        name = f"memory per idle stream, {streams} streams"
        self.rows.append(Row(f"{name}, raw", "kB", [grown["rss"] / streams], [beside["rss"] / streams],
                             None))
        self.rows.append(Row(f"{name}, beyond its request and answer ({own_kb:.1f} kB)", "kB",
                             [grown["rss"] / streams - own_kb], [beside["rss"] / streams - own_kb],
                             None, most=8))
        self.say(name)

    def flat_row(self):
        """The cache is small here, so that it is full after the first part and stays so; by then every
        model has been explored and has its measurements too."""
        count = 1000000 if self.options.million else 20000 if self.quick else 200000
        relay = self.fresh_relay("relay-flat", cache_bytes="4MiB")
        sizes = []
        for part in range(5):
            self.run(relay, "flat", "plain", False, requests=count // 5, seconds=600)
            sizes.append(relay.memory_kb()["rss"] / 1024)
        self.rows.append(Row(f"RSS after {count // 5:,} and after {count:,} requests: growth", "MB",
                             [sizes[-1] - sizes[0]], [], None, most=1))
        self.rows.append(Row(f"RSS after {count:,} requests, 4 MiB of them cache", "MB", [sizes[-1]],
                             [], None))
        self.say("flat")
        self.check_log(relay)

    def paced(self, target):
        self.mock.pace(20)
        self.cpu_row("stream paced 20 ms, 200 streams", self.relay, None, "stream", True, target, "chunk",
                     connections=200, seconds=1.5 if self.quick else 3)
        self.mock.pace(0)

    def memory(self):
        fresh = self.fresh_relay("relay-fresh")
        self.rest_rows(fresh)
        self.stream_rows(fresh)
        self.check_log(fresh)

    def all(self, only):
        half, whole = {"worker thread": 1.0, "whole process": 1.5}, {"whole process": 1.0}
        parts = {
            "plain": lambda: self.cpu_row("plain, 64 connections", self.relay, self.mock, "plain", False,
                                          half),
            "stream": lambda: self.cpu_row("stream, 34 events at once", self.relay, self.mock, "stream",
                                           True, whole),
            "paced": lambda: self.paced(whole),
            "latency": lambda: (
                self.latency_rows("latency of a plain answer, 1 connection", False, "whole_us"),
                self.latency_rows("latency of a stream's first byte, 1 connection", True,
                                  "first_byte_us")),
            "tls": lambda: self.cpu_row("TLS upstream, plain", self.relay_tls, None, "tls", False, half),
            "translate": lambda: self.rows.extend(Translation(self).rows()),
            "memory": self.memory,
            "flat": self.flat_row,
        }
        for name, part in parts.items():
            if not only or name in only:
                part()
        for relay in (self.relay, self.relay_tls):
            self.check_log(relay)

    def check_log(self, relay):
        """Every answer that the load has read has exactly one row."""
        relay.stop()
        rows, good = relay.rows()
        answered = self.answered.get(relay, 0)
        if rows != answered or good != answered:
            self.wrong.append(f"{relay.home.name}: {answered} answers, {rows} rows ({good} with 200)")

    def close(self):
        for side in (self.nginx, self.relay, self.relay_tls, self.mock, self.mock_tls):
            side.stop()


def find_nginx():
    """The machine's, else the one that scripts/setup.sh unpacked."""
    unpacked = Path(__file__).resolve().parents[2] / "build/deps/nginx/usr/sbin/nginx"
    return shutil.which("nginx") or (str(unpacked) if unpacked.exists() else "/usr/sbin/nginx")


def machine(options):
    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).strip().splitlines()[0]
    info = Path("/proc/cpuinfo").read_text()
    names = [line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "processor": f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "nginx": first_line(options.nginx, "-v"),
        "relay": first_line(options.relay, "version"),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load": " ".join(f"{n:.1f}" for n in os.getloadavg()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("relay", "sim", "load"):
        parser.add_argument(f"--{name}", required=True, type=os.path.abspath)
    parser.add_argument("--nginx", default=find_nginx())
    parser.add_argument("--rounds", type=int, default=15, help="that count, after one that does not")
    parser.add_argument("--quick", action="store_true", help="about a minute, for a first look")
    parser.add_argument("--million", action="store_true", help="the memory row over a million requests")
    parser.add_argument("--only", action="append", help="plain, stream, paced, latency, tls, translate, memory, flat")
    parser.add_argument("--markdown", help="write the table there too")
    options = parser.parse_args()
    if not {PROXY_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit("bench: needs cores 0 and 1")
    about = machine(options)
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        bench = Bench(options, Path(folder))
        try:
            bench.all(options.only)
        finally:
            bench.close()
    print_rows(about, bench.rows)
    if options.markdown:
        print_markdown(options.markdown, about, bench.rows)
    for line in bench.wrong:
        print("WRONG", line)
    sys.exit(1 if bench.wrong else 0)


if __name__ == "__main__":
    main()
