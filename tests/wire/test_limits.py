"""Requests, tokens and money per key; keys made, changed and revoked while the gateway runs."""

import concurrent.futures
import contextlib
import hashlib
import json
import re
import sqlite3
import time
from decimal import Decimal

import pytest

from support import ask, error_of, model, provider, stream, usd, wait_for


@pytest.fixture(scope="module")
def relay(start_once, sim):
    return start_once.relay({
        "providers": {"p": provider(sim)},
        "models": [model("p/small", input=1, output=2), model("p/large", input=100, output=200)],
    })


def within_a_second(what):
    """Waits for it. The gateway looks twice a second; a busy machine may add some."""
    wait_for(what, 30)


def clear_of_midnight():
    """Budgets of a day and of a month begin anew at midnight UTC: no test of theirs goes across."""
    left = 86400 - time.time() % 86400
    if left < 60:
        time.sleep(left + 1)


def test_requests_per_minute(relay, sim, word):
    before = sim.count()
    with relay.http(relay.make_key("rpm", rpm=3)) as c:
        for left in (2, 1, 0):
            answer = ask(c, "p/small", f"{word} {left}")
            assert answer.status_code == 200
            assert answer.headers["x-ratelimit-limit-requests"] == "3"
            assert answer.headers["x-ratelimit-remaining-requests"] == str(left)
            assert re.fullmatch(r"(\d+h)?(\d+m)?(\d+(\.\d+)?s)?(\d+ms)?",
                                answer.headers["x-ratelimit-reset-requests"])
        answer = ask(c, "p/small", word)
        error = error_of(answer, 429, "rate_limit_requests")
        assert error["type"] == "rate_limit_error"
        assert "key" in error["message"].lower()  # whose limit it was
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        assert answer.json()["relay"]["step"] == "limit"
    assert sim.count() == before + 3
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["status"], row["error_code"]) == (429, "rate_limit_requests")
    assert usd(row["cost_usd"] or "0") == 0


def test_requests_per_minute_are_exact_in_parallel(relay, sim, word):
    key = relay.make_key("exact", rpm=25)

    def one(i):
        with relay.http(key) as c:
            return ask(c, "p/small", f"{word} {i}").status_code
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        got = list(pool.map(one, range(60)))
    assert sorted(got) == [200] * 25 + [429] * 35


def test_the_window_moves_on(relay, word):
    """retry-after is the truth: waiting that long helps (here only told, not waited for)."""
    with relay.http(relay.make_key("window", rpm=1)) as c:
        assert ask(c, "p/small", word).status_code == 200
        first = int(ask(c, "p/small", word + "a").headers["retry-after"])
        assert 30 <= first <= 61


def test_streams_are_limited_alike(relay, word):
    with relay.http(relay.make_key("s", rpm=1)) as c:
        answer, _, cut = stream(c, "p/small", word)
        assert answer.status_code == 200 and not cut
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        answer, body, _ = stream(c, "p/small", word + "2")
        assert answer.status_code == 429 and body["error"]["code"] == "rate_limit_requests"


def test_tokens_per_minute(relay, word):
    """The estimate is reserved, the rest given back, what was too little charged."""
    with relay.http(relay.make_key("tpm", tpm=10000)) as c:
        text = f"{word} [[sim:prompt_tokens=300;completion_tokens=200]]"
        answer = ask(c, "p/small", text)
        assert answer.status_code == 200
        assert answer.headers["x-ratelimit-limit-tokens"] == "10000"
        assert 0 <= int(answer.headers["x-ratelimit-remaining-tokens"]) <= 10000
        answer = ask(c, "p/small", word + " x", max_tokens=10)
        # 500 of the first are used; the second reserves its prompt and 10.
        assert 9300 <= int(answer.headers["x-ratelimit-remaining-tokens"]) <= 9500
        text = f"{word} more [[sim:prompt_tokens=9000;completion_tokens=500]]"
        assert ask(c, "p/small", text, max_tokens=20).status_code == 200
        answer = ask(c, "p/small", word + " y", max_tokens=10)
        error_of(answer, 429, "rate_limit_tokens")
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        assert int(answer.headers["x-ratelimit-remaining-tokens"]) <= 60


def test_an_estimate_above_the_limit_itself(relay, word):
    with relay.http(relay.make_key("tpm", tpm=500)) as c:
        answer = ask(c, "p/small", word, max_tokens=5000)
        error = error_of(answer, 429, "rate_limit_tokens")
        assert "500" in error["message"]
        assert "retry-after" not in answer.headers  # waiting cannot mend it
        assert answer.headers["x-should-retry"] == "false"
        assert ask(c, "p/small", word, max_tokens=50).status_code == 200


