"""Clients of the OpenAI dialect, answered by a provider that speaks Anthropic's."""

import json

import httpx
import openai
import pytest
from support import ask, chat, model, provider, sse

TOOLS = [{"type": "function", "function": {
    "name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                                 "required": ["city"]}}} for name in ("get_weather", "get_time")]


def claude(sim, **more):
    return provider(sim, **{"kind": "anthropic", **more})


@pytest.fixture(scope="module")
def relay(start_once, sim):
    prices = {"cached_input": 0.1, "cache_write": 1.25, "cache_write_1h": 2}
    return start_once.relay({
        "providers": {"c": claude(sim), "o": provider(sim)},
        "models": [model("c/claude-opus-5", capabilities=["tools", "json", "vision", "reasoning"], **prices),
                   model("o/small", input=9)]})


@pytest.fixture(scope="module")
def client(relay):
    return openai.OpenAI(base_url=relay.url + "/v1", api_key=relay.first_key, max_retries=0)


@pytest.fixture(scope="module")
def key(relay):
    return relay.first_key


def sent(sim):
    """The last request that the provider got."""
    return json.loads(sim.last("/messages")["body"])


def test_plain_and_streamed(http, sim, word):
    answer = ask(http, "c/claude-opus-5", f"say {word}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert word in body["choices"][0]["message"]["content"]
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] > 0 and body["usage"]["cost"] > 0
    assert answer.headers["x-relay-provider"] == "c"
    assert sent(sim)["max_tokens"] == 8192
    whole = http.post("/v1/chat/completions", json=chat(
        "c/claude-opus-5", f"say {word} again", stream=True, stream_options={"include_usage": True}))
    events = sse(whole.text)
    assert events[-1] == "[DONE]" and events[-2]["usage"]["prompt_tokens"] > 0
    text = "".join(e["choices"][0]["delta"].get("content", "") for e in events[:-2])
    assert word in text


def test_a_loop_of_tools(client, sim, word):
    messages = [{"role": "user", "content": f"get_weather and get_time, {word}"}]
    first = client.chat.completions.create(model="c/claude-opus-5", messages=messages, tools=TOOLS)
    calls = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls" and len(calls) == 2
    assert all("city" in json.loads(c.function.arguments) for c in calls)
    messages.append(first.choices[0].message)
    messages += [{"role": "tool", "tool_call_id": c.id, "content": "fine"} for c in calls]
    second = client.chat.completions.create(model="c/claude-opus-5", messages=messages, tools=TOOLS)
    assert second.choices[0].finish_reason == "stop" and second.choices[0].message.content
    turns = sent(sim)["messages"]
    assert [t["role"] for t in turns] == ["user", "assistant", "user"]
    assert [b["type"] for b in turns[2]["content"]] == ["tool_result", "tool_result"]


def test_reasoning_comes_signed_and_goes_back(client, sim, word):
    messages = [{"role": "user", "content": f"think about {word} [[sim:reasoning=20]]"}]
    first = client.chat.completions.create(model="c/claude-opus-5", messages=messages,
                                           reasoning_effort="high")
    assert sent(sim)["thinking"] == {"type": "adaptive"}
    assert sent(sim)["output_config"] == {"effort": "high"}
    message = first.choices[0].message.model_dump()
    assert message["reasoning_content"]
    messages += [message, {"role": "user", "content": "and now?"}]
    client.chat.completions.create(model="c/claude-opus-5", messages=messages)
    thought = sent(sim)["messages"][1]["content"][0]
    assert thought["type"] == "thinking" and thought["signature"]
    assert thought["thinking"] == message["reasoning_content"]


@pytest.mark.parametrize("status", [529, 500, 429])
def test_an_overloaded_provider_is_passed_over(start, start_once, sim, status, word):
    bad = start.sim("--set", f"status={status}")
    relay = start.relay({
        "providers": {"c": claude(bad), "o": provider(sim)},
        "models": [model("c/claude-opus-5"), model("o/small", input=9)],
        "aliases": {"both": ["c/claude-opus-5", "o/small"]}})
    with relay.http(relay.first_key) as http:
        answer = ask(http, "both", word)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-relay-provider"] == "o"


def test_a_cut_stream_is_an_error(http, word):
    text = ""
    with pytest.raises(httpx.RemoteProtocolError):
        with http.stream("POST", "/v1/chat/completions", json=chat(
                "c/claude-opus-5", f"{word} [[sim:done=false]]", stream=True)) as answer:
            for piece in answer.iter_text():
                text += piece
    assert "[DONE]" not in text and '"error"' in text and '"content"' in text
    assert '"finish_reason":"stop"' not in text


def test_what_cannot_be_said_is_named(http, word):
    answer = ask(http, "c/claude-opus-5", word, logprobs=True)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "logprobs"


def test_it_counts_tokens_itself(relay, http, sim, word):
    """The provider's own count, for nothing; of a provider that has no such call Relay's estimate."""
    rows = len(relay.rows())
    ask_for = {"system": "Be brief.", "messages": [{"role": "user", "content": f"{word} [[sim:prompt_tokens=321]]"}]}
    answer = http.post("/v1/messages/count_tokens", json={"model": "c/claude-opus-5", "max_tokens": 9, **ask_for})
    assert (answer.status_code, answer.json()) == (200, {"input_tokens": 321})
    assert answer.headers["x-relay-provider"] == "c"
    assert json.loads(sim.last("/messages/count_tokens")["body"]) == {"model": "claude-opus-5", **ask_for}
    answer = http.post("/v1/messages/count_tokens", json={"model": "o/small", **ask_for})
    assert answer.status_code == 200 and answer.json()["input_tokens"] not in (0, 321)
    assert "x-relay-provider" not in answer.headers
    assert len(relay.rows()) == rows
