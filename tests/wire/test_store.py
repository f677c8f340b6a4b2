"""The store may be away, the journal damaged, the start a race: no request waits, no row is lost."""

import os
import sqlite3
import threading
import time

import pytest

from support import SURELY_SECONDS, ask, error_of, model, provider, wait_for


def make(start, sim, **config):
    return start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")], **config})


def test_a_locked_store_holds_nobody_up(start, sim, word):
    """Reference 4.6: no request ever waits for the store; what it missed it gets later."""
    relay = make(start, sim)
    with relay.http(relay.first_key) as c:
        ask(c, "p/m", word)
        relay.wait_rows(1)
        lock = sqlite3.connect(relay.data / "relay.db", isolation_level=None, timeout=SURELY_SECONDS)
        lock.execute("BEGIN EXCLUSIVE")
        try:
            slowest = 0
            ids = []
            for i in range(50):
                began = time.monotonic()
                answer = ask(c, "p/m", f"{word} {i}")
                slowest = max(slowest, time.monotonic() - began)
                assert answer.status_code == 200
                ids.append(answer.headers["x-relay-id"])
            time.sleep(0.4)
            assert slowest < 5
            wait_for(lambda: c.get("/readyz").json()["store"] == "away")
            ready = c.get("/readyz")  # store reachable or journalling
            said = ready.json()
            assert ready.status_code == 200 and said["status"] == "ready" and "locked" in said["store_trouble"]
            assert relay.metric("relay_store_up") == 0 and said["journal_bytes"] > 0
            assert len(relay.rows()) == 1
            assert relay.metric("relay_journal_bytes") > 0
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        rows = relay.wait_rows(51)
        assert {r["id"] for r in rows} >= set(ids)


def test_a_full_journal_refuses(start, sim, word):
    """when_full: refuse: loud, and over when the store is back."""
    relay = make(start, sim, journal={"max_bytes": "64KiB"})
    with relay.http(relay.first_key) as c:
        ask(c, "p/m", word)
        relay.wait_rows(1)
        lock = sqlite3.connect(relay.data / "relay.db", isolation_level=None, timeout=SURELY_SECONDS)
        lock.execute("BEGIN EXCLUSIVE")
        good = 1
        try:
            for i in range(1000):
                answer = ask(c, "p/m", f"{word} {i}", metadata={"fill": "x" * 200})
                if answer.status_code != 200:
                    break
                good += 1
            error = error_of(answer, 503, "overloaded")
            assert answer.headers["retry-after"]
            assert good > 20
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        wait_for(lambda: ask(c, "p/m", word + "again").status_code == 200)
        wait_for(lambda: len(relay.rows("status = 200")) == good + 1,
                 why=lambda: f"{len(relay.rows('status = 200'))} rows of {good + 1}")
    assert '"error"' in relay.log() or '"warn"' in relay.log()


def test_a_full_journal_drops_where_told_to(start, sim, word):
    relay = make(start, sim, journal={"max_bytes": "64KiB", "when_full": "drop"})
    with relay.http(relay.first_key) as c:
        ask(c, "p/m", word)
        relay.wait_rows(1)
        lock = sqlite3.connect(relay.data / "relay.db", isolation_level=None, timeout=SURELY_SECONDS)
        lock.execute("BEGIN EXCLUSIVE")
        try:
            for i in range(400):
                assert ask(c, "p/m", f"{word} {i}", metadata={"fill": "x" * 200}).status_code == 200
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        wait_for(lambda: len(relay.rows()) > 20)
        assert len(relay.rows()) < 401
    assert '"error"' in relay.log() or '"warn"' in relay.log()


def _journal_files(relay):
    return sorted(p for p in (relay.data / "journal").rglob("*") if p.is_file() and p.stat().st_size)


def _kill_with_rows_in_the_journal(relay, c, word, count):
    """Kills the gateway while the rows are in the journal alone."""
    lock = sqlite3.connect(relay.data / "relay.db", isolation_level=None, timeout=SURELY_SECONDS)
    lock.execute("BEGIN EXCLUSIVE")
    ids = [ask(c, "p/m", f"{word} {i}").headers["x-relay-id"] for i in range(count)]
    relay.kill()
    lock.execute("ROLLBACK")
    lock.close()
    return ids


