"""kill -9 of the gateway, of PostgreSQL, of both, in the middle of work: the ledger has every answer that
a client received whole, once, with its cost, and the keys' spend is the sum of the rows."""

import random
import threading
import time
from decimal import Decimal

import httpx
import pytest

from postgres_server import Postgres, needs_postgres
from support import ask, model, provider, stream, wait_for

pytestmark = needs_postgres

CLIENTS = 4
ROUNDS = ["gateway", "postgres", "both", "frozen postgres", "gateway", "both, gateway first"]
PRICE_IN, PRICE_OUT = Decimal(1) / 10**6, Decimal(2) / 10**6


@pytest.fixture
def postgres():
    server = Postgres()
    yield server
    server.remove()


class Clients:
    """Ask as fast as they are answered, and keep (id, usage) of what they received whole."""

    def __init__(self, relay, key):
        self.relay, self.key = relay, key
        self.received = []
        self.over = False
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        asked = 0
        while not self.over:
            try:
                with self.relay.http(self.key) as c:
                    while not self.over:
                        asked += 1
                        self._ask(c, f"client {number} asks {asked}", asked % 3 == 0)
            except httpx.TransportError:
                time.sleep(0.02)  # whoever answers is dead, and comes back

    def _ask(self, c, text, streamed):
        off = {"mode": "off"}
        if streamed:
            answer, events, cut = stream(c, "p/m", text, cache=off, stream_options={"include_usage": True})
            if answer.status_code != 200 or cut or events[-1] != "[DONE]":
                return
            usage = next(e["usage"] for e in events if isinstance(e, dict) and e.get("usage"))
        else:
            answer = ask(c, "p/m", text, cache=off)
            if answer.status_code != 200:
                return
            usage = answer.json()["usage"]
        self.received.append((answer.headers["x-relay-id"], usage["prompt_tokens"], usage["completion_tokens"]))

    def more(self, count):
        """Waits until so many more answers were received."""
        goal = len(self.received) + count
        wait_for(lambda: len(self.received) >= goal, why=lambda: self.relay.log()[-3000:])

    def stop(self):
        self.over = True
        for thread in self.threads:
            thread.join()


def strike(what, relay, postgres):
    """Kills, and starts again what was killed."""
    if what == "gateway":
        relay.kill()
        relay.start()
    elif what == "postgres":
        postgres.kill()
        postgres.start()
    elif what == "frozen postgres":  # the gateway gives it up; what it was doing then happens or does not
        postgres.freeze()
        time.sleep(0.3)
        relay.kill()
        relay.start(wait=False)
        postgres.thaw()
        wait_for(relay._is_ready, why=lambda: relay.log())
    else:
        dying = [relay, postgres] if what.endswith("gateway first") else [postgres, relay]
        for process in dying:
            process.kill()
        relay.start(wait=False)
        postgres.start()
        wait_for(relay._is_ready, why=lambda: relay.log())


def test_no_answer_is_lost_or_doubled(start, postgres):
    sim = start.sim()
    relay = start.relay({"providers": {"p": provider(sim)}, "store": postgres.url, "log": {"level": "warn"},
                         "models": [model("p/m", input=1, output=2)]})
    clients = Clients(relay, relay.make_key("all"))
    dice = random.Random(6)
    try:
        for what in ROUNDS:
            clients.more(40)
            time.sleep(dice.random() * 0.2)
            strike(what, relay, postgres)
        clients.more(40)
    finally:
        clients.stop()
    assert relay.stop() == 0, relay.log()[-3000:]

    rows = {row["id"]: row for row in postgres.query("SELECT * FROM requests")}
    received = {id: (prompt, completion) for id, prompt, completion in clients.received}
    assert len(received) == len(clients.received)
    assert set(received) <= set(rows), f"{len(set(received) - set(rows))} of {len(received)} are lost"
    for id, (prompt, completion) in received.items():
        row = rows[id]
        assert row["status"] == "200" and row["usage_source"] == "provider", row
        assert (int(row["prompt_tokens"]), int(row["completion_tokens"])) == (prompt, completion), row
        assert Decimal(row["cost_usd"]) == prompt * PRICE_IN + completion * PRICE_OUT, row
    # Others were under way when something died: at most one of each client each time.
    assert len(rows) - len(received) <= CLIENTS * (len(ROUNDS) + 1)
    spent = postgres.query("SELECT sum(pusd) AS all FROM key_spend")[0]["all"]
    assert Decimal(spent) == sum(Decimal(row["cost_usd"] or 0) for row in rows.values()) * 10**12
