"""What workers share, used by many clients at once: caches, encoder, Redis, purges, a reload. ThreadSanitizer
watches while it goes on (scripts/test.sh tsan)."""

import itertools
import os
import signal
import threading

from redis_server import PROGRAM, Redis
from support import ROOT, ask, content_of, model, provider, stream, wait_for

FOLDER = ROOT / "build/models/all-MiniLM-L6-v2"
HAS_MODEL, HAS_REDIS = (FOLDER / ".complete").exists(), os.access(PROGRAM, os.X_OK)
THINGS = ("password", "invoice", "address", "router", "ticket", "mailbox")
CLIENTS, ROUNDS, WORKERS = 6, 3, 4


def cached(answer):
    return answer.headers["x-relay-cache"]


def test_many_clients_at_once(start, tmp_path):
    redis = Redis(tmp_path) if HAS_REDIS else None
    try:
        relay = start.relay({
            "providers": {"p": provider(start.sim())}, "models": [model("p/small", input=1, output=2)],
            "cache": {"max_wait": "30s", "audit": 1, "audit_usd_per_day": 1}, "server": {"workers": WORKERS},
            "shared": redis.url if redis else "memory"}, env={"RELAY_CACHE_MODEL": FOLDER} if HAS_MODEL else {})
        keys = [relay.make_key(f"k{n}", cache_group="team") for n in range(2)]
        with relay.http(keys[0]) as http:  # the first question loads the model
            number = itertools.count()
            wait_for(lambda: "semantic" in [cached(ask(http, "p/small", f"How {word} I find umbrella {n}?"))
                                            for n in [next(number)] for word in ("do", "can")] or not HAS_MODEL)
        seen, wrong = [], []

        def client(number):
            try:
                with relay.http(keys[number % 2]) as http:
                    for round in range(ROUNDS):
                        for at, thing in enumerate(THINGS):
                            text = f"How {'do' if (number + round) % 2 else 'can'} I find my {thing}?"
                            if (number + at) % 3 == 0:
                                answer, events, cut = stream(http, "p/small", text)
                                assert not cut and content_of(events)
                            else:
                                mode = "refresh" if (number + at) % 5 == 0 else "semantic"
                                answer = ask(http, "p/small", text, cache={"mode": mode})
                                assert answer.json()["choices"][0]["message"]["content"]
                            seen.append(cached(answer))
            except Exception as e:  # pytest sees only what its own thread raises
                wrong.append(f"client {number}: {e!r}")

        clients = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
        for thread in clients:
            thread.start()
        relay.run("cache", "purge", "--group", "team")
        relay.signal(signal.SIGHUP)
        relay.run("cache", "purge", "--all")
        for thread in clients:
            thread.join()
        assert not wrong and len(seen) == CLIENTS * ROUNDS * len(THINGS), wrong
        assert set(seen) & {"exact", "semantic", "shared"}
    finally:
        if redis:
            redis.stop()
