"""Nobody's request or answer becomes another's where connections are shared: nginx before Relay, as deploy/ has it,
and nginx between Relay and a provider."""

import base64
import json
import re
import socket
import threading
import uuid

import httpx
import pytest

import nginx_server
from smuggling import LAWFUL, REFUSED
from support import SURELY_SECONDS, ask, model, provider, raw_request, wait_for
from tcp_proxy import Proxy

pytestmark = pytest.mark.once  # what Relay itself refuses is in test_http.py

# What an attacker hopes that the other side takes for the beginning of the next request on the connection: a whole
# one, whose answer would go to the next client, and one that waits for that client's request as the rest of its body.
HIDDEN = {"model": "p/small", "user": "attacker", "messages": [{"role": "user", "content": "attacker's"}]}
WHOLE = raw_request("K", HIDDEN)
WAITING = raw_request("K", json.dumps(HIDDEN)[:-5].encode(), length=700)


def test_behind_nginx_nobody_gets_what_is_anothers(start, sim, word):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    attacker, victim = relay.make_key("attacker"), relay.make_key("victim")
    proxy = Proxy(relay.port)
    front = nginx_server.in_front(start, proxy.port)
    seen, wrong, held = {}, [], []

    def asks(client, shape):
        mine = f"{word}v{len(seen)}e"
        answer = ask(client, "p/small", mine, user=mine)
        text = answer.text
        if answer.status_code != 200 or mine not in text or "attacker" in text:
            wrong.append((shape, answer.status_code, text[:500]))
        seen[mine] = answer.headers.get("x-relay-id")

    with relay.http(victim) as client:
        client.base_url = f"http://127.0.0.1:{front.port}"
        asks(client, "none yet")
        for name, shape in {**REFUSED, **LAWFUL}.items():
            for hidden in (WHOLE, WAITING):
                data = (shape + hidden).replace(b"Bearer K", b"Bearer " + attacker.encode())
                s = socket.create_connection(("127.0.0.1", front.port), timeout=SURELY_SECONDS)
                held.append(s)
                try:
                    s.sendall(data)
                    s.settimeout(0.3)  # some of them wait for more, and are not waited for
                    s.recv(100)
                except OSError:
                    pass
                asks(client, name)  # while the attacker's connection is there
            [s.close() for s in held]
            held.clear()
            asks(client, name)
    proxy.close()
    assert not wrong, wrong
    assert len(set(seen.values())) == len(seen) > 100
    # That those requests did share connections is what makes this a test.
    assert proxy.accepted < len(seen) / 2, f"{proxy.accepted} connections for {len(seen)} requests"

    keys = {relay.key_id(victim): set(seen), relay.key_id(attacker): {"attacker", None}}
    wait_for(lambda: len(relay.rows("key_id = ?", relay.key_id(victim))) >= len(seen))
    for row in relay.rows():
        assert row["user_tag"] in keys[row["key_id"]], row
        assert row["user_tag"] not in seen or seen[row["user_tag"]] == row["id"], row
    for mine in seen:
        found = sim.find(mine)
        assert len(found) == 1 and "attacker" not in found[0]["body"], found


@pytest.fixture(scope="module")
def before_nginx(start_once):
    """A gateway whose providers are reached through an nginx that keeps its connections."""
    sim = start_once.sim(name="provider")
    proxy = nginx_server.behind(start_once, sim.port)
    url = f"http://127.0.0.1:{proxy.port}"
    relay = start_once.relay({
        "providers": {"p": {"kind": "openai", "base_url": url + "/v1", "api_key": "sk-p-0123456789"},
                      "g": {"kind": "gemini", "base_url": url + "/v1beta", "api_key": "g-0123456789"}},
        "models": [model("p/small")]})
    relay.sim, relay.proxy = sim, proxy
    with relay.http(relay.first_key) as relay.client:
        yield relay


def lines(relay):
    """What nginx has been asked so far. It notes a request before it reads the next: once it has noted the one that
    is made here, those of before are all there."""
    mark = f"/mark-{uuid.uuid4()}"
    httpx.get(f"http://127.0.0.1:{relay.proxy.port}{mark}", trust_env=False, timeout=SURELY_SECONDS)
    wait_for(lambda: mark in relay.proxy.wire.read_text())
    noted = [json.loads(line) for line in relay.proxy.wire.read_text().splitlines()]
    return [line for line in noted if not line["request"].startswith("GET ")]  # nor who asks for models


