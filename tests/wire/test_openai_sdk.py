"""The official OpenAI SDK against Relay: what it sends, and what it makes of the answers."""

import asyncio
import base64
import json

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from support import chat, usd, wait_for

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                   "required": ["city"]}}}
TIME = {"type": "function", "function": {
    "name": "get_time", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}},
                                       "required": ["zone"]}}}
PNG = base64.b64encode(bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6300010000"
    "0005000100d0e2a2b50000000049454e44ae426082")).decode()


def user(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def client(relay, key):
    with OpenAI(base_url=relay.base_url, api_key=key, max_retries=0) as c:
        yield c


def test_the_example_as_written(start):
    """The README's example, word for word: nothing but a base_url, a key, "auto" and a routing wish."""
    sim = start.sim()
    relay = start.relay({
        "providers": {"p": {"kind": "openai", "base_url": sim.base_url, "api_key": "x"}},
        "models": [{"id": "p/small", "input": 0.1, "output": 0.2, "quality": 50, "context": 32768,
                    "capabilities": ["tools", "json"]}],
        "targets": {"min_quality": 30, "max_latency_ms": 5000}})
    client = OpenAI(base_url=f"http://127.0.0.1:{relay.port}/v1", api_key=relay.first_key)
    res = client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "ship it"}],
        extra_body={"routing": {"max_latency_ms": 600}})
    assert res.choices[0].message.role == "assistant"
    assert "ship it" in res.choices[0].message.content
    assert res.choices[0].finish_reason == "stop"
    assert res.model == "small"
    assert res.usage.total_tokens == res.usage.prompt_tokens + res.usage.completion_tokens
    sent = json.loads(sim.last()["body"])
    assert sent["model"] == "small" and "routing" not in sent
    row = relay.wait_rows(1)[0]
    assert row["model_asked"] == "auto" and row["max_latency_ms"] == 600


def test_plain(client, relay, word):
    raw = client.chat.completions.with_raw_response.create(model="p/small", messages=user(word))
    res = raw.parse()
    assert word in res.choices[0].message.content
    assert res.object == "chat.completion" and res.id and res.created
    head = raw.headers
    assert head["x-relay-provider"] == "p" and head["x-relay-model"] == "small"
    assert head["x-relay-route"] == "pinned" and head["x-relay-cache"] == "miss"
    assert head["x-relay-attempts"] == "1"
    assert head["x-request-id"] and head["x-relay-id"]
    assert float(head["x-relay-overhead-ms"]) >= 0
    row = relay.row(head["x-relay-id"])
    assert usd(head["x-relay-cost-usd"]) == usd(row["cost_usd"])
    assert (row["status"], row["stream"], row["endpoint"]) == (200, 0, "/v1/chat/completions")


