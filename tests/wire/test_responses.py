"""OpenAI's Responses: the official SDK against the real binary, over two providers' dialects."""

import json

import openai
import pytest
from openai import OpenAI

from support import error_of

TOOLS = [{"type": "function", "name": n, "strict": None, "parameters": {
    "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}
    for n in ("get_weather", "get_time")]
MODELS = ["gemini/gemini-2.5-flash", "sim/small"]


@pytest.fixture(scope="module")
def upstream(start_once):
    return start_once.sim(name="upstream")


@pytest.fixture(scope="module")
def relay(start_once, upstream):
    return start_once.relay({
        "providers": {"gemini": {"base_url": upstream.url + "/v1beta", "api_key": "g"},
                      "sim": {"kind": "openai", "base_url": upstream.base_url, "api_key": "s"}},
        "models": [{"id": "sim/small", "input": 1, "output": 2, "quality": 50, "context": 100000,
                    "max_output": 8000, "capabilities": ["tools", "json", "vision"]}]})


@pytest.fixture(scope="module")
def client(relay):
    return OpenAI(base_url=relay.base_url, api_key=relay.first_key, max_retries=0)


@pytest.mark.parametrize("model", MODELS)
def test_plain(relay, client, word, model):
    raw = client.responses.with_raw_response.create(model=model, input=word, instructions="be brief",
                                                    max_output_tokens=50, store=False)
    res = raw.parse()
    assert word in res.output_text and res.status == "completed" and res.id.startswith("resp_")
    assert res.usage.total_tokens == res.usage.input_tokens + res.usage.output_tokens > 0
    assert res.instructions == "be brief" and res.max_output_tokens == 50
    row = relay.row(raw.headers["x-relay-id"])
    assert row["endpoint"] == "/v1/responses" and row["usage_source"] == "provider"
    again = client.responses.with_raw_response.create(model=model, input=word, instructions="be brief",
                                                      max_output_tokens=50, store=False)
    assert again.headers["x-relay-cache"] == "exact" and again.parse().output_text == res.output_text


@pytest.mark.parametrize("model", MODELS)
def test_streamed(client, word, model):
    with client.responses.stream(model=model, input=f"{word} 你好🙂 [[sim:split=3]]") as stream:
        events = list(stream)
        final = stream.get_final_response()
    types = [e.type for e in events]
    assert types[:2] == ["response.created", "response.in_progress"] and types[-1] == "response.completed"
    assert [e.sequence_number for e in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert f"{word} 你好🙂" in text and final.output_text == text
    assert final.usage.output_tokens > 0


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_an_agent_loop(client, upstream, word, model, streamed):
    items = [{"role": "user", "content": f"get_weather get_time {word}"}]
    if streamed:
        with client.responses.stream(model=model, input=items, tools=TOOLS) as stream:
            res = stream.get_final_response()
    else:
        res = client.responses.create(model=model, input=items, tools=TOOLS)
    calls = [o for o in res.output if o.type == "function_call"]
    assert [c.name for c in calls] == ["get_weather", "get_time"]
    assert all(set(json.loads(c.arguments)) == {"a"} for c in calls)
    items += [o.model_dump(exclude_none=True) for o in res.output]
    items += [{"type": "function_call_output", "call_id": c.call_id, "output": "sunny"} for c in calls]
    res = client.responses.create(model=model, input=items, tools=TOOLS)
    assert res.status == "completed" and res.output_text
    if model.startswith("gemini"):
        sent = [r for r in upstream.requests(path=None) if word in r.get("body", "")][-1]
        parts = json.loads(sent["body"])["contents"][1]["parts"]
        assert [p["thoughtSignature"] for p in parts if "functionCall" in p] == ["c2ltLXNpZ25hdHVyZQ=="] * 2


def test_length_and_schema(client, word):
    res = client.responses.create(model="sim/small", input=word, max_output_tokens=2)
    assert res.status == "incomplete" and res.incomplete_details.reason == "max_output_tokens"
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
              "additionalProperties": False}
    res = client.responses.create(model="sim/small", input=word + "s", text={
        "format": {"type": "json_schema", "name": "x", "schema": schema, "strict": True}})
    assert isinstance(json.loads(res.output_text)["n"], int)


def test_refused(http, client, word):
    for more, param in (({"previous_response_id": "resp_1"}, "previous_response_id"),
                        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
                        ({"background": True}, "background"), ({"conversation": "c"}, "conversation")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="sim/small", input=word, **more)
        assert caught.value.param == param
    error = error_of(http.post("/v1/responses", json={"model": "sim/small"}), 400, "invalid_request")
    assert error["param"] == "input"


@pytest.mark.parametrize("model", MODELS)
def test_a_cut_stream_is_no_answer(relay, client, word, model):
    for fault in ("close_event=8", "reset_event=8", "error_event=8", "done=0"):
        events = []
        with pytest.raises(openai.APIConnectionError):  # the connection closes without its last chunk
            for event in client.responses.create(
                    model=model, input=f"{word} [[sim:events=20;{fault};gap_ms=3]]", stream=True):
                events.append(event)
        assert events[-1].type == "response.failed" and events[-1].response.error.code, fault
        assert not [e for e in events if e.type in ("response.completed", "response.incomplete")]
