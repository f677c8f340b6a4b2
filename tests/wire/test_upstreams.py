"""Upstreams are not trusted: what they send is bounded, parsed strictly and never mixed up."""

import base64
import gzip
import json
import socket
import threading

import pytest

from support import (IS_ASAN, ask, chat, content_of, error_of, free_port, model, provider, raw_request,
                     stream, wait_for)

ANSWER = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
BODY = json.dumps(ANSWER).encode()
EVENTS = b"".join(b"data: " + json.dumps({
    "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
        {"index": 0, "delta": d, "finish_reason": f}]}).encode() + b"\n\n" for d, f in (
            ({"role": "assistant", "content": ""}, None), ({"content": "fine"}, None), ({}, "stop"))
) + b"data: [DONE]\n\n"


class Upstream(threading.Thread):
    """Answers every request with the next of `answers` as it is; the last one again and again."""

    def __init__(self, *answers, close=False):
        super().__init__(daemon=True)
        self.answers = list(answers)
        self.close = close
        self.requests = []
        self.sent = 0  # answers that are out, whole
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    block = s.recv(65536)
                    if not block:
                        return
                    data += block
                head, _, data = data.partition(b"\r\n\r\n")
                size = next((int(l.split(b":")[1]) for l in head.split(b"\r\n")
                             if l.lower().startswith(b"content-length:")), 0)
                while len(data) < size:
                    block = s.recv(65536)
                    if not block:
                        return
                    data += block
                body, data = data[:size], data[size:]
                if head.startswith(b"GET"):  # the question for models
                    s.sendall(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
                    continue
                self.requests.append((head, body))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                for part in answer if isinstance(answer, list) else [answer]:
                    s.sendall(part)
                self.sent += 1
                if self.close:
                    return
        except OSError:
            pass
        finally:
            s.close()

    def stop(self):
        self.listener.close()


def http_answer(body=BODY, *headers, status="200 OK", length=True):
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", *headers]
    if length:
        lines.append(f"content-length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def chunked(body, size=7):
    return b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + size]), body[i:i + size])
                    for i in range(0, len(body), size)) + b"0\r\n\r\n"


@pytest.fixture
def gateway(start):
    """make(upstream): a gateway whose alias `any` tries that upstream first, then a good one."""
    made = []

    def make(upstream, **config):
        made.append(upstream)
        good = Upstream(http_answer())
        made.append(good)
        relay = start.relay({
            "providers": {"a": {"kind": "openai", "base_url": upstream.base_url, "api_key": "ka"},
                          "b": {"kind": "openai", "base_url": good.base_url, "api_key": "kb"}},
            "models": [model("a/m", input=1), model("b/m", input=9, output=9)],
            "aliases": {"any": ["a/m", "b/m"]}, **config})
        relay.client = relay.http(relay.first_key)
        return relay
    yield make
    for u in made:
        u.stop()