def test_streamed(client, word):
    chunks = list(client.chat.completions.create(model="p/small", messages=user(word), stream=True))
    assert all(c.object == "chat.completion.chunk" for c in chunks)
    assert len({c.id for c in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert word in "".join(c.choices[0].delta.content or "" for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("asked", [True, False])
def test_usage_chunk_only_where_asked(client, relay, sim, word, asked):
    more = {"stream_options": {"include_usage": True}} if asked else {}
    raw = client.chat.completions.with_raw_response.create(model="p/small", messages=user(word),
                                                           stream=True, **more)
    chunks = list(raw.parse())
    without = [c for c in chunks if not c.choices]
    assert len(without) == (1 if asked else 0)
    row = relay.row(raw.headers["x-relay-id"])
    assert row["usage_source"] == "provider" and row["prompt_tokens"] > 0
    assert json.loads(sim.find(word)[-1]["body"])["stream_options"]["include_usage"] is True
    if asked:
        assert without[0] is chunks[-1]
        usage = without[0].usage
        assert usage.prompt_tokens == row["prompt_tokens"]
        assert usage.completion_tokens == row["completion_tokens"]
        assert usd(str(usage.cost)) == usd(row["cost_usd"])
    else:
        assert all(c.usage is None for c in chunks)


def test_one_tool_and_its_result(client, sim, word):
    messages = user(f"get_weather of {word}")
    res = client.chat.completions.create(model="p/small", messages=messages, tools=[WEATHER])
    assert res.choices[0].finish_reason == "tool_calls"
    call = res.choices[0].message.tool_calls[0]
    assert call.type == "function" and call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city"}
    messages += [res.choices[0].message.model_dump(exclude_none=True),
                 {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    res = client.chat.completions.create(model="p/small", messages=messages, tools=[WEATHER])
    assert res.choices[0].finish_reason == "stop" and res.choices[0].message.content
    sent = json.loads(sim.last()["body"])["messages"]
    assert sent[1]["tool_calls"][0]["id"] == call.id
    assert sent[2] == {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools(client, word, streamed):
    ask = dict(model="p/small", messages=user(f"get_weather and get_time {word}"),
               tools=[WEATHER, TIME])
    calls = {}
    if streamed:
        for chunk in client.chat.completions.create(stream=True, **ask):
            for t in chunk.choices[0].delta.tool_calls or []:
                c = calls.setdefault(t.index, {"id": None, "name": "", "arguments": ""})
                c["id"] = c["id"] or t.id
                c["name"] += t.function.name or ""
                c["arguments"] += t.function.arguments or ""
            finish = chunk.choices[0].finish_reason
    else:
        res = client.chat.completions.create(**ask)
        finish = res.choices[0].finish_reason
        for i, t in enumerate(res.choices[0].message.tool_calls):
            calls[i] = {"id": t.id, "name": t.function.name, "arguments": t.function.arguments}
    assert finish == "tool_calls"
    assert [calls[i]["name"] for i in sorted(calls)] == ["get_weather", "get_time"]
    assert len({c["id"] for c in calls.values()}) == 2
    assert [set(json.loads(calls[i]["arguments"])) for i in sorted(calls)] == [{"city"}, {"zone"}]


def test_the_stream_helper(client, word):
    """The SDK's own accumulator is the strictest reader of chunks."""
    with client.chat.completions.stream(model="p/small", messages=user(f"get_weather {word}"),
                                        tools=[WEATHER]) as s:
        for _ in s:
            pass
        final = s.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_images_as_data_uri(client, sim, word):
    url = f"data:image/png;base64,{PNG}"
    parts = [{"type": "text", "text": word}, {"type": "image_url", "image_url": {"url": url}}]
    client.chat.completions.create(model="p/small", messages=[{"role": "user", "content": parts}])
    assert json.loads(sim.last()["body"])["messages"][0]["content"] == parts


class City(BaseModel):
    name: str
    people: int


def test_structured_answers(client, sim, word):
    res = client.chat.completions.parse(model="p/small", messages=user(word), response_format=City)
    assert isinstance(res.choices[0].message.parsed, City)
    sent = json.loads(sim.last()["body"])["response_format"]
    assert sent["json_schema"]["strict"] is True
    assert set(sent["json_schema"]["schema"]["properties"]) == {"name", "people"}
    with client.chat.completions.stream(model="p/small", messages=user(word + "s"),
                                        response_format=City) as s:
        assert isinstance(s.get_final_completion().choices[0].message.parsed, City)
    res = client.chat.completions.create(model="p/small", messages=user(word + " as JSON"),
                                         response_format={"type": "json_object"})
    json.loads(res.choices[0].message.content)


def test_stop_and_length(client, relay, word):
    res = client.chat.completions.create(model="p/small", messages=user(f"a {word} b STOP c"),
                                         stop=["STOP"])
    assert res.choices[0].message.content.endswith(f"{word} b ")
    assert res.choices[0].finish_reason == "stop"
    raw = client.chat.completions.with_raw_response.create(model="p/small", messages=user(word),
                                                           max_tokens=5)
    res = raw.parse()
    assert res.choices[0].finish_reason == "length" and res.usage.completion_tokens == 5
    assert relay.row(raw.headers["x-relay-id"])["finish_reason"] == "length"
    res = client.chat.completions.create(model="p/small", messages=user(word + "m"),
                                         max_completion_tokens=3)
    assert res.usage.completion_tokens == 3


@pytest.mark.parametrize("flavour,field", [("groq", "reasoning"), ("deepseek", "reasoning_content")])
def test_reasoning(client, relay, word, flavour, field):
    text = f"{word} [[sim:flavour={flavour};reasoning=hmm, let me see]]"
    raw = client.chat.completions.with_raw_response.create(model="p/small", messages=user(text))
    message = raw.parse().choices[0].message.model_dump()
    assert message[field] == "hmm, let me see"
    row = relay.row(raw.headers["x-relay-id"])
    assert row["reasoning_tokens"] == raw.parse().usage.completion_tokens_details.reasoning_tokens > 0
    chunks = list(client.chat.completions.create(model="p/small", messages=user(text + "!"),
                                                 stream=True))
    got = "".join((c.choices[0].delta.model_dump().get(field) or "") for c in chunks if c.choices)
    assert got == "hmm, let me see"


def test_reasoning_comes_back_upstream(client, sim, word):
    """DeepSeek refuses the next turn without it (earendil-works/pi#3636)."""
    messages = user(word) + [
        {"role": "assistant", "content": None, "reasoning_content": "I think so",
         "tool_calls": [{"id": "call_1", "type": "function",
                         "function": {"name": "get_weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "fine"}]
    client.chat.completions.create(model="p/small", messages=messages, tools=[WEATHER])
    assert json.loads(sim.last()["body"])["messages"][1]["reasoning_content"] == "I think so"


def test_unknown_fields_go_upstream(client, sim, word):
    client.chat.completions.create(
        model="p/small", messages=user(word), seed=7, temperature=0.3, user="u1",
        extra_body={"brand_new": {"deep": [1, 2.5, "ü"]}, "routing": {}, "cache": {"mode": "off"},
                    "metadata": {"team": "x"}})
    sent = json.loads(sim.last()["body"])
    assert sent["brand_new"] == {"deep": [1, 2.5, "ü"]}
    assert sent["seed"] == 7 and sent["temperature"] == 0.3 and sent["user"] == "u1"
    assert not {"routing", "cache", "metadata"} & set(sent)


@pytest.mark.parametrize("status,cls", [
    (400, openai.BadRequestError), (422, openai.APIStatusError), (429, openai.RateLimitError),
    (500, openai.InternalServerError), (503, openai.InternalServerError)])
def test_errors_as_the_sdk_sees_them(start, status, cls):
    sim = start.sim()
    relay = start.relay({"providers": {"p": {"kind": "openai", "base_url": sim.base_url,
                                             "api_key": "x"}}})
    client = OpenAI(base_url=relay.base_url, api_key=relay.first_key, max_retries=0)
    with pytest.raises(cls) as e:
        client.chat.completions.create(model="p/m", messages=user(f"[[sim:status={status}]]"))
    assert e.value.response.json()["relay"]["id"] == e.value.response.headers["x-relay-id"]
    row = relay.wait_rows(1)[0]
    assert row["status"] == e.value.status_code and row["error_code"] == e.value.code
    assert row["error_code"]


def test_client_errors_as_the_sdk_sees_them(relay, client):
    with pytest.raises(openai.AuthenticationError) as e:
        OpenAI(base_url=relay.base_url, api_key="glw_nonsense", max_retries=0).models.list()
    assert e.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as e:
        client.chat.completions.create(model="smalll", messages=user("x"))
    assert e.value.code == "model_not_found" and "p/small" in str(e.value)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/nothing")
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(model="p/small", messages=[])
    assert e.value.code == "invalid_request"


def test_a_limit_is_told_and_not_retried_in_vain(relay):
    client = OpenAI(base_url=relay.base_url, api_key=relay.make_key("one", rpm=1), max_retries=0)
    client.chat.completions.create(model="p/small", messages=user("limit"))
    with pytest.raises(openai.RateLimitError) as e:
        client.chat.completions.create(model="p/small", messages=user("limit"))
    assert e.value.code == "rate_limit_requests"
    assert 1 <= int(e.value.response.headers["retry-after"]) <= 61


def test_the_sdk_does_not_repeat_what_relay_has_tried(relay, key, sim, word):
    client = OpenAI(base_url=relay.base_url, api_key=key, max_retries=2)
    with pytest.raises(openai.APIStatusError) as e:
        client.chat.completions.create(model="both", messages=user(f"{word} [[sim:status=500]]"))
    assert e.value.status_code == 502
    assert e.value.response.headers["x-should-retry"] == "false"
    assert sorted(r["model"] for r in sim.find(word)) == ["large", "small"]


def test_models(client):
    models = {m.id: m for m in client.models.list()}
    assert {"p/small", "p/large"} <= set(models)
    small = models["p/small"].model_dump()
    assert small["object"] == "model" and small["quality"] == 40 and small["context"] == 100000
    assert "tools" in small["capabilities"] and "latency" in small
    assert small["price_usd_per_million"]["input"] == 0.5
    assert client.models.retrieve("p/small").id == "p/small"


def test_async_client(relay, key, word):
    async def go():
        async with openai.AsyncOpenAI(base_url=relay.base_url, api_key=key, max_retries=0) as c:
            async def one(i):
                s = await c.chat.completions.create(model="p/small", stream=True,
                                                    messages=user(f"{word} {i}"))
                return "".join([x.choices[0].delta.content or "" async for x in s])
            return await asyncio.gather(*[one(i) for i in range(20)])
    texts = asyncio.run(go())
    assert all(f"{word} {i}" in t for i, t in enumerate(texts))


def test_leaving_a_stream_early(client, relay, sim, word):
    """BerriAI/litellm#30630, #17364: no free tokens, and nobody upstream works on for nobody."""
    s = client.chat.completions.create(model="p/small", stream=True,
                                       messages=user(f"{word} [[sim:tokens=500;gap_ms=20]]"))
    id = s.response.headers["x-relay-id"]
    for n, _ in enumerate(s):
        if n == 5:
            break
    s.close()
    seen = wait_for(lambda: [r for r in sim.find(word) if r["outcome"] != "open"],
                    why="the upstream was not cancelled")
    assert seen[0]["outcome"] == "client_closed" and seen[0]["duration_ms"] < 8000
    row = relay.row(id)
    assert (row["status"], row["error_code"]) == (499, "client_closed")
    assert row["usage_source"] == "estimated" and row["cost_source"] == "estimated"
    assert row["completion_tokens"] > 0 and row["prompt_tokens"] > 0 and usd(row["cost_usd"]) > 0
    assert row["completion_tokens"] < 400


def test_an_error_inside_a_stream_raises(client, relay, word):
    s = client.chat.completions.create(
        model="p/small", stream=True,
        messages=user(f"{word} [[sim:events=10;reset_event=8;gap_ms=30]]"))
    id = s.response.headers["x-relay-id"]
    got = ""
    with pytest.raises(openai.APIError):
        for chunk in s:
            got += chunk.choices[0].delta.content or ""
    assert got
    row = relay.row(id)
    assert row["error_code"] == "upstream_truncated" and row["status"] == 502


def test_request_ids(client):
    def ask(id):
        return client.chat.completions.with_raw_response.create(
            model="p/small", messages=user("id"), extra_headers={"x-request-id": id}).headers
    assert ask("abc-1.2_3")["x-request-id"] == "abc-1.2_3"
    assert ask("with space") ["x-request-id"] != "with space"
    assert ask("x" * 129)["x-request-id"] != "x" * 129


def test_body_bytes_stay(http, sim, word):
    """Same dialect on both sides: what need not change stays byte for byte (reference 3)."""
    text = (b'{"messages" : [ {"content":"' + word.encode() + b' \\u00e9", "role":"user"}],\n'
            b'  "temperature":0.10, "model":"p/small", "big":12345678901234567890, "e":1E2}')
    http.post("/v1/chat/completions", content=text,
              headers={"content-type": "application/json"}).raise_for_status()
    sent = sim.find(word)[-1]["body"].encode()
    for part in (b'"messages" : [ {"content":"' + word.encode() + b' \\u00e9", "role":"user"}]',
                 b'"temperature":0.10', b"12345678901234567890", b'"e":1E2'):
        assert part in sent, (part, sent)


def test_upstream_sees_only_the_short_list_of_headers(http, sim, relay, key, word):
    http.post("/v1/chat/completions", json=chat("p/small", word), headers={
        "x-forwarded-for": "1.2.3.4", "cookie": "a=b", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16
        + "-01", "openai-beta": "x=1", "idempotency-key": "k1", "x-stainless-lang": "python",
        "anthropic-version": "1"}).raise_for_status()
    names = {n.lower() for n, _ in sim.find(word)[-1]["headers"]}
    assert {"authorization", "content-type", "content-length", "host"} <= names
    assert {"traceparent", "openai-beta", "idempotency-key"} <= names
    assert not {"x-forwarded-for", "cookie", "x-stainless-lang", "x-api-key"} & names
    head = dict((n.lower(), v) for n, v in sim.find(word)[-1]["headers"])
    assert head["authorization"] == "Bearer sk-sim-0123456789"
    assert key not in json.dumps(sim.find(word))


def test_nothing_of_a_providers_headers_comes_through(http, word):
    answer = http.post("/v1/chat/completions", json=chat(
        "p/small", word + ' [[sim:headers={"x-evil":"1","set-cookie":"a=b","openai-organization":"o"'
        ',"x-ratelimit-limit-requests":"9"};ratelimit=1]]'))
    assert answer.status_code == 200
    assert not {"x-evil", "set-cookie", "openai-organization", "server"} & set(answer.headers)


def test_key_headers(relay, key):
    body = chat("p/small", "headers")
    with relay.http() as c:
        for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}, {"api-key": key},
                        {"x-goog-api-key": key}, {"authorization": f"bearer {key}", "x-api-key": key}):
            assert c.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
        other = relay.make_key("other")
        answer = c.post("/v1/chat/completions", json=body,
                        headers={"authorization": f"Bearer {key}", "x-api-key": other})
        assert answer.status_code == 400
