#!/usr/bin/env python3
"""How fast journals drain into PostgreSQL while a gateway serves, and what its clients notice.

    postgres_drain.py --relay build/relay --sim build/relay-sim --load build/release/bench/relay-load \\
        --journal build/release/bench/relay-journal [--rows 1000000] [--rate 500]

A real PostgreSQL with fsync and synchronous_commit on, a gateway that serves --rate requests a second, all on
this machine and nothing pinned. Three parts: `quiet`, the gateway alone; `replay`, a second gateway starts
with a journal of --rows rows; `outage`, PostgreSQL is killed, requests go on as fast as they can for some
seconds, and it comes back. Rows are counted and compared at the end. scripts/bench_postgres.sh runs it."""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "wire"))

from postgres_server import Postgres  # noqa: E402
from programs import Load, Mock, Relay, wait_for  # noqa: E402

CORES = (0, 1)
CONNECTIONS = 32
PLAIN = {"model": "auto", "messages": [{"role": "user", "content": "hello ################"}]}


class Gateway(Relay):
    def __init__(self, options, folder, mock, name, postgres):
        super().__init__(options.relay, folder, mock.url, name=name, workers=1, core=CORES,
                         more={"store": postgres.url, "limits": {"rpm": 0, "tpm": 0},
                               "journal": {"max_bytes": "8GiB"}})


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.postgres = Postgres(fsync="on", shared_buffers="256MB", max_wal_size="2GB")
        self.mock = Mock(options.sim, folder, core=CORES)
        body = json.dumps(PLAIN)
        (folder / "plain.json").write_text(body)
        self.gateway = Gateway(options, folder, self.mock, "serving", self.postgres)
        self.load = Load(options.load, folder, cores=CORES)
        self.answered = 0

    def begin_load(self, seconds, rate=None):
        options = {"connections": CONNECTIONS, "seconds": seconds}
        if rate:
            options["rate"] = rate
        return self.load.start(self.gateway.port, self.gateway.key, False, options,
                               ["--expect-body", str(self.folder / "expected.json"), "--cost"])

    def end_load(self, child):
        result = self.load.finish(child)
        self.answered += result["answered"]
        return result

    def learn_answer(self):
        """What the mock answers is what every client must get."""
        talk = http.client.HTTPConnection("127.0.0.1", self.mock.port, timeout=10)
        talk.request("POST", "/v1/chat/completions", (self.folder / "plain.json").read_bytes())
        (self.folder / "expected.json").write_bytes(talk.getresponse().read())
        talk.close()

    def backend_seconds(self):
        """CPU seconds of all of PostgreSQL's processes that are there."""
        total = 0
        for pid in self.postgres.processes():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / 100

    def rows(self):
        return int(self.postgres.value("SELECT count(*) FROM request_log"))

    def quiet(self):
        return self.end_load(self.begin_load(10, self.options.rate))

    def replay(self):
        """(load's result, seconds until the journal was empty, CPU seconds of PostgreSQL and of the gateway)"""
        second = Replaying(self.options, self.folder, self.mock, self)
        cpu = self.backend_seconds() - second.cpu_before
        result = self.end_load(second.load)
        second.stop()
        return result, second.took, cpu, second.store_cpu

    def outage(self):
        """(load's result, rows that waited, seconds until all of them were there)"""
        there = self.rows()
        self.postgres.kill()
        waiting = self.end_load(self.begin_load(self.options.outage))["answered"]
        child = self.begin_load(self.options.outage + 5, self.options.rate)
        self.postgres.start()
        wait_for(lambda: self.rows() > there, 60, lambda: "no rows arrive")
        began, there_by_then = time.monotonic(), self.rows()
        wait_for(lambda: self.rows() >= there + waiting, 900, lambda: "the rows do not arrive")
        waiting -= there_by_then - there
        took = time.monotonic() - began
        return self.end_load(child), waiting, took


class Replaying(Gateway):
    """Starts with a journal; `took` is how long it was until all of it was in the store."""

    def __init__(self, options, folder, mock, bench):
        self.options, self.bench = options, bench
        super().__init__(options, folder, mock, "replaying", bench.postgres)

    def start(self):
        journal = self.home / "data" / "journal"
        journal.mkdir(parents=True, mode=0o700)
        size = int(subprocess.run([self.options.journal, journal, str(self.options.rows)], check=True,
                                  capture_output=True, text=True).stdout)
        print(f"the journal: {self.options.rows:,} rows, {size / 1e6:,.0f} MB", flush=True)
        self.load = self.bench.begin_load(5 + self.options.rows // 20000, self.options.rate)
        time.sleep(1)
        self.cpu_before, began = self.bench.backend_seconds(), time.monotonic()
        super().start()
        wait_for(lambda: not list(journal.glob("*.journal")), 900, lambda: f"the journal stays: {self.log()}")
        self.took = time.monotonic() - began
        self.store_cpu = sum(self.cpu_ns().values()) / 1e9


def tell(name, result, more=""):
    times = result["whole_us"]
    print(f"{name:7} served {result['answered'] / result['seconds']:6.0f}/s, p50 {times['p50'] / 1000:.2f} ms, p99"
          f" {times['p99'] / 1000:.2f} ms, wrong {result['wrong']}{more}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("relay", "sim", "load", "journal"):
        parser.add_argument(f"--{name}", required=True, type=lambda p: str(Path(p).resolve()))
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--outage", type=int, default=10, help="seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="relay-drain-") as folder:
        bench = Bench(options, Path(folder))
        try:
            bench.learn_answer()
            tell("quiet", bench.quiet())
            result, took, cpu, store_cpu = bench.replay()
            tell("replay", result, f"; {options.rows / took:,.0f} rows/s drained, CPU a row: PostgreSQL"
                                   f" {cpu * 1e6 / options.rows:.1f} us, gateway {store_cpu * 1e6 / options.rows:.1f} us")
            wait_for(lambda: bench.rows() == options.rows + bench.answered, 60, lambda: "rows are missing")
            result, waiting, took = bench.outage()
            tell("outage", result, f"; {waiting:,} rows waited, {waiting / took:,.0f} rows/s drained")
            bench.gateway.stop()
            rows = bench.rows()
            if rows != options.rows + bench.answered:
                raise SystemExit(f"bench: {rows} rows instead of {options.rows} + {bench.answered}")
            print(f"{rows:,} rows, as many as were journalled and answered")
        finally:
            bench.gateway.stop()
            bench.mock.stop()
            bench.postgres.remove()


if __name__ == "__main__":
    main()
