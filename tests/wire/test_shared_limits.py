"""Limits and budgets of several gateways that count them in one Redis 8: exact together, and what
becomes of them when a gateway dies or Redis is away, silent, restarted or emptied."""

import concurrent.futures
import signal
import socket
import threading
from decimal import Decimal

import httpx
import pytest

from redis_server import Redis, needs_redis
from support import (ask, chat, error_of, model, parse_answers, provider, raw_request, usd,
                     wait_for)

pytestmark = needs_redis


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path)
    yield server
    server.stop()


def gateways(start, redis, count, sim=None, **limits):
    """They share the store, so that they know the same keys, and have a journal each."""
    sim = sim or start.sim()
    made = []
    for number in range(count):
        relay = start.relay({
            "providers": {"p": provider(sim)}, "shared": redis.url,
            "models": [model("p/small", input=1, output=2), model("p/large", input=100, output=200)],
            "store": f"sqlite:{start.path}/together/relay.db",
            "journal": {"dir": f"{start.path}/journal{number}"},
            "cache": {"exact": False, "semantic": False},
            "limits": limits}, start=False)
        relay.data = start.path / "together"
        relay.start()
        made.append(relay)
    for relay in made:
        counted_together(relay, count)
    return made


def ready(relay):
    with httpx.Client(trust_env=False) as c:
        return c.get(relay.url + "/readyz", timeout=30).json()


def counted_together(relay, count=None):
    """Every worker has its connection, and all gateways have been seen."""
    workers = relay.config["server"]["workers"]
    wait_for(lambda: relay.metric("relay_shared_up") == workers, why=lambda: relay.log())
    if count is not None:
        wait_for(lambda: relay.metric("relay_gateways") == count, why=lambda: relay.log())


def left(relay):
    """No worker has a connection: each notices by itself."""
    wait_for(lambda: relay.metric("relay_shared_up") == 0, why=lambda: relay.log())


def settled(*relays):
    for relay in relays:
        wait_for(lambda: relay.metric("relay_limits_unsettled") == 0)


def until_counted(http, *args, **kw):
    """Asked again where Redis was late on a busy machine, and `refuse` is configured."""
    return wait_for(lambda: (a := ask(http, *args, **kw)).status_code != 503 and a)


def many(relay, key, count, content):
    """So many requests on one connection, one after the other without waiting; their statuses."""
    requests = b"".join(
        raw_request(key, chat("p/small", f"{content} {i}", max_tokens=5),
                    extra="" if i < count - 1 else "Connection: close\r\n") for i in range(count))
    with socket.create_connection(("127.0.0.1", relay.port), timeout=90) as s:
        sender = threading.Thread(target=s.sendall, args=(requests,))
        sender.start()
        got = b""
        while block := s.recv(1 << 20):
            got += block
        sender.join()
    statuses = [status for status, _, _ in parse_answers(got)]
    assert len(statuses) == count
    return statuses


def test_a_limit_holds_for_all_gateways_together(start, redis, word):
    three = gateways(start, redis, 3, when_shared_away="refuse")
    key = three[0].make_key("web", rpm=600)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        parts = [pool.submit(many, three[i % 3], key, count, f"{word} {i}")
                 for i, count in enumerate((400, 300, 300, 400, 300, 300))]
        statuses = [status for part in parts for status in part.result()]
    assert len(statuses) == 2000 and set(statuses) <= {200, 429, 503}
    # Where Redis was late on a busy machine the request was refused, counted there or not.
    admitted, late = statuses.count(200), statuses.count(503)
    assert admitted <= 600 <= admitted + late
    assert sum(relay.metric("relay_limits_alone_total", mode="refuse") for relay in three) == late
    for relay in three:
        answer = ask(relay.http(key), "p/small", word)
        assert answer.status_code in (429, 503)
        if answer.status_code == 429:
            assert answer.headers["x-ratelimit-limit-requests"] == "600"
            assert answer.headers["x-ratelimit-remaining-requests"] == "0"
            assert 1 <= int(answer.headers["retry-after"]) <= 61
    [window] = redis.keys("rl:{*}:w")
    assert 0 < int(redis.ask("PTTL", window)[0][1:]) <= 62000


