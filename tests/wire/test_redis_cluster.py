"""Gateways that share a real Redis Cluster of three primaries: limits, answers and purges on all of
them, a primary that dies, one whose replica takes its place."""

import subprocess

import httpx
import pytest

from redis_server import Cluster, needs_redis
from support import RELAY_BIN, ask, clean_environment, model, provider, wait_for

pytestmark = needs_redis


@pytest.fixture
def cluster(tmp_path, request):
    made = Cluster(tmp_path, **getattr(request, "param", {}))
    yield made
    made.stop()


def gateways(start, cluster, **limits):
    """Two that share the store; each was told another server's address."""
    sim, made = start.sim(), []
    for number in range(2):
        relay = start.relay({
            "providers": {"p": provider(sim)}, "shared": cluster.servers[number].url,
            "models": [model("p/small", input=1, output=2)], "cache": {"exact": True, "semantic": False},
            "store": f"sqlite:{start.path}/together/relay.db",
            "journal": {"dir": f"{start.path}/journal{number}"}, "limits": limits}, start=False)
        relay.data = start.path / "together"
        relay.start()
        made.append(relay)
    for relay in made:
        all_well(relay)
        wait_for(lambda: relay.metric("relay_gateways") == 2, why=lambda: relay.log())
    return made


def ready(relay):
    with httpx.Client(trust_env=False) as c:
        return c.get(relay.url + "/readyz", timeout=30).json()


def all_well(relay):
    """Every worker has its connections, and nothing is wrong with any of them."""
    workers = relay.config["server"]["workers"]
    wait_for(lambda: relay.metric("relay_shared_up") == workers and "trouble" not in ready(relay),
             why=lambda: relay.log())


def limited_keys(cluster, relay, **options):
    """A client key whose counts lie on each of the primaries, in their order."""
    made = {}
    while len(made) < cluster.PRIMARIES:
        key = relay.make_key("limited", **options)
        made.setdefault(cluster.owner("{%s}" % relay.key_id(key).replace("-", "")), key)
    return [made[i] for i in range(cluster.PRIMARIES)]


def fresh(http, word, **more):
    """One that no cache answers."""
    return ask(http, "p/small", word, headers={"x-relay-cache": "off"}, **more)


def counted(http, word):
    """By Redis: what one process counts alone is a share of it."""
    return fresh(http, word).headers.get("x-ratelimit-limit-requests") == "10"


def test_limits_and_answers_lie_on_all_primaries(start, cluster, word, tmp_path):
    one, two = gateways(start, cluster, when_shared_away="refuse")
    wait_for(lambda: "a cluster of 3" in one.log())
    wait_for(lambda: "a cluster of 3 at 127.0.0.1:" in one.run("check").stdout)
    keys = limited_keys(cluster, one, rpm=10)
    for server, key in zip(cluster.servers, keys):
        with one.http(key) as a, two.http(key) as b:
            statuses = [fresh(http, f"{word} {i}", max_tokens=5).status_code
                        for i in range(8) for http in (a, b)]
        # Where Redis was late on a busy machine the request was refused, counted there or not.
        admitted, late = statuses.count(200), statuses.count(503)
        assert set(statuses) <= {200, 429, 503} and admitted <= 10 <= admitted + late
        assert len(server.keys("rl:{*}:w")) == 1
    # What one has answered the other has, wherever it lies: other parameters are another scope.
    group = one.make_key("group", cache_group="team", rpm=0, tpm=0)
    a, b = one.http(group), two.http(group)
    hits, held = set(), set()
    while len(hits) < cluster.PRIMARIES:
        more = {"max_tokens": 1000 + len(held)}  # of another scope
        assert ask(a, "p/small", word, **more).headers["x-relay-cache"] == "miss"
        [name] = wait_for(lambda: {n for names in cluster.keys("rl:{*}:r:*") for n in names} - held)
        held.add(name)
        # On a busy machine a reply may be late, which is a miss.
        if ask(b, "p/small", word, **more).headers["x-relay-cache"] == "exact":
            hits.add(cluster.owner(name))
    # A purge looks through all of them, whichever it was told of, and both gateways follow it.
    (tmp_path / "elsewhere.yaml").write_text(f"shared: {cluster.servers[2].url}\n")
    done = subprocess.run([RELAY_BIN, "cache", "purge", "--all", "--config", str(tmp_path / "elsewhere.yaml")],
                          text=True, capture_output=True, env=clean_environment(), timeout=60, cwd=tmp_path)
    assert done.returncode == 0 and f"\n{len(held)} answers forgotten in Redis" in done.stdout, done.stdout + done.stderr
    assert cluster.keys("rl:{*}:r:*") == [[], [], []]
    for relay in (one, two):
        wait_for(lambda: "cached answers were purged" in relay.log())


@pytest.mark.parametrize("cluster", [{"replicas": 1}], indirect=True)
def test_primaries_that_die(start, cluster, word):
    both = one, two = gateways(start, cluster)
    keys = limited_keys(cluster, one, rpm=10)
    clients = [[relay.http(key) for key in keys] for relay in both]
    # One without a replica takes its keys along, and no others. (A reply may be late on a busy machine.)
    dead = cluster.servers[1]
    dead.kill()
    for relay, (first, second, third) in zip(both, clients):
        wait_for(lambda: f"no Redis server at 127.0.0.1:{dead.port}" in ready(relay).get("trouble", ""))
        wait_for(lambda: counted(first, word) and counted(third, word))
        answer = fresh(second, word)
        assert answer.status_code == 200 and answer.headers["x-ratelimit-limit-requests"] != "10"
        assert ready(relay)["shared"] == "reachable"
    dead.start()
    for relay, (_, second, _) in zip(both, clients):
        all_well(relay)
        wait_for(lambda: counted(second, word))
    # The place of one with a replica is taken by that.
    replica = cluster.servers[-1]
    cluster.servers[0].kill()
    wait_for(lambda: "role:master" in replica.ask("INFO", "replication"))
    for relay, (first, _, _) in zip(both, clients):
        all_well(relay)
        wait_for(lambda: counted(first, word))
    assert replica.keys("rl:{*}:w")