@pytest.mark.parametrize("damage", ["none", "cut", "garbage", "flipped", "empty file", "strange file"])
def test_a_damaged_journal(start, sim, word, damage):
    """What is whole is replayed, what is not is left out and said; the start goes on."""
    relay = make(start, sim)
    with relay.http(relay.first_key) as c:
        ids = _kill_with_rows_in_the_journal(relay, c, word, 20)
    files = _journal_files(relay)
    assert files
    last = max(files, key=lambda p: p.stat().st_size)
    data = last.read_bytes()
    end = len(data)
    if damage == "cut":
        last.write_bytes(data[:end - 7])
    elif damage == "garbage":
        last.write_bytes(data + os.urandom(500))
    elif damage == "flipped":
        middle = end // 2
        last.write_bytes(data[:middle] + bytes([data[middle] ^ 0x40]) + data[middle + 1:])
    elif damage == "empty file":
        (last.parent / ("zz" + last.name)).write_bytes(b"")
    elif damage == "strange file":
        (last.parent / "notes.txt").write_text("not a journal")
    relay.start()
    assert relay.stop() == 0  # which copies all that is left
    got = {r["id"] for r in relay.rows()}
    assert len(got) >= 5 and got <= set(ids)
    if damage in ("none", "garbage", "empty file", "strange file"):
        assert got == set(ids)
    elif damage == "cut":
        assert len(got) >= 19 or len(files) > 1
    relay.start()
    with relay.http(relay.first_key) as c:
        id = ask(c, "p/m", word + "after").headers["x-relay-id"]
    relay.row(id)


def test_replay_is_idempotent(start, sim, word):
    """The same journal twice: no row twice."""
    relay = make(start, sim)
    with relay.http(relay.first_key) as c:
        ids = _kill_with_rows_in_the_journal(relay, c, word, 10)
    kept = {p: p.read_bytes() for p in _journal_files(relay)}
    relay.start()
    relay.wait_rows(10)
    relay.kill()
    for path, data in kept.items():
        path.write_bytes(data)
    relay.start()
    assert relay.stop() == 0  # which copies all that is left
    assert sorted(r["id"] for r in relay.rows()) == sorted(ids)


def test_sync_always(start, sim, word):
    relay = make(start, sim, journal={"sync": "always"})
    with relay.http(relay.first_key) as c:
        for i in range(20):
            assert ask(c, "p/m", f"{word} {i}").status_code == 200
    relay.wait_rows(20)


def test_retention(start, sim, word):
    relay = make(start, sim)
    with relay.http(relay.first_key) as c:
        ask(c, "p/m", word)
    relay.wait_rows(1)
    relay.configure({"log": {"retention": "1s"}})
    relay.stop()
    time.sleep(1.1)
    relay.start()
    wait_for(lambda: relay.rows() == [], why="an old row is still there")


@pytest.mark.parametrize("round", range(3))
def test_two_gateways_that_start_together(start, sim, word, round):
    """One folder, one store, nothing there yet: migrations do not collide and the keys are made once."""
    a = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]}, start=False)
    b = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                     "store": a.config["store"], "journal": {"dir": str(a.folder / "journal-b")}},
                    start=False)
    b.data = a.data
    failed = []

    def begin(relay):
        try:
            relay.start()
        except AssertionError as e:
            failed.append(e)
    both = [threading.Thread(target=begin, args=(r,)) for r in (a, b)]
    [t.start() for t in both]
    [t.join() for t in both]
    assert not failed, failed
    assert len(a.keys()) == 1
    for r in (a, b):
        with r.http(a.first_key) as c:
            assert ask(c, "p/m", f"{word} {r.port}").status_code == 200
    made = a.make_key("both")
    for r in (a, b):
        with r.http(made) as c:
            assert ask(c, "p/m", word).status_code == 200
    assert len(a.wait_rows(4)) == 4


def test_a_store_that_cannot_be_opened(start, sim):
    relay = start.relay({"store": "sqlite:/proc/none/relay.db"}, start=False)
    relay.start(wait=False)
    assert relay.process.wait(SURELY_SECONDS) == 1
    (relay.folder / "junk.db").write_bytes(b"this is no database " * 100)
    relay.configure({"store": f"sqlite:{relay.folder}/junk.db"})
    relay.start(wait=False)
    assert relay.process.wait(SURELY_SECONDS) == 1
    assert "database" in relay.log()


def test_a_key_of_a_store_that_is_away(start, sim, word):
    """Known keys work on; an unknown good-looking one is 503 with retry-after or 401, never let in."""
    relay = make(start, sim)
    fresh = relay.make_key("fresh")
    with relay.http(relay.first_key) as c:
        ask(c, "p/m", word)
        lock = sqlite3.connect(relay.data / "relay.db", isolation_level=None, timeout=SURELY_SECONDS)
        lock.execute("BEGIN EXCLUSIVE")
        try:
            assert ask(c, "p/m", word + "2").status_code == 200
            with relay.http(fresh) as f:
                answer = ask(f, "p/m", word)
                assert answer.status_code in (200, 503)
                if answer.status_code == 503:
                    assert answer.headers["retry-after"]
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        with relay.http(fresh) as f:
            wait_for(lambda: ask(f, "p/m", word).status_code == 200)


def test_unknown_keys_with_a_right_checksum_are_bounded(start, sim):
    """They reach the store, but at a bounded rate; good keys are served meanwhile."""
    relay = make(start, sim)
    other = make(start, sim)
    strangers = [other.make_key(f"s{i}") for i in range(30)]
    with relay.http(relay.first_key) as good:
        for _ in range(10):
            for key in strangers:
                with relay.http(key) as c:
                    answer = c.get("/v1/models")
                    assert answer.status_code in (401, 503), answer.text
            assert good.get("/v1/models").status_code == 200
