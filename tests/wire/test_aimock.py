"""An upstream that is not ours: @copilotkit/aimock in its OpenAI, Groq and OpenRouter shapes."""

import json

import pytest

from aimock import start_aimock
from support import ask, content_of, error_of, model, stream, usd, wait_for

TOOLS = [{"type": "function", "function": {"name": n, "parameters": {"type": "object"}}}
         for n in ("get_weather", "get_time")]
# provider: the base path under which aimock speaks that provider's shape
BASES = {"openai": "/v1", "groq": "/openai/v1", "openrouter": "/api/v1", "plain": "/v1"}


@pytest.fixture(scope="module")
def aimock(start_once):
    yield from start_aimock(start_once)


@pytest.fixture(scope="module")
def relay(start_once, aimock):
    return start_once.relay({
        "providers": {name: {"kind": "openai", "base_url": aimock.url + base, "api_key": "sk-mock"}
                      for name, base in BASES.items()},
        "models": [model(f"{name}/m", input=1, output=2, cached_input=0.1) for name in BASES]})


def last(aimock):
    """What aimock received last."""
    entries = aimock.client.get("/__aimock/journal").json()
    entries = entries if isinstance(entries, list) else entries.get("entries", entries)
    return max(entries, key=lambda e: e.get("timestamp", 0))


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("streamed", [False, True])
def test_text(relay, http, name, streamed, word):
    if streamed:
        answer, events, cut = stream(http, f"{name}/m", f"hello {word}",
                                     stream_options={"include_usage": True})
        assert not cut and events[-1] == "[DONE]"
        text = content_of(events)
        assert len([e for e in events[:-1] if e["choices"] == []]) == 1
    else:
        answer = ask(http, f"{name}/m", f"hello {word}")
        text = answer.json()["choices"][0]["message"]["content"]
    assert text == "Hi there! I am a mock answer of moderate length. 你好🙂"
    row = relay.row(answer.headers["x-relay-id"])
    assert row["status"] == 200 and row["finish_reason"] == "stop"
    assert row["usage_source"] == "provider" or row["usage_source"] == "estimated"


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_and_results(relay, http, name, streamed, word):
    if streamed:
        _, events, cut = stream(http, f"{name}/m", f"weather {word}", tools=TOOLS)
        assert not cut
        calls = {}
        for e in events[:-1]:
            for c in e["choices"]:
                finish = c.get("finish_reason") or None
                for t in c["delta"].get("tool_calls") or []:
                    d = calls.setdefault(t["index"], {"id": "", "name": "", "arguments": ""})
                    d["id"] = d["id"] or t.get("id", "")
                    d["name"] += t["function"].get("name") or ""
                    d["arguments"] += t["function"].get("arguments") or ""
        calls = [calls[i] for i in sorted(calls)]
    else:
        choice = ask(http, f"{name}/m", f"weather {word}", tools=TOOLS).json()["choices"][0]
        finish = choice["finish_reason"]
        calls = [{"id": t["id"], **t["function"]} for t in choice["message"]["tool_calls"]]
    assert finish == "tool_calls"
    assert [(c["id"], c["name"], json.loads(c["arguments"])) for c in calls] == [
        ("call_001", "get_weather", {"city": "Paris", "unit": "c"}),
        ("call_002", "get_time", {"tz": "CET"})]
    back = http.post("/v1/chat/completions", json={"model": f"{name}/m", "tools": TOOLS, "messages": [
        {"role": "user", "content": f"weather {word}"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": c["id"], "type": "function",
             "function": {"name": c["name"], "arguments": c["arguments"]}} for c in calls]},
        *[{"role": "tool", "tool_call_id": c["id"], "content": "20C"} for c in calls]]})
    assert back.json()["choices"][0]["message"]["content"] == "It is 20C."


def test_text_beside_tools(http, word):
    message = ask(http, "openai/m", f"both {word}", tools=TOOLS).json()["choices"][0]["message"]
    assert message["content"] == "Let me check." and len(message["tool_calls"]) == 1


