"""The admin API over the request log: sums, searches, one request, and rows as they come."""

import json
import threading
from decimal import Decimal

import pytest

from openapi import Description
from support import SURELY_SECONDS, ask, error_of, model, provider, wait_for

BASE = "/admin/v1/"
SUMS = ("requests", "errors", "cache_hits", "prompt_tokens", "completion_tokens", "cost_unknown")
NAME = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def world(start_once):
    """Some of everything: two keys, two models, tags, hits, refusals, a fallback."""
    sim = start_once.sim()
    bad = start_once.sim(name="bad")
    bad.set(status=503)
    relay = start_once.relay({
        "providers": {"p": provider(sim), "q": provider(bad)}, "log": {"content": True},
        "models": [model("p/m", input=1, output=2), model("p/n", input=5, output=9), model("q/m", input=0.1, output=0.1)],
        "aliases": {"first": ["q/m", "p/m"]}})
    relay.sim = sim
    relay.other = relay.make_key(NAME)
    with relay.http(relay.first_key) as c, relay.http(relay.other) as d:
        for i in range(3):
            ask(c, "p/m", f"question {i}", headers={"x-relay-tags": "team=a,n=1"})
        ask(c, "p/m", "question 0")
        ask(d, "p/n", "question 0", headers={"x-relay-tags": "team=b"})
        ask(d, "p/m", "x", max_tokens=-1)
        relay.fallback = ask(d, "first", "falls back").headers["x-relay-id"]
    relay.wait_rows(7)
    return relay


@pytest.fixture(scope="module")
def admin(world):
    with world.http(world.admin_key) as c:
        c.base_url = world.url + BASE
        yield c


@pytest.fixture(scope="module")
def described(admin):
    return Description(admin.get("openapi.json").json())


def told(described, admin, path, at=None, **params):
    answer = admin.get(at or path.lstrip("/"), params=params)
    assert answer.status_code == 200, answer.text
    return described.check("GET", path, answer)


# --- sums

def sql_sums(world, where="1"):
    row = world.query(f"""SELECT count(*) AS requests, sum(status >= 400) AS errors,
        sum(cache IN ('exact', 'semantic', 'shared')) AS cache_hits,
        sum(max(coalesce(prompt_tokens, 0), 0)) AS prompt_tokens,
        sum(max(coalesce(completion_tokens, 0), 0)) AS completion_tokens, sum(cost_pusd IS NULL) AS cost_unknown,
        sum(coalesce(cost_pusd, 0)) AS cost, sum(coalesce(cache_saved_pusd, 0)) AS saved
        FROM request_log WHERE {where}""")[0]
    return {k: v or 0 for k, v in row.items()}


def same(row, sql):
    assert {k: row[k] for k in SUMS} == {k: sql[k] for k in SUMS}
    assert Decimal(row["cost_usd"]) == Decimal(sql["cost"]).scaleb(-12)
    assert Decimal(row["cache_saved_usd"]) == Decimal(sql["saved"]).scaleb(-12)


@pytest.mark.parametrize("by", ["minute", "hour", "day", "provider", "model", "key", "tag"])
def test_sums_are_those_of_the_log(world, admin, described, by):
    range_of = {"from": "2020-01-01T00:00:00Z"} if by != "minute" else {}
    if by == "minute":
        error_of(admin.get("usage", params={"by": "minute"}), 400, "invalid_request")
        newest = world.rows()[-1]["at"]
        range_of = {"from": newest[:11] + "00:00:00Z", "to": newest[:11] + "02:00:00Z"}
        told(described, admin, "/usage", by=by, **range_of)
        return
    usage = told(described, admin, "/usage", by=by, **range_of)
    same(usage["total"], sql_sums(world))
    assert usage["by"] == by and usage["count"] == len(usage["rows"]) > 0
    if by != "tag":
        for name in SUMS:
            assert sum(r[name] for r in usage["rows"]) == usage["total"][name]
        assert sum(Decimal(r["cost_usd"]) for r in usage["rows"]) == Decimal(usage["total"]["cost_usd"])
    names = [r[by] for r in usage["rows"]]
    if by == "tag":
        assert set(names) == {"team=a", "n=1", "team=b", None}
    elif by == "key":
        assert {r["name"] for r in usage["rows"]} == {"first", NAME}
        assert all(r["key_tag"].startswith("glw_") for r in usage["rows"])
    elif by in ("hour", "day"):
        assert names == sorted(names)
    if by not in ("hour", "day"):
        costs = [Decimal(r["cost_usd"]) for r in usage["rows"]]
        assert costs == sorted(costs, reverse=True)
        cut = told(described, admin, "/usage", by=by, limit=1, **range_of)
        assert (len(cut["rows"]), cut["count"]) == (1, usage["count"]) and cut["total"] == usage["total"]


