"""One row per request, however it ended, and money exact to the last digit."""

import json
import os
import re
import signal
import socket
import threading
from decimal import Decimal

import httpx
import pytest

from support import (Relay, ask, chat, error_of, model, provider, raw_exchange, raw_request, sse,
                     stream, usd, wait_for)

COLUMNS = """id at key_id endpoint model_asked provider model route stream status error_code
    prompt_tokens cached_tokens cache_write_tokens completion_tokens reasoning_tokens usage_source
    cost_usd cost_source cache_saved_usd routing_saved_usd cache similarity source_id ttft_ms
    latency_ms overhead_us attempts finish_reason max_latency_ms min_quality target_met user_tag
    tags decision""".split()
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def relay(start_once, sim):
    return start_once.relay({
        "providers": {"p": provider(sim), "free": provider(sim), "openrouter": provider(sim),
                      "xai": provider(sim), "groq": provider(sim), "dead": provider(sim)},
        "models": [
            model("p/small", input=0.15, output=0.6, cached_input=0.075, quality=40),
            model("p/big", input=3, output=15, cached_input=0.3, cache_write=3.75, quality=80),
            model("p/tiny", input=0.000001, output=0.000001),
            model("free/zero", input=0, output=0),
            model("xai/vector", input=1.25, output=2.5, cached_input=0.2),
            model("openrouter/m", input=1, output=2),
            model("groq/m", input=0.05, output=0.08),
            {"id": "p/unpriced", "context": 1000}],
    })


