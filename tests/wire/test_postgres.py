"""`store: postgresql://…`: gateways that share keys and request log through a real PostgreSQL, what they
say where it refuses them, and what they do while it is away."""

import contextlib
import itertools
import socketserver
import struct
import subprocess
import threading

import httpx
import pytest

from postgres_server import PASSWORD, Postgres, needs_postgres
from support import (RELAY_BIN, Relay, ask, clean_environment, error_of, free_port, model, provider,
                     wait_for)

pytestmark = needs_postgres

_databases = itertools.count(1)


@pytest.fixture(scope="module")
def server():
    server = Postgres()
    yield server
    server.remove()


class Database:
    """A database of one test."""

    def __init__(self, server, name=None):
        self.server = server
        self.name = name or f"d{next(_databases)}"
        server.query(f"CREATE DATABASE {self.name}", database="postgres")
        self.url = server.url[:-len("relay")] + self.name

    def query(self, sql):
        return self.server.query(sql, database=self.name)

    def ids(self):
        return [row["id"] for row in self.query("SELECT id FROM requests")]

    def has(self, count, ids):
        """So many rows in all, and these among them, each once."""
        wait_for(lambda: len(self.ids()) == count, why=lambda: f"{len(self.ids())} rows, wanted {count}")
        assert set(ids) <= set(self.ids())


@pytest.fixture
def db(server):
    """The server may be stopped by the test."""
    yield Database(server)
    if not server.is_running():
        server.start()
    server.thaw()


@pytest.fixture
def sim(start):
    return start.sim()


def gateway(start, sim, url, begin=True, **more):
    return start.relay({"providers": {"p": provider(sim)}, "store": url,
                        "models": [model("p/m", input=1, output=2)], **more}, start=begin)


def status_of(relay, key):
    with relay.http(key) as c:
        return ask(c, "p/m", "hello", cache={"mode": "off"}).status_code


def is_ready(relay):
    with httpx.Client(trust_env=False) as c:
        return c.get(relay.url + "/readyz", timeout=10).status_code == 200


def test_two_gateways_are_one(db, start, sim, word):
    """Keys and rows are shared; both start at once, where no table is there yet."""
    one, two = (gateway(start, sim, db.url, begin=False) for _ in range(2))
    one.start(wait=False)
    two.start()
    wait_for(one._is_ready, why=lambda: one.log())
    key = one.make_key("shared", rpm=500, tags="team=x")
    ids = []
    for relay in (one, two):
        with relay.http(key) as c:
            answer = ask(c, "p/m", f"{word} {relay.port}")
            assert answer.status_code == 200
            ids.append(answer.headers["x-relay-id"])
    wait_for(lambda: sorted(db.ids()) == sorted(ids), why=lambda: f"{db.ids()} are not {ids}")
    row = db.query(f"SELECT * FROM requests WHERE id = '{ids[0]}'")[0]
    assert row["key_id"] == one.key_id(key) and row["provider"] == "p" and float(row["cost_usd"]) > 0
    assert [k["name"] for k in two.keys() if k["tag"] == key[:8]] == ["shared"]
    assert '"requests":2' in two.run("usage", "--json").stdout
    assert len(two.run("logs", "--json").stdout.splitlines()) == 2
    assert PASSWORD not in one.log() + two.log()


@pytest.mark.parametrize("notified", [True, False])
def test_a_revoked_key_is_refused_everywhere(db, start, sim, notified):
    """Also where the notification was lost: then the next look finds it."""
    one, two = gateway(start, sim, db.url), gateway(start, sim, db.url)
    if not notified:
        source = db.query("SELECT pg_get_functiondef('key_changes'::regproc) AS d")[0]["d"]
        notify = "PERFORM pg_notify('relay_keys', '');"
        assert notify in source
        db.query(source.replace(notify, ""))
    key = one.make_key("short")
    assert [status_of(r, key) for r in (one, two)] == [200, 200]
    one.run("keys", "revoke", one.key_id(key))
    for relay in (one, two):
        wait_for(lambda: status_of(relay, key) == 401)


