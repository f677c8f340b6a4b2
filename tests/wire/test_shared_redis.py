"""`shared: redis://…`: gateways that share their answers through a real Redis 8, and what they do when
it is away, silent, full, locked, or not what it should be."""

import os
import signal
import subprocess
import time

import httpx
import pytest

from redis_server import REDIS7, VALKEY, Redis, needs_redis
from support import (RELAY_BIN, ROOT, ask, clean_environment, content_of, free_port, model, provider,
                     stream, wait_for)

pytestmark = needs_redis

MODEL = ROOT / "build/models/all-MiniLM-L6-v2"
with_model = pytest.mark.skipif(not (MODEL / ".complete").exists(),
                                reason="the model's files are not here (scripts/model.sh)")


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path)
    yield server
    server.stop()


def gateway(start, sim, url, **env):
    return start.relay({"providers": {"p": provider(sim)}, "shared": url,
                        "models": [model("p/small", input=1, output=2, quality=40)]}, env=env)


def ready(relay):
    with httpx.Client(trust_env=False) as c:
        answer = c.get(relay.url + "/readyz", timeout=10)
    assert answer.status_code == 200
    return answer.json()


def reached(relay):
    """Every worker has its connection."""
    wait_for(lambda: relay.metric("relay_shared_up") == relay.config["server"]["workers"],
             why=lambda: relay.log())


def left(relay):
    """No worker has one: each notices by itself."""
    wait_for(lambda: relay.metric("relay_shared_up") == 0, why=lambda: relay.log())


def in_trouble(relay, sentence):
    """What a worker says that has met this trouble; others may not have met it yet."""
    return wait_for(lambda: (said := ready(relay)) and sentence in said.get("trouble", "") and said,
                    why=lambda: f"{ready(relay)} {relay.log()[-2000:]}")


def ask_and_keep(redis, asked):
    """The answer, which is in Redis when this returns; or Redis was late, and the answer was not written."""
    before = len(redis.keys("rl:{*}:r:*"))
    answer = asked()
    end = time.monotonic() + 3
    while len(redis.keys("rl:{*}:r:*")) == before and time.monotonic() < end:
        time.sleep(0.01)
    return answer


def shared_hit(ask_here, ask_there, word):
    """A question, its answer here and its hit there. On a busy machine a reply of Redis may be late,
    which is a miss, and its answer is kept by whoever asked: then another question is asked."""
    for attempt in range(20):
        text = f"{word} {attempt}"
        miss, hit = ask_here(text), ask_there(text)
        if cached(hit) == "exact":
            break
    return text, miss, hit


def client_of(relay, group="team"):
    return relay.http(relay.make_key("shared", cache_group=group))


def cached(answer):
    return answer.headers["x-relay-cache"]


def test_what_one_gateway_answered_the_other_has(start, redis, word):
    sim = start.sim()
    one, two = gateway(start, sim, redis.url), gateway(start, sim, redis.url)
    reached(one)
    reached(two)
    a, b, stranger = client_of(one), client_of(two), client_of(two, group="others")

    def kept_by(asked):
        return lambda text: ask_and_keep(redis, lambda: asked(text))
    text, miss, hit = shared_hit(kept_by(lambda t: ask(a, "p/small", t)), lambda t: ask(b, "p/small", t), word)
    assert cached(miss) == "miss"
    assert cached(hit) == "exact" and hit.headers["x-relay-route"] == "cached"
    assert hit.json()["choices"] == miss.json()["choices"] and len(sim.find(text)) == 1
    assert hit.json()["id"] != miss.json()["id"]
    row = two.row(hit.headers["x-relay-id"])
    assert row["source_id"] == miss.headers["x-relay-id"] and row["cost_usd"] == "0"
    answer, events, cut = stream(client_of(two), "p/small", text)
    assert not cut and cached(answer) == "exact"
    assert content_of(events) == miss.json()["choices"][0]["message"]["content"]
    assert cached(kept_by(lambda t: ask(stranger, "p/small", t))(text)) == "miss"
    # A stream's answer is kept there as well.
    _, miss, hit = shared_hit(kept_by(lambda t: stream(b, "p/small", t)[0]), lambda t: ask(a, "p/small", t),
                              word + " again")
    assert cached(miss) == "miss" and cached(hit) == "exact"
    key = redis.keys("rl:{*}:r:*")[0]
    assert 86000000 < int(redis.ask("PTTL", key)[0][1:]) <= 86400000
    assert one.metric("relay_shared_commands_total", result="answered") >= 2
    assert two.metric("relay_shared_seconds_count") >= 1