SMUGGLING = {
    "two lengths": http_answer(BODY, "content-length: 5"),
    "length and chunked": http_answer(chunked(BODY), "transfer-encoding: chunked"),
    "unknown coding": http_answer(BODY, "transfer-encoding: gzip"),
    "bare LF head": http_answer().replace(b"\r\n", b"\n"),
    "folded header": http_answer(BODY, "x-a: b\r\n c"),
    "space before colon": http_answer(BODY, "x-a : b"),
    "NUL in a header": http_answer(BODY, "x-a: b\x00c"),
    "negative length": http_answer(BODY, "content-length: -5", length=False),
    "chunk size overflow": http_answer(b"fffffffffffffffff\r\nx", "transfer-encoding: chunked",
                                       length=False),
    "bad chunk": http_answer(b"zz\r\nx\r\n0\r\n\r\n", "transfer-encoding: chunked", length=False),
    "status 42": http_answer(status="42 What"),
    "status 101": http_answer(status="101 Switching Protocols"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "head without end": b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 300000,
    "thousands of headers": http_answer(BODY, *[f"x-{i}: y" for i in range(20000)]),
    "gzip that nobody asked for": http_answer(gzip.compress(BODY), "content-encoding: gzip"),
}


@pytest.mark.parametrize("shape", SMUGGLING)
def test_answers_that_are_not_http(gateway, word, shape):
    upstream = Upstream(SMUGGLING[shape], close=shape in ("head without end",))
    relay = gateway(upstream)
    answer = ask(relay.client, "any", word)
    assert answer.status_code == 200 and answer.headers["x-relay-provider"] == "b", answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "fine"
    assert relay.attempts(relay.row(answer.headers["x-relay-id"])["id"])[0]["error_code"] in (
        "upstream_invalid", "upstream_truncated", "upstream_error")


def test_bytes_behind_an_answer_reach_nobody(gateway, word):
    """Response smuggling: what follows an answer on its connection is not the next one's answer. (What
    comes after the next question was sent cannot be told from its answer by anybody.)"""
    poison = json.dumps({**ANSWER, "choices": [{"index": 0, "message": {
        "role": "assistant", "content": "POISON"}, "finish_reason": "stop"}]}).encode()
    upstream = Upstream(http_answer() + http_answer(poison), [http_answer(), http_answer(poison)],
                        http_answer())
    relay = gateway(upstream)
    for i in range(6):
        answer = ask(relay.client, "a/m", f"{word} {i}")
        assert answer.status_code == 200 and "POISON" not in answer.text, i
        wait_for(lambda: upstream.sent > i)
    assert upstream.connections >= 2


def test_an_answer_before_the_question_reaches_nobody(gateway, word):
    """Bytes that come while a connection idles in the pool spoil the connection, not a request."""
    first = [http_answer(), b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"]
    upstream = Upstream(first, http_answer())
    relay = gateway(upstream)
    for i in range(4):
        answer = ask(relay.client, "a/m", f"{word} {i}")
        assert answer.status_code == 200, answer.text


def test_a_pooled_connection_that_was_closed_meanwhile(gateway, word):
    upstream = Upstream(http_answer(), close=True)
    relay = gateway(upstream)
    for i in range(20):
        answer = ask(relay.client, "a/m", f"{word} {i}")
        assert answer.status_code == 200 and answer.headers["x-relay-attempts"] == "1"


@pytest.mark.parametrize("answer", [
    http_answer(length=False) + b"", http_answer(chunked(BODY), "transfer-encoding: chunked", length=False),
    http_answer(chunked(BODY, 1), "Transfer-Encoding: Chunked", length=False),
    http_answer(b"\n\n  \n" + BODY + b"\n \n"), http_answer(BODY, "x-empty:", "connection: keep-alive"),
    b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" * 3 + http_answer(),
    http_answer().replace(b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK"),
    http_answer().replace(b"200 OK", b"200"),
], ids=["until close", "chunked", "chunks of one", "blank lines", "empty header", "interim", "1.0",
        "no reason"])
def test_unusual_but_right(gateway, word, answer):
    upstream = Upstream(answer, close=b"content-length" not in answer and b"hunked" not in answer)
    relay = gateway(upstream)
    for i in range(2):
        got = ask(relay.client, "a/m", f"{word} {i}")
        assert got.status_code == 200, got.text
        assert got.json()["choices"][0]["message"]["content"] == "fine"


def test_interim_answers_without_end(gateway, word):
    upstream = Upstream(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000)
    relay = gateway(upstream, timeouts={"total": "3s"})
    answer = ask(relay.client, "any", word)
    assert answer.status_code in (200, 504)


@pytest.mark.parametrize("body", [
    b"null", b"[]", b'"text"', b"{}", b'{"choices":[]}', b'{"choices":{}}', b'{"choices":[null]}',
    b'{"choices":[{}]}', b'{"choices":[{"message":null}]}', b'{"choices":[{"message":"hi"}]}',
    b'{"choices":[{"message":{"role":"assistant","content":{"a":1}}}]}', b"[" * 10000, BODY[:-1],
    BODY + b"x", b"\xff\xfe", b'{"error":"no"}',
], ids=lambda b: repr(b[:40]))
def test_bodies_that_are_no_answer(gateway, word, body):
    relay = gateway(Upstream(http_answer(body)))
    answer = ask(relay.client, "any", word)
    assert answer.status_code == 200 and answer.headers["x-relay-provider"] == "b", answer.text


@pytest.mark.parametrize("usage", [
    None, [], "many", {}, {"prompt_tokens": "5"}, {"prompt_tokens": -5, "completion_tokens": -1},
    {"prompt_tokens": 1e300}, {"prompt_tokens": 1.5}, {"prompt_tokens": 99999999999999999999},
    {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}},
    {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": 7},
    {"prompt_tokens": 5, "completion_tokens": 1, "cost": "free"},
    {"prompt_tokens": 5, "completion_tokens": 1, "cost": -3},
    {"prompt_tokens": 9223372036854775807, "completion_tokens": 9223372036854775807},
], ids=lambda u: json.dumps(u)[:50])
def test_usage_that_cannot_be(gateway, word, usage):
    """The answer is good; nobody is charged nonsense, and nothing overflows."""
    relay = gateway(Upstream(http_answer(json.dumps({**ANSWER, "usage": usage}).encode())))
    answer = ask(relay.client, "a/m", word)
    assert answer.status_code == 200, answer.text
    row = relay.row(answer.headers["x-relay-id"])
    for column in ("prompt_tokens", "completion_tokens", "cached_tokens"):
        assert row[column] is None or 0 <= row[column] < 1 << 62, (column, row)
    assert row["cost_usd"] is None or float(row["cost_usd"]) >= 0
    if row["cached_tokens"] and row["prompt_tokens"]:
        assert row["cached_tokens"] <= row["prompt_tokens"]


def test_usage_that_changes(gateway, word):
    """A stream that tells its usage again and again is cumulative: the last one counts, once."""
    def chunk(delta, finish, p, c):
        return b"data: " + json.dumps({
            "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
                {"index": 0, "delta": delta, "finish_reason": finish}],
            "usage": {"prompt_tokens": p, "completion_tokens": c, "total_tokens": p + c}}).encode() + b"\n\n"
    body = (chunk({"role": "assistant", "content": "a"}, None, 10, 1) + chunk({"content": "b"}, None, 10, 2)
            + chunk({}, "stop", 10, 2) + b"data: [DONE]\n\n")
    upstream = Upstream(http_answer(body).replace(b"application/json", b"text/event-stream"))
    relay = gateway(upstream)
    answer, events, cut = stream(relay.client, "a/m", word)
    assert not cut and content_of(events) == "ab"
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["prompt_tokens"], row["completion_tokens"]) == (10, 2)


def test_a_stream_of_any_shape(gateway, word):
    """content-type with a parameter, no content-type, frames without choices, unknown events."""
    extra = (b": ping\n\nevent: ping\ndata: {}\n\nid: 5\nretry: 10\n\ndata: {\"x_extra\":1}\n\n")
    for head in (b"content-type: text/event-stream; charset=utf-8", b"x-no: type"):
        answer = b"HTTP/1.1 200 OK\r\n" + head + b"\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(
            extra + EVENTS, 11)
        relay = gateway(Upstream(answer))
        got, events, cut = stream(relay.client, "a/m", word)
        assert not cut and content_of(events) == "fine" and events[-1] == "[DONE]"


