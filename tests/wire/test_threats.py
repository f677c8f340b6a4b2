"""What SECURITY.md says of addresses and of the disk, and no other test shows."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess

import pytest
import trustme

from postgres_server import PASSWORD, Postgres, needs_postgres
from support import (RELAY_BIN, SURELY_SECONDS, ask, clean_environment, error_of, model, provider, raw_exchange, raw_request,
                     stream)


@pytest.fixture
def nobody():
    """A server that must not be called: (its port, whether it was)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def was_called():
            try:
                server.accept()[0].close()
                return True
            except BlockingIOError:
                return False
        yield server.getsockname()[1], was_called


def test_no_address_of_a_request_is_opened(start, sim, nobody, word):
    port, was_called = nobody
    url = f"http://127.0.0.1:{port}/latest/meta-data"
    relay = start.relay({"providers": {"p": provider(sim), "g": {"kind": "gemini", "base_url": sim.url + "/v1beta", "api_key": "x" * 20},
                                       "o": {"kind": "ollama", "base_url": sim.url}},
                         "models": [model("p/m"), model("g/m"), model("o/m")]})
    content = [{"type": "text", "text": word}, {"type": "image_url", "image_url": {"url": url}}]
    with relay.http(relay.first_key) as c:
        assert ask(c, "p/m", content).status_code == 200  # the provider's to open
        for id in ("g/m", "o/m"):
            error_of(ask(c, id, content), 400, "invalid_request")
        answer = c.post("/v1/messages", json={"model": "p/m", "max_tokens": 9, "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": url}}, {"type": "text", "text": word}]}]})
        assert answer.status_code == 200, answer.text
        for field in ("base_url", "api_base", "url", "callback_url", "proxy"):
            ask(c, "p/m", word + field, **{field: url})
        ask(c, "p/m", word + "h", headers={name: f"127.0.0.1:{port}" for name in
                                           ("x-forwarded-host", "forwarded", "x-original-url", "x-relay-provider-url")})
        assert ask(c, f"127.0.0.1:{port}/m", word).status_code == 404
    head, _, body = raw_request(relay.first_key, json.dumps({"model": "p/m", "messages": [
        {"role": "user", "content": word}]}).encode(), extra="Connection: close\r\n").partition(b"\r\n")
    for line in (f"POST {url} HTTP/1.1", f"CONNECT 127.0.0.1:{port} HTTP/1.1"):
        raw_exchange(relay.port, line.encode() + b"\r\n" + body)
    assert not was_called()


def test_it_listens_on_loopback_until_told_otherwise(tmp_path):
    (tmp_path / "relay.yaml").write_text("providers: {groq: {api_key: x}}\n")
    done = subprocess.run([RELAY_BIN, "check", "--print"], cwd=tmp_path, env=clean_environment(), capture_output=True,
                          text=True, timeout=SURELY_SECONDS)
    assert done.returncode == 0 and "127.0.0.1:8080" in done.stdout and "0.0.0.0" not in done.stdout


def files_under(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_disk_has_no_prompt_no_answer_and_no_key_by_default(start, sim, word):
    """Without a cache: rows are in the store, and rows that only the journal has. What a client's key was made
    with is a hash, but for the first, which is in a file of its own; all of it is its user's alone."""
    marks = [f"{word}{name}" for name in ("prompt", "answer", "tool", "streamed")]
    prompt, answer, tool, streamed = marks
    before = os.umask(0)
    try:
        relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                             "cache": {"exact": False, "semantic": False}})
    finally:
        os.umask(before)
    key = relay.make_key()

    def talk(client):
        ids = [ask(client, "p/m", f"{prompt} [[sim:text={answer}]]").headers["x-relay-id"],
               ask(client, "p/m", f"{prompt} [[sim:status=400;error_message={answer}]]").headers["x-relay-id"],
               ask(client, "p/m", prompt, tools=[{"type": "function", "function": {"name": tool}}]).headers["x-relay-id"]]
        stream(client, "p/m", f"{streamed} [[sim:events=5]]")
        return ids
    with relay.http(key) as client:
        for id in talk(client):
            relay.row(id)
        with contextlib.closing(sqlite3.connect(relay.data / "relay.db", isolation_level=None, timeout=SURELY_SECONDS)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            talk(client)
            relay.kill()
            lock.execute("ROLLBACK")
    files = files_under(relay.data)
    assert any("journal" in str(path.relative_to(relay.data)) and path.stat().st_size > 0 for path in files)
    for path in files:
        data, name = path.read_bytes(), path.relative_to(relay.data)
        for secret in [*marks, key, key[9:-6], relay.config["providers"]["p"]["api_key"]]:
            assert secret.encode() not in data, f"{secret} is in {name}"
        assert path.name in ("first-key", "admin-key") or relay.first_key[9:-6].encode() not in data, name
        assert path.stat().st_mode & 0o777 == 0o600, f"{name}: {path.stat().st_mode:o}"
    assert relay.data.stat().st_mode & 0o777 == 0o700


@needs_postgres
@pytest.mark.once
def test_who_answers_in_the_place_of_postgresql_is_told_nothing(start, sim, tmp_path, word):
    """The server has a certificate of an authority; who asks for another one, or for another name, does not log in."""
    ours, other = trustme.CA(), trustme.CA()
    for name, ca in (("ours", ours), ("other", other)):
        ca.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    server = Postgres(log_connections="on")
    try:
        leaf = ours.issue_cert("127.0.0.1")
        for name, text in (("server.crt", leaf.cert_chain_pems[0]), ("server.key", leaf.private_key_pem)):
            path = server.folder / "data" / name
            text.write_to_path(str(path))
            path.chmod(0o600)
            if server.owner:
                os.chown(path, server.owner["user"], server.owner["group"])
        server.query("ALTER SYSTEM SET ssl = on")
        server.stop()
        server.start()
        size = len(server.log())

        def said_with(name, mode="verify-full", host="127.0.0.1"):
            relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                                 "store": f"{server.url}?sslmode={mode}&sslrootcert={tmp_path / name}.pem".replace("127.0.0.1", host)},
                                start=False)
            return relay, relay.run("keys", "create", "--name", "x", check=False)
        for name, host in (("other", "127.0.0.1"), ("ours", "localhost")):
            relay, done = said_with(name, host=host)
            assert done.returncode != 0 and PASSWORD not in done.stderr, done.stderr
        assert "connection authorized" not in server.log()[size:]
        relay, done = said_with("ours")
        assert done.returncode == 0, done.stderr
        assert "SSL enabled" in server.log()[size:]
        relay.start()
        with relay.http(done.stdout.strip()) as client:
            assert ask(client, "p/m", word).status_code == 200
        assert relay.stop() == 0
        assert server.value("SELECT count(*) FROM request_log") == "1"
    finally:
        server.remove()
