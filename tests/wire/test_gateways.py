"""Several gateways on one Redis 8: how many there are, and what they tell each other."""

import json

import pytest

from redis_server import Redis, needs_redis
from support import ask, free_port, model, provider, stream, wait_for

pytestmark = needs_redis


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path)
    yield server
    server.stop()


def gateway(start, redis, sim):
    return start.relay({"providers": {"p": provider(sim)}, "shared": redis.url,
                        "models": [model("p/small", input=1, output=2, quality=40)]})


def sees(relay, count):
    wait_for(lambda: relay.metric("relay_gateways") == count,
             why=lambda: f"{relay.metric('relay_gateways')} instead of {count}: {relay.log()[-2000:]}")


def test_gateways_are_counted(start, redis):
    sim = start.sim()
    alone = start.relay({"providers": {"p": provider(sim)}})
    gateways = []
    for count in (1, 2, 3):
        gateways.append(gateway(start, redis, sim))
        for relay in gateways:
            sees(relay, count)
    assert len(redis.ask("ZRANGE", "rl:{gateways}:seen", "0", "-1")) == 1 + 2 * 3
    assert alone.metric("relay_gateways") == 1
    one, two, three = gateways
    # Who stops takes its leave; who is killed is forgotten after a few seconds.
    two.stop()
    assert redis.ask("ZCARD", "rl:{gateways}:seen") == [":2"]
    three.kill()
    sees(one, 1)
    assert redis.ask("ZCARD", "rl:{gateways}:seen") == [":1"]
    two.start()
    sees(one, 2)
    # A server that is away changes nothing, and one that comes back empty neither.
    redis.kill()
    wait_for(lambda: one.metric("relay_shared_up") == 0)
    assert one.metric("relay_gateways") == 2
    redis.start()
    wait_for(lambda: redis.ask("ZCARD", "rl:{gateways}:seen") == [":2"])
    sees(one, 2)
    sees(two, 2)
    assert '"gateways on this Redis server","count":3' in one.log()


def is_measured(http, name):
    return http.get(f"/v1/models/{name}").json()["latency"]["first_token"] is not None


def decision(relay, http, word):
    answer, _, cut = stream(http, "any", word, routing={"max_latency_ms": 500})
    assert answer.status_code == 200 and not cut
    row = relay.row(answer.headers["x-relay-id"])
    said = json.loads(row["decision"])
    chances = [c["chance"] for c in (said["chosen"], *said["others"])]
    return row["provider"], row["route"], chances


def test_a_fresh_gateway_routes_as_an_old_one(start, redis, word):
    slow, fast = start.sim("--latency", "1000"), start.sim("--latency", "5")
    config = {"providers": {"slow": provider(slow), "fast": provider(fast)}, "shared": redis.url,
              "models": [model("slow/m", input=1), model("fast/m", input=5, output=9)],
              "aliases": {"any": ["slow/m", "fast/m"]}}
    old = start.relay(config)
    with old.http(old.first_key) as c:
        for i in range(12):
            last = decision(old, c, f"{word} {i}")
        asked = slow.count()
        assert last[0] == "fast" and asked > 0
        fresh = start.relay(config)
        with fresh.http(fresh.first_key) as d:
            wait_for(lambda: is_measured(d, "slow/m") and is_measured(d, "fast/m"))
            for i in range(3):
                got, want = (decision(relay, http, f"{word} again {i}")
                             for relay, http in ((fresh, d), (old, c)))
                assert got[0] == "fast" and slow.count() == asked
                assert got[:2] == want[:2] and got[2] == pytest.approx(want[2], abs=0.05)
    assert fresh.metric("relay_gateway_pages_total", result="taken") > 0
    assert fresh.metric("relay_gateway_pages_total", result="ignored") == 0
    # What cannot be read is counted and changes nothing.
    redis.ask("SET", "rl:{gateways}:04040404-0404-0404-0404-040404040404:0", "1 rubbish")
    number = int(redis.ask("HGET", "rl:{gateways}:n", "n")[1]) + 1
    redis.ask("HSET", "rl:{gateways}:n", "n", str(number))
    redis.ask("ZADD", "rl:{gateways}:changed", str(number), "04040404-0404-0404-0404-040404040404:0")
    wait_for(lambda: fresh.metric("relay_gateway_pages_total", result="ignored") == 1)


def test_what_one_finds_out_about_providers_the_others_hear(start, redis, word):
    limited, good = start.sim(), start.sim()
    nobody = {"kind": "openai", "api_key": "x", "base_url": f"http://127.0.0.1:{free_port()}/v1"}
    config = {"providers": {"gone": nobody, "limited": provider(limited), "good": provider(good)},
              "shared": redis.url,
              "models": [model("gone/m", input=1), model("limited/m", input=2),
                         model("good/m", input=100, output=900)],
              "aliases": {"one": ["gone/m", "good/m"], "two": ["limited/m", "good/m"]}}
    old = start.relay(config)
    limited.set(status=429, retry_after="200")
    with old.http(old.first_key) as c:
        assert ask(c, "two", word).headers["x-relay-attempts"] == "2"
        for i in range(4):
            assert ask(c, "one", f"{word} {i}").headers["x-relay-provider"] == "good"
        wait_for(lambda: "provider is down" in old.log())
    fresh = start.relay(config)
    with fresh.http(fresh.first_key) as d:
        wait_for(lambda: "another gateway cannot use a provider" in fresh.log())
        # One request tries the provider, and its failure is enough.
        assert fresh.metric("relay_provider_up", provider="gone") == 1
        assert ask(d, "one", word).headers["x-relay-attempts"] == "2"
        wait_for(lambda: "provider is down" in fresh.log())
        # The key rests here too: nobody asks with it.
        asked = limited.count()
        assert ask(d, "two", word).headers["x-relay-attempts"] == "1"
        assert limited.count() == asked