def test_the_columns_of_the_reference(relay, http, word):
    answer = ask(http, "p/small", word, user="u-1", metadata={"team": "x"})
    row = relay.row(answer.headers["x-relay-id"])
    assert set(COLUMNS) <= set(row)
    assert UUID7.fullmatch(row["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row["at"])
    kinds = {c: (type(row[c]).__name__ if row[c] is not None else None) for c in COLUMNS}
    for c in ("prompt_tokens", "cached_tokens", "completion_tokens", "attempts", "status",
              "overhead_us"):
        assert kinds[c] == "int", (c, kinds[c])
    assert kinds["latency_ms"] == "float" and row["latency_ms"] > 0
    assert kinds["cost_usd"] == "str"
    assert row["stream"] == 0
    assert (row["provider"], row["model"], row["model_asked"]) == ("p", "small", "p/small")
    assert (row["route"], row["cache"], row["usage_source"], row["cost_source"]) == (
        "pinned", "miss", "provider", "catalog")
    assert row["user_tag"] == "u-1" and row["finish_reason"] == "stop"
    assert json.loads(row["tags"]) == {"team": "x"}
    assert len(row["decision"]) <= 512
    json.loads(row["decision"])
    assert usd(row["routing_saved_usd"]) == 0 and row["similarity"] is None
    assert row["key_id"] == relay.key_id(http.headers["authorization"][7:])
    answer = ask(http, "p/small", word + "t", headers={"x-relay-tags": "run=7"})
    assert json.loads(relay.row(answer.headers["x-relay-id"])["tags"]) == {"run": "7"}


# prompt, cached, cache write, completion, reasoning -> USD. Each by hand:
# (prompt - cached - write) * input + cached * cached_input + write * cache_write + completion * output
# over a million.
COSTS = [
    ("p/small", dict(prompt_tokens=1000, completion_tokens=500), "0.00045"),
    ("p/small", dict(prompt_tokens=1, completion_tokens=1), "0.00000075"),
    ("p/small", dict(prompt_tokens=1000, cached_tokens=900, completion_tokens=0), "0.0000825"),
    ("p/small", dict(prompt_tokens=123456, cached_tokens=4096, completion_tokens=7890),
     "0.0229452"),
    # the Anthropic vector of litellm#9812: 3 fresh, 12304 written, 550 out at 3/3.75/15
    ("p/big", dict(prompt_tokens=12307, cache_write_tokens=12304, completion_tokens=550),
     "0.054399"),
    ("p/big", dict(prompt_tokens=10000, cached_tokens=7000, cache_write_tokens=2000,
                   completion_tokens=1), "0.012615"),
    # reasoning is inside completion_tokens and has the price of output
    ("p/big", dict(prompt_tokens=10, completion_tokens=100, reasoning_tokens=90), "0.00153"),
    # the smallest price there is, one token of each: 2 * 10^-12
    ("p/tiny", dict(prompt_tokens=1, completion_tokens=1), "0.000000000002"),
    ("p/tiny", dict(prompt_tokens=2000000000, completion_tokens=147483647), "0.002147483647"),
    ("free/zero", dict(prompt_tokens=1000, completion_tokens=1000), "0"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("n", range(len(COSTS)))
def test_costs_by_hand(relay, http, word, n, streamed):
    name, counts, cost = COSTS[n]
    text = f"{word} [[sim:" + ";".join(f"{k}={v}" for k, v in counts.items()) + "]]"
    if streamed:
        answer, events, cut = stream(http, name, text, stream_options={"include_usage": True})
        assert not cut
        assert usd(str(Decimal(repr(events[-2]["usage"]["cost"])))) == Decimal(cost)
    else:
        answer = ask(http, name, text)
        assert usd(answer.headers["x-relay-cost-usd"]) == Decimal(cost)
    row = relay.row(answer.headers["x-relay-id"])
    assert usd(row["cost_usd"]) == Decimal(cost), row
    assert (row["usage_source"], row["cost_source"]) == ("provider", "catalog")
    for column in ("prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens",
                   "reasoning_tokens"):
        assert (row[column] or 0) == counts.get(column, 0), column


@pytest.mark.parametrize("streamed", [False, True])
def test_xai_reasoning_is_beside_the_completion(relay, http, word, streamed):
    """Wei-Shaw/sub2api#5771: 10120 prompt, 1499 out, 2809 reasoning, 128 cached at 1.25/0.20/2.50 -> 0.0232856;
    the total says that reasoning is not inside the completion."""
    usage = json.dumps({"prompt_tokens": 10120, "completion_tokens": 1499, "total_tokens": 14428,
                        "prompt_tokens_details": {"cached_tokens": 128},
                        "completion_tokens_details": {"reasoning_tokens": 2809}})
    text = f"{word} [[sim:usage={usage}]]"
    answer = stream(http, "xai/vector", text)[0] if streamed else ask(http, "xai/vector", text)
    row = relay.row(answer.headers["x-relay-id"])
    assert usd(row["cost_usd"]) == Decimal("0.0232856"), row
    assert row["completion_tokens"] == 1499 + 2809 and row["reasoning_tokens"] == 2809


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name,flavour,cost,expected", [
    ("openrouter/m", "openrouter", "0.000123456789", "0.000123456789"),
    ("openrouter/m", "openrouter", "1.5e-7", "0.00000015"),
    ("xai/vector", "xai", "232856000", "0.0232856"),
    ("xai/vector", "xai", "1", "0.0000000001"),
])
def test_a_stated_cost_wins(relay, http, word, name, flavour, cost, expected, streamed):
    text = f"{word} [[sim:flavour={flavour};cost={cost}]]"
    answer = stream(http, name, text)[0] if streamed else ask(http, name, text)
    row = relay.row(answer.headers["x-relay-id"])
    assert usd(row["cost_usd"]) == Decimal(expected) and row["cost_source"] == "provider"


@pytest.mark.parametrize("where", ["asked", "finish", "last", "every"])
def test_usage_wherever_a_stream_carries_it(relay, http, word, where):
    text = f"{word} [[sim:usage_at={where};prompt_tokens=1000;cached_tokens=400;completion_tokens=77]]"
    answer, events, _ = stream(http, "p/small", text)
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["prompt_tokens"], row["cached_tokens"], row["completion_tokens"]) == (1000, 400, 77)
    assert usd(row["cost_usd"]) == Decimal("0.0001662")
    assert all(e.get("choices") != [] for e in events[:-1])


def test_groq_usage_in_x_groq(relay, http, word):
    answer, events, _ = stream(http, "groq/m", f"{word} [[sim:flavour=groq;prompt_tokens=50;"
                               "completion_tokens=20]]")
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["prompt_tokens"], row["completion_tokens"]) == (50, 20)
    assert usd(row["cost_usd"]) == Decimal("0.0000041")


