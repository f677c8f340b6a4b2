"""A graceful stop: no new connections, running requests end, everything is in the store."""

import signal
import socket
import threading
import time

import httpx
import pytest

from support import SURELY_SECONDS, ask, chat, model, provider, stream, wait_for


def wait_refused(relay):
    def refused():
        try:
            socket.create_connection(("127.0.0.1", relay.port), timeout=1).close()
            return False
        except OSError:
            return True
    wait_for(refused, why="it still takes connections")


def make(start, sim, **server):
    return start.relay({"providers": {"p": provider(sim)}, "models": [model("p/a")], "server": server})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_finish_inside_the_grace(start, sim, word, number):
    relay = make(start, sim, shutdown_grace="10m")
    done = {}

    def work(name, body):
        with relay.http(relay.first_key) as c:
            try:
                if body.get("stream"):
                    done[name] = stream(c, "p/a", body["text"])
                else:
                    done[name] = ask(c, "p/a", body["text"])
            except httpx.TransportError as e:
                done[name] = e
    threads = [threading.Thread(target=work, args=("stream", {
        "stream": True, "text": f"{word} s [[sim:events=40;gap_ms=20]]"})),
        threading.Thread(target=work, args=("plain", {"text": f"{word} p [[sim:ttft=600]]"}))]
    [t.start() for t in threads]
    wait_for(lambda: len(sim.find(word)) == 2)
    relay.signal(number)

    wait_refused(relay)
    [t.join() for t in threads]
    answer, events, cut = done["stream"]
    assert not cut and events[-1] == "[DONE]" and done["plain"].status_code == 200
    assert relay.process.wait(SURELY_SECONDS) == 0, "it waited for the grace although nothing ran"
    # A graceful stop copies the journal into the store before it exits.
    assert sorted(r["status"] for r in relay.rows()) == [200, 200]


def test_what_outlives_the_grace_is_cut_and_accounted(start, sim, word):
    relay = make(start, sim, shutdown_grace="300ms")
    lines, cut = [], []

    def work():
        with relay.http(relay.first_key) as c, c.stream("POST", "/v1/chat/completions", json=chat(
                "p/a", f"{word} [[sim:events=2000;gap_ms=20]]", stream=True)) as s:
            try:
                for line in s.iter_lines():
                    lines.append(line)
            except httpx.TransportError:
                cut.append(True)
    t = threading.Thread(target=work)
    t.start()
    wait_for(lambda: len(lines) > 8)
    began = time.monotonic()
    relay.signal(signal.SIGTERM)
    assert relay.process.wait(SURELY_SECONDS) == 0
    assert time.monotonic() - began > 0.2
    t.join()
    assert cut and "data: [DONE]" not in lines
    rows = relay.rows()
    assert len(rows) == 1 and rows[0]["status"] >= 400 and rows[0]["completion_tokens"] > 0
    assert rows[0]["usage_source"] == "estimated"


def test_idle_connections_do_not_hold_it(start, sim):
    relay = make(start, sim, shutdown_grace="10m")
    idle = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(5)]
    with relay.http(relay.first_key) as c:  # a kept-alive one, too
        ask(c, "p/a")
        relay.signal(signal.SIGTERM)
        assert relay.process.wait(SURELY_SECONDS) == 0
    [s.close() for s in idle]


def test_a_second_signal_ends_it_at_once(start, sim, word):
    relay = make(start, sim, shutdown_grace="10m")

    def work():
        try:
            with relay.http(relay.first_key) as c:
                ask(c, "p/a", f"{word} [[sim:ttft=600000]]")
        except httpx.TransportError:
            pass
    t = threading.Thread(target=work)
    t.start()
    wait_for(lambda: sim.find(word))
    relay.signal(signal.SIGTERM)
    wait_refused(relay)  # it has taken the first
    relay.signal(signal.SIGTERM)
    relay.process.wait(SURELY_SECONDS)
    t.join()


def test_readiness_while_stopping(start, sim, word):
    relay = make(start, sim, shutdown_grace="5s")
    with relay.http() as c:
        assert c.get("/healthz").status_code == 200 and c.get("/readyz").status_code == 200
    assert relay.stop() == 0


def test_nothing_is_left_in_the_journal(start, sim, word):
    relay = make(start, sim)
    with relay.http(relay.first_key) as c:
        for i in range(50):
            ask(c, "p/a", f"{word} {i}")
    assert relay.stop() == 0
    assert len(relay.rows()) == 50
    left = [p for p in (relay.data / "journal").rglob("*") if p.is_file() and p.stat().st_size > 4096]
    assert not left, left
