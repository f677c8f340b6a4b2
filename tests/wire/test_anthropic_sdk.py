"""The official Anthropic SDK against Relay's /v1/messages, over providers of all four dialects.

The client checks every answer against the SDK's own types, and events() does it for streams."""

import asyncio
import base64
import json
import time

import anthropic
import pytest
from anthropic.types import RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from dialects import (CACHED, DIALECTS, INPUT, OUTPUT, four_dialects, model_of, provider_of,
                      questions, wait_closed)
from support import usd

EVENT = TypeAdapter(RawMessageStreamEvent)
WEATHER = {"name": "get_weather", "description": "The weather of a city", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
TIME = {"name": "get_time", "input_schema": {
    "type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


@pytest.fixture(scope="module")
def relay(start_once, sim):
    return start_once.relay(four_dialects(sim.url))


def connect(relay, key=None, **more):
    more.setdefault("max_retries", 0)
    return anthropic.Anthropic(base_url=relay.url, api_key=key or relay.first_key,
                               _strict_response_validation=True, **more)


@pytest.fixture(scope="module")
def client(relay):
    with connect(relay) as c:
        yield c


def user(content):
    return [{"role": "user", "content": content}]


def take(stream):
    """Reads a stream of the helper to its end; every raw event must be one of the SDK's types."""
    events = []
    for event in stream:
        if event.type.startswith(("message_", "content_block_")):
            plain = event.to_dict()
            plain.pop("message" if event.type == "message_stop" else "", None)
            plain.pop("content_block" if event.type == "content_block_stop" else "", None)
            EVENT.validate_python(plain)
        events.append(event)
    return events


def ask(client, streamed, **body):
    """(the message, x-relay-id), by messages.create or the stream helper."""
    body = {"max_tokens": 1000, **body}
    if not streamed:
        raw = client.messages.with_raw_response.create(**body)
        return raw.parse(), raw.headers["x-relay-id"]
    with client.messages.stream(**body) as stream:
        take(stream)
        return stream.get_final_message(), stream.response.headers["x-relay-id"]


def check_row(relay, id, dialect, usage, streamed):
    """The row has what the client was told, and the money follows from it."""
    row = relay.row(id)
    cached = usage.cache_read_input_tokens or 0
    assert (row["provider"], row["model"]) == (provider_of(dialect), DIALECTS[dialect][1])
    assert (row["endpoint"], row["status"], row["stream"]) == ("/v1/messages", 200, int(streamed))
    assert (row["usage_source"], row["cost_source"]) == ("provider", "catalog")
    assert row["prompt_tokens"] == usage.input_tokens + cached > 0
    assert (row["cached_tokens"] or 0, row["completion_tokens"]) == (cached, usage.output_tokens)
    cost = usd(row["cost_usd"]) * 1000000
    assert cost == usage.input_tokens * INPUT + cached * usd(str(CACHED)) + usage.output_tokens * OUTPUT
    return row


@both_ways
@every_dialect
def test_a_message(relay, client, sim, word, dialect, streamed):
    message, id = ask(client, streamed, model="auto", system="be brief", messages=user(f"{word} 你好🙂"),
                      extra_body={"routing": {"only": [model_of(dialect)]}})
    assert [b.type for b in message.content] == ["text"]
    assert f"{word} 你好🙂" in message.content[0].text
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert message.model == DIALECTS[dialect][1] and message.id
    row = check_row(relay, id, dialect, message.usage, streamed)
    assert (row["model_asked"], row["route"], row["finish_reason"]) == ("auto", "chosen", "stop")
    assert "be brief" in json.dumps(questions(sim, dialect, word)[0])


@every_dialect
def test_the_events_of_a_stream(client, word, dialect):
    """In Anthropic's order, whatever the provider's: the helper's own events follow from them."""
    with client.messages.stream(model=model_of(dialect), max_tokens=1000,
                                messages=user(f"{word} [[sim:split=3;split_gap_ms=0;reasoning=hmm, well]]"),
                                thinking={"type": "adaptive"}) as stream:
        events = take(stream)
        final = stream.get_final_message()
    raw = [e for e in events if e.type.startswith(("message_", "content_block_"))]
    kinds = [e.type for e in raw]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    open_block, seen = None, 0
    for event in raw[1:-2]:
        if event.type == "content_block_start":
            assert open_block is None and event.index == seen
            open_block, seen = event.index, seen + 1
        elif event.type == "content_block_stop":
            assert event.index == open_block
            open_block = None
        else:
            assert event.type == "content_block_delta" and event.index == open_block
    assert open_block is None and seen == len(final.content)
    text = "".join(e.text for e in events if e.type == "text")
    assert word in text and final.content[-1].text == text
    if dialect != "openai":  # OpenAI itself counts its reasoning and does not show it
        assert [b.type for b in final.content] == ["thinking", "text"]
        assert "".join(e.thinking for e in events if e.type == "thinking") == "hmm, well"


@both_ways
def test_the_plain_stream_of_create(client, word, streamed):
    """create(stream=True) gives the events as they come; text_stream of the helper only the text."""
    if streamed:
        with client.messages.stream(model=model_of("openai"), max_tokens=99, messages=user(word)) as s:
            text = "".join(s.text_stream)
    else:
        events = list(client.messages.create(model=model_of("openai"), max_tokens=99,
                                             messages=user(word), stream=True))
        text = "".join(e.delta.text for e in events if e.type == "content_block_delta")
        assert events[-1].type == "message_stop"
    assert word in text


@both_ways
@every_dialect
def test_tools(relay, client, sim, word, dialect, streamed):
    """Two calls at once, both answered in one turn, one of them as a failure."""
    ask_with = dict(model=model_of(dialect), tools=[WEATHER, TIME])
    messages = user(f"get_weather and get_time {word}")
    first, id = ask(client, streamed, messages=messages, **ask_with)
    calls = [b for b in first.content if b.type == "tool_use"]
    assert first.stop_reason == "tool_use" and [c.name for c in calls] == ["get_weather", "get_time"]
    assert [set(c.input) for c in calls] == [{"city"}, {"zone"}] and word in calls[0].input["city"]
    assert len({c.id for c in calls}) == 2
    assert check_row(relay, id, dialect, first.usage, streamed)["finish_reason"] == "tool_calls"
    messages += [{"role": "assistant", "content": first.content}, *user([
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": "21 degrees"},
        {"type": "tool_result", "tool_use_id": calls[1].id, "is_error": True,
         "content": [{"type": "text", "text": "no clock"}]}])]
    second, _ = ask(client, streamed, messages=messages, **ask_with)
    assert second.stop_reason == "end_turn" and second.content[0].text
    told = json.dumps(questions(sim, dialect, word)[-1])
    assert "21 degrees" in told and "no clock" in told and "is_error" not in told.replace(
        '"is_error": true', "") and ('"is_error": true' in told) == (dialect == "anthropic")


@every_dialect
def test_one_tool_by_choice(client, word, dialect):
    """A forced tool is the old way to structured output; Ollama cannot be forced, and says so."""
    def force():
        return client.messages.create(model=model_of(dialect), max_tokens=1000, messages=user(word),
                                      tools=[WEATHER, TIME], tool_choice={"type": "tool", "name": "get_time"})
    if dialect == "ollama":
        with pytest.raises(anthropic.BadRequestError, match="tool_choice"):
            force()
        return
    message = force()
    assert [(b.type, b.name, set(b.input)) for b in message.content] == [
        ("tool_use", "get_time", {"zone"})]


class City(BaseModel):
    name: str
    people: int


@both_ways
@every_dialect
def test_structured_output(client, sim, word, dialect, streamed):
    body = dict(model=model_of(dialect), max_tokens=1000, messages=user(word), output_format=City)
    if streamed:
        with client.messages.stream(**body) as stream:
            final = stream.get_final_message()
    else:
        final = client.messages.parse(**body)
    assert isinstance(final.parsed_output, City)
    assert '"people"' in json.dumps(questions(sim, dialect, word)[-1])


@every_dialect
def test_images(client, sim, word, dialect):
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    client.messages.create(model=model_of(dialect), max_tokens=99, messages=user(
        [{"type": "image", "source": source}, {"type": "text", "text": word}]))
    sent = json.dumps(questions(sim, dialect, word)[-1])
    assert PNG in sent and ("image/png" in sent) == (dialect != "ollama")


@both_ways
def test_thinking_comes_signed_and_goes_back(client, sim, word, streamed):
    """Through Relay to a Claude nothing of a thought may change, or the API refuses it."""
    first, _ = ask(client, streamed, model=model_of("anthropic"), messages=user(word),
                   thinking={"type": "adaptive"})
    thought = first.content[0]
    assert thought.type == "thinking" and thought.thinking and thought.signature
    messages = [*user(word), {"role": "assistant", "content": first.content}, *user(word + "?")]
    ask(client, streamed, model=model_of("anthropic"), messages=messages, thinking={"type": "adaptive"})
    back = questions(sim, "anthropic", word + "?")[-1]["messages"][1]["content"][0]
    assert back == {"type": "thinking", "thinking": thought.thinking, "signature": thought.signature}


@both_ways
@every_dialect
def test_length_and_cached_tokens(relay, client, word, dialect, streamed):
    told = "" if dialect == "ollama" else "[[sim:prompt_tokens=100;cached_tokens=40]]"
    message, id = ask(client, streamed, model=model_of(dialect), max_tokens=3, messages=user(word + told))
    assert message.stop_reason == "max_tokens" and message.usage.output_tokens == 3
    row = check_row(relay, id, dialect, message.usage, streamed)
    assert row["finish_reason"] == "length"
    if told:
        assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (60, 40)


def test_count_tokens(client, word):
    few = client.messages.count_tokens(model=model_of("openai"), messages=user(word))
    many = client.messages.count_tokens(model=model_of("openai"), messages=user(word * 200),
                                        system="be brief", tools=[WEATHER])
    assert 0 < few.input_tokens < many.input_tokens


# ---- errors ----

FAULTS = [
    ("status=400;error_message=no such knob", anthropic.BadRequestError, "invalid_request_error"),
    ("status=413", anthropic.ContentTooLargeError, "request_too_large"),
    ("status=422", anthropic.UnprocessableEntityError, "invalid_request_error"),
    ("status=500", anthropic.InternalServerError, "api_error"),
    ("error=overloaded", anthropic.InternalServerError, "api_error"),
    ("body=<html>", anthropic.InternalServerError, "api_error"),
]
# These put the provider's key to rest. The 401 is Relay's own, not the client's: no 401 for it.
LAST_FAULTS = [
    ("error=rate;retry_after=3", anthropic.RateLimitError, "rate_limit_error"),
    ("status=401", anthropic.InternalServerError, "api_error"),
]


@both_ways
@every_dialect
def test_errors_of_providers(start, sim, word, dialect, streamed):
    """Each in the class and with the type that the API's own answer would have had."""
    relay = start.relay(four_dialects(sim.url))
    with connect(relay) as client:
        for fault, error, kind in [*FAULTS, LAST_FAULTS[streamed]]:
            with pytest.raises(error) as caught:
                ask(client, streamed, model=model_of(dialect), messages=user(f"{word} [[sim:{fault}]]"))
            assert type(caught.value) is error and caught.value.type == kind, fault
            row = relay.row(caught.value.response.headers["x-relay-id"])
            assert row["status"] == caught.value.status_code and row["error_code"], fault
            if "no such knob" in fault:
                assert "no such knob" in caught.value.api_message
            if "retry_after" in fault:
                assert caught.value.response.headers["retry-after"] == "3"


def test_errors_of_relay(relay, client, word):
    def refused(error, kind, code, by=client, **body):
        with pytest.raises(error) as caught:
            by.messages.create(**{"model": model_of("openai"), "max_tokens": 9,
                                  "messages": user(word), **body})
        assert type(caught.value) is error and caught.value.type == kind
        assert caught.value.body["relay"]["code"] == code
        assert caught.value.body["request_id"] == caught.value.response.headers["x-relay-id"]
        return caught.value

    def limited(**limits):
        return connect(relay, relay.make_key("limited", **limits))
    bad, no, wrong = "invalid_request_error", "not_found_error", "authentication_error"
    refused(anthropic.AuthenticationError, wrong, "invalid_api_key", connect(relay, "glw_nonsense"))
    with anthropic.Anthropic(base_url=relay.url, auth_token=relay.first_key) as bearer:
        assert bearer.messages.count_tokens(model="auto", messages=user(word)).input_tokens
    refused(anthropic.NotFoundError, no, "model_not_found", model="nobody/none")
    refused(anthropic.BadRequestError, bad, "invalid_request", messages=[])
    error = refused(anthropic.BadRequestError, bad, "invalid_request", max_tokens=0)
    assert error.body["relay"]["param"] == "max_tokens"
    error = refused(anthropic.BadRequestError, bad, "invalid_request", model=model_of("openai"),
                    messages=user([{"type": "image", "source": {"type": "file", "file_id": "f"}}]))
    assert error.body["relay"]["param"].startswith("messages[0].content[0]")
    refused(anthropic.PermissionDeniedError, "permission_error", "model_not_allowed",
            limited(models=model_of("ollama")))
    refused(anthropic.PaymentRequiredError, "billing_error", "budget_exceeded",
            limited(budget_usd="0.000001", budget_period="day"))
    one = limited(rpm=1)
    one.messages.create(model=model_of("openai"), max_tokens=9, messages=user(word))
    error = refused(anthropic.RateLimitError, "rate_limit_error", "rate_limit_requests", one)
    assert 1 <= int(error.response.headers["retry-after"]) <= 61


@pytest.mark.parametrize("fault", ["close_event=8", "reset_event=8", "error_event=8", "done=0"])
@every_dialect
def test_a_cut_stream_is_no_message(relay, client, word, dialect, fault):
    kinds = []
    with pytest.raises(anthropic.APIError):
        with client.messages.stream(model=model_of(dialect), max_tokens=1000, messages=user(
                f"{word} [[sim:events=10;{fault};gap_ms=30]]")) as stream:
            id = stream.response.headers["x-relay-id"]
            for event in stream:
                kinds.append(event.type)
    assert "text" in kinds and "message_stop" not in kinds
    row = relay.row(id)
    assert row["error_code"].startswith("upstream_") and row["usage_source"] != "none"


@every_dialect
def test_leaving_a_stream(relay, client, sim, word, dialect):
    with client.messages.stream(model=model_of(dialect), max_tokens=1000, messages=user(
            f"{word} [[sim:tokens=500;gap_ms=20]]")) as stream:
        id = stream.response.headers["x-relay-id"]
        texts = (event for event in stream if event.type == "text")
        assert len([next(texts) for _ in range(20)]) == 20
    row = relay.row(id)
    assert (row["status"], row["error_code"]) == (499, "client_closed")
    # Anthropic has told one token in message_start: what came after it is paid for too.
    assert row["usage_source"] == "estimated" and 20 <= row["completion_tokens"] < 500
    assert usd(row["cost_usd"]) > 0
    wait_closed(sim, word)


# ---- retries, which the SDK makes by itself ----

@both_ways
@pytest.mark.parametrize("fault", ["error=rate", "error=overloaded", "status=500", "reset_at=9"])
def test_a_retry_succeeds(start, word, fault, streamed):
    """One provider only, so Relay has nothing else to try: the SDK asks it again, and gets its answer."""
    sim = start.sim()
    relay = start.relay(four_dialects(sim.url))
    name, value = fault.split("=")
    sim.rules({"match": {"contains": word}, "times": 1, "then": {name: value}})
    with connect(relay, max_retries=2) as client:
        began = time.monotonic()
        message, _ = ask(client, streamed, model=model_of("anthropic"), messages=user(word))
        waited = time.monotonic() - began
    assert word in message.content[0].text
    assert [r["status"] for r in relay.wait_rows(2)] == [429 if name == "error" and value == "rate"
                                                         else 502, 200]
    assert fault != "error=rate" or waited >= 1  # the retry-after of the simulator


def test_a_fallback_needs_no_retry(start, word):
    """What Relay can mend by another provider the SDK never hears of; what it cannot it need not repeat."""
    sim = start.sim()
    config = four_dialects(sim.url)
    config["aliases"] = {"any": [model_of("anthropic"), model_of("openai")]}
    relay = start.relay(config)
    first = {"match": {"model": DIALECTS["anthropic"][1]}, "then": {"error": "overloaded"}}
    sim.rules(first)
    with connect(relay, max_retries=2) as client:
        message, id = ask(client, False, model="any", messages=user(word))
        assert message.model == DIALECTS["openai"][1] and relay.row(id)["attempts"] == 2
        sim.rules(first, {"then": {"status": 500}})
        with pytest.raises(anthropic.InternalServerError) as caught:
            ask(client, False, model="any", messages=user(word + "!"))
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(sim.find(word + "!", None)) == 2


def test_many_at_once(relay, word):
    """The asynchronous client: streams side by side, each with its own words."""
    async def go():
        async with anthropic.AsyncAnthropic(base_url=relay.url, api_key=relay.first_key,
                                            max_retries=0) as client:
            async def one(dialect):
                async with client.messages.stream(model=model_of(dialect), max_tokens=99,
                                                  messages=user(f"{word} {dialect}")) as stream:
                    return await stream.get_final_text()
            return await asyncio.gather(*[one(d) for d in DIALECTS])
    for dialect, text in zip(DIALECTS, asyncio.run(go())):
        assert f"{word} {dialect}" in text