def test_tokens_that_one_gave_back_the_other_has(start, redis, word):
    one, two = gateways(start, redis, 2, when_shared_away="refuse")
    key = one.make_key("tokens", tpm=10000)
    text = f"{word} [[sim:prompt_tokens=300;completion_tokens=200]]"
    assert until_counted(one.http(key), "p/small", text, max_tokens=5000).status_code == 200
    settled(one)
    answer = until_counted(two.http(key), "p/small", word, max_tokens=10)
    # 500 are used; this one reserves its prompt and 10.
    assert 9300 <= int(answer.headers["x-ratelimit-remaining-tokens"]) <= 9500


def test_a_budget_is_spent_once_by_all(start, redis, word):
    """Each costs 0.00201 and is expected to cost a little more: a cent is enough for four, of sixteen
    that come to two gateways at once."""
    two = gateways(start, redis, 2, when_shared_away="refuse")
    key = two[0].make_key("budget", budget_usd="0.01", budget_period="total")
    text = "[[sim:prompt_tokens=10;completion_tokens=1000;ttft=300]]"

    def one(i):
        with two[i % 2].http(key) as http:
            return until_counted(http, "p/small", f"{word} {i} {text}", max_tokens=1000).status_code

    def spent():
        return sum(usd(r["cost_usd"]) for r in two[0].rows("status = 200"))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(one, range(16)))
    assert set(statuses) == {200, 402} and statuses.count(200) <= 4, statuses
    two[0].wait_rows(statuses.count(200), "status = 200")
    assert spent() == Decimal("0.00201") * statuses.count(200)
    # What others had reserved is free again, down to the last expected answer.
    for i in range(4 - statuses.count(200)):
        settled(*two)
        assert one(16 + i) == 200
    settled(*two)
    assert one(20) == one(21) == 402
    two[0].wait_rows(4, "status = 200")
    assert spent() == Decimal("0.00804")
    # An emptied Redis is told by the next request what was spent.
    redis.ask("FLUSHALL")
    for i, relay in enumerate(two):
        answer = until_counted(relay.http(key), "p/small", f"{word} last {text}", max_tokens=1000)
        error_of(answer, 402, "budget_exceeded")
    [money] = redis.keys("rl:{*}:b:*")
    assert redis.ask("HGET", money, "S")[-1] == "8040000000"


def test_what_a_killed_gateway_had_reserved_comes_back(start, redis, word):
    one, two = gateways(start, redis, 2, when_shared_away="refuse")
    key = one.make_key("killed", budget_usd="0.003", budget_period="total")
    sim_waits = f"{word} [[sim:stall_at=0;stall_ms=60000]]"
    broken = []

    def hang():
        try:
            until_counted(one.http(key), "p/small", sim_waits, max_tokens=4000)
        except httpx.TransportError as e:
            broken.append(e)
    thread = threading.Thread(target=hang)
    thread.start()
    [money] = wait_for(lambda: redis.keys("rl:{*}:b:*"))
    wait_for(lambda: redis.ask("HGET", money, "R")[-1] not in ("$-1", "0"))
    one.kill()
    thread.join()
    assert broken
    held = redis.ask("HGET", money, "R")[-1]
    assert Decimal(held) / 10**12 > Decimal("0.002")
    # 0.002 of 0.003 is held: the like of it does not fit.
    with two.http(key) as http:
        error_of(until_counted(http, "p/small", word, max_tokens=4000), 402, "budget_exceeded")
        # The lease ends by Redis's clock; here it is told that it has.
        redis.ask("EVAL", "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do "
                  "redis.call('ZADD', KEYS[1], 1, id) end", "1", money.replace(":b:", ":z:"))
        assert until_counted(http, "p/small", word, max_tokens=4000).status_code == 200
    settled(two)
    assert redis.ask("HGET", money, "R")[-1] == "0"


def test_each_has_its_share_while_redis_is_away(start, redis, word):
    two = gateways(start, redis, 2)
    key = two[0].make_key("share", rpm=10)
    redis.kill()
    for relay in two:
        left(relay)
        said = ready(relay)
        assert (said["shared"], said["limits"], said["status"]) == ("away", "share", "ready")
        with relay.http(key) as http:
            answers = [ask(http, "p/small", f"{word} {i}", max_tokens=5) for i in range(8)]
        assert [a.status_code for a in answers] == [200] * 5 + [429] * 3
        assert answers[0].headers["x-ratelimit-limit-requests"] == "5"
        assert "5 requests per minute here" in error_of(answers[7], 429, "rate_limit_requests")["message"]
        assert relay.metric("relay_limits_shared") == 0
        assert relay.metric("relay_limits_alone_total", mode="share") == 8
        wait_for(lambda: "limits are this gateway's share" in relay.log())
    redis.start()
    for relay in two:
        counted_together(relay)
        with relay.http(key) as http:
            wait_for(lambda: ask(http, "p/small", word).headers["x-ratelimit-limit-requests"] == "10")
            wait_for(lambda: ask(http, "p/small", word) and ready(relay)["limits"] == "shared")
            wait_for(lambda: ask(http, "p/small", word) and "limits are counted in Redis" in relay.log())


