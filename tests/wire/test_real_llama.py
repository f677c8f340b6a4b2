"""llama-server, a real model server that others wrote, behind Relay: `make test-real`.

The models are tiny and random, so what they say is nonsense, and a test asks for the form alone: that
what the server did comes through, is counted, priced and logged. RELAY_LLAMA is the command that
starts the server (scripts/llama.sh prints it)."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import openai
import pytest
from openai import OpenAI

from real import tiny_model
from real.llama import SECRET, Llama, user
from support import ask, content_of, error_of, stream, usd, wait_for

pytestmark = pytest.mark.real

# More than a thousand of the server's tokens, fewer by Relay's estimate: Relay tries, the server refuses.
TOO_LONG = " forest" * 250
NARROW_CONTEXT, CLAIMED_CONTEXT, WIDE_CONTEXT = 1024, 4096, 8192
# Without it the random model's answer may be empty, which Relay takes for a failure.
GOES_ON = {str(tiny_model.END): -100}
PLACE = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": {
    "type": "object", "required": ["ok", "city"], "additionalProperties": False,
    "properties": {"ok": {"type": "boolean"}, "city": {"enum": ["Oslo", "Rome"]}}}}}
INPUT, CACHED, OUTPUT = Decimal("0.25"), Decimal("0.025"), Decimal("1.5")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def narrow(start_once, file):
    return Llama(start_once, file, "narrow", 2, NARROW_CONTEXT)


@pytest.fixture(scope="module")
def wide(start_once, file):
    return Llama(start_once, file, "wide", 1, WIDE_CONTEXT)


@pytest.fixture(scope="module")
def relay(start_once, narrow, wide):
    """narrow/narrow has prices, and more context in the configuration than the server gives it;
    wide/wide is known by discovery alone; locked has a wrong key."""
    relay = start_once.relay({
        "providers": {"narrow": narrow.provider(), "wide": wide.provider(),
                      "locked": narrow.provider(api_key="not-the-key-9876543210")},
        "models": [{"id": "narrow/narrow", "input": float(INPUT), "output": float(OUTPUT),
                    "cached_input": float(CACHED), "quality": 10, "context": CLAIMED_CONTEXT,
                    "capabilities": ["tools", "json"]}],
        "aliases": {"either": ["narrow/narrow", "wide/wide"],
                    "locked-first": ["locked/narrow", "narrow/narrow"]},
    })
    wait_for(lambda: "wide/wide" in relay.run("models", "--json").stdout
             or "wide/wide" in listed(relay), why=relay.log)
    return relay


def listed(relay):
    with relay.http(relay.first_key) as client:
        return {m["id"]: m for m in client.get("/v1/models").json()["data"]}


@pytest.fixture(scope="module")
def client(relay, key):
    with OpenAI(base_url=relay.base_url, api_key=key, max_retries=0, timeout=60) as c:
        yield c


def cost(usage):
    """By hand, in USD: prices are per million tokens, the server's own prefix cache has its own."""
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return ((usage["prompt_tokens"] - cached) * INPUT + cached * CACHED
            + usage["completion_tokens"] * OUTPUT) / 1000000


def test_what_the_server_has(relay):
    models = listed(relay)
    assert {"narrow/narrow", "wide/wide"} <= set(models), models
    assert models["wide/wide"]["context"] == WIDE_CONTEXT
    assert models["narrow/narrow"]["context"] == CLAIMED_CONTEXT  # the configuration wins