@pytest.mark.parametrize("streamed", [False, True])
def test_usage_that_nobody_told_is_an_estimate(relay, http, word, streamed):
    text = f"{word} " + "some words of a prompt " * 50 + " [[sim:usage_at=never;tokens=100]]"
    answer = stream(http, "p/small", text)[0] if streamed else ask(http, "p/small", text)
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["usage_source"], row["cost_source"]) == ("estimated", "estimated")
    assert 150 < row["prompt_tokens"] < 600 and 50 < row["completion_tokens"] < 200
    expected = (row["prompt_tokens"] * Decimal("0.15") + row["completion_tokens"] * Decimal("0.6")
                ) / 1000000
    assert usd(row["cost_usd"]) == expected


def test_unknown_is_null_and_free_is_zero(relay, http, word):
    before = relay.metric("relay_unpriced_total")
    answer = ask(http, "p/unpriced", word)
    assert "x-relay-cost-usd" not in answer.headers or answer.headers["x-relay-cost-usd"] == ""
    row = relay.row(answer.headers["x-relay-id"])
    assert row["cost_usd"] is None and row["cost_source"] == "none"
    assert row["prompt_tokens"] > 0 and row["usage_source"] == "provider"
    ask(http, "p/never-heard-of", word)
    assert relay.metric("relay_unpriced_total") == before + 2
    assert "unpriced" in relay.log() or "price" in relay.log()
    row = relay.row(ask(http, "free/zero", word).headers["x-relay-id"])
    assert usd(row["cost_usd"]) == 0 and row["cost_source"] == "catalog"


def test_a_token_kind_without_a_price_makes_the_cost_unknown(relay, http, word):
    """Nobody has told what audio costs here, and free is 0, unknown is NULL."""
    usage = json.dumps({"prompt_tokens_details": {"audio_tokens": 50}})
    answer = ask(http, "p/small", f"{word} [[sim:prompt_tokens=100;usage={usage}]]")
    row = relay.row(answer.headers["x-relay-id"])
    assert row["cost_usd"] is None and row["cost_source"] == "none"


def test_metrics_count_tokens_and_cost(relay, http, word):
    def read():
        return (relay.metric("relay_cost_usd_total", provider="p", model="big"),
                relay.metric("relay_tokens_total", provider="p", model="big", type="prompt"),
                relay.metric("relay_tokens_total", provider="p", model="big", type="completion"))
    before = read()
    ask(http, "p/big", f"{word} [[sim:prompt_tokens=1000;completion_tokens=100]]")
    after = read()
    assert after[0] - before[0] == pytest.approx(0.0045)
    assert [round(after[i] - before[i]) for i in (1, 2)] == [1000, 100]


def test_every_end_has_one_row(relay, key, sim, word):
    """Good, refused, failed, cut, left: each request under /v1 with a good key has one row."""
    key = relay.make_key("ends")
    id = relay.key_id(key)
    with relay.http(key) as c:
        ask(c, "p/small", word)
        stream(c, "p/small", word + "s")
        assert ask(c, "nobody-knows-this").status_code == 404
        assert ask(c, "p/small", f"{word} [[sim:status=500]]").status_code == 502
        assert ask(c, "p/small", f"{word} [[sim:status=400]]").status_code == 400
        assert c.post("/v1/chat/completions", content=b"{broken",
                      headers={"content-type": "application/json"}).status_code == 400
        assert c.post("/v1/chat/completions", json={}).status_code == 400
        assert stream(c, "p/small", f"{word} [[sim:events=10;reset_event=6;gap_ms=30]]")[2]
        ask(c, "p/small", word)  # a hit
    # one that leaves before the answer begins
    with socket.create_connection(("127.0.0.1", relay.port)) as s:
        s.sendall(raw_request(key, chat("p/small", f"{word} leave [[sim:ttft=3000]]")))
        wait_for(lambda: sim.find(f"{word} leave"))
    rows = relay.wait_rows(10, "key_id = ?", id)
    ends = sorted((r["status"], r["error_code"] or "") for r in rows)
    assert ends == sorted([
        (200, ""), (200, ""), (200, ""), (404, "model_not_found"), (502, "upstream_error"),
        (400, "invalid_request"), (400, "invalid_json"), (400, "invalid_request"),
        (502, "upstream_truncated"), (499, "client_closed")]), ends
    assert len({r["id"] for r in rows}) == 10