def test_sums_of_what_fits(world, admin, described):
    other = world.key_id(world.other)
    for params, where in (({"provider": "p"}, "provider = 'p'"), ({"model": "p/m"}, "provider = 'p' AND model = 'm'"),
                          ({"key": other}, f"hex(key_id) = '{other.replace('-', '').upper()}'"),
                          ({"status": "4xx"}, "status BETWEEN 400 AND 499"), ({"cache": "hit"}, "cache = 'exact'"),
                          ({"provider": NAME}, "0"), ({"model": "p/" + NAME}, "0")):
        same(told(described, admin, "/usage", by="model", **params)["total"], sql_sums(world, where))


def test_ranges_without_rows(admin, described):
    for range_of in ({"from": "1970-01-01T00:00:00Z", "to": "1971-01-01T00:00:00Z"},
                     {"from": "2200-01-01T00:00:00Z", "to": "2300-01-01T00:00:00Z"},
                     {"from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z"}):
        usage = told(described, admin, "/usage", **range_of)
        assert usage["rows"] == [] and usage["count"] == usage["total"]["requests"] == 0
        assert usage["total"]["cost_usd"] == "0" and usage["total"]["latency_ms"] == {"p50": None, "p95": None}
        page = told(described, admin, "/requests", **range_of)
        assert page["rows"] == [] and page["next"] is None


@pytest.mark.parametrize("query, param", [
    ("from=yesterday", "from"), ("to=2026-13-01T00:00:00Z", "to"), ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
    ("key=x", "key"), ("model=m", "model"), ("model=p/m&provider=q", "model"), ("status=7", "status"),
    ("status=9xx", "status"), ("cache=warm", "cache"), ("limit=0", "limit"), ("limit=1e9", "limit"),
])
def test_questions_that_are_refused(admin, query, param):
    for call in ("usage", "requests"):
        assert error_of(admin.get(f"{call}?{query}"), 400, "invalid_request")["param"] == param
    if param not in ("from", "to", "limit"):
        assert error_of(admin.get(f"requests/live?{query}"), 400, "invalid_request")["param"] == param
    error_of(admin.get("usage?by=colour"), 400, "invalid_request")
    error_of(admin.get("requests?before=x"), 400, "invalid_request")
    error_of(admin.get("requests?limit=201"), 400, "invalid_request")


# --- rows

def test_a_search_goes_back_page_by_page(world, admin, described):
    whole = [r["id"] for r in world.rows()][::-1]
    seen, before = [], None
    while True:
        page = told(described, admin, "/requests", limit=2, **({"before": before} if before else {}))
        seen += [r["id"] for r in page["rows"]]
        before = page["next"]
        if not before:
            break
    assert seen == whole
    for params, where in (({"status": "error"}, "status >= 400"), ({"status": "200"}, "status = 200"),
                          ({"cache": "exact"}, "cache = 'exact'"), ({"provider": "p", "status": "2xx"}, "provider = 'p' AND status < 300"),
                          ({"key": world.key_id(world.first_key)}, "key_id = (SELECT id FROM keys WHERE name = 'first')")):
        page = told(described, admin, "/requests", **params)
        assert [r["id"] for r in page["rows"]] == [r["id"] for r in world.rows(where)][::-1], params
        assert page["next"] is None
    names = {r["key_name"] for r in told(described, admin, "/requests")["rows"]}
    assert names == {"first", NAME}
    assert told(described, admin, "/requests", before="00000000-0000-0000-0000-000000000000")["rows"] == []


