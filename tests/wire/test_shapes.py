"""Everything else an OpenAI client can ask for and get: choices, logprobs, refusals, odd content; and that
long use leaves no trace in memory."""

import json
import re
import socket
import time

import pytest

from support import (IS_ASAN, SURELY_SECONDS, ask, chat, content_of, model, parse_answers, provider, raw_request,
                     stream)


def test_two_choices(relay, http, sim, word):
    body = ask(http, "p/small", word, n=2).json()
    assert [c["index"] for c in body["choices"]] == [0, 1]
    assert all(word in c["message"]["content"] for c in body["choices"])
    answer, events, cut = stream(http, "p/small", word, n=2)
    assert not cut
    texts = {0: "", 1: ""}
    for e in events[:-1]:
        for c in e["choices"]:
            texts[c["index"]] += c["delta"].get("content") or ""
    assert texts[0] == texts[1] and word in texts[0]
    assert len([c for e in events[:-1] for c in e["choices"] if c.get("finish_reason")]) == 2
    assert relay.row(answer.headers["x-relay-id"])["completion_tokens"] > 0


def given(body):
    """A directive that makes the simulator answer with exactly this body."""
    return "[[sim:body=" + json.dumps(body).replace(";", "\\u003b").replace("]]", "] ]") + "]]"


BASE = {"id": "x1", "object": "chat.completion", "created": 7, "model": "up-stream-name",
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}


@pytest.mark.parametrize("choice", [
    {"message": {"role": "assistant", "content": None, "refusal": "I will not"}, "finish_reason": "stop"},
    {"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop", "logprobs": {
        "content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]}},
    {"message": {"role": "assistant", "content": "x", "annotations": [{"type": "url_citation"}]},
     "finish_reason": "stop"},
    {"message": {"role": "assistant", "content": "a", "brand_new": {"b": 1.50}},
     "finish_reason": "stop"},
], ids=["refusal", "logprobs", "annotations", "unknown"])
def test_a_plain_answer_comes_as_it_was(http, word, choice):
    """Same dialect on both sides: nothing is lost, known or not."""
    body = {**BASE, "choices": [{"index": 0, **choice}], "service_tier": "default",
            "system_fingerprint": "fp", "x_new": [1]}
    answer = ask(http, "p/small", f"{word} {given(body)}")
    assert answer.status_code == 200, answer.text
    got = answer.json()
    got.pop("usage"), got.pop("id")
    want = json.loads(json.dumps(body))
    want.pop("usage"), want.pop("id")
    assert got == want


def test_the_models_own_name_is_in_the_body(http, word):
    answer = ask(http, "p/small", f"{word} [[sim:model=small-2026-11-01]]")
    assert answer.json()["model"] == "small-2026-11-01"
    assert answer.headers["x-relay-model"] == "small"


def test_content_filter_is_an_answer(relay, http, sim, word):
    answer = ask(http, "both", f"{word} [[sim:finish=content_filter]]")
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"
    assert len(sim.find(word)) == 1
    assert relay.row(answer.headers["x-relay-id"])["finish_reason"] == "content_filter"


def test_a_client_that_says_no_to_usage(http, word):
    _, events, cut = stream(http, "p/small", word, stream_options={"include_usage": False})
    assert not cut and all(e["choices"] for e in events[:-1])
    assert all(not e.get("usage") for e in events[:-1])


@pytest.mark.parametrize("text", ["", " ", "\u0000", "a\u2028b", "🙂" * 500, "\\n\\t\"'</script>",
                                  "ï" * 3000, "\u200b\u202e"])
def test_any_text(http, text):
    """What is asked comes back: plain, streamed in pieces of three bytes, and from the cache."""
    answer = ask(http, "p/small", "any: " + text)
    assert answer.status_code == 200 and ("any: " + text)[:2000] in answer.json()["choices"][0]["message"][
        "content"]
    text = "any stream: " + text + " [[sim:split=3;split_gap_ms=0]]"
    for kind in ("miss", "exact"):
        answer, events, cut = stream(http, "p/small", text)
        assert not cut and answer.headers["x-relay-cache"] == kind
        assert text[:2000] in content_of(events)


def test_many_messages_and_tools(http, sim, word):
    messages = [{"role": "user" if i % 2 == 0 else "assistant", "content": f"turn {i}"} for i in range(501)]
    messages[-1]["content"] = word
    tools = [{"type": "function", "function": {"name": f"tool_{i}", "description": "d" * 100, "parameters": {
        "type": "object", "properties": {f"a{j}": {"type": "string"} for j in range(20)}}}}
        for i in range(120)]
    answer = http.post("/v1/chat/completions", json={"model": "p/small", "messages": messages, "tools": tools})
    assert answer.status_code == 200
    sent = json.loads(sim.last()["body"]) if sim.last()["body_bytes"] < 250000 else None
    assert sent is None or (len(sent["messages"]) == 501 and sent["tools"] == tools)


def test_a_large_request(http, sim):
    """20 MB in one message: through, whole, and its memory given back."""
    text = "large " + "0123456789abcdef" * (20 << 16)
    answer = ask(http, "p/small", text, routing={"models": ["p/small"]}, max_tokens=1)
    assert answer.status_code in (200, 400), answer.text[:300]
    if answer.status_code == 200:
        assert sim.last()["body_bytes"] > 20 << 20


def test_old_functions_go_through(http, sim, word):
    body = chat("p/small", word, functions=[{"name": "f", "parameters": {"type": "object"}}],
                function_call="auto")
    assert http.post("/v1/chat/completions", json=body).status_code == 200
    sent = json.loads(sim.find(word)[-1]["body"])
    assert sent["functions"] and sent["function_call"] == "auto"


def test_developer_messages(http, sim, word):
    messages = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": word}]
    assert http.post("/v1/chat/completions", json={"model": "p/small", "messages": messages}
                     ).status_code == 200
    assert json.loads(sim.find(word)[-1]["body"])["messages"] == messages


def test_headers_of_every_answer(relay, http, key, word):
    """x-request-id and x-relay-id on every answer under /v1, errors included."""
    answers = [ask(http, "p/small", word), ask(http, "nobody"), http.get("/v1/models"),
               http.get("/v1/nothing"), http.put("/v1/models"),
               http.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})]
    with relay.http("glw_bad") as c:
        answers.append(ask(c, "p/small"))
    for answer in answers:
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-relay-id"]), answer.request.url
        assert answer.headers["x-request-id"]
        assert "date" in answer.headers and answer.headers["content-type"].startswith("application/json")
    assert len({a.headers["x-relay-id"] for a in answers}) == len(answers)


