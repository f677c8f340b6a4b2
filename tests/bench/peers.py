#!/usr/bin/env python3
"""Relay beside nginx and beside other gateways: the same work for each, before the same upstream, in one run.

    peers.py --relay build/relay --sim build/relay-sim --load build/release/bench/relay-load --peers build/peers

Short slices in random order, every side once per round, each with all of its processes on core 0; the upstream and
the load are on core 1. An answer is right when it says what relay-sim has said, text, end and usage, however it is
written; one that is not fails the run. scripts/bench_peers.sh fetches the others and runs this; docs/benchmarks.md
says what each side does and leaves out, and its table is what --docs writes."""

import argparse
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from programs import LOAD_CORE, PROXY_CORE, Authority, Load, Mock, Nginx, Process, Relay, free_port, tree, wait_for
from scorecard import Bench, find_nginx, machine, write_bodies

START_SECONDS = 120  # LiteLLM takes some, more where others work
DOCS = Path(__file__).resolve().parents[2] / "docs/benchmarks.md"
BEGIN, END = "<!-- bench-peers -->", "<!-- /bench-peers -->"


class Whole(Nginx):
    """With its master, as every process of the others is counted."""

    def pids(self):
        return tree(self.pid)


class Peer(Process):
    path, headers, key, model = "/v1/chat/completions", (), "none", "auto"

    def __init__(self, folder, command, env):
        self.folder = folder
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        super().__init__(command, folder / "log", PROXY_CORE, env=keep | env, cwd=folder)

    def pids(self):
        return tree(self.pid)

    def wait_answer(self, body):
        """It has started when it gives a right answer; until then it may refuse."""
        def look():
            if self.child.poll() is not None:
                raise SystemExit(f"bench: {self.name}: {self.log()[-2000:]}")
            try:
                return self.ask(body)[0] == 200
            except OSError:
                return False
        wait_for(look, START_SECONDS, lambda: f"{self.name} gives no right answer: {self.log()[-2000:]}")

    def ask(self, body):
        talk = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            talk.request("POST", self.path, body, {"content-type": "application/json", "authorization": "Bearer " + self.key,
                                                   **dict(line.split(": ", 1) for line in self.headers)})
            answer = talk.getresponse()
            return answer.status, answer.read()
        finally:
            talk.close()