def test_refuse_says_so_and_ends_by_itself(start, redis, word):
    [relay] = gateways(start, redis, 1, when_shared_away="refuse")
    limited, free = relay.make_key("limited", rpm=10), relay.make_key("free", rpm=0, tpm=0)
    redis.stop()
    left(relay)
    assert ready(relay)["shared"] == "away" and ready(relay)["limits"] == "refuse"
    with relay.http(limited) as http:
        answer = ask(http, "p/small", word)
        assert "Redis" in error_of(answer, 503, "overloaded")["message"]
        assert answer.headers["retry-after"] == "1" and answer.json()["relay"]["step"] == "limit"
        assert ask(relay.http(free), "p/small", word).status_code == 200
        redis.start()
        wait_for(lambda: ask(http, "p/small", word).status_code == 200)
    assert relay.row(answer.headers["x-relay-id"])["error_code"] == "overloaded"


def test_traffic_goes_on_whatever_becomes_of_redis(start, redis, word):
    two = gateways(start, redis, 2)
    key = two[0].make_key("busy", rpm=1000000, tpm=1000000000, budget_usd="100", budget_period="day")
    stop, statuses = threading.Event(), []

    def client(number):
        with two[number % 2].http(key) as http:
            while not stop.is_set():
                statuses.append(ask(http, "p/small", f"{word} {number}", max_tokens=5).status_code)

    def more(count=40):
        before = len(statuses)
        wait_for(lambda: len(statuses) >= before + count)
    threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        more()
        redis.ask("FLUSHALL")
        redis.ask("SCRIPT", "FLUSH")
        more()
        redis.signal(signal.SIGSTOP)
        more()
        redis.signal(signal.SIGCONT)
        more()
        redis.kill()
        more()
        redis.start()
        for relay in two:
            counted_together(relay)
        more()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}
    assert sum(relay.metric("relay_limits_alone_total", mode="share") for relay in two) > 0
    settled(*two)
    # The log has every cent, and Redis has it from there or by itself.
    spent = Decimal(0)

    def the_same():
        nonlocal spent
        spent = sum(usd(r["cost_usd"]) for r in two[0].rows("status = 200"))
        ask(two[0].http(key), "p/small", f"{word} x", max_tokens=5)
        ask(two[1].http(key), "p/small", f"{word} x", max_tokens=5)
        settled(*two)
        [money] = redis.keys("rl:{*}:b:*")
        now = sum(usd(r["cost_usd"]) for r in two[0].rows("status = 200"))
        counted = Decimal(redis.ask("HGET", money, "S")[-1]) / 10**12
        assert counted <= now + Decimal("0.01")
        return spent <= counted
    wait_for(the_same, why=lambda: f"{spent} {redis.ask('HGETALL', redis.keys('rl:{*}:b:*')[0])}")


@pytest.mark.parametrize("what", ["keys", "user"])
def test_a_redis_that_does_not_count_is_told(start, tmp_path, word, what):
    server = Redis(tmp_path, config="user ann on >secret-one ~rl:* +hello +get +set +vcard +time +zadd\n")
    try:
        url = server.url if what == "keys" else server.url.replace("://", "://ann:secret-one@")
        relay = start.relay({"providers": {"p": provider(start.sim())}, "shared": url,
                             "models": [model("p/small")], "cache": {"exact": False}})
        counted_together(relay)
        key = relay.make_key("k", rpm=100)
        if what == "keys":  # somebody else's
            for k in relay.keys():
                server.ask("LPUSH", "rl:{%s}:w" % k["id"].replace("-", ""), "x")
        with relay.http(key) as http:
            for i in range(4):
                assert ask(http, "p/small", f"{word} {i}").status_code == 200
        said = wait_for(lambda: ready(relay).get("trouble"))
        assert "does not count limits" in said and "secret-one" not in relay.log()
        assert ready(relay)["limits"] == "share"
    finally:
        server.stop()
