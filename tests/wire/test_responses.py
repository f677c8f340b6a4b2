"""OpenAI's Responses: the official SDK against the real binary, over four providers' dialects.

The client checks every plain answer against the SDK's own types, and take() the events of streams."""

import asyncio
import json

import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from dialects import DIALECTS, four_dialects, model_of, provider_of, questions, wait_closed
from support import error_of, usd

EVENT = TypeAdapter(ResponseStreamEvent)
TOOLS = [{"type": "function", "name": n, "strict": None, "parameters": {
    "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}
    for n in ("get_weather", "get_time")]

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


@pytest.fixture(scope="module")
def relay(start_once, sim):
    return start_once.relay(four_dialects(sim.url))


@pytest.fixture(scope="module")
def client(relay):
    with OpenAI(base_url=relay.base_url, api_key=relay.first_key, max_retries=0,
                _strict_response_validation=True) as c:
        yield c


def take(events):
    """The events of create(stream=True), each one of the SDK's own types."""
    out = []
    for event in events:
        EVENT.validate_python(event.to_dict())
        out.append(event)
    return out


@every_dialect
def test_plain(relay, client, word, dialect):
    model = model_of(dialect)
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


@every_dialect
def test_streamed(client, word, dialect):
    with client.responses.stream(model=model_of(dialect), input=f"{word} 你好🙂 [[sim:split=3;split_gap_ms=0]]") as stream:
        events = list(stream)
        final = stream.get_final_response()
    types = [e.type for e in events]
    assert types[:2] == ["response.created", "response.in_progress"] and types[-1] == "response.completed"
    assert [e.sequence_number for e in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert f"{word} 你好🙂" in text and final.output_text == text
    assert final.usage.output_tokens > 0


@both_ways
@every_dialect
def test_an_agent_loop(client, sim, word, dialect, streamed):
    model = model_of(dialect)
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
    if dialect == "gemini":
        parts = questions(sim, dialect, word)[-1]["contents"][1]["parts"]
        assert [p["thoughtSignature"] for p in parts if "functionCall" in p] == ["c2ltLXNpZ25hdHVyZQ=="] * 2


@both_ways
@every_dialect
def test_length(relay, client, word, dialect, streamed):
    body = dict(model=model_of(dialect), input=word, max_output_tokens=2)
    if streamed:
        events = take(client.responses.create(stream=True, **body))
        assert events[-1].type == "response.incomplete"
        res = events[-1].response
    else:
        res = client.responses.create(**body)
    assert res.status == "incomplete" and res.incomplete_details.reason == "max_output_tokens"
    assert res.usage.output_tokens == 2


class City(BaseModel):
    name: str
    people: int


@both_ways
@every_dialect
def test_structured_output(client, sim, word, dialect, streamed):
    body = dict(model=model_of(dialect), input=word, text_format=City)
    if streamed:
        with client.responses.stream(**body) as stream:
            stream.until_done()
            res = stream.get_final_response()
    else:
        res = client.responses.parse(**body)
    assert isinstance(res.output_parsed, City)
    assert '"people"' in json.dumps(questions(sim, dialect, word)[-1])


@both_ways
@every_dialect
def test_reasoning_goes_back(client, sim, word, dialect, streamed):
    """Items of a stateless conversation come back as they went; a signed thought reaches its maker."""
    body = dict(model=model_of(dialect), reasoning={"effort": "high", "summary": "auto"}, store=False,
                include=["reasoning.encrypted_content"])
    if streamed:
        with client.responses.stream(input=word, **body) as stream:
            res = stream.get_final_response()
    else:
        res = client.responses.create(input=word, **body)
    thoughts = [o for o in res.output if o.type == "reasoning"]
    if dialect != "openai":  # OpenAI's chat counts its reasoning and does not show it
        assert [s.text for t in thoughts for s in t.summary] == [
            "The user wants an answer. A short one will do."]
    items = [{"role": "user", "content": word}, *[o.to_dict() for o in res.output],
             {"role": "user", "content": word + "?"}]
    assert client.responses.create(input=items, **body).output_text
    sent = questions(sim, dialect, word + "?")[-1]
    if dialect == "anthropic":
        assert sent["messages"][1]["content"][0] == {
            "type": "thinking", "thinking": thoughts[0].summary[0].text, "signature": "c2ltLXNpZ25hdHVyZQ=="}


@every_dialect
def test_images(client, sim, word, dialect):
    parts = [{"type": "input_text", "text": word},
             {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="}]
    client.responses.create(model=model_of(dialect), input=[{"role": "user", "content": parts}])
    assert "aGk=" in json.dumps(questions(sim, dialect, word)[-1])


@every_dialect
def test_leaving_a_stream(relay, client, sim, word, dialect):
    raw = client.responses.with_raw_response.create(
        model=model_of(dialect), input=f"{word} [[sim:tokens=500;gap_ms=20]]", stream=True)
    with raw.parse() as stream:
        texts = (e for e in stream if e.type == "response.output_text.delta")
        assert len([next(texts) for _ in range(20)]) == 20
    row = relay.row(raw.headers["x-relay-id"])
    assert (row["status"], row["error_code"]) == (499, "client_closed")
    assert row["usage_source"] == "estimated" and 20 <= row["completion_tokens"] < 500
    assert usd(row["cost_usd"]) > 0
    wait_closed(sim, word)


def test_auto_side_by_side(relay, word):
    """The asynchronous client; "auto" among what `only` leaves."""
    async def go():
        async with openai.AsyncOpenAI(base_url=relay.base_url, api_key=relay.first_key,
                                      max_retries=0) as client:
            async def one(dialect):
                stream = await client.responses.create(
                    model="auto", input=f"{word} {dialect}", stream=True,
                    extra_body={"routing": {"only": [model_of(dialect)]}})
                return "".join([e.delta async for e in stream if e.type == "response.output_text.delta"])
            return await asyncio.gather(*[one(d) for d in DIALECTS])
    for dialect, text in zip(DIALECTS, asyncio.run(go())):
        assert f"{word} {dialect}" in text
    for row in relay.wait_rows(4, "model_asked = 'auto'"):
        assert (row["route"], row["endpoint"], row["stream"]) == ("chosen", "/v1/responses", 1)


@both_ways
@pytest.mark.parametrize("fault,status", [("error=rate", 429), ("status=500", 502)])
def test_a_retry_succeeds(start, word, fault, status, streamed):
    sim = start.sim()
    relay = start.relay(four_dialects(sim.url))
    name, value = fault.split("=")
    sim.rules({"match": {"contains": word}, "times": 1, "then": {name: value, "retry_after": "1"}})
    with OpenAI(base_url=relay.base_url, api_key=relay.first_key, max_retries=2) as client:
        body = dict(model=model_of("gemini"), input=word)
        if streamed:
            with client.responses.stream(**body) as stream:
                res = stream.get_final_response()
        else:
            res = client.responses.create(**body)
    assert word in res.output_text
    assert [r["status"] for r in relay.wait_rows(2)] == [status, 200]


@pytest.mark.parametrize("fault,error", [
    ("status=400;error_message=no such knob", openai.BadRequestError),
    ("status=422", openai.UnprocessableEntityError), ("status=500", openai.InternalServerError)])
@every_dialect
def test_errors_of_providers(relay, client, word, dialect, fault, error):
    with pytest.raises(error) as caught:
        client.responses.create(model=model_of(dialect), input=f"{word} [[sim:{fault}]]")
    body = caught.value.response.json()
    assert body["relay"]["provider"] == provider_of(dialect)
    row = relay.row(body["relay"]["id"])
    assert (row["status"], row["error_code"]) == (caught.value.status_code, caught.value.code)


def test_refused(http, client, word):
    for more, param in (({"previous_response_id": "resp_1"}, "previous_response_id"),
                        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
                        ({"background": True}, "background"), ({"conversation": "c"}, "conversation")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model=model_of("openai"), input=word, **more)
        assert caught.value.param == param
    error = error_of(http.post("/v1/responses", json={"model": model_of("openai")}), 400, "invalid_request")
    assert error["param"] == "input"


@every_dialect
def test_a_cut_stream_is_no_answer(relay, word, dialect):
    # Not the checking client: the codes of Relay's failures are more than OpenAI's own.
    client = OpenAI(base_url=relay.base_url, api_key=relay.first_key, max_retries=0)
    for fault in ("close_event=8", "reset_event=8", "error_event=8", "done=0"):
        events = []
        with pytest.raises(openai.APIConnectionError):  # the connection closes without its last chunk
            for event in client.responses.create(
                    model=model_of(dialect), input=f"{word} [[sim:events=10;{fault};gap_ms=30]]", stream=True):
                events.append(event)
        assert events[-1].type == "response.failed" and events[-1].response.error.code, fault
        assert not [e for e in events if e.type in ("response.completed", "response.incomplete")]