def test_failed_requests_give_their_tokens_back(relay, word):
    with relay.http(relay.make_key("back", tpm=3000)) as c:
        for i in range(8):  # each reserves over 1,000
            answer = ask(c, "p/small", f"{word} {i} [[sim:status=400]]", max_tokens=1000)
            assert answer.status_code == 400, answer.text


def test_hits_cost_a_request_and_no_tokens_or_money(relay, word):
    with relay.http(relay.make_key("hits", rpm=10, tpm=100000)) as c:
        text = f"{word} [[sim:prompt_tokens=300;completion_tokens=200]]"
        first = ask(c, "p/small", text)
        wait_for(lambda: ask(c, "p/small", text).headers["x-relay-cache"] == "exact")
        hit = ask(c, "p/small", text)
        assert hit.headers["x-relay-cache"] == "exact"
        assert int(hit.headers["x-ratelimit-remaining-requests"]) < int(
            first.headers["x-ratelimit-remaining-requests"])
        # The header tells what is left while this request's own estimate is still reserved.
        assert 98000 <= int(hit.headers["x-ratelimit-remaining-tokens"]) <= 99500
        row = relay.row(hit.headers["x-relay-id"])
        assert usd(row["cost_usd"]) == 0


def test_refused_models_and_broken_bodies_spend_no_tokens(relay):
    with relay.http(relay.make_key("spend", tpm=2000)) as c:
        for _ in range(5):
            assert ask(c, "nobody", max_tokens=900).status_code == 404
        assert ask(c, "p/small", "x", max_tokens=900).status_code == 200


@pytest.mark.parametrize("period", ["day", "month", "total"])
def test_budgets(relay, sim, word, period):
    clear_of_midnight()
    key = relay.make_key("budget", budget_usd="0.01", budget_period=period)
    with relay.http(key) as c:
        # 1,000 + 2,000 tokens at 1 and 2 USD per million: 0.005 USD each
        text = "[[sim:prompt_tokens=1000;completion_tokens=2000]]"
        assert ask(c, "p/small", f"{word} 1 {text}", max_tokens=2000).status_code == 200
        assert ask(c, "p/small", f"{word} 2 {text}", max_tokens=2000).status_code == 200
        before = sim.count()
        answer = ask(c, "p/small", f"{word} 3", max_tokens=5)
        error = error_of(answer, 402, "budget_exceeded")
        assert error["type"] == "insufficient_quota"
        if period == "total":
            assert "total" in error["message"]
        else:
            assert re.search(r"dai?ly|day" if period == "day" else "month", error["message"])
            assert re.search(r"20\d\d-\d\d-\d\d.*(Z|UTC)", error["message"])
        assert sim.count() == before
        # `relay keys` reads what the store's thread has written: the second row follows its answer.
        def listed():
            return next(k for k in relay.keys() if k["tag"] == key[:8])
        wait_for(lambda: usd(listed()["budget_spent_usd"]) == Decimal("0.01"), why=listed)
        assert usd(listed()["budget_usd"]) == Decimal("0.01") and listed()["budget_period"] == period
    assert relay.row(answer.headers["x-relay-id"])["error_code"] == "budget_exceeded"


def test_a_budget_skips_what_does_not_fit(relay, word):
    """`auto` and aliases take the candidate that fits; a pinned one that does not is refused."""
    with relay.http(relay.make_key("fit", budget_usd="0.01", budget_period="day")) as c:
        answer = ask(c, "auto", word, max_tokens=1000)
        assert answer.status_code == 200 and answer.headers["x-relay-model"] == "small"
        answer = ask(c, "p/large", word, max_tokens=8000)  # 1.6 USD expected
        assert answer.status_code == 402


def test_a_budget_outlives_a_restart(start, sim, word):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    clear_of_midnight()
    key = relay.make_key("b", budget_usd="0.003", budget_period="month")
    with relay.http(key) as c:
        ask(c, "p/small", f"{word} [[sim:prompt_tokens=1000;completion_tokens=1000]]", max_tokens=9)
    relay.kill()
    relay.start()
    with relay.http(key) as c:
        error_of(ask(c, "p/small", word), 402, "budget_exceeded")


def test_metrics_of_limits(relay, word):
    before = relay.metric("relay_limited_total")
    with relay.http(relay.make_key("m", rpm=1)) as c:
        ask(c, "p/small", word)
        ask(c, "p/small", word)
    assert relay.metric("relay_limited_total") == before + 1


# --- keys

