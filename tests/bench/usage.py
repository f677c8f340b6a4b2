#!/usr/bin/env python3
"""How fast the dashboard's panels answer over a long log, while the gateway serves.

    usage.py --relay build/relay --sim build/relay-sim --load build/release/bench/relay-load \\
        --log build/release/bench/relay-log [--rows 10000000] [--days 30] [--store sqlite|postgres] [--rate 100]

relay-log fills a store; a gateway with all defaults serves --rate requests a second from it, and the admin API
is asked what each panel asks, one question at a time: of the last hour to 30 days, of the whole log, of random
ranges that begin and end within an hour, of ranges before the first row, with random filters. scripts/bench_usage.sh
runs it."""

import argparse
import http.client
import json
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parent.parent / "wire"))

from postgres_server import Postgres  # noqa: E402
from programs import Load, Mock, Relay  # noqa: E402

CORES = (0, 1)
HOUR, DAY = 3600, 86400
LIMIT_MS = 300
PLAIN = {"model": "auto", "messages": [{"role": "user", "content": "hello ################"}]}
MODELS = ["openai/gpt-5-mini", "anthropic/claude-haiku", "gemini/gemini-2.5-flash", "groq/llama-3.1-8b-instant",
          "local/gpt-oss-120b"]


class Admin:
    def __init__(self, gateway, url):
        self.talk = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        beside = Path(url.removeprefix("sqlite:")).parent if url.startswith("sqlite:") else gateway.home / "data"
        self.key = (beside / "admin-key").read_text().strip()

    def ask(self, path, **query):
        """(milliseconds, the answer)"""
        query = {name: value for name, value in query.items() if value is not None}
        began = time.perf_counter()
        self.talk.request("GET", f"/admin/v1/{path}?{urlencode(query)}",
                          headers={"authorization": f"Bearer {self.key}"})
        answer = self.talk.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            print(f"  {answer.status} after {took:.0f} ms: {path} {query} {body[:200]}", flush=True)
            return took, None
        return took, json.loads(body)


def text(at):
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Questions:
    def __init__(self, seed, now, days, keys):
        self.random, self.now, self.span, self.keys = random.Random(seed), now, days * DAY, keys

    def range(self):
        kind = self.random.randrange(6)
        if kind < 2:
            length = self.random.choice([6 * HOUR, DAY, 7 * DAY, 30 * DAY])
            return self.now - length, self.now
        if kind == 2:
            return self.now - self.span - DAY, self.now
        if kind == 3 and self.random.randrange(4) == 0:
            return self.now - self.span - 20 * DAY, self.now - self.span - 10 * DAY
        ends = sorted(self.now - self.random.random() * self.span for _ in range(2))
        return ends[0], ends[1]

    def filters(self):
        f = {}
        if self.random.randrange(3) == 0:
            f["key"] = self.random.choice(self.keys)
        if self.random.randrange(3) == 0:
            f["model"] = self.random.choice(MODELS)
        elif self.random.randrange(3) == 0:
            f["provider"] = self.random.choice(MODELS).split("/")[0]
        return f

    def about(self):
        begin, end = self.range()
        return {"from": text(begin), "to": text(end), **self.filters()}

    def panels(self):
        """(panel, path, query) of one look at each page."""
        about = self.about()
        begin, end = (datetime.fromisoformat(about[n]).timestamp() for n in ("from", "to"))
        by = "hour" if end - begin <= 4 * DAY else "day"
        yield "overview: by " + by, "usage", {**about, "by": by}
        yield "overview: by provider", "usage", {**about, "by": "provider", "limit": 20}
        yield "overview: by model", "usage", {**about, "by": "model", "limit": 12}
        yield "overview: by key", "usage", {**about, "by": "key", "limit": 10}
        about = self.about()
        yield "usage: all hours", "usage", {**about, "by": "hour"}
        begin = self.now - self.random.random() * self.span
        yield "overview: by minute", "usage", {**self.filters(), "from": text(begin), "to": text(begin + HOUR),
                                               "by": "minute"}
        yield "requests: newest", "requests", {**self.about(), "limit": 50}
        yield "requests: by status", "requests", {**self.about(), "limit": 50,
                                                  "status": self.random.choice(["error", "5xx", "429", "503"])}
        yield "requests: by cache", "requests", {**self.about(), "limit": 50,
                                                 "cache": self.random.choice(["hit", "shared", "exact", "bypass"])}
        yield "requests: rare status", "requests", {"from": text(self.now - self.span), "limit": 50, "status": 507}
        yield "requests: no such status", "requests", {**self.about(), "limit": 50, "status": 418}
        yield "requests: rare key", "requests", {"from": text(self.now - self.span), "limit": 50,
                                                 "key": self.keys[-1], "status": "error"}
        yield "cache page", "usage", {"by": "day", "from": text(self.now - DAY), "to": text(self.now)}
        yield "keys page", "keys", {"limit": 50}
        yield "models page", "models", {}


