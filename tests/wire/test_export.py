"""scripts/export_parquet.py: the columnar copy of the request log holds what the store's views show, from
either store, to the last digit, and a run that is repeated or interrupted changes nothing."""

import datetime as dt
import re
import subprocess
import sys
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from postgres_server import Postgres, needs_postgres
from support import ROOT, SURELY_SECONDS, ask, clean_environment, model, provider, stream, wait_for

SCRIPT = ROOT / "scripts/export_parquet.py"
UNTIL = "2100-01-01"


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def gateway(request, start_once):
    """A gateway with a row of each kind: plain, streamed, from the cache, failed over, without a price."""
    good, bad = start_once.sim(), start_once.sim(name="bad")
    bad.set(status=503)
    config = {"providers": {"p": provider(good), "q": provider(bad)},
              "models": [model("p/small", input=0.1, output=0.3), model("q/small", input=0.05, output=0.1)],
              "aliases": {"both": ["q/small", "p/small"]}}
    if request.param == "postgresql":
        config["store"] = request.getfixturevalue("postgres").url
    relay = start_once.relay(config)
    relay.store = relay.config["store"]
    if request.param == "postgresql":
        relay.query = request.getfixturevalue("postgres").query
    with relay.http(relay.make_key("export")) as client:
        for n in range(3):
            assert ask(client, "p/small", f"question {n}", headers={"x-relay-tags": "team=a"}).status_code == 200
        assert ask(client, "p/small", "question 0").headers["x-relay-cache"] == "exact"
        assert stream(client, "p/small", "streamed")[0].status_code == 200
        assert ask(client, "both", "failed over").status_code == 200
        assert ask(client, "p/unknown", "no price").status_code == 200
        relay.client = client
        wait_rows(relay, 7)
        yield relay


def wait_rows(relay, count):
    wait_for(lambda: len(relay.query("SELECT id FROM requests")) == count, why=relay.log)


def export(store, folder, *args, check=True):
    done = subprocess.run([sys.executable, SCRIPT, store, folder, *args], capture_output=True, text=True,
                          timeout=SURELY_SECONDS, env=clean_environment())
    assert not check or done.returncode == 0, done.stderr
    return done


def read(folder, table, key):
    rows = [row for path in sorted(folder.glob(f"{table}/day=*/{table}.parquet"))
            for row in pq.read_table(path, partitioning=None).to_pylist()]
    return sorted(rows, key=lambda row: [row[k] for k in key])


def plain(value):
    """A value of either store or the copy as text that means the same."""
    if isinstance(value, str) and re.fullmatch(r"[tf]", value):
        value = value == "t"
    if isinstance(value, str) and re.fullmatch(r"20\d\d-\d\d-\d\d[T ][\d:.]+(Z|[+]\d\d)", value):
        value = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.timezone.utc).isoformat()
    try:
        return str(Decimal(str(int(value) if isinstance(value, bool) else value)).normalize())
    except ArithmeticError:
        return str(value)


def compare(relay, folder, table, key):
    shown = sorted(relay.query(f"SELECT * FROM {table}"), key=lambda row: [row[k] for k in key])
    copied = read(folder, table, key)
    assert len(copied) == len(shown) > 0
    for one, other in zip(copied, shown):
        assert list(one) == list(other)
        assert {k: plain(v) for k, v in one.items()} == {k: plain(v) for k, v in other.items()}
    return copied


def test_the_copy_is_the_log(gateway, tmp_path):
    said = export(gateway.store, tmp_path / "copy", "--until", UNTIL).stdout
    assert "requests.parquet: " in said and "attempts.parquet: " in said
    rows = compare(gateway, tmp_path / "copy", "requests", ["id"])
    compare(gateway, tmp_path / "copy", "attempts", ["request_id", "n"])
    costs = [row["cost_usd"] for row in rows]
    assert None in costs and all(isinstance(cost, Decimal) for cost in costs if cost is not None)
    assert {row["at"].tzinfo is not None for row in rows} == {True}


def test_again_it_writes_only_what_is_missing(gateway, tmp_path):
    copy = tmp_path / "copy"
    export(gateway.store, copy, "--until", UNTIL)
    day = max((copy / "requests").iterdir())
    (day / "requests.part").write_bytes(b"what an interrupted run left")
    assert export(gateway.store, copy, "--until", UNTIL).stdout == ""
    # Rows that come late are taken over.
    assert ask(gateway.client, "p/small", "late").status_code == 200
    wait_rows(gateway, 8)
    said = export(gateway.store, copy, "--until", UNTIL).stdout
    assert "requests.parquet: " in said and "attempts.parquet" not in said
    compare(gateway, copy, "requests", ["id"])
    assert not list(copy.rglob("*.part"))


def test_today_is_not_over(gateway, tmp_path):
    assert export(gateway.store, tmp_path / "copy").stdout == ""


def test_a_store_that_is_not_there(tmp_path):
    done = export("sqlite:/nowhere/relay.db", tmp_path, check=False)
    assert done.returncode == 1 and "there is no SQLite file /nowhere/relay.db" in done.stderr
    done = export("postgresql://nobody@127.0.0.1:1/none", tmp_path, check=False)
    assert done.returncode == 1 and "cannot reach the store" in done.stderr
