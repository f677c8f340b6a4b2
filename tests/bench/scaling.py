#!/usr/bin/env python3
"""What a million requests cost each part of the served set-up (docs/scaling.md).

    scaling.py --load build/release/bench/relay-load [--seconds 20] [--rate 300] [--python build/venv/bin/python]

Starts scripts/stack.sh in a temporary folder and on free ports, asks both gateways plain questions that all
differ at a fixed rate (half each), and reads what that took: CPU of every process, commands, bytes and
memory of Redis, rows, bytes and WAL of PostgreSQL, series of Prometheus, bytes of the Parquet copy. The
semantic cache is off; the encoder has figures of its own. Nothing here fails for being slow; a wrong
answer, or a row too few or too many, fails it."""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/stack.sh"
NAMES = ("balancer", "prometheus", "relay1", "relay2", "sim", "redis", "postgres")
MARK = "#" * 16
BODY_BYTES = 600
MILLION = 1_000_000
IDLE_SECONDS = 5


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Stack:
    def __init__(self, top, binaries):
        self.folder = top / "stack"
        self.ports = dict(zip(NAMES, free_ports(len(NAMES))))
        self.env = dict(os.environ, STACK_DIR=str(self.folder), RELAY_BIN_DIR=binaries, RELAY_LOG_LEVEL="warn",
                        RELAY_CACHE_SEMANTIC="false", OLLAMA_HOST="http://127.0.0.1:1",
                        **{f"STACK_{name.upper()}_PORT": str(port) for name, port in self.ports.items()})

    def run(self, *args):
        return subprocess.run([SCRIPT, *args], check=True, env=self.env, capture_output=True, text=True).stdout

    def secret(self, name):
        return (self.folder / "secrets" / name).read_text().strip()

    def pids(self, name):
        first = int((self.folder / f"run/{name}.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split() if name == "postgres" else []
        return [first, *map(int, children)]

    def cpu_seconds(self, name):
        spent = 0
        for pid in self.pids(name):
            for task in Path(f"/proc/{pid}/task").iterdir():
                spent += int((task / "schedstat").read_text().split()[0])
        return spent / 1e9

    def post(self, name, path, body, key=None):
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[name]}{path}", body, headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.read()

    def sql(self, text):
        url = f"postgresql://relay:{self.secret('postgres')}@127.0.0.1:{self.ports['postgres']}/relay"
        programs = dict(line.split(maxsplit=1) for line in self.run("programs").splitlines())
        return subprocess.run([Path(programs["postgres"]) / "psql", "-X", "-q", "-t", "-A", "-d", url, "-c", text],
                              check=True, capture_output=True, text=True).stdout.strip()

    def redis(self, *words):
        """The text of one reply."""
        with socket.create_connection(("127.0.0.1", self.ports["redis"]), timeout=30) as s:
            file = s.makefile("rwb")
            for command in (("AUTH", "admin", self.secret("redis-admin")), words):
                file.write(b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in command))
                file.flush()
                head = file.readline()
                text = file.read(int(head[1:]) + 2).decode() if head.startswith(b"$") else head.decode()
        return text

    def redis_numbers(self):
        info = dict(line.split(":", 1) for line in self.redis("INFO", "everything").splitlines() if ":" in line)
        calls = {name[8:]: (int(re.search(r"calls=(\d+)", value)[1]), int(re.search(r"usec=(\d+)", value)[1]))
                 for name, value in info.items() if name.startswith("cmdstat_")}
        return {"memory": int(info["used_memory"]), "in": int(info["total_net_input_bytes"]),
                "out": int(info["total_net_output_bytes"]), "keys": int(self.redis("DBSIZE")[1:]), "calls": calls}


def body():
    front = ('{"model":"sim/small","messages":[{"role":"user","content":"' + MARK + " ")
    back = '"}],"max_tokens":200}'
    words = "Please tell me in a few sentences what a gateway between an application and its language models is good for. "
    room = BODY_BYTES - len(front) - len(back)
    return (front + (words * 10)[:room] + back).encode()


def sizes(stack):
    """Bytes of each table with its indexes, over its days."""
    found = stack.sql("SELECT coalesce(parent.relname, c.relname), sum(pg_relation_size(c.oid)), sum(pg_indexes_size(c.oid)) "
                      "FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class parent ON parent.oid = i.inhparent "
                      "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY 1")
    return {name: (int(table), int(index)) for name, table, index in (line.split("|") for line in found.splitlines())}


def look(stack):
    return {"cpu": {name: stack.cpu_seconds(name) for name in NAMES if name != "balancer"}, "redis": stack.redis_numbers(),
            "rows": int(stack.sql("SELECT count(*) FROM request_log")), "wal": int(stack.sql("SELECT pg_current_wal_lsn() - '0/0'")),
            "sizes": sizes(stack)}


