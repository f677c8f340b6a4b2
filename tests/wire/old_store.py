"""Makes a fixture of test_upgrade.py: what an older Relay left behind, as SQL.

    git worktree add /tmp/old COMMIT && (cd /tmp/old && make build)
    RELAY_BIN_DIR=/tmp/old/build build/venv/bin/python tests/wire/old_store.py sqlite   > tests/wire/fixtures/stores/NAME.sql
    RELAY_BIN_DIR=/tmp/old/build build/venv/bin/python tests/wire/old_store.py postgres > tests/wire/fixtures/stores/NAME.sql

The older programs serve keys of every kind over three days of a clock of their own, with failures,
fallbacks, hits, streams and kept prompts. Whoever releases a version with other tables adds its file.
The first lines are comments: `-- key NAME TEXT` for each key, which the test uses."""

import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from chaos import Clock
from postgres_server import BIN, Postgres
from support import Relay, Sim, ask, model, provider, wait_for

BEGINS = datetime(2025, 3, 1, 9, 5, tzinfo=timezone.utc)
HOURS = (0, 1, 2, 13, 15, 16, 39, 40, 62)  # after that; the second and the third day have fewer
KEYS = {
    "web": {"rpm": 1000, "tpm": 1000000, "budget_usd": "20", "budget_period": "total", "tags": "team=web,stage=live"},
    "spent": {"budget_usd": "20", "budget_period": "total"},
    "small": {"models": "p/small"},
    "gone": {},
    "late": {"expires": "3d"},
}


def traffic(relay, keys, hour):
    """Some requests of each key; returns how many rows they make."""
    rows = 0

    def say(name, *args, **more):
        nonlocal rows
        with relay.http(keys[name]) as client:
            client.post("/v1/chat/completions", json={"model": args[0], "messages": [
                {"role": "user", "content": args[1]}], **more}).read()
        rows += 1
    say("web", "p/small", f"question {hour}", user="ann", metadata={"tags": "x"})
    say("web", "p/small", f"question {hour}")  # from the cache
    say("web", "p/large", f"long question {hour}", stream=True)
    say("web", "p/unpriced", f"nobody knows its price {hour}")
    say("web", "p/nothing", "there is no such model")
    say("spent", "p/small", f"another {hour}")
    say("small", "p/large", "which it may not")
    say("gone", "both", f"[[sim:status=500]] {hour}")
    return rows


def serve(relay, clock, started):
    began = int(BEGINS.timestamp()) - int(time.time())
    clock.set(began)
    relay.start()
    keys = {name: relay.make_key(name, **options) for name, options in KEYS.items()}
    count = 0
    for hour in HOURS:
        clock.set(began + hour * 3600)
        count += traffic(relay, keys, hour)
    relay.run("keys", "update", "spent", "--budget-usd", "0.0001")  # less than it has spent
    relay.run("keys", "revoke", "gone")
    assert relay.stop() == 0, relay.log()
    return keys


def dump_sqlite(path):
    db = sqlite3.connect(path)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    return "\n".join([*db.iterdump(), f"PRAGMA user_version={version};"]) + "\n"


def dump_postgres(server):
    text = subprocess.run([BIN / "pg_dump", "--inserts", "--no-owner", "--no-privileges", "-d", server.url],
                          check=True, capture_output=True, text=True).stdout
    return "\n".join(line for line in text.split("\n") if line and not re.match(r"--|\\|SET |SELECT pg_catalog.set_", line)) + "\n"


def main(kind):
    server = Postgres() if kind == "postgres" else None
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        clock, sim = Clock(folder), Sim(folder)
        relay = Relay(folder / "relay", {
            "providers": {"p": provider(sim)}, "log": {"level": "info", "content": True},
            "models": [model("p/small", input=0.5, output=1.5, cached_input=0.05),
                       model("p/large", input=5, output=15), {"id": "p/unpriced"}],
            "aliases": {"both": ["p/small", "p/large"]},
            **({"store": server.url} if server else {})}, start=False, env=clock.environment())
        try:
            keys = serve(relay, clock, BEGINS)
            text = dump_postgres(server) if server else dump_sqlite(relay.data / "relay.db")
        finally:
            relay.kill()
            sim.stop()
            if server:
                server.remove()
    for name, key in keys.items():
        print(f"-- key {name} {key}")
    print(text, end="")


main(sys.argv[1])