def test_a_purge_from_anywhere_reaches_every_gateway(start, redis, word, tmp_path):
    """In Redis at once; in the memory of both gateways within a second, as their logs tell."""
    sim = start.sim()
    gateways = one, two = gateway(start, sim, redis.url), gateway(start, sim, redis.url)
    reached(one)
    reached(two)
    clients = {group: (client_of(one, group), client_of(two, group)) for group in ("a", "b")}
    texts, first = {}, {}
    for group, (here, there) in clients.items():
        for n in range(2):
            # On a busy machine a reply may be late, which is a miss: then another question is asked.
            for attempt in range(20):
                text = texts[group, n] = f"{word} {n} {attempt}"
                asked = ask_and_keep(redis, lambda: ask(here, "p/small", text, metadata={"team": str(n)}))
                first[group, n] = asked.headers["x-relay-id"]
                if cached(ask(there, "p/small", text)) == "exact":
                    break
    (tmp_path / "elsewhere.yaml").write_text(f"shared: {redis.url}\n")

    def purge(*args):
        done = subprocess.run([RELAY_BIN, "cache", "purge", *args, "--config", str(tmp_path / "elsewhere.yaml")],
                              text=True, capture_output=True, env=clean_environment(), timeout=60, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        here, shared = done.stdout.splitlines()
        assert here == "0 answers forgotten" and "in Redis" in shared
        return int(shared.split()[0])

    told = 0

    def followed():
        nonlocal told
        told += 1
        for relay in gateways:
            wait_for(lambda: relay.log().count("cached answers were purged") == told)

    def source(group, n, side):
        """The request that this gateway's hit came from; None: it had no answer, and keeps a new one."""
        answer = ask(clients[group][side], "p/small", texts[group, n])
        return gateways[side].row(answer.headers["x-relay-id"])["source_id"]

    assert purge("--entry", first["a", 0]) == 1
    followed()
    assert source("a", 0, 1) is None  # Redis had forgotten it, and the other gateway
    assert source("a", 0, 0) != first["a", 0]  # and the one that was asked first
    for kept in (("a", 1), ("b", 0), ("b", 1)):
        assert [source(*kept, side) for side in (0, 1)] == [first[kept]] * 2
    assert purge("--entry", first["a", 0]) == 0
    assert purge("--tag", "team=1") >= 2
    followed()
    assert [source("b", 0, side) for side in (0, 1)] == [first["b", 0]] * 2
    assert purge("--group", "b") >= 1
    followed()
    assert purge("--all") >= 1
    followed()
    assert all(key.startswith("rl:{gateways}:") for key in redis.keys())
    # A gateway's own command line reaches its file and Redis; a server that is away is told.
    assert source("a", 0, 0) is None
    wait_for(lambda: len(redis.keys("rl:{*}:r:*")) == 1)
    assert "\n1 answers forgotten in Redis" in one.run("cache", "purge", "--all").stdout
    redis.stop()
    done = one.run("cache", "purge", "--all", check=False)
    assert done.returncode == 1 and "no Redis server at" in done.stderr and "forgotten\n" in done.stdout


@with_model
def test_a_question_that_means_the_same(start, redis):
    sim = start.sim()
    one, two = (gateway(start, sim, redis.url, RELAY_CACHE_MODEL=MODEL,
                        RELAY_CACHE_MAX_WAIT="30s") for _ in range(2))
    reached(one)
    reached(two)
    a, b = client_of(one), client_of(two)
    # On a busy machine a reply, or the encoder, may be late: then another question is asked.
    for number, thing in enumerate(("account", "laptop", "router", "mailbox", "phone"), 1):
        asked = ask(a, "p/small", f"How do I reset the password of my {thing}?")
        assert cached(asked) in ("miss", "bypass")
        [vectors] = wait_for(lambda: redis.keys("rl:{*}:v"))
        wait_for(lambda: redis.ask("VCARD", vectors) >= [f":{number}"])
        hit = ask(b, "p/small", f"How can I reset the password of my {thing}?")
        if cached(hit) == "semantic":
            break
        assert cached(hit) == "bypass" or two.metric("relay_shared_commands_total", result="late") > 0
    assert cached(hit) == "semantic" and 0.9 < float(hit.headers["x-relay-similarity"]) < 1
    assert hit.json()["choices"] == asked.json()["choices"]
    # One word of the question decides.
    assert cached(ask(b, "p/small", f"How do I delete the password of my {thing}?")) == "miss"


def test_a_server_that_is_away_costs_nothing_and_comes_back(start, redis, word, tmp_path):
    sim = start.sim()
    redis.stop()
    relay = gateway(start, sim, redis.url)
    http = client_of(relay)
    said = in_trouble(relay, "refused")
    assert said["shared"] == "away" and said["status"] == "ready" and said["gateways"] == 1
    away_since = said["shared_since"]
    assert said["trouble"].startswith(f"shared: no Redis server at 127.0.0.1:{redis.port}")
    assert cached(ask(http, "p/small", word)) == "miss"
    assert cached(ask(http, "p/small", word)) == "exact"  # this process's own
    assert relay.metric("relay_shared_up") == 0
    wait_for(lambda: "the shared cache is not as it should be" in relay.log())
    redis.start()
    reached(relay)
    assert ready(relay)["shared"] == "reachable" and "trouble" not in ready(relay)
    assert ready(relay)["shared_since"] > away_since
    assert cached(ask(http, "p/small", word + " new")) == "miss"
    wait_for(lambda: len(redis.keys("rl:{*}:r:*")) == 1)
    redis.kill()
    assert cached(ask(http, "p/small", word + " lost")) == "miss"
    redis.start()
    reached(relay)


def test_a_server_that_stands_still_is_waited_for_once(start, redis, word):
    sim = start.sim()
    relay = gateway(start, sim, redis.url)
    http = client_of(relay)
    reached(relay)
    assert ask(http, "p/small", word).status_code == 200
    # The question was asked for and its answer is kept: nothing is under way.
    wait_for(lambda: relay.metric("relay_shared_commands_total", result="answered") == 2)
    redis.signal(signal.SIGSTOP)
    start_s = time.monotonic()
    for i in range(20):
        answer = ask(http, "p/small", f"{word} {i}")
        assert cached(answer) == "miss" and answer.status_code == 200
    # At most one wait for each worker's connection, and one more for each second, after which it is
    # opened anew; the others did not wait at all.
    waits = relay.config["server"]["workers"] * (1 + int(time.monotonic() - start_s))
    assert relay.metric("relay_shared_commands_total", result="late") <= waits
    assert relay.metric("relay_shared_seconds_count") <= waits + 1
    wait_for(lambda: ready(relay)["shared"] == "away")  # that worker's connection, not each
    redis.signal(signal.SIGCONT)
    reached(relay)
    assert ready(relay)["shared"] == "reachable"


def test_a_full_server_is_told(start, redis, word):
    sim = start.sim()
    relay = gateway(start, sim, redis.url)
    http = client_of(relay)
    reached(relay)
    redis.ask("CONFIG", "SET", "maxmemory", "100kb")
    for i in range(8):  # each worker has kept one
        assert cached(ask(http, "p/small", f"{word} {i}")) == "miss"
    assert in_trouble(relay, "is full")["shared"] == "reachable" and redis.keys("rl:{*}:r:*") == []
    # Limits are counted there all the same, and it is said once.
    with relay.http(relay.make_key("limited", rpm=5)) as limited:
        wait_for(lambda: ask(limited, "p/small", word).status_code == 429)
        wait_for(lambda: ask(limited, "p/small", word) and ready(relay)["limits"] == "shared")
    assert redis.keys("rl:{*}:w")

    def is_said():
        """By the worker that speaks for all, once it is the one that has kept something."""
        with relay.http(relay.first_key) as fresh:
            ask(fresh, "p/small", f"{word} {time.monotonic()}")
        return relay.log().count("is full and takes no new answers")
    said = wait_for(is_said)  # again only where a late reply was told in between
    assert said <= 1 + relay.metric("relay_shared_commands_total", result="late")
    assert relay.metric("relay_shared_commands_total", result="refused") >= 1


@pytest.mark.parametrize("login,sentence", [
    ("", "wants a password"),
    (":wrong-one@", "refused the user name or the password"),
    ("ann:third-one@", "may not use vector sets")])
def test_what_is_wrong_is_said_everywhere(start, tmp_path, word, login, sentence):
    server = Redis(tmp_path, config="requirepass right-one\n"
                   "user ann on >third-one ~rl:* +hello +get +eval +set\n")
    try:
        url = f"redis://{login}127.0.0.1:{server.port}"
        relay = gateway(start, start.sim(), url)
        http = client_of(relay)
        in_trouble(relay, sentence)
        assert ask(http, "p/small", word).status_code == 200
        told = relay.run("check").stdout
        assert sentence in told and "counted in Redis" in told
        for text in (told, relay.log(), str(ready(relay)), relay.run("check", "--print").stdout):
            assert not any(secret in text for secret in ("wrong-one", "right-one", "third-one"))
        wait_for(lambda: sentence in relay.log())
    finally:
        server.stop()


@pytest.mark.parametrize("program,name", [(REDIS7, "Redis 7."), (VALKEY, "Valkey ")])
def test_servers_without_vector_sets(start, tmp_path, word, program, name):
    """Limits, the exact cache and purges work there; that semantic answers are not shared is said."""
    if not os.access(program, os.X_OK):
        pytest.skip(f"there is no {program}")
    server = Redis(tmp_path, program=program)
    try:
        sim = start.sim()
        one, two = gateway(start, sim, server.url), gateway(start, sim, server.url)
        for relay in (one, two):
            reached(relay)
            # A reply may be late on a busy machine, and that is told first.
            said = wait_for(lambda: (s := ready(relay))["shared"] == "reachable" and name in s["trouble"] and s)
            assert said["status"] == "ready" and said["limits"] == "shared"
            assert "has no vector sets, as Redis 8 has: semantic answers are not shared" in said["trouble"]
            wait_for(lambda: relay.metric("relay_gateways") == 2)
            wait_for(lambda: "has no vector sets" in relay.log())
        told = wait_for(lambda: "has no vector sets" in (text := one.run("check").stdout) and text)
        assert name in told and "counted in Redis" in told
        a, b = client_of(one), client_of(two)
        # On a busy machine a reply may be late: then another question is asked.
        for i in range(20):
            assert cached(ask(a, "p/small", f"{word} {i}")) == "miss"
            wait_for(lambda: len(server.keys("rl:{*}:r:*")) == i + 1)
            if cached(ask(b, "p/small", f"{word} {i}")) == "exact":
                break
        else:
            raise AssertionError("no answer was shared")
        key = one.make_key("limited", rpm=5)
        with one.http(key) as http:
            wait_for(lambda: ask(http, "p/small", word).status_code == 429)
        assert server.keys("rl:{*}:w")
        assert f"\n{len(server.keys('rl:{*}:r:*'))} answers forgotten in Redis" in one.run("cache", "purge", "--all").stdout
        wait_for(lambda: "cached answers were purged" in two.log())
    finally:
        server.stop()


def test_check_says_which_server_answers_and_whose_the_limits_are(start, redis, tmp_path):
    relay = gateway(start, start.sim(), redis.url)
    told = relay.run("check").stdout
    assert "Redis 8." in told and "counted in Redis, and in equal shares" in told
    assert "refused while it is away" in relay.run(
        "check", env={"RELAY_LIMITS_WHEN_SHARED_AWAY": "refuse"}).stdout
    wait_for(lambda: "limits, budgets and answers are shared through it" in relay.log())
    (tmp_path / "x.yaml").write_text("shared: redis://127.0.0.1:1/0/0\n")
    done = subprocess.run([RELAY_BIN, "check", "--config", str(tmp_path / "x.yaml")], text=True,
                          capture_output=True, env=clean_environment(), timeout=60)
    assert done.returncode == 2 and "shared must be memory, or redis://" in done.stderr
    (tmp_path / "x.yaml").write_text(f"shared: redis://127.0.0.1:{free_port()}\n")
    done = subprocess.run([RELAY_BIN, "check", "--config", str(tmp_path / "x.yaml")], text=True,
                          capture_output=True, env=clean_environment(), timeout=60, cwd=tmp_path)
    assert done.returncode == 0 and "no Redis server at" in done.stdout