def test_one_request_with_all_that_is_known(world, admin, described):
    one = told(described, admin, "/requests/{id}", at="requests/" + world.fallback)
    row = world.row(world.fallback)
    assert one["request"]["id"] == world.fallback and one["request"]["route"] == "fallback"
    assert Decimal(one["request"]["cost_usd"]) == Decimal(row["cost_usd"])
    assert [(a["provider"], a["status"]) for a in one["attempts"]] == [("q", 503), ("p", 200)]
    assert one["decision"] == json.loads(row["decision"])
    assert one["timeline"]["call"] > 0 and set(one["timeline"]) <= {
        "authenticate", "receive", "limit", "route", "recall", "resemble", "call", "stream", "account", "reply"}
    assert "falls back" in one["content"]["request"] and one["content"]["answer"]
    for id in ("01a20948-976d-7261-945c-0c205d8afd57", "x", "%00", "live2"):
        error_of(admin.get("requests/" + id), 404, "not_found")


def test_the_command_line_prints_the_same(world, admin):
    line = json.loads(world.run("logs", "--json", "--since", "24h", "--limit", "1").stdout)
    line.pop("decision")
    assert line == {**admin.get("requests?limit=1").json()["rows"][0], "key_tag": line["key_tag"]}
    printed = json.loads(world.run("usage", "--json", "--by", "model").stdout)
    assert printed["total"] == admin.get("usage?by=model").json()["total"]


# --- live

def events(admin, query, wanted, begun):
    """Of a live stream, until there are as many of them."""
    found = []
    with admin.stream("GET", "requests/live" + query) as answer:
        assert answer.status_code == 200 and answer.headers["content-type"] == "text/event-stream"
        lines = []
        begun.set()
        for line in answer.iter_lines():
            if line:
                lines.append(line)
            elif lines:
                fields = dict(part.split(": ", 1) for part in lines if not part.startswith(":"))
                if fields:
                    found.append((fields["event"], json.loads(fields["data"]), fields.get("id")))
                lines = []
            if len(found) >= wanted:
                return found
    return found


def test_rows_are_seen_as_they_come(world, admin, described):
    found, begun = {}, [threading.Event(), threading.Event()]

    def watch(name, query, count, event):
        with world.http(world.admin_key) as own:
            own.base_url = world.url + BASE
            found[name] = events(own, query, count, event)
    threads = [threading.Thread(target=watch, args=("all", "", 3, begun[0])),
               threading.Thread(target=watch, args=("errors", "?status=error", 1, begun[1]))]
    for t in threads:
        t.start()
    for event in begun:
        assert event.wait(SURELY_SECONDS)
    with world.http(world.other) as c:
        ids = [ask(c, "p/m", f"live {i}").headers["x-relay-id"] for i in range(2)]
        ids.append(ask(c, "p/m", "live", temperature="hot").headers["x-relay-id"])
    for t in threads:
        t.join(SURELY_SECONDS)
        assert not t.is_alive()
    assert [e[0] for e in found["all"]] == ["request"] * 3
    assert sorted(e[2] for e in found["all"]) == sorted(ids)
    assert [e[2] for e in found["errors"]] == ids[2:]
    for _, row, id in found["all"]:
        assert row == told(described, admin, "/requests/{id}", at="requests/" + id)["request"]


def test_a_stop_does_not_wait_for_those_who_watch(start, sim):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]})
    with relay.http(relay.admin_key) as c:
        with c.stream("GET", BASE + "requests/live") as answer:
            assert answer.status_code == 200
            relay.process.terminate()
            for _ in answer.iter_raw():
                pass
        assert relay.stop() == 0


def test_an_empty_log_and_a_store_that_is_away(start, sim):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]})
    with relay.http(relay.admin_key) as c:
        c.base_url = relay.url + BASE
        assert c.get("usage").json()["rows"] == [] and c.get("requests").json()["rows"] == []
        assert c.get("requests").json()["next"] is None
        (relay.data / "relay.db").rename(relay.data / "away.db")
        for call in ("usage", "requests", "requests/01a20948-976d-7261-945c-0c205d8afd57"):
            error_of(c.get(call), 503, "store_away")
        (relay.data / "away.db").rename(relay.data / "relay.db")
        wait_for(lambda: c.get("usage").status_code == 200)