def test_failed_attempts_are_rows_too(relay, http, word):
    answer = ask(http, "p/small", f"{word} [[sim:status=500]]")
    id = answer.headers["x-relay-id"]
    relay.row(id)
    attempts = relay.attempts(id)
    assert [(a["n"], a["provider"], a["model"], a["status"]) for a in attempts] == [
        (1, "p", "small", 500)]
    good = ask(http, "p/small", word).headers["x-relay-id"]
    relay.row(good)
    assert relay.attempts(good) == []


def test_refused_keys_have_no_row(relay):
    before = len(relay.rows())
    with relay.http("glw_nope") as c:
        assert ask(c, "p/small").status_code == 401
    assert len(relay.rows()) == before


def test_count_is_exact_under_parallel_load(relay, sim):
    key = relay.make_key("load")
    id = relay.key_id(key)
    ids, lock = [], threading.Lock()

    def work(n):
        with relay.http(key) as c:
            for i in range(50):
                if i % 2:
                    a = ask(c, "p/small", f"load {n} {i}")
                else:
                    a = stream(c, "p/small", f"load {n} {i}")[0]
                with lock:
                    ids.append(a.headers["x-relay-id"])
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    rows = relay.wait_rows(400, "key_id = ?", id)
    assert sorted(r["id"] for r in rows) == sorted(ids)


def _load_until_dead(relay, key, finished, stop):
    """Requests, plain and streamed, until the gateway is gone. finished: ids whose end came."""
    n = 0
    try:
        with relay.http(key) as c:
            while not stop.is_set() and n < 3000:
                n += 1
                if n % 3:
                    answer = ask(c, "p/small", f"kill {id(c)} {n}")
                    good = answer.status_code == 200
                else:
                    answer, events, cut = stream(c, "p/small", f"kill {id(c)} {n}")
                    good = not cut and events[-1] == "[DONE]"
                if good:
                    finished.append(answer.headers["x-relay-id"])
    except (httpx.TransportError, ValueError, json.JSONDecodeError):
        pass


def test_kill_9_loses_and_doubles_nothing(start, sim):
    """Reference 4.6: killing the process at any time loses no finished request."""
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    key = relay.first_key
    finished = []
    for round in range(3):
        stop = threading.Event()
        lists = [[] for _ in range(6)]
        threads = [threading.Thread(target=_load_until_dead, args=(relay, key, l, stop))
                   for l in lists]
        [t.start() for t in threads]
        goal = 60 + 37 * round
        wait_for(lambda: sum(map(len, lists)) > goal, why="no load")
        os.kill(relay.pid, signal.SIGKILL)
        stop.set()
        [t.join() for t in threads]
        relay.kill()
        for l in lists:
            finished += l
        relay.start()
    wait_for(lambda: relay.metric("relay_journal_bytes") == 0 or
             len(relay.rows("status = 200")) >= len(finished), why="the journal was not replayed")
    ids = [r["id"] for r in relay.rows()]
    assert len(ids) == len(set(ids))
    missing = set(finished) - set(ids)
    assert not missing, f"{len(missing)} of {len(finished)} finished requests have no row"
    # At most those in flight besides.
    assert len(ids) - len(finished) <= 3 * 6 + 3


def test_a_start_replays_what_is_left(start, sim, word):
    """Rows that were in the journal only are in the store after the next start."""
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    with relay.http(relay.first_key) as c:
        ids = [ask(c, "p/small", f"{word} {i}").headers["x-relay-id"] for i in range(20)]
    relay.kill()
    relay.start()
    for id in ids:
        relay.row(id)
    assert len(relay.rows()) == 20


def test_usage_and_logs_commands_agree_with_the_rows(relay, http, word):
    key = relay.make_key("report")
    with relay.http(key) as c:
        for i in range(3):
            ask(c, "p/small", f"{word} {i} [[sim:prompt_tokens=1000;completion_tokens=500]]")
    relay.wait_rows(3, "key_id = ?", relay.key_id(key))
    report = json.loads(relay.run("usage", "--by", "key", "--json").stdout)
    text = json.dumps(report)
    assert "0.00135" in text
    lines = [json.loads(l) for l in relay.run("logs", "--since", "1h", "--json").stdout.splitlines()]
    assert any(l.get("model") == "small" for l in lines)
    human = relay.run("usage", "--since", "1h", "--table").stdout
    assert human.strip()