class LiteLLM(Peer):
    """As its guide to production says: one uvicorn worker per core (here one), a key, no debugging, no data base."""

    name, package, key = "LiteLLM", "litellm", "sk-bench"

    def __init__(self, peers, folder, mock):
        self.port = free_port()
        config = folder / "config.json"  # JSON is YAML
        config.write_text(json.dumps({
            "model_list": [{"model_name": "auto", "litellm_params": {
                "model": "openai/bench", "api_base": mock.url + "/v1", "api_key": "bench",
                "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}}],
            "litellm_settings": {"set_verbose": False, "request_timeout": 600},
            "general_settings": {"master_key": self.key}}))
        super().__init__(folder, [str(peers / "litellm/bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port",
                                  str(self.port), "--num_workers", "1", "--telemetry", "False"],
                         {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"})


class TensorZero(Peer):
    """The gateway that its Python package carries and starts; without ClickHouse and Postgres."""

    name, package = "TensorZero", "tensorzero"
    path, model = "/openai/v1/chat/completions", "tensorzero::model_name::bench"

    def __init__(self, peers, folder, mock):
        (folder / "tensorzero.toml").write_text(
            "[gateway]\nobservability.enabled = false\n[models.bench]\nrouting = ['mock']\n[models.bench.providers.mock]\n"
            f"type = 'openai'\nmodel_name = 'bench'\napi_base = '{mock.url}/v1/'\napi_key_location = 'env::BENCH_KEY'\n")
        server = Path(__file__).parent / "peers/tensorzero_server.py"
        super().__init__(folder, [str(peers / "tensorzero/bin/python"), str(server), "tensorzero.toml"], {"BENCH_KEY": "bench"})
        wait_for(lambda: self.child.poll() is not None or "listening: " in self.log(), START_SECONDS,
                 lambda: f"{self.name} did not start: {self.log()[-2000:]}")
        if self.child.poll() is not None:
            raise SystemExit(f"bench: {self.name}: {self.log()[-2000:]}")
        self.port = int(self.log().split("listening: ")[1].split("/")[2].split(":")[1])


class Portkey(Peer):
    """Its server for Node.js; provider and address are in each request's headers, as it wants them."""

    name, package = "Portkey", "portkey"

    def __init__(self, peers, folder, mock):
        self.port = free_port()
        self.headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: {mock.url}/v1")
        server = peers / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
        loopback = Path(__file__).parent / "peers/loopback.mjs"
        super().__init__(folder, ["node", "--import", str(loopback), str(server), "--headless", f"--port={self.port}"],
                         {"NODE_ENV": "production"})


PEERS = (TensorZero, Portkey, LiteLLM)


def versions(peers):
    """Of each package that is there, as it is pinned."""
    found = {}
    for name in ("litellm", "tensorzero"):
        if (peers / name).exists():
            found[name] = next(line.split("==")[1] for line in (peers / name / "pins").read_text().split()
                               if line.startswith(name + "=="))
    if (peers / "portkey").exists():
        lock = json.loads((peers / "portkey/pins").read_text())
        found["portkey"] = lock["packages"]["node_modules/@portkey-ai/gateway"]["version"]
    return found


class Beside(Bench):
    """The scorecard's slices and rounds, with other sides and other rows."""

    def __init__(self, options, folder):
        self.options, self.folder, self.quick = options, folder, options.quick
        self.wrong, self.answered, self.table, self.slow = [], {}, [], []
        self.began = time.monotonic()
        tls = Authority(folder)  # nginx is configured with one
        self.mock = Mock(options.sim, folder)
        self.load = Load(options.load, folder)
        self.nginx = Whole(options.nginx, folder, self.mock, self.mock, tls.ca)
        self.relay = Relay(options.relay, folder, self.mock.url)
        write_bodies(folder)
        self.names = {self.relay: "Relay", self.nginx: "nginx"}
        self.want()

    def start_peers(self):
        self.rest = {side: side.memory_kb() for side in self.names}
        for kind in PEERS:
            if (self.options.peers / kind.package).exists():
                folder = self.folder / kind.package
                folder.mkdir()
                write_bodies(folder, kind.model)
                peer = kind(self.options.peers, folder, self.mock)
                self.names[peer] = peer.name
                peer.wait_answer((folder / "plain.json").read_bytes())
                self.rest[peer] = peer.memory_kb()
        self.sides = list(self.names)

    def want(self):
        """What relay-sim says to both requests is what every side must say."""
        for kind in ("plain", "stream"):
            talk = http.client.HTTPConnection("127.0.0.1", self.mock.port, timeout=10)
            talk.request("POST", "/v1/chat/completions", (self.folder / f"{kind}.json").read_bytes())
            (self.folder / f"{kind}.wanted").write_bytes(talk.getresponse().read())
            talk.close()

    def arguments(self, side, kind, stream, options):
        expect = [f"--expect-meaning={self.folder / kind}.wanted"]
        port = side.ports[kind] if side is self.nginx else side.port
        if isinstance(side, Peer):
            options = {"path": side.path, "body": side.folder / f"{kind}.json", **options}
            expect += [f"--header={line}" for line in side.headers]
        return port, getattr(side, "key", "none"), stream, options, expect

    # --- rows: a name, a unit, and for each side its values round by round

    def row(self, name, unit, values):
        self.table.append((name, unit, values))

    def cost(self, what, kind, results, per="answered"):
        self.row(f"{what}: CPU per {'chunk' if per == 'events' else 'request'}", "µs",
                 {side: [sum(r["cpu_us"].values()) / max(1, r[per]) for r in results[side]] for side in self.sides})

    def work(self, what, kind, **options):
        count = 2 if self.quick else self.options.rounds
        options.setdefault("seconds", 1 if self.quick else 2)
        return self.rounds(what, [*self.sides, self.mock], kind, kind == "stream", count, **options)

    def full(self, what, kind):
        got = self.work(what, kind, connections=64)
        self.cost(what, kind, got)
        self.row(f"{what}: answers a second", "1/s",
                 {side: [r["answered"] / r["seconds"] for r in got[side]] for side in self.sides})

    def fixed(self, what, kind, field, rate):
        got = self.work(what, kind, connections=64, rate=rate)
        for side in self.sides:
            done = statistics.median(r["answered"] / r["seconds"] for r in got[side])
            if done < 0.9 * rate:
                self.slow.append(f"{self.names[side]}, {what}: {done:.0f}")
        self.cost(what, kind, got)
        for share in ("p50", "p99"):
            self.row(f"{what}: {'first byte' if field == 'first_byte_us' else 'answer'} later than without a gateway, {share}",
                     "µs", {side: [r[field][share] - d[field][share] for r, d in zip(got[side], got[self.mock])]
                            for side in self.sides})

    def paced(self):
        self.mock.pace(50)
        what = "20 streams, an event every 50 ms"
        self.cost(what, "stream", self.work(what, "stream", connections=20), "events")
        self.mock.pace(0)

    def loaded(self):
        """Memory at rest was read before any work; this is under 64 connections at full speed."""
        held = {}
        for side in self.sides:
            child = self.load.start(*self.arguments(side, "plain", False, {"connections": 64, "seconds": 3}))
            time.sleep(2)
            held[side] = side.memory_kb()
            self.note(side, "memory", self.load.finish(child))
        for when, found in (("at rest", self.rest), ("under load", held)):
            for name in ("rss", "pss"):
                self.row(f"memory {when}, {name.upper()}", "MB", {side: [found[side][name] / 1024] for side in self.sides})

    def all(self, only):
        parts = {
            "plain": lambda: self.full("plain, 64 connections, full speed", "plain"),
            "plain100": lambda: self.fixed("plain, 100 a second", "plain", "whole_us", 100),
            "stream": lambda: self.full("stream of 34 events at once, 64 connections, full speed", "stream"),
            "stream20": lambda: self.fixed("stream of 34 events at once, 20 a second", "stream", "first_byte_us", 20),
            "paced": self.paced,
            "memory": self.loaded,
        }
        self.start_peers()
        for name, part in parts.items():
            if not only or name in only:
                part()
        self.check_log(self.relay)

    def close(self):
        for side in (*self.names, self.mock):
            side.stop()

    # --- the table

    def lines(self):
        """One line for each row: Relay's median, then each other's with its ratio to Relay's of the same round."""
        yield ["", ""] + list(self.names.values())
        for name, unit, values in self.table:
            mine = values[self.relay]
            cells = []
            for side in self.sides:
                text = number(statistics.median(values[side]))
                if side is not self.relay and statistics.median(mine) > 0:
                    ratios = [a / b for a, b in zip(values[side], mine) if b > 0]
                    text += f" ({number(statistics.median(ratios))} ×)"
                cells.append(text)
            yield [name, unit] + cells


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def report(bench, about):
    lines = list(bench.lines())
    text = [f"- {name}: {value}" for name, value in about.items()]
    text += ["", "| " + " | ".join(lines[0]) + " |", "|---|---" + "|---:" * (len(lines[0]) - 2) + "|"]
    text += ["| " + " | ".join(line) + " |" for line in lines[1:]]
    return "\n".join(text + [f"\nDid not keep up: {line}." for line in bench.slow]) + "\n"


def write_docs(text):
    page = DOCS.read_text()
    head, rest = page.split(BEGIN)
    DOCS.write_text(head + BEGIN + "\n" + text + END + rest.split(END)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("relay", "sim", "load"):
        parser.add_argument(f"--{name}", required=True, type=os.path.abspath)
    parser.add_argument("--peers", required=True, type=lambda p: Path(p).resolve(), help="the folder of scripts/bench_peers.sh")
    parser.add_argument("--nginx", default=find_nginx())
    parser.add_argument("--rounds", type=int, default=6, help="that count, after one that does not")
    parser.add_argument("--quick", action="store_true", help="some two minutes, for a first look")
    parser.add_argument("--only", action="append", help="plain, plain100, stream, stream20, paced, memory")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/benchmarks.md")
    options = parser.parse_args()
    if not {PROXY_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit("bench: needs cores 0 and 1")
    about = machine(options) | versions(options.peers)
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        bench = Beside(options, Path(folder))
        try:
            bench.all(options.only)
        finally:
            bench.close()
    text = report(bench, about)
    print(text)
    if options.docs and not bench.wrong:
        write_docs(text)
    for line in bench.wrong:
        print("WRONG", line)
    sys.exit(1 if bench.wrong else 0)


if __name__ == "__main__":
    main()
