"""A store that the first Relay with it left behind is opened by this one: no key, row or sum is lost, and the
hourly summaries, which it did not have, are made. old_store.py made the files."""

import contextlib
import json
import re
import sqlite3
from decimal import Decimal

import pytest

from postgres_server import Postgres, needs_postgres
from support import ROOT, SURELY_SECONDS, ask, error_of, model, provider, wait_for

STORES = ROOT / "tests" / "wire" / "fixtures" / "stores"
SINCE = "2025-01-01T00:00:00Z"
TABLES = {"requests": "id", "attempts": "request_id, n", "contents": "request_id", "keys": "id",
          "key_spend": "key_id, day"}
VIEWS = ("requests", "attempts", "contents")


class Sqlite:
    def __init__(self, text):
        self.text = text

    def fill(self, relay):
        relay.data.mkdir(mode=0o700)
        self.path = relay.data / "relay.db"
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.executescript(self.text)

    def query(self, sql):
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=SURELY_SECONDS)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql)]

    def set_version(self, version):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.execute(f"PRAGMA user_version={version}")


class InPostgres:
    def __init__(self, text):
        self.text = text
        self.server = Postgres()

    def fill(self, relay):
        path = self.server.folder / "old.sql"
        path.write_text(self.text)
        self.server.query(f"\\i {path}")
        relay.configure({"store": self.server.url})

    def query(self, sql):
        return self.server.query(sql)

    def set_version(self, version):
        self.server.query(f"INSERT INTO schema_version VALUES ({version})")


def keys_of(text):
    return dict(re.findall(r"^-- key (\w+) (\w+)$", text, re.M))


@pytest.fixture(params=["sqlite 1", "sqlite 2", pytest.param("postgres 1", marks=needs_postgres)])
def old(request, start, sim):
    """A gateway that was not started yet, with the store of an older one."""
    kind, version = request.param.split()
    text = (STORES / f"{kind}-first.sql").read_text()
    if request.param == "sqlite 1":  # which is the same without the views
        text = text.replace("user_version=2", "user_version=1") + "".join(f"DROP VIEW {v};\n" for v in VIEWS)
    relay = start.relay({
        "providers": {"p": provider(sim)}, "log": {"retention": "36500d", "content_retention": "36500d"},
        "models": [model("p/small", input=0.5, output=1.5), model("p/large", input=5, output=15)]}, start=False)
    store = Sqlite(text) if kind == "sqlite" else InPostgres(text)
    try:
        store.fill(relay)
        store.tables = {t: by for t, by in TABLES.items() if request.param != "sqlite 1" or t not in VIEWS}
        yield relay, store, keys_of(text)
    finally:
        if kind == "postgres":
            relay.stop() if relay.process else None
            store.server.remove()


def contents_of(store, tables):
    """Every row of every table that people see. Columns that were added since are none of the old ones."""
    return {table: store.query(f"SELECT * FROM {table} ORDER BY {by}") for table, by in tables.items()}


def number(value):
    return int(value or 0)


def sums_of(rows):
    """What `relay usage` has to say of these rows of the log."""
    return {"requests": len(rows), "errors": sum(number(r["status"]) >= 400 for r in rows),
            "cache_hits": sum(r["cache"] in ("exact", "semantic", "shared") for r in rows),
            "prompt_tokens": sum(number(r["prompt_tokens"]) for r in rows),
            "completion_tokens": sum(number(r["completion_tokens"]) for r in rows),
            "cost_unknown": sum(r["cost_pusd"] is None for r in rows),
            "cost_usd": sum(number(r["cost_pusd"]) for r in rows),
            "cache_saved_usd": sum(number(r["cache_saved_pusd"]) for r in rows)}


def picos(usd):
    """What is exact stays exact: money is whole picodollars."""
    value = Decimal(usd).scaleb(12)
    assert value == int(value)
    return int(value)


def told(row):
    """The same of a row that it prints."""
    return {name: picos(row[name]) if name.endswith("usd") else row[name] for name in sums_of([])}


def usage(relay, by):
    return json.loads(relay.run("usage", "--since", SINCE, "--by", by, "--json").stdout)


def hour_of(row):
    """From the id, as the summaries count: the first twelve digits are milliseconds."""
    return int(str(row["hex_id"])[:12], 16) // 3600000


def log_of(store, kind):
    plain = "hex({})" if kind is Sqlite else "replace({}::text, '-', '')"
    id, key = plain.format("id"), plain.format("key_id")
    return store.query(f"SELECT *, {id} AS hex_id, {key} AS hex_key FROM request_log ORDER BY id")


def check_sums(relay, log):
    """Every grouping, and its total, is that of the log."""
    assert told(usage(relay, "model")["total"]) == sums_of(log)
    names = {"model": lambda r: r["model"], "provider": lambda r: r["provider"],
             "key": lambda r: (r["hex_key"] or "").lower() or None, "hour": hour_of, "day": lambda r: hour_of(r) // 24}
    for by, name in names.items():
        groups = {}
        for row in log:
            groups.setdefault(name(row), []).append(row)
        got = usage(relay, by)
        want = sorted(map(str, map(sums_of, groups.values())))
        assert sorted(str(told(row)) for row in got["rows"]) == want, by


def hours_summed(store):
    return {number(row["hour"]) for row in store.query("SELECT hour FROM usage_sum WHERE part = 0 AND span = 1")}


def test_nothing_is_lost(old, word):
    relay, store, keys = old
    before, log = contents_of(store, store.tables), log_of(store, type(store))
    assert len(log) > 50 and len(before["keys"]) == len(keys) + 1 and before["key_spend"]
    said = relay.run("keys", "list", check=False)
    assert said.returncode != 0 and "start 'relay serve' once" in said.stderr
    relay.start()

    after = contents_of(store, store.tables)
    assert after == before and log_of(store, type(store)) == log
    # From the log, or from the summaries as far as they are there.
    assert told(usage(relay, "model")["total"]) == sums_of(log)
    wait_for(lambda: {hour_of(row) for row in log} <= hours_summed(store), why="the summaries are not made")
    check_sums(relay, log)
    assert "made anew" in relay.run("usage", "--rebuild").stdout
    assert told(usage(relay, "model")["total"]) == sums_of(log)

    spent = {k["name"]: picos(k["budget_spent_usd"]) for k in relay.keys() if k["budget_usd"] is not None}
    ids = {k["name"]: str(k["id"]).replace("-", "").upper() for k in relay.keys()}
    assert set(spent) == {"web", "spent"}
    for name, sum_usd in spent.items():
        costs = [number(row["cost_pusd"]) for row in log if (row["hex_key"] or "").upper() == ids[name]]
        assert sum_usd == sum(costs) > 0

    for name, wanted in {"web": None, "spent": (402, "budget_exceeded"), "gone": (401, "invalid_api_key"),
                         "late": (401, "expired_api_key")}.items():
        with relay.http(keys[name]) as client:
            answer = ask(client, "p/small", f"{word} {name}")
            if wanted:
                error_of(answer, *wanted)
            else:
                assert answer.status_code == 200, answer.text
    # Ends with all of its rows in the store.
    assert relay.stop() == 0
    newest = log_of(store, type(store))
    assert newest[:len(log)] == log and len(newest) > len(log)
    check_sums(relay, newest)

    # Tables of a newer one are refused and left as they are.
    store.set_version(99)
    before = contents_of(store, TABLES)
    relay.start(wait=False)
    assert relay.process.wait(SURELY_SECONDS) != 0
    assert "newer Relay" in relay.log() and contents_of(store, TABLES) == before
