#!/usr/bin/env python3
"""What the semantic cache costs and saves in a running gateway, with the real model, on this machine.

    cache_load.py --relay build/relay --sim build/relay-sim --load build/release/bench/relay-load [--million]

Two gateways before one simulator, one of them with `cache.semantic: false`, workers as by default, nothing
pinned. Three parts (--only): `others`, what requests that are not for the cache notice of a busy encoder;
`hits`, how long an exact hit, a semantic hit and a semantic miss take; `memory`, over many lookups. Takes
about two minutes, with --million about ten. Nothing fails for being slow; a wrong answer, or a hit that
reaches a provider, does. docs/benchmarks.md says more. Only Python's standard library."""

import argparse
import http.client
import itertools
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from programs import Load, Mock, Relay
from questions import Questions, again

CORES = (0, 1)
MARK = "#" * 16
RATE, CONNECTIONS = 200, 4  # of the requests that are not for the cache
HOT = 300
KEPT = 1000  # cache.max_entries of the memory part
SHARE = 20  # one in so many lookups of the memory part needs the encoder


def body_of(question, **more):
    return json.dumps({"model": "auto", "messages": [{"role": "user", "content": question}], **more})


class Gateway(Relay):
    def __init__(self, options, folder, mock, name, **cache):
        super().__init__(options.relay, folder, mock.url, name=name, workers="auto", core=CORES, more={
            "cache": {"model": options.model, **cache}})

    def counts(self):
        """Answers so far by what the cache did: exact, semantic, shared, miss, bypass."""
        talk = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        talk.request("GET", "/metrics")
        text = talk.getresponse().read().decode()
        talk.close()
        return {result: int(float(value)) for result, value in
                re.findall(r'(?m)^relay_cache_total\{result="(\w+)"\} (\S+)$', text)}

    def ask(self, talk, body):
        talk.request("POST", "/v1/chat/completions", body, {
            "authorization": f"Bearer {self.key}", "content-type": "application/json"})
        answer = talk.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"bench: {answer.status} for {body}")
        return answer.headers["x-relay-cache"]


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.mock = Mock(options.sim, folder, core=CORES)
        self.load = Load(options.load, folder, CORES)
        self.questions = Questions(7)
        self.wrong = []
        self.files = itertools.count()
        (folder / "least.json").write_text("x" * 600)  # a hit has an id of its own and a cost

    def served_by_mock(self):
        talk = http.client.HTTPConnection("127.0.0.1", self.mock.port, timeout=5)
        talk.request("GET", "/__sim/stats")
        stats = json.loads(talk.getresponse().read())
        talk.close()
        return stats["requests"]

    def start(self, relay, bodies, **options):
        """Starts relay-load on these bodies, or on one with a mark."""
        file = self.folder / f"bodies-{next(self.files)}"
        file.write_text("".join(b + "\n" for b in bodies))
        options |= {"lines": True, "body": file, "own-id": True, "cost": True}
        expect = [f"--expect-body={self.folder / 'least.json'}"]
        return self.load.start(relay.port, relay.key, False, options, expect)

    def finish(self, child, what):
        result = self.load.finish(child)
        if result["wrong"] or not result["answered"]:
            self.wrong.append(f"{what}: {result['wrong']} wrong answers ({result['why']}), "
                              f"{result['answered']} right")
        return result

    def warm_up(self, relay):
        """The first question loads the model; after it the encoder answers in time."""
        talk = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=20)
        end = time.monotonic() + 30
        while relay.ask(talk, body_of(self.questions.new())) != "miss":
            if time.monotonic() > end:
                raise SystemExit("bench: no semantic lookup in 30 s: is the model there?")
            time.sleep(0.05)
        talk.close()

    def hot(self, relay):
        """Questions that are stored, and for each the same in other words that is served by it."""
        talk = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=20)
        stored, alike = [], []
        while len(stored) < HOT:
            question = self.questions.new(short=True)
            if relay.ask(talk, body_of(question)) != "miss":
                continue
            stored.append(question)
            alike += [text for text in again(question) if relay.ask(talk, body_of(text)) == "semantic"]
        talk.close()
        return stored, alike

    # ---- others ----

    def capacity(self, relay):
        """Questions a second that the encoder manages: as many at once as it has threads."""
        before = relay.counts()
        result = self.finish(self.start(relay, (body_of(self.questions.new()) for _ in range(3000)),
                                        connections=len(CORES), seconds=2), "capacity")
        after = relay.counts()
        return (after["miss"] - before["miss"]) / result["seconds"]

    def slice(self, relay, rate):
        """Of the others p50 and p99, how many cores the encoder had, and for how many milliseconds a
        second loops were ready to run and had no core."""
        seconds = self.options.seconds
        before, waited, began = relay.cpu_ns().get("encoder", 0), relay.waited_ns("relay-worker"), time.monotonic()
        behind = None
        if rate:
            bodies = [body_of(self.questions.new()) for _ in range(int(rate * (seconds + 2)))]
            behind = self.start(relay, bodies, connections=64, rate=rate, seconds=seconds + 0.6)
            time.sleep(0.3)
        others = [body_of(f"{MARK} " + self.questions.new(), cache={"mode": "off"})]
        result = self.finish(self.start(relay, others, connections=CONNECTIONS, rate=RATE, seconds=seconds),
                             "others")
        if behind:
            self.finish(behind, "background")
        busy = (relay.cpu_ns().get("encoder", 0) - before) / 1e9 / (time.monotonic() - began)
        waited = (relay.waited_ns("relay-worker") - waited) / 1e6 / (time.monotonic() - began)
        return result["whole_us"]["p50"], result["whole_us"]["p99"], busy, waited

    def others(self):
        on = Gateway(self.options, self.folder, self.mock, "others-on")
        off = Gateway(self.options, self.folder, self.mock, "others-off", semantic=False)
        self.warm_up(on)
        rate = max(50, 1.5 * self.capacity(on))
        sides = {"alone": (on, 0), "encoder saturated": (on, rate), "same load, semantic off": (off, rate)}
        results = {name: [] for name in sides}
        before = on.counts()
        for _ in range(self.options.rounds):
            for name in random.sample(list(sides), len(sides)):
                results[name].append(self.slice(*sides[name]))
        counts = {k: n - before[k] for k, n in on.counts().items()}
        print(f"\nothers: {RATE}/s on {CONNECTIONS} connections with the cache off in the request; behind them "
              f"{rate:.0f} varied questions a second, 1.5 times what the encoder manages")
        print(f"{'':26}{'p50 us':>8}{'p99 us':>8}  {'encoder, cores':>14}{'loops wait, ms/s':>18}   p99 by round")
        for name, rounds in results.items():
            p50, p99, busy, waited = (statistics.median(r[i] for r in rounds) for i in range(4))
            each = " ".join(f"{r[1]:.0f}" for r in rounds)
            print(f"{name:26}{p50:8.0f}{p99:8.0f}  {busy:14.2f}{waited:18.2f}   {each}")
        for name in ("alone", "same load, semantic off"):
            rises = [b[1] - a[1] for a, b in zip(results[name], results["encoder saturated"])]
            print(f"p99 above '{name}': {statistics.median(rises):.0f} us "
                  f"({min(rises):.0f} to {max(rises):.0f}); wanted: at most 1000")
        print(f"of the questions behind them the encoder took {counts['miss'] + counts['semantic']} in time; "
              "the rest, and the others, went on as bypass")
        on.stop()
        off.stop()

    # ---- hits ----

    def timed(self, relay, name, bodies, result, reaches):
        """One connection, one request after the other. All must be `result`, or bypass where the encoder
        took too long; only bypass may reach the provider, unless all do."""
        before, served = relay.counts(), self.served_by_mock()
        bodies = list(bodies)
        got = self.finish(self.start(relay, bodies, connections=1, requests=len(bodies), seconds=60), name)
        counts = {k: n - before[k] for k, n in relay.counts().items() if n != before[k]}
        calls = self.served_by_mock() - served
        bypassed = counts.get("bypass", 0)
        if counts.get(result, 0) + bypassed != len(bodies) or calls != (len(bodies) if reaches else bypassed):
            self.wrong.append(f"{name}: {counts}, {calls} calls of the provider")
        text = ", ".join(f"{n} {k}" for k, n in counts.items())
        print(f"{name:30}{got['whole_us']['p50']:8.0f}{got['whole_us']['p99']:8.0f}   {text}; "
              f"{calls} calls of the provider")

    def hits(self):
        relay = Gateway(self.options, self.folder, self.mock, "hits")
        self.warm_up(relay)
        stored, alike = self.hot(relay)
        count = 100 * self.options.rounds
        new = [self.questions.new(short=True) for _ in range(2 * count)]
        print(f"\nhits: one connection\n{'':30}{'p50 us':>8}{'p99 us':>8}")
        self.timed(relay, "exact hit", map(body_of, stored * 10), "exact", False)
        self.timed(relay, "semantic hit", map(body_of, random.sample(alike, min(count, len(alike)))),
                   "semantic", False)
        self.timed(relay, "miss, exact cache only", (body_of(q, cache={"mode": "exact"}) for q in new[count:]),
                   "miss", True)
        self.timed(relay, "miss, semantic lookup too", map(body_of, new[:count]), "miss", True)
        relay.stop()

    # ---- memory ----

    def memory(self):
        """Mostly exact hits; of the rest one half are semantic hits, the other new and kept for a while."""
        relay = Gateway(self.options, self.folder, self.mock, "memory", max_entries=KEPT)
        self.warm_up(relay)
        stored, alike = self.hot(relay)
        rate = max(10, 0.8 * self.capacity(relay))
        count, parts, sizes = 1_000_000 if self.options.million else 100_000, 5, []
        print(f"\nmemory: {count:,} lookups, one in {SHARE} needs the encoder, at most {KEPT} answers kept")
        for part in range(parts):
            before, began = relay.counts(), time.monotonic()
            fresh = count // parts // SHARE
            texts = [random.choice(alike) if i % 2 else self.questions.new() for i in range(fresh)]
            exact = [random.choice(stored) for _ in range(count // parts - fresh)]
            # Slower than the encoder is, and the rest in step: else most would be bypass.
            slow = self.start(relay, map(body_of, texts), connections=len(CORES), requests=fresh,
                              rate=rate, seconds=1200)
            self.finish(self.start(relay, map(body_of, exact), connections=4, requests=len(exact),
                                   rate=rate * (SHARE - 1), seconds=1200), "memory")
            self.finish(slow, "memory")
            counts = {k: n - before[k] for k, n in relay.counts().items() if n != before[k]}
            memory = relay.memory_kb()
            sizes.append(memory["private_dirty"] / 1024)
            print(f"after {(part + 1) * count // parts:9,}: own {sizes[-1]:6.2f} MB, RSS {memory['rss'] / 1024:6.2f} MB   "
                  f"{', '.join(f'{n} {k}' for k, n in counts.items())}; {time.monotonic() - began:.0f} s")
        # The model's table of words is mapped from its file: its pages are in RSS once their words were met.
        print(f"growth of its own memory (private dirty) after the first fifth: {sizes[-1] - sizes[0]:.2f} MB; "
              "wanted: at most 2")
        relay.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("relay", "sim", "load"):
        parser.add_argument(f"--{name}", required=True, type=os.path.abspath)
    parser.add_argument("--model", default="build/models/all-MiniLM-L6-v2", type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=5, help="of the first part")
    parser.add_argument("--seconds", type=float, default=4, help="of a slice of the first part")
    parser.add_argument("--million", action="store_true", help="the memory part over a million lookups")
    parser.add_argument("--only", action="append", choices=("others", "hits", "memory"))
    options = parser.parse_args()
    names = re.findall(r"(?m)^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text())
    print(f"processor: {names[0] if names else '?'}, {os.cpu_count()} cores; "
          f"load: {' '.join(f'{n:.1f}' for n in os.getloadavg())}")
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        bench = Bench(options, Path(folder))
        try:
            for part in options.only or ("others", "hits", "memory"):
                getattr(bench, part)()
        finally:
            bench.mock.stop()
    for line in bench.wrong:
        print("WRONG", line)
    sys.exit(1 if bench.wrong else 0)


if __name__ == "__main__":
    main()