def ask(stack, options, top):
    """Both gateways at once; how many answers came."""
    key = stack.run("relay", "keys", "create", "--name", "load", "--rpm", "1000000000", "--tpm", "1000000000000").strip()
    plain = top / "plain.json"
    plain.write_bytes(body())
    stack.post("sim", "/__sim/config", b'{"ttft": 0, "tps": 0}')
    expected = top / "expected"
    expected.write_bytes(stack.post("relay1", "/v1/chat/completions", body(), key))
    time.sleep(2)  # rows of the preparation come in
    quiet = {name: stack.cpu_seconds(name) for name in NAMES if name != "balancer"}
    time.sleep(IDLE_SECONDS)
    before = look(stack)
    before["idle"] = {name: (before["cpu"][name] - quiet[name]) / IDLE_SECONDS for name in quiet}
    children = [subprocess.Popen([options.load, f"--port={stack.ports[name]}", f"--key={key}", f"--body={plain}",
                                  f"--expect-body={expected}", "--own-id", "--cost", "--connections=32",
                                  f"--rate={options.rate / 2}", f"--seconds={options.seconds}"], stdout=subprocess.PIPE, text=True)
                for name in ("relay1", "relay2")]
    results = [json.loads(child.communicate()[0].strip().splitlines()[-1]) for child in children]
    return before, results


def settle(stack, rows):
    """The last rows are in PostgreSQL within moments; how many came."""
    end = time.monotonic() + 60
    while int(stack.sql("SELECT count(*) FROM request_log")) < rows and time.monotonic() < end:
        time.sleep(0.1)
    return look(stack)


def report(stack, before, after, count, options, top):
    def per_million(value, unit):
        return f"{value / count * MILLION / unit:,.1f}"
    print(f"{count} requests at {count / options.seconds:.0f} a second; per million requests:\n")
    for name, spent in after["cpu"].items():
        print(f"  CPU of {name:<11} {per_million(spent - before['cpu'][name], 1):>10} s; at rest {before['idle'][name] * 100:.2f} % of a core")
    for table in sorted(after["sizes"]):
        heap, index = (after["sizes"][table][n] - before["sizes"].get(table, (0, 0))[n] for n in (0, 1))
        if heap + index > 0:
            print(f"  PostgreSQL {table:<14} {per_million(heap, 1e6):>8} MB and {per_million(index, 1e6)} MB of indexes")
    print(f"  PostgreSQL WAL            {per_million(after['wal'] - before['wal'], 1e6):>8} MB")
    redis = after["redis"]
    for name in sorted(redis["calls"]):
        calls, usec = (redis["calls"][name][n] - before["redis"]["calls"].get(name, (0, 0))[n] for n in (0, 1))
        if calls >= count / 100:
            print(f"  Redis {name:<16} {per_million(calls, 1):>12} calls of {usec / calls:.1f} us")
    for name in ("in", "out"):
        print(f"  Redis network {name:<6} {per_million(redis[name] - before['redis'][name], 1e6):>12} MB")
    print(f"  Redis memory      {redis['memory'] / 1e6:.1f} MB with {redis['keys']} keys; before {before['redis']['memory'] / 1e6:.1f} MB "
          f"with {before['redis']['keys']}: {(redis['memory'] - before['redis']['memory']) / max(1, redis['keys'] - before['redis']['keys']):.0f} bytes a key")
    text = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"http://127.0.0.1:{stack.ports['relay1']}/metrics", timeout=30).read().decode()
    print(f"  Prometheus        {sum(1 for line in text.splitlines() if line and line[0] != '#')} series a gateway")
    export(stack, options, top)


def export(stack, options, top):
    store = f"postgresql://relay:{stack.secret('postgres')}@127.0.0.1:{stack.ports['postgres']}/relay"
    began = time.monotonic()
    said = subprocess.run([options.python, ROOT / "scripts/export_parquet.py", store, top / "copy", "--until", "2100-01-01"],
                          capture_output=True, text=True)
    if said.returncode != 0:
        print(f"  Parquet           not measured: {said.stderr.strip()}")
        return
    rows, size = (sum(int(n) for n in numbers) for numbers in zip(*re.findall(r"requests\.parquet: (\d+) rows, (\d+) bytes", said.stdout)))
    print(f"  Parquet           {size / rows * MILLION / 1e6:.0f} MB, {rows / (time.monotonic() - began):,.0f} rows a second")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", default=ROOT / "build/release/bench/relay-load")
    parser.add_argument("--binaries", default=str(ROOT / "build"))
    parser.add_argument("--python", default=sys.executable, help="one that has pyarrow and psycopg")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=300)
    options = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="relay-scaling-"))
    top.chmod(0o711)
    stack = Stack(top, options.binaries)
    try:
        stack.run("start", "--detach")
        before, results = ask(stack, options, top)
        count = sum(result["answered"] for result in results)
        wrong = sum(result["wrong"] for result in results)
        after = settle(stack, before["rows"] + count)
        report(stack, before, after, count, options, top)
        rows = after["rows"] - before["rows"]
        if wrong or rows != count:
            sys.exit(f"scaling: {wrong} wrong answers, {rows} rows of {count} answers")
    finally:
        stack.run("stop")
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