def test_plain(client, relay, word):
    raw = client.chat.completions.with_raw_response.create(
        model="narrow/narrow", max_tokens=40, temperature=0.9, logit_bias=GOES_ON,
        messages=[{"role": "system", "content": "the island"}, *user(f"the gateway reads {word}")])
    res = raw.parse()
    assert res.object == "chat.completion" and res.model == "narrow"
    assert res.choices[0].message.role == "assistant" and res.choices[0].message.content
    assert res.choices[0].finish_reason == "length"
    assert res.system_fingerprint and res.timings  # members that Relay does not know come through
    usage = res.usage.model_dump()
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    row = relay.row(raw.headers["x-relay-id"])
    assert (row["prompt_tokens"], row["completion_tokens"]) == (usage["prompt_tokens"],
                                                                usage["completion_tokens"])
    assert row["cached_tokens"] == usage["prompt_tokens_details"]["cached_tokens"]
    assert usd(row["cost_usd"]) == usd(raw.headers["x-relay-cost-usd"]) == cost(usage) > 0
    assert (row["usage_source"], row["cost_source"], row["cache"]) == ("provider", "catalog", "miss")
    assert (row["provider"], row["model"], row["route"], row["status"]) == (
        "narrow", "narrow", "pinned", 200)
    assert row["finish_reason"] == res.choices[0].finish_reason
    assert row["ttft_ms"] is None or row["ttft_ms"] <= row["latency_ms"]


def test_the_servers_prefix_cache_has_its_price(client, relay, word):
    """The second question shares a long beginning with the first, and the server tells so."""
    start = f"{word} " + "forest river music " * 20
    for n in (1, 2):
        raw = client.chat.completions.with_raw_response.create(
            model="narrow/narrow", messages=user(start + f"question {n}"), max_tokens=4,
            logit_bias=GOES_ON)
    usage = raw.parse().usage.model_dump()
    assert usage["prompt_tokens_details"]["cached_tokens"] > 40
    row = relay.row(raw.headers["x-relay-id"])
    assert row["cached_tokens"] == usage["prompt_tokens_details"]["cached_tokens"]
    assert usd(row["cost_usd"]) == cost(usage)