@pytest.mark.parametrize("name", ["groq", "openrouter", "plain"])
def test_reasoning(http, name, word):
    _, events, cut = stream(http, f"{name}/m", f"think {word}")
    assert not cut and content_of(events) == "42"
    deltas = [c["delta"] for e in events[:-1] for c in e["choices"]]
    got = "".join(d.get("reasoning") or d.get("reasoning_content") or "" for d in deltas)
    assert got == "First I think about it, then more."


@pytest.mark.parametrize("streamed", [False, True])
def test_usage_and_cost(relay, http, word, streamed):
    text = f"usage {word}"
    answer = stream(http, "plain/m", text)[0] if streamed else ask(http, "plain/m", text)
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["prompt_tokens"], row["completion_tokens"]) == (100, 7)
    assert usd(row["cost_usd"]) > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_openrouter_states_its_cost(relay, http, word, streamed):
    text = f"usage {word}"
    answer = stream(http, "openrouter/m", text)[0] if streamed else ask(http, "openrouter/m", text)
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["prompt_tokens"], row["completion_tokens"]) == (100, 7)
    assert row["cached_tokens"] == 64 and row["reasoning_tokens"] == 3
    assert row["cost_usd"] is not None


def test_finish_reasons(http, word):
    for text, finish in (("toolong", "length"), ("unsafe", "content_filter")):
        assert ask(http, "openai/m", f"{text} {word}").json()["choices"][0]["finish_reason"] == finish
        _, events, _ = stream(http, "openai/m", f"{text} {word}")
        assert [c["finish_reason"] for e in events[:-1] for c in e["choices"]][-1] == finish


def test_errors(relay, http, word):
    error_of(ask(http, "openai/m", f"err500 {word}"), 502, "upstream_error")
    error_of(ask(http, "openai/m", f"err529 {word}"), 502, "upstream_error")
    answer = ask(http, "openai/m", f"err400 {word}")
    assert answer.status_code == 400 and "no such knob" in answer.json()["error"]["message"]
    answer = ask(http, "plain/m", f"err429 {word}")
    error_of(answer, 429, "upstream_rate_limit")
    assert answer.headers["retry-after"] == "1"
    wait_for(lambda: ask(http, "plain/m", f"hello after {word}").status_code == 200)


@pytest.mark.parametrize("text", ["cutme", "discme"])
def test_cut_streams(relay, http, text, word):
    answer, events, cut = stream(http, "openai/m", f"{text} {word}")
    assert cut and "[DONE]" not in events and "error" in events[-1]
    assert relay.row(answer.headers["x-relay-id"])["error_code"] == "upstream_truncated"


def test_leaving_a_slow_stream(relay, http, word):
    with http.stream("POST", "/v1/chat/completions", json={
            "model": "openai/m", "stream": True,
            "messages": [{"role": "user", "content": f"slow {word}"}]}) as s:
        next(s.iter_lines())
        id = s.headers["x-relay-id"]
    row = relay.row(id)
    assert row["status"] == 499 and row["usage_source"] == "estimated"


def test_structured(http, word):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    answer = ask(http, "openai/m", f"object {word}", response_format={
        "type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert json.loads(answer.json()["choices"][0]["message"]["content"]) == {"name": "Ada", "age": 36}


def test_chaos(relay, http, aimock, word):
    """Half of aimock's answers broken in every way it knows: each request ends in a way of the reference."""
    aimock.client.post("/__aimock/chaos", json={"dropRate": 0.2, "malformedRate": 0.2,
                                                "disconnectRate": 0.1})
    try:
        for i in range(40):
            answer = ask(http, "auto", f"hello {word} {i}",
                         routing={"models": ["openai/m", "plain/m", "openrouter/m"]})
            assert answer.status_code in (200, 429, 502, 503), answer.text
            if answer.status_code == 200:
                assert answer.json()["choices"][0]["message"]["content"].startswith("Hi there!")
            else:
                assert answer.json()["error"]["code"]
    finally:
        aimock.client.request("DELETE", "/__aimock/chaos")


def test_what_it_received(http, aimock, word):
    ask(http, "openai/m", f"hello {word}", temperature=0.5)
    entry = last(aimock)
    assert word in json.dumps(entry["body"]) and entry["body"]["model"] == "m"
    assert entry["body"]["temperature"] == 0.5
