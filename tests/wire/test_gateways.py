"""Several gateways on one Redis 8: how many there are, and what they tell each other."""

import pytest

from redis_server import Redis, needs_redis
from support import model, provider, wait_for

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