def test_a_new_key_works_at_once(relay):
    for _ in range(5):
        with relay.http(relay.make_key("new")) as c:
            assert c.get("/v1/models").status_code == 200


def test_what_create_prints(relay):
    done = relay.run("keys", "create", "--name", "shown", "--rpm", "5", "--tpm", "6", "--models",
                     "p/small,p/large", "--cache-group", "g", "--tags", "team=x", "--expires", "30d")
    assert re.fullmatch(r"glw_[0-9A-Za-z]{40}\n", done.stdout)
    listed = next(k for k in relay.keys() if k["tag"] == done.stdout[:8])
    assert listed["name"] == "shown" and listed["rpm"] == 5 and listed["tpm"] == 6
    assert listed["models"] == ["p/small", "p/large"] and listed["cache_group"] == "g"
    assert listed["tags"] == {"team": "x"} and listed["expires_at"] > listed["created_at"]
    text = json.dumps(relay.keys())
    assert done.stdout.strip() not in text and "hash" not in text
    assert done.stdout.strip() not in relay.log()


def test_update_counts_within_a_second(relay, word):
    key = relay.make_key("update", rpm=1)
    with relay.http(key) as c:
        assert ask(c, "p/small", word).status_code == 200
        assert ask(c, "p/small", word).status_code == 429
        relay.run("keys", "update", relay.key_id(key), "--rpm", "100")
        within_a_second(lambda: ask(c, "p/small", word).status_code == 200)


def test_revoke_counts_within_a_second(relay, sim, word):
    key = relay.make_key("revoke")
    with relay.http(key) as c:
        assert ask(c, "p/small", word).status_code == 200
        with c.stream("POST", "/v1/chat/completions", json={
                "model": "p/small", "stream": True, "messages": [
                    {"role": "user", "content": f"{word} [[sim:events=100;gap_ms=30]]"}]}) as s:
            lines = s.iter_lines()
            next(lines)
            relay.run("keys", "revoke", relay.key_id(key))
            with relay.http(key) as other:
                within_a_second(lambda: ask(other, "p/small", word).status_code == 401)
                assert ask(other, "p/small").json()["error"]["code"] == "invalid_api_key"
            assert "data: [DONE]" in list(lines)  # running requests end normally
    listed = next(k for k in relay.keys() if k["tag"] == key[:8])
    assert listed["revoked_at"]


def test_the_view_of_keys(relay):
    key = relay.make_key("seen", rpm=12)
    with contextlib.closing(sqlite3.connect(f"file:{relay.data}/relay.db?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT * FROM keys WHERE name = 'seen'")
        columns = [column[0] for column in rows.description]
        row = dict(zip(columns, rows.fetchone(), strict=True))
    assert columns == ["id", "tag", "hash", "name", "cache_group", "rpm", "tpm", "budget_usd", "budget_period",
                       "models", "tags", "created_at", "expires_at", "revoked_at"]
    assert (row["tag"], row["rpm"], row["hash"]) == (key[:8], 12, hashlib.sha256(key.encode()).hexdigest())
    assert not any(key in str(value) for value in row.values())


def test_rotate(relay, word):
    key = relay.make_key("rotate", rpm=77)
    done = relay.run("keys", "rotate", relay.key_id(key), "--grace", "24h")
    new = done.stdout.strip()
    assert re.fullmatch(r"glw_[0-9A-Za-z]{40}", new) and new != key
    for k in (key, new):  # both in the grace time
        with relay.http(k) as c:
            answer = ask(c, "p/small", word)
            assert answer.status_code == 200
            assert answer.headers["x-ratelimit-limit-requests"] == "77"


def test_key_commands_without_a_gateway(start, sim):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]},
                        start=False)
    key = relay.make_key("early")
    assert relay.keys()[0]["name"] == "early"
    relay.start()
    with relay.http(key) as c:
        assert ask(c, "p/small").status_code == 200


@pytest.mark.parametrize("args", [
    ["keys", "create"], ["keys", "create", "--name", "x", "--rpm", "many"],
    ["keys", "create", "--name", "x", "--budget-usd", "-1"], ["keys", "revoke", "nobody"],
    ["keys", "update", "nobody", "--rpm", "1"], ["keys"], ["keys", "dance"], ["nothing"],
    ["keys", "create", "--name", "x", "--expires", "soon"]])
def test_bad_commands(relay, args):
    done = relay.run(*args, check=False)
    assert done.returncode in (1, 2), done
    assert done.stderr.strip() and done.stdout.strip() == ""
    assert len(done.stderr.strip().splitlines()) <= 2, done.stderr