def test_bytes_after_done(gateway, word):
    body = EVENTS + b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"MORE\"}}]}\n\n"
    relay = gateway(Upstream(http_answer(body).replace(b"application/json", b"text/event-stream")))
    got, events, cut = stream(relay.client, "a/m", word)
    assert not cut and content_of(events) == "fine" and events[-1] == "[DONE]"


def test_tool_calls_without_index_and_finish_stop(gateway, word):
    """As the npm package openai-mock-api 0.4.0 does it."""
    def chunk(delta, finish=None):
        return b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "created": 1,
                                       "model": "m", "choices": [{"index": 0, "delta": delta,
                                                                  "finish_reason": finish}]}
                                      ).encode() + b"\n\n"

    def call(name):
        return {"id": f"c_{name}", "type": "function", "function": {"name": name, "arguments": "{}"}}
    body = (chunk({"role": "assistant"}) + chunk({"tool_calls": [call("a")]})
            + chunk({"tool_calls": [call("b")]}) + chunk({}, "stop") + b"data: [DONE]\n\n")
    relay = gateway(Upstream(http_answer(body).replace(b"application/json", b"text/event-stream")))
    _, events, cut = stream(relay.client, "a/m", word)
    calls = [t for e in events[:-1] for c in e["choices"] for t in c["delta"].get("tool_calls") or []]
    assert not cut and [t["index"] for t in calls] == [0, 1]
    assert [c["finish_reason"] for e in events[:-1] for c in e["choices"]][-1] == "tool_calls"


