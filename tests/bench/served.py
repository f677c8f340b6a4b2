#!/usr/bin/env python3
"""What PostgreSQL and Redis cost a gateway: the CPU time of a plain completion with both, beside one with
SQLite and memory, from one run.

    served.py --relay build/relay --sim build/relay-sim --load build/release/bench/relay-load [--rounds 6]

Two gateways with one worker each on core 0; everything else, the real PostgreSQL and Redis too, on core 1. Each
takes its turn in random order, a second long, with 64 connections as fast as they go and at a steady rate. Every
answer is checked. scripts/bench_served.sh runs it."""

import argparse
import http.client
import json
import os
import random
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "wire"))

from postgres_server import Postgres  # noqa: E402
from programs import LOAD_CORE, Load, Mock, Relay  # noqa: E402
from redis_server import Redis  # noqa: E402

TARGET = 1.5
PLAIN = {"model": "auto", "messages": [{"role": "user", "content": "hello ################"}]}


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        os.sched_setaffinity(0, {LOAD_CORE})  # what it starts inherits that
        self.postgres = Postgres(fsync="on")
        self.redis = Redis(folder)
        self.mock = Mock(options.sim, folder)
        (folder / "plain.json").write_text(json.dumps(PLAIN))
        limits = {"limits": {"rpm": 100000000, "tpm": 100000000000}}
        self.sides = {
            "embedded": Relay(options.relay, folder, self.mock.url, name="embedded", more=limits),
            "served": Relay(options.relay, folder, self.mock.url, name="served",
                            more={**limits, "store": self.postgres.url, "shared": self.redis.url})}
        self.load = Load(options.load, folder)
        talk = http.client.HTTPConnection("127.0.0.1", self.mock.port, timeout=10)
        talk.request("POST", "/v1/chat/completions", (folder / "plain.json").read_bytes())
        (folder / "expected.json").write_bytes(talk.getresponse().read())
        talk.close()

    def slice(self, name, options):
        """(microseconds of CPU a request by thread, the load's result)"""
        side = self.sides[name]
        before = side.cpu_ns()
        result = self.load.finish(self.load.start(
            side.port, side.key, False, {"seconds": self.options.seconds, **options},
            ["--expect-body", str(self.folder / "expected.json"), "--cost"]))
        after = side.cpu_ns()
        if result["wrong"] or not result["answered"]:
            raise SystemExit(f"bench: {name}: {result['wrong']} wrong answers ({result['why']})")
        return {t: (after[t] - before.get(t, 0)) / 1000 / result["answered"] for t in after}, result

    def part(self, text, options):
        got = {name: [] for name in self.sides}
        for number in range(self.options.rounds + 1):
            for name in random.sample(sorted(self.sides), len(self.sides)):
                one = self.slice(name, options)
                if number > 0:  # the first one warms up
                    got[name].append(one)
        cost = {name: [sum(cpu.values()) for cpu, _ in rows] for name, rows in got.items()}
        ratios = [s / e for s, e in zip(cost["served"], cost["embedded"])]
        ratio = statistics.median(ratios)
        print(f"\n{text}")
        for name, rows in got.items():
            threads = {}
            for cpu, _ in rows:
                for thread, us in cpu.items():
                    threads.setdefault(thread, []).append(us)
            parts = ", ".join(f"{t} {statistics.median(us):.1f}" for t, us in sorted(threads.items())
                              if statistics.median(us) >= 0.5)
            print(f"  {name:9} {statistics.median(cost[name]):6.1f} us of CPU a request   "
                  f"{statistics.median(r['answered'] for _, r in rows) / self.options.seconds:7.0f}/s   ({parts})")
        print(f"  ratio     {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}), target at most {TARGET}: "
              f"{'met' if ratio <= TARGET else 'NOT MET'}")

    def stop(self):
        for side in [*self.sides.values(), self.mock]:
            side.stop()
        self.redis.stop()
        self.postgres.remove()


def main():
    parser = argparse.ArgumentParser()
    for name in ("relay", "sim", "load"):
        parser.add_argument(f"--{name}", required=True, type=lambda p: str(Path(p).resolve()))
    parser.add_argument("--rounds", type=int, default=6, help="that count, after one that does not")
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--rate", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        bench = Bench(options, Path(folder))
        try:
            bench.part("plain, 64 connections, as fast as they go", {"connections": 64})
            bench.part(f"plain, 64 connections, {options.rate} requests a second",
                       {"connections": 64, "rate": options.rate})
        finally:
            bench.stop()


if __name__ == "__main__":
    main()