def first_answer(port, data):
    """Sends; reads until an answer has begun that is not an interim one."""
    with socket.create_connection(("127.0.0.1", port), timeout=SURELY_SECONDS) as s:
        got = b""
        try:
            s.sendall(data)
            while not re.search(rb"HTTP/1.1 [2-5]", got):
                block = s.recv(65536)
                if not block:
                    break
                got += block
        except ConnectionError:
            pass
        return got


@pytest.mark.parametrize("name", sorted(set(LAWFUL) - {"a length beyond the body"}))
def test_what_goes_to_a_provider_is_one_request_with_a_length(before_nginx, name):
    """Whatever way it came: the client's framing, its trailers and its fields of this hop stay here."""
    relay = before_nginx
    before = len(lines(relay))
    data = LAWFUL[name].replace(b"Bearer K", b"Bearer " + relay.first_key.encode())
    # Another prompt, so that no cache answers; of the same length, so that the framing stays.
    letter = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[sorted(LAWFUL).index(name)]
    first_answer(relay.port, data.replace(b'"content": "x"', b'"content": "%c"' % letter))
    asked = lines(relay)[before:]
    assert len(asked) <= 1
    for line in asked:
        assert line["request"] == "POST /v1/chat/completions HTTP/1.1", line
        assert line["status"] == 200 and int(line["length"]) > 0, line
        assert line["coding"] == "" and line["injected"] == "", line


@pytest.mark.parametrize("name", [
    "a b", "a\r\nX-Injected: m", "a HTTP/1.1\r\nHost: b\r\n\r\nGET /", "../../__sim/reset",
    "..%2f..%2f__sim/reset", "a?b=c#d", "a%0d%0aX-Injected: m", "a\tb", "a\u0000b", "..", "a/../../b", "日本", "a\x7f"])
def test_a_models_name_is_one_segment_of_a_path(before_nginx, name, word):
    """Gemini has the model in the path of its request."""
    relay = before_nginx
    before = len(lines(relay))
    answer = ask(relay.client, "g/" + name, word)
    assert answer.status_code in (200, 400, 404), answer.text
    for line in lines(relay)[before:]:
        method, path, version = line["request"].split(" ")
        assert (method, version) == ("POST", "HTTP/1.1") and path.endswith(":generateContent"), line
        assert path.startswith("/v1beta/models/") and path.count("/") == 3 and "?" not in path, line
        assert line["injected"] == "" and ".." not in path.split("/"), line


@pytest.mark.parametrize("poison", [
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {n}\r\n\r\n{body}",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n{body}", "{body}", "\r\n\r\n"])
def test_bytes_behind_an_answer_are_nobodys(before_nginx, poison, word):
    """A provider that sends two answers to one question; nginx and Relay keep connections all the same."""
    relay = before_nginx
    body = json.dumps({"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "STOLEN"}, "finish_reason": "stop"}]})
    first = body.replace("STOLEN", "first")
    raw = (f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(first)}\r\n\r\n{first}"
           + poison.format(n=len(body), body=body))
    relay.sim.rules({"match": {"contains": f"{word} poisoned"}, "then": {"raw": base64.b64encode(raw.encode()).decode()}})
    try:
        for i in range(4):
            ask(relay.client, "p/small", f"{word} poisoned {i}")
            mine = f"{word} mine {i}"
            answer = ask(relay.client, "p/small", mine)
            assert answer.status_code == 200 and mine in answer.text and "STOLEN" not in answer.text, answer.text
    finally:
        relay.sim.reset()


def test_many_at_once_get_their_own(before_nginx, word):
    """Eight clients over the connections that all of them share."""
    relay, wrong = before_nginx, []

    def client(number):
        with relay.http(relay.first_key) as http:
            for i in range(15):
                mine = f"{word}c{number}i{i}e"
                answer = ask(http, "p/small", mine, stream=i % 2 == 0)
                text = answer.text if i % 2 else "".join(
                    json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                    for line in answer.text.splitlines() if line.startswith("data: {"))
                if answer.status_code != 200 or mine not in text or text.count(f"{word}c") != 1:
                    wrong.append((mine, answer.status_code, text))
    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong, wrong[:3]