def test_an_early_refusal_of_a_large_request(gateway, word):
    """The provider answers 413 and closes while the body is still going out."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            head = s.recv(2000)
            if head.startswith(b"GET"):
                s.close()
                continue
            s.sendall(b"HTTP/1.1 413 Too large\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            s.shutdown(socket.SHUT_WR)
            s.settimeout(2)
            try:
                while s.recv(65536):
                    pass
            except OSError:
                pass
            s.close()
    threading.Thread(target=serve, daemon=True).start()

    class Early:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        stop = staticmethod(listener.close)
    relay = gateway(Early)
    answer = ask(relay.client, "a/m", "x" * 8_000_000)
    assert answer.status_code in (400, 413), answer.text


def test_a_provider_that_never_reads(gateway, word):
    """A large request to a provider that does not read: bounded by the time, and memory does not grow."""
    listener = socket.create_server(("127.0.0.1", 0))

    class Deaf:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        stop = staticmethod(listener.close)
    relay = gateway(Deaf, timeouts={"total": "1s"})
    error_of(ask(relay.client, "a/m", "x" * 8_000_000), 504, "upstream_timeout")


def test_names_that_do_not_resolve(start, word):
    relay = start.relay({"providers": {"a": {"kind": "openai", "base_url": "http://nowhere.invalid/v1",
                                             "api_key": "x"}}, "models": [model("a/m")]})
    with relay.http(relay.first_key) as c:
        answer = ask(c, "a/m", word)
    assert answer.status_code in (502, 504) and "nowhere" not in answer.headers.get("x-relay-model", "")


def test_what_a_provider_is_sent(gateway, word):
    """One clean request: lower case or not, but one length, no chunks, no forwarded junk."""
    upstream = Upstream(http_answer())
    relay = gateway(upstream)
    ask(relay.client, "a/m", word, headers={"te": "trailers", "connection": "keep-alive, x-secret",
                                            "x-secret": "1", "accept-encoding": "br"})
    head, body = upstream.requests[0]
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /v1/chat/completions http/1.1"
    names = [l.split(":")[0] for l in lines[1:]]
    assert len(names) == len(set(names)) and "transfer-encoding" not in names
    assert not {"te", "x-secret", "upgrade", "expect"} & set(names)
    assert "accept-encoding" not in names or "accept-encoding: identity" in lines
    assert json.loads(body)["model"] == "m"


def test_many_streams_at_once(start, sim, word):
    """200 streams in parallel, each with its own text, none mixed with another."""
    import asyncio
    import httpx
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]})
    key = relay.first_key

    async def go():
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
        async with httpx.AsyncClient(base_url=relay.url, trust_env=False, timeout=60, limits=limits,
                                     headers={"authorization": f"Bearer {key}"}) as c:
            async def one(i):
                text = f"{word} number {i} " + "é🙂" * (i % 50)
                answer = await c.post("/v1/chat/completions", json=chat(
                    "p/m", text + " [[sim:gap_ms=2;piece_chars=9]]", stream=True))
                assert answer.status_code == 200
                from support import sse
                events = sse(answer.text)
                assert events[-1] == "[DONE]" and text in content_of(events)
                return answer.headers["x-relay-id"]
            return await asyncio.gather(*[one(i) for i in range(200)])
    ids = asyncio.run(go())
    rows = relay.wait_rows(200)
    assert sorted(r["id"] for r in rows) == sorted(ids)