def test_a_stream_arrives_as_it_is_made(http, word):
    """Upstream bytes reach the client as they come: the first long before the last."""
    began = time.monotonic()
    times = []
    with http.stream("POST", "/v1/chat/completions", json=chat(
            "p/small", f"{word} [[sim:events=20;gap_ms=100]]", stream=True)) as s:
        for line in s.iter_lines():
            if line:
                times.append(time.monotonic() - began)
    assert times[0] < times[-1] - 0.8
    assert times[len(times) // 2] < times[-1] - 0.2


def test_keep_alive_and_close(relay, key):
    one = raw_request(key, chat("p/small", "keep", cache={"mode": "off"}))
    with socket.create_connection(("127.0.0.1", relay.port), timeout=SURELY_SECONDS) as s:
        for _ in range(5):
            s.sendall(one)
            got = b""
            while b"\r\n\r\n" not in got or len(parse_answers(got)[0][2]) < int(
                    parse_answers(got)[0][1]["content-length"]):
                got += s.recv(65536)
            assert parse_answers(got)[0][0] == 200
        s.sendall(one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        got = b""
        while block := s.recv(65536):
            got += block
        assert parse_answers(got)[0][1]["connection"] == "close"


@pytest.mark.skipif(IS_ASAN, reason="AddressSanitizer keeps freed memory")
def test_memory_is_flat(start, word):
    """10,000 requests, plain, refused and streamed, on one connection each: what it takes it gives back."""
    sim = start.sim("--bench")
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                         "log": {"level": "error"}, "cache": {"exact": False}})
    key = relay.first_key
    plain = raw_request(key, chat("p/m", "flat"))
    bad = raw_request(key, {"model": "p/m"})
    streamed = raw_request(key, chat("p/m", "flat", stream=True))

    def round(count):
        with socket.create_connection(("127.0.0.1", relay.port), timeout=SURELY_SECONDS) as s:
            for _ in range(count // 100):
                s.sendall(plain * 50 + bad * 40 + streamed * 10)
                got = b""
                while got.count(b"HTTP/1.1 ") < 100 or not got.endswith(b"\r\n0\r\n\r\n"):
                    block = s.recv(1 << 20)
                    assert block
                    got += block
                assert got.count(b"HTTP/1.1 200") == 60 and got.count(b"data: [DONE]") == 10
    round(4000)
    first = relay.memory_bytes()
    for _ in range(2):
        round(3000)
    assert relay.memory_bytes() - first < 4 << 20, f"{(relay.memory_bytes() - first) >> 10} KiB more"
    relay.wait_rows(10000)