def share(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def measure(admin, questions, rounds):
    took, failed = {}, 0
    for _ in range(rounds):
        for panel, path, query in questions.panels():
            ms, answer = admin.ask(path, **query)
            failed += answer is None
            took.setdefault(panel, []).append(ms)
    return took, failed


def fill(options, url):
    began = time.monotonic()
    subprocess.run([options.log, url, str(options.rows), str(options.days), str(options.seed)], check=True)
    seconds = time.monotonic() - began
    print(f"filled: {options.rows:,} rows in {seconds:.0f} s, {options.rows / seconds:,.0f} a second", flush=True)


def run(options, folder):
    filled = options.filled is not None
    postgres = None
    if options.store == "postgres" and not filled:
        postgres = Postgres(shared_buffers="512MB", max_wal_size="4GB")
    url = options.filled or (postgres.url if postgres else f"sqlite:{folder}/log/relay.db")
    mock, gateway = Mock(options.sim, folder, core=CORES), None
    try:
        if not filled:
            fill(options, url)
        gateway = Relay(options.relay, folder, mock.url, workers=1, core=CORES, name="gateway",
                        more={"store": url, "limits": {"rpm": 0, "tpm": 0}})
        admin = Admin(gateway, url)
        _, by_key = admin.ask("usage", by="key", limit=1000, **{"from": text(time.time() - 40 * DAY)})
        keys = [row["key"] for row in by_key["rows"]]
        (folder / "plain.json").write_text(json.dumps(PLAIN))
        talk = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=10)
        talk.request("POST", "/v1/chat/completions", (folder / "plain.json").read_bytes())
        (folder / "expected.json").write_bytes(talk.getresponse().read())
        load = Load(options.load, folder, cores=CORES)
        child = load.start(gateway.port, gateway.key, False,
                           {"connections": 8, "seconds": options.seconds, "rate": options.rate},
                           ["--expect-body", str(folder / "expected.json"), "--cost"])
        questions = Questions(options.seed, time.time(), options.days, keys)
        took, failed, until = {}, 0, time.monotonic() + options.seconds - 2
        while time.monotonic() < until:
            more, f = measure(admin, questions, 1)
            failed += f
            for panel, ms in more.items():
                took.setdefault(panel, []).extend(ms)
        load.finish(child)
        return took, failed
    finally:
        if gateway:
            gateway.stop()
        mock.stop()
        if postgres:
            postgres.stop()


def main():
    p = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("relay", "sim", "load", "log"):
        p.add_argument(f"--{name}", required=True)
    p.add_argument("--rows", type=int, default=10_000_000)
    p.add_argument("--days", type=int, default=30)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rate", type=int, default=100, help="requests a second that the gateway serves meanwhile")
    p.add_argument("--seconds", type=int, default=60, help="of asking")
    p.add_argument("--filled", help="URL of a store that relay-log has filled")
    p.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    options = p.parse_args()
    for name in ("relay", "sim", "load", "log"):
        setattr(options, name, str(Path(getattr(options, name)).resolve()))
    with tempfile.TemporaryDirectory(prefix="relay-usage-") as folder:
        took, failed = run(options, Path(folder))
    print(f"\n{options.store}, {options.rows:,} rows over {options.days} days; {options.rate} requests a second\n")
    print("| panel | asked | p50 | p95 | most |\n|---|---:|---:|---:|---:|")
    slow = 0
    for panel, ms in sorted(took.items()):
        print(f"| {panel} | {len(ms)} | {share(ms, .5):.0f} ms | {share(ms, .95):.0f} ms | {max(ms):.0f} ms |")
        slow += share(ms, .95) >= LIMIT_MS
    print(f"\n{failed} questions failed; {slow} panels take {LIMIT_MS} ms or more at p95")
    return 1 if failed or slow else 0


if __name__ == "__main__":
    sys.exit(main())