@pytest.mark.parametrize("asked", [True, False])
def test_streamed(client, relay, word, asked):
    more = {"stream_options": {"include_usage": True}} if asked else {}
    raw = client.chat.completions.with_raw_response.create(
        model="narrow/narrow", messages=user(word), stream=True, max_tokens=40,
        logit_bias=GOES_ON, **more)
    chunks = list(raw.parse())
    assert len({c.id for c in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text and "\ufffd" not in text
    row = relay.row(raw.headers["x-relay-id"])
    assert (row["status"], row["stream"], row["usage_source"]) == (200, 1, "provider")
    assert 0 < row["ttft_ms"] <= row["latency_ms"]
    without = [c for c in chunks if not c.choices]
    assert len(without) == (1 if asked else 0)
    if asked:
        usage = without[0].usage.model_dump()
        assert (row["prompt_tokens"], row["completion_tokens"]) == (usage["prompt_tokens"],
                                                                    usage["completion_tokens"])
        assert usd(row["cost_usd"]) == cost(usage) == usd(str(usage["cost"]))
    assert row["finish_reason"] == [c for c in chunks if c.choices][-1].choices[0].finish_reason


def test_plain_and_streamed_say_the_same(http, word):
    """Greedy and uncached: the text that the server makes is the same either way, to the byte."""
    more = {"temperature": 0, "max_tokens": 60, "logit_bias": GOES_ON, "headers": {"x-relay-cache": "off"}}
    _, events, cut = stream(http, "wide/wide", word, **more)
    plain = ask(http, "wide/wide", word, **more).json()
    assert not cut and events[-1] == "[DONE]"
    assert content_of(events) == plain["choices"][0]["message"]["content"]


def test_an_unpriced_model_has_no_cost(client, relay, word):
    raw = client.chat.completions.with_raw_response.create(
        model="wide/wide", messages=user(word), max_tokens=4, logit_bias=GOES_ON)
    row = relay.row(raw.headers["x-relay-id"])
    assert row["cost_usd"] is None and row["prompt_tokens"] > 0
    assert "x-relay-cost-usd" not in raw.headers


def test_the_exact_cache_spares_the_server(client, relay, narrow, word):
    """An answer of a schema, since those that a length has cut are not kept."""
    before = narrow.counted("tokens_predicted_total")
    answers = [client.chat.completions.with_raw_response.create(
        model="narrow/narrow", messages=user(word), temperature=0, max_tokens=300,
        response_format=PLACE) for _ in range(2)]
    assert [a.headers["x-relay-cache"] for a in answers] == ["miss", "exact"]
    first, again = (a.parse() for a in answers)
    assert first.choices[0].message.content == again.choices[0].message.content
    assert first.id != again.id
    row = relay.row(answers[1].headers["x-relay-id"])
    assert usd(row["cost_usd"]) == 0
    assert usd(row["cache_saved_usd"]) == usd(relay.row(answers[0].headers["x-relay-id"])["cost_usd"])
    assert narrow.counted("tokens_predicted_total") - before == first.usage.completion_tokens


def test_max_tokens_and_stop(client, relay, word):
    raw = client.chat.completions.with_raw_response.create(
        model="narrow/narrow", messages=user(word), max_tokens=5, logit_bias=GOES_ON)
    res = raw.parse()
    assert res.choices[0].finish_reason == "length" and res.usage.completion_tokens == 5
    assert relay.row(raw.headers["x-relay-id"])["finish_reason"] == "length"
    # Greedy, so that the words come again; stopped in the middle of them.
    more = {"max_tokens": 40, "logit_bias": GOES_ON, "temperature": 0}
    whole = client.chat.completions.create(model="narrow/narrow", messages=user(word), **more)
    text = whole.choices[0].message.content
    stop = next(text[n:n + 4] for n in range(5, len(text)) if text.index(text[n:n + 4]) == n)
    res = client.chat.completions.create(model="narrow/narrow", messages=user(word), stop=[stop], **more)
    assert res.choices[0].finish_reason == "stop"
    assert res.choices[0].message.content == text[:text.index(stop)]


def test_n_and_logprobs(client, relay, word):
    raw = client.chat.completions.with_raw_response.create(
        model="wide/wide", messages=user(word), n=1, logprobs=True, top_logprobs=3, max_tokens=6,
        logit_bias=GOES_ON)
    content = raw.parse().choices[0].logprobs.content
    assert 0 < len(content) <= 6 and all(len(t.top_logprobs) == 3 and t.logprob <= 0 for t in content)
    # Two choices need two slots.
    raw = client.chat.completions.with_raw_response.create(
        model="narrow/narrow", messages=user(word + "n"), n=2, max_tokens=6, logit_bias=GOES_ON)
    assert sorted(c.index for c in raw.parse().choices) == [0, 1]
    assert raw.headers["x-relay-cache"] == "bypass"
    chunks = list(client.chat.completions.create(model="narrow/narrow", messages=user(word + "s"),
                                                 n=2, max_tokens=6, stream=True, logprobs=True,
                                                 logit_bias=GOES_ON))
    assert {c.choices[0].index for c in chunks if c.choices} == {0, 1}
    assert any(c.choices[0].logprobs for c in chunks if c.choices)


def tool(name):
    return {"type": "function", "function": {
        "name": name, "description": f"calls {name}",
        "parameters": {"type": "object", "required": ["city"], "additionalProperties": False,
                       "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}}}}}


TOOLS = [tool("get_weather"), tool("get_time")]
# A model of random weights never calls a tool by itself.
FORCED = {"tools": TOOLS, "tool_choice": "required",
          "logit_bias": {str(tiny_model.TOOL_CALL): 60, str(tiny_model.END): 70}}


def calls_of(chunks):
    """The calls that a stream's chunks make together."""
    calls = {}
    for chunk in chunks:
        for part in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            call = calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += part.id or ""
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""
    return [calls[n] for n in sorted(calls)]


def is_complete(call):
    arguments = json.loads(call["arguments"])
    assert call["id"] and call["name"] in ("get_weather", "get_time")
    return set(arguments) == {"city"} and arguments["city"] in ("Oslo", "Rome")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_and_its_result(client, relay, word, streamed):
    messages = user(f"{word} weather")
    raw = client.chat.completions.with_raw_response.create(
        model="wide/wide", messages=messages, parallel_tool_calls=False, max_tokens=200,
        stream=streamed, **FORCED)
    if streamed:
        chunks = list(raw.parse())
        calls = calls_of(chunks)
        finish = [c.choices[0].finish_reason for c in chunks if c.choices][-1]
    else:
        choice = raw.parse().choices[0]
        calls = [{"id": c.id, "name": c.function.name, "arguments": c.function.arguments}
                 for c in choice.message.tool_calls]
        finish = choice.finish_reason
    assert finish == "tool_calls" and len(calls) == 1 and is_complete(calls[0])
    assert relay.row(raw.headers["x-relay-id"])["finish_reason"] == "tool_calls"
    messages += [{"role": "assistant", "content": None, "tool_calls": [
        {"id": calls[0]["id"], "type": "function",
         "function": {"name": calls[0]["name"], "arguments": calls[0]["arguments"]}}]},
        {"role": "tool", "tool_call_id": calls[0]["id"], "content": "21 degrees"}]
    res = client.chat.completions.create(model="wide/wide", messages=messages, tools=TOOLS,
                                         max_tokens=8, logit_bias=GOES_ON)
    assert res.choices[0].message.content and not res.choices[0].message.tool_calls


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools(client, word, streamed):
    """The random model goes on calling until its tokens are used up: the last call may be cut."""
    res = client.chat.completions.create(
        model="wide/wide", messages=user(f"{word} both"), parallel_tool_calls=True, max_tokens=300,
        stream=streamed, tools=TOOLS, tool_choice="required", seed=1,
        logit_bias={str(tiny_model.TOOL_CALL): 60})
    if streamed:
        calls = calls_of(res)
    else:
        calls = [{"id": c.id, "name": c.function.name, "arguments": c.function.arguments}
                 for c in res.choices[0].message.tool_calls]
    assert len(calls) >= 2 and len({c["id"] for c in calls}) == len(calls)
    assert all(is_complete(call) for call in calls[:-1])


@pytest.mark.parametrize("streamed", [False, True])
def test_json_schema(client, word, streamed):
    res = client.chat.completions.create(
        model="narrow/narrow", messages=user(word), max_tokens=300, stream=streamed,
        response_format=PLACE)
    text = "".join(c.choices[0].delta.content or "" for c in res if c.choices) if streamed \
        else res.choices[0].message.content
    place = json.loads(text)
    assert isinstance(place["ok"], bool) and place["city"] in ("Oslo", "Rome")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_context_that_is_too_small(client, relay, http, word, streamed):
    """The server's own refusal, with nothing larger to turn to: the client learns why."""
    answer = http.post("/v1/chat/completions", json={
        "model": "narrow/narrow", "messages": user(word + TOO_LONG),
        "stream": streamed})
    error = error_of(answer, 400, "context_length_exceeded")
    assert error["type"] == "invalid_request_error" and "context" in error["message"]
    row = relay.row(answer.headers["x-relay-id"])
    assert row["status"] == 400 and row["provider"] == "narrow"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="narrow/narrow", stream=streamed,
                                       messages=user(word + TOO_LONG))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_larger_context_takes_over(client, relay, word, streamed):
    raw = client.chat.completions.with_raw_response.create(
        model="either", messages=user(word + TOO_LONG), max_tokens=8,
        logit_bias=GOES_ON, stream=streamed)
    res = raw.parse()
    if streamed:
        assert "".join(c.choices[0].delta.content or "" for c in res if c.choices)
    else:
        assert res.usage.prompt_tokens > NARROW_CONTEXT
    assert (raw.headers["x-relay-provider"], raw.headers["x-relay-route"]) == ("wide", "fallback")
    assert raw.headers["x-relay-attempts"] == "2"
    id = raw.headers["x-relay-id"]
    assert relay.row(id)["attempts"] == 2
    first, second = relay.attempts(id)
    assert (first["provider"], first["status"], second["provider"], second["status"]) == (
        "narrow", 400, "wide", 200)


def test_a_wrong_key_of_relay_is_no_fault_of_the_client(client, relay, http, word):
    answer = ask(http, "locked/narrow", word)
    error = error_of(answer, 502, "upstream_error")
    assert "Invalid API Key" not in answer.text and "not-the-key" not in answer.text
    assert error["message"] and relay.row(answer.headers["x-relay-id"])["status"] == 502
    raw = client.chat.completions.with_raw_response.create(model="locked-first", messages=user(word),
                                                           max_tokens=4, logit_bias=GOES_ON)
    assert raw.headers["x-relay-provider"] == "narrow"
    assert "not-the-key" not in relay.log() and SECRET not in relay.log()


def test_leaving_frees_the_slot(relay, key, http, wide, word):
    """A stream that would go on to the end of the context; the client leaves early in it. (After a
    plain request whose client has left this server counts on to the end, so it is not asked here.)"""
    wait_for(lambda: wide.busy_slots() == 0)
    before, counted = len(relay.rows()), wide.counted("tokens_predicted_total")
    body = {"model": "wide/wide", "messages": user(word), "stream": True,
            "logit_bias": GOES_ON, "logprobs": True, "top_logprobs": 20}
    with relay.http(key) as c:
        with c.stream("POST", "/v1/chat/completions", json=body) as answer:
            blocks = answer.iter_raw()
            for _ in range(3):
                assert next(blocks)
            assert wide.busy_slots() == 1
    left = time.monotonic()
    wait_for(lambda: wide.busy_slots() == 0, why="the slot is still busy")
    assert time.monotonic() - left < 2
    assert wide.counted("tokens_predicted_total") - counted < WIDE_CONTEXT / 2
    row = relay.wait_rows(before + 1)[-1]
    assert (row["status"], row["error_code"]) == (499, "client_closed")
    assert ask(http, "wide/wide", word + "after", max_tokens=4, logit_bias=GOES_ON).status_code == 200


def test_many_at_once(relay, http, narrow, word):
    """More than there are slots: the server lets them wait, and so does Relay. One row each."""
    before = len(relay.rows())
    more = {"max_tokens": 30, "logit_bias": GOES_ON}

    def one(n):
        if n % 2:
            answer, events, cut = stream(http, "narrow/narrow", f"{word} {n}",
                                         stream_options={"include_usage": True}, **more)
            assert answer.status_code == 200, events
            assert not cut and events[-1] == "[DONE]"
            return answer.headers["x-relay-id"], events[-2]["usage"]
        answer = ask(http, "narrow/narrow", f"{word} {n}", **more)
        return answer.headers["x-relay-id"], answer.json()["usage"]
    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(one, range(48)))
    relay.wait_rows(before + 48)
    for id, usage in done:
        assert usd(relay.row(id)["cost_usd"]) == cost(usage)


def test_a_server_that_dies_and_comes_back(start, file, word):
    llama = Llama(start, file, "mortal", 1, NARROW_CONTEXT)
    relay = start.relay({"providers": {"mortal": llama.provider()}})
    with relay.http(relay.first_key) as http:
        assert ask(http, "mortal/mortal", word, max_tokens=4, logit_bias=GOES_ON).status_code == 200
        body = {"model": "mortal/mortal", "messages": user(word + "cut"), "stream": True,
                "logit_bias": GOES_ON, "logprobs": True, "top_logprobs": 20}
        text = b""
        with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            blocks = answer.iter_raw()
            text += next(blocks)
            llama.process.kill()
            with pytest.raises(httpx.RemoteProtocolError):
                for block in blocks:
                    text += block
        assert b"upstream_truncated" in text and b"[DONE]" not in text
        row = relay.row(answer.headers["x-relay-id"])
        assert (row["status"], row["error_code"]) == (502, "upstream_truncated")
        error_of(ask(http, "mortal/mortal", word + "away"), 502, "upstream_error")
        llama.start()
        assert ask(http, "mortal/mortal", word + "back", max_tokens=4,
                   logit_bias=GOES_ON).status_code == 200