def serve_once(tmp_path, url, **env):
    """What `relay serve` says when it does not start."""
    done = subprocess.run([RELAY_BIN, "serve", "--listen", f"127.0.0.1:{free_port()}"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60,
                          env=clean_environment(RELAY_STORE=url, RELAY_LOG_LEVEL="error", **env))
    assert done.returncode != 0
    return done.stderr


def test_what_is_wrong_is_one_sentence(server, db, tmp_path):
    host = f"127.0.0.1:{server.port}"
    good = f"postgresql://relay:{PASSWORD.replace(' ', '%20')}@{host}"
    server.query("CREATE ROLE guest LOGIN PASSWORD 'guest password'", database="postgres")
    db.query("CREATE TABLE schema_version (version integer); INSERT INTO schema_version VALUES (99)")
    wanted = {
        f"postgresql://relay:wrongword@{host}/{db.name}": "correct user and password",
        f"{good}/nowhere": "make the database with createdb",
        f"{good}/{db.name}?sslmode=require": "sslmode",
        f"{good}/{db.name}?sslmoder=require": '"sslmoder"',
        f"{good}/{db.name}": "newer Relay",
        f"postgresql://guest:guest%20password@{host}/postgres": "GRANT CREATE",
        f"postgresql://relay:wrong@word@{host}/{db.name}": "percent-encoded",
        f"postgresql://relay:wrong%zzword@{host}/{db.name}": "percent-encoded",
        f"postgresql://relay@127.0.0.1:99999/{db.name}": "invalid port",
    }
    for url, words in wanted.items():
        said = serve_once(tmp_path, url)
        assert words in said and "store" in said, (url, said)
        assert len(said.strip().splitlines()) == 1, said
        for secret in ("word", PASSWORD, "guest password", "%zz"):
            assert secret not in said.replace("password", ""), said


def test_another_encoding_is_refused(server, tmp_path):
    server.query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0", database="postgres")
    assert "createdb -E UTF8" in serve_once(tmp_path, server.url[:-len("relay")] + "latin")


def _packet(kind, *parts):
    body = b"".join(parts)
    return kind + struct.pack(">I", len(body) + 4) + body


def _text(*words):
    return b"".join(word.encode() + b"\0" for word in words)


@contextlib.contextmanager
def old_server():
    """The first answer of a PostgreSQL 14, to everybody who comes; its port."""
    hello = [_packet(b"R", struct.pack(">I", 0)), _packet(b"Z", b"I")]
    hello[1:1] = [_packet(b"S", _text(name, value)) for name, value in (
        ("server_version", "14.9"), ("server_encoding", "UTF8"), ("client_encoding", "UTF8"),
        ("in_hot_standby", "off"), ("default_transaction_read_only", "off"))]

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while message := self.rfile.read(4):
                code = self.rfile.read(struct.unpack(">I", message)[0] - 4)[:4]
                if struct.unpack(">I", code)[0] >> 16 != 3:
                    self.wfile.write(b"N")  # neither TLS nor GSSAPI
                    continue
                self.wfile.write(b"".join(hello))
                self.rfile.read()
                return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_server_that_is_too_old_is_refused(tmp_path):
    with old_server() as port:
        said = serve_once(tmp_path, f"postgresql://relay:secret@127.0.0.1:{port}/relay")
    assert "store: PostgreSQL 14.9 is too old, Relay needs 15 or newer" in said and "secret" not in said


def test_check_says_who_answers(db, start, sim, server):
    relay = gateway(start, sim, db.url, begin=False)
    assert "has no tables yet" in relay.run("check").stdout
    relay.make_key("first")
    said = relay.run("check").stdout
    assert f"PostgreSQL 1" in said and f"127.0.0.1:{server.port}, database {db.name} as relay" in said
    assert "1 active of 1" in said and PASSWORD not in said
    relay.configure({"store": db.url.replace(str(server.port), str(free_port()))})
    assert "cannot be reached" in relay.run("check").stdout


class Traffic:
    """A client that asks on and on; `ids` of what was answered, `bad` of what was not with 200."""

    def __init__(self, relay, key):
        self.relay, self.key, self.ids, self.bad, self.stopping = relay, key, [], [], False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with self.relay.http(self.key) as c:
            while not self.stopping and not self.bad:
                answer = ask(c, "p/m", "hello", cache={"mode": "off"})
                if answer.status_code == 200:
                    self.ids.append(answer.headers["x-relay-id"])
                else:
                    self.bad.append(answer.text)

    def goes_on(self):
        count = len(self.ids)
        wait_for(lambda: len(self.ids) > count + 20 or self.bad, why=lambda: self.relay.log())
        assert not self.bad, self.bad

    def stop(self):
        self.stopping = True
        self.thread.join()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_it_goes_and_comes_back_under_traffic(db, start, sim, server, how):
    """Known keys go on, unknown ones are told to wait, no row is lost or doubled."""
    relay = gateway(start, sim, db.url)
    key = relay.make_key("known")
    traffic = Traffic(relay, key)
    try:
        traffic.goes_on()
        getattr(server, how)()
        wait_for(lambda: "the store does not work" in relay.log(), why=lambda: relay.log())
        traffic.goes_on()
        with relay.http("glw_7Qk2" + "x" * 36) as c:
            assert ask(c, "p/m", "hello").status_code == 401  # its checksum is wrong: nobody is asked
        other = Relay(relay.folder / "keys", {"store": f"sqlite:{relay.folder}/other.db"}, start=False)
        with relay.http(other.make_key("elsewhere")) as c:
            answer = ask(c, "p/m", "hello")
            error_of(answer, 503, "overloaded")
            assert answer.headers["retry-after"]
        assert is_ready(relay)  # the journal takes rows
        server.start()
        wait_for(lambda: "the store works again" in relay.log(), why=lambda: relay.log())
        traffic.goes_on()
        assert status_of(relay, relay.make_key("new")) == 200
    finally:
        traffic.stop()
    assert traffic.bad == []
    db.has(len(traffic.ids) + 1, traffic.ids)
    assert relay.stop() == 0


def test_a_start_without_it(db, start, sim, server):
    """The gateway starts, says so, and serves when PostgreSQL is there; an earlier run's journal is copied."""
    relay = gateway(start, sim, db.url)
    key = relay.make_key("mine")
    assert status_of(relay, key) == 200
    server.stop()
    with relay.http(key) as c:
        ids = [ask(c, "p/m", "hello", cache={"mode": "off"}).headers["x-relay-id"] for _ in range(5)]
    relay.kill()

    relay.start(wait=False)
    wait_for(lambda: "the store cannot be reached" in relay.log(), why=lambda: relay.log())

    def refused():
        try:
            with relay.http(key) as c:
                return ask(c, "p/m", "hello")
        except httpx.TransportError:
            return None
    answer = wait_for(refused)
    error_of(answer, 503, "overloaded")
    assert answer.headers["retry-after"] and not is_ready(relay)
    server.start()
    wait_for(lambda: is_ready(relay), why=lambda: relay.log())
    assert status_of(relay, key) == 200
    db.has(7, ids)


def test_a_stop_while_it_is_away_keeps_the_rows(db, start, sim, server):
    relay = gateway(start, sim, db.url)
    key = relay.make_key("mine")
    assert status_of(relay, key) == 200
    server.stop()
    wait_for(lambda: "the store does not work" in relay.log(), why=lambda: relay.log())
    with relay.http(key) as c:
        ids = [ask(c, "p/m", "hello", cache={"mode": "off"}).headers["x-relay-id"] for _ in range(5)]
    assert relay.stop() == 0
    server.start()
    relay.start()
    db.has(6, ids)


def test_a_frozen_server_holds_up_nobody(db, start, sim, server):
    """Its connections stay open and nothing answers."""
    relay = gateway(start, sim, db.url)
    key = relay.make_key("mine")
    traffic = Traffic(relay, key)
    try:
        traffic.goes_on()
        server.freeze()
        for _ in range(5):
            traffic.goes_on()
    finally:
        server.thaw()
        traffic.stop()
    assert traffic.bad == []
    db.has(len(traffic.ids), traffic.ids)
