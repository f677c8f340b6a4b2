"""What relay-sim answers: four dialects, usage, tools, failures, rules. Other tests believe it, so it
is tested like a product. Only pytest and the standard library.
"""
import base64
import json
import struct

import pytest

from sim_client import Sim, anthropic, deltas, events


@pytest.fixture(scope="module")
def running():
    sim = Sim()
    yield sim
    sim.stop()


@pytest.fixture
def sim(running):
    response, _ = running.call("POST", "/__sim/reset")
    assert response.status == 200
    return running


WEATHER = {"type": "object", "required": ["city", "days"], "properties": {
    "city": {"type": "string"}, "days": {"type": "integer", "minimum": 2},
    "unit": {"enum": ["c", "f"]}}}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
         {"type": "function", "function": {"name": "get_time"}}]


# --- OpenAI -----------------------------------------------------------------------------------

def test_plain_answer_repeats_the_question_and_counts_by_the_rule(sim):
    response, text = sim.chat("ship it")
    answer = json.loads(text)
    content = answer["choices"][0]["message"]["content"]
    assert response.status == 200 and "ship it" in content and " m." in content
    usage = answer["usage"]
    assert usage["completion_tokens"] == -(-len(content) // 4)
    assert usage["prompt_tokens"] == -(-len("ship it") // 4) + 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_stream_has_the_same_text_and_one_usage_chunk(sim):
    plain = json.loads(sim.chat("grüße 你好🙂")[1])
    options = {"include_usage": True}
    chunks, text = deltas(sim.chat("grüße 你好🙂", stream=True, stream_options=options)[1])
    assert text == plain["choices"][0]["message"]["content"]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"] == plain["usage"]
    assert all(c["usage"] is None for c in chunks[:-1])
    assert len({c["id"] for c in chunks}) == 1 and chunks[0]["id"] != plain["id"]


def test_no_usage_chunk_unless_asked(sim):
    chunks, _ = deltas(sim.chat(stream=True)[1])
    assert all("usage" not in c for c in chunks)


@pytest.mark.parametrize("parallel, names", [(True, ["get_weather", "get_time"]),
                                             (False, ["get_weather"])])
def test_tools_named_by_the_user_are_called(sim, parallel, names):
    ask = {"tools": TOOLS, "parallel_tool_calls": parallel}
    message = json.loads(sim.chat("get_weather, get_time", **ask)[1])["choices"][0]
    assert message["finish_reason"] == "tool_calls" and message["message"]["content"] is None
    calls = message["message"]["tool_calls"]
    assert [c["function"]["name"] for c in calls] == names
    arguments = json.loads(calls[0]["function"]["arguments"])
    assert arguments["days"] == 2 and arguments["unit"] == "c" and "city" in arguments
    streamed = {}
    chunks, _ = deltas(sim.chat("get_weather, get_time", stream=True, **ask)[1])
    for delta in (c["choices"][0]["delta"] for c in chunks):
        for call in delta.get("tool_calls", []):
            known = streamed.setdefault(call["index"], {"arguments": ""})
            known.update({"id": call["id"]} if "id" in call else {})
            known["arguments"] += call["function"]["arguments"]
    assert [s["arguments"] for s in streamed.values()] == [
        c["function"]["arguments"] for c in calls]
    assert len({s["id"] for s in streamed.values()}) == len(names)


def test_after_a_tool_result_comes_text(sim):
    messages = [{"role": "user", "content": "get_weather"},
                {"role": "assistant", "tool_calls": []},
                {"role": "tool", "tool_call_id": "x", "content": "rain"}]
    answer = json.loads(sim.chat(messages=messages, tools=TOOLS)[1])
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_tool_choice(sim):
    named = {"type": "function", "function": {"name": "get_time"}}
    for choice, names in (("required", ["get_weather"]), (named, ["get_time"]), ("none", [])):
        message = json.loads(sim.chat("hi", tools=TOOLS, tool_choice=choice)[1])
        calls = message["choices"][0]["message"].get("tool_calls", [])
        assert [c["function"]["name"] for c in calls] == names


def test_json_schema(sim):
    schema = {"type": "object", "required": ["a", "b", "c"], "additionalProperties": False,
              "properties": {"a": {"$ref": "#/$defs/t"}, "b": {"type": "array", "minItems": 2,
                             "items": {"type": "boolean"}}, "c": {"anyOf": [{"type": "null"}]}},
              "$defs": {"t": {"type": "object", "properties": {"self": {"$ref": "#/$defs/t"}}}}}
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    content = json.loads(sim.chat(response_format=asked)[1])["choices"][0]["message"]["content"]
    value = json.loads(content)
    assert set(value) == {"a", "b", "c"} and value["b"] == [True, True] and value["c"] is None


def test_length_and_stop_sequences(sim):
    cut = json.loads(sim.chat("hi", max_tokens=2)[1])
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 2
    stopped = json.loads(sim.chat("one STOP two", stop=["STOP"])[1])
    assert stopped["choices"][0]["message"]["content"].endswith("one ")


def test_choices_interleave(sim):
    assert len(json.loads(sim.chat(n=3)[1])["choices"]) == 3
    chunks, _ = deltas(sim.chat(n=2, stream=True)[1])
    assert {c["choices"][0]["index"] for c in chunks} == {0, 1}


@pytest.mark.parametrize("flavour, check", [
    ("groq", lambda plain, last: "id" in plain["x_groq"] and last["x_groq"]["usage"]),
    ("openrouter", lambda plain, last: plain["usage"]["cost"] == 0.25),
    ("xai", lambda plain, last: plain["usage"]["total_tokens"] ==
     plain["usage"]["prompt_tokens"] + plain["usage"]["completion_tokens"] + 7),
    ("deepseek", lambda plain, last:
     plain["choices"][0]["message"]["reasoning_content"] and
     plain["usage"]["prompt_cache_hit_tokens"] == 0),
    ("mistral", lambda plain, last: True),
])
def test_flavours(sim, flavour, check):
    sim.config(flavour=flavour, cost="0.25", reasoning_tokens=7)
    plain = json.loads(sim.chat()[1])
    chunks, _ = deltas(sim.chat(stream=True)[1])
    assert check(plain, chunks[-1])


def test_exact_usage_by_patch_and_by_count(sim):
    sim.config(prompt_tokens=100, cached_tokens=30, cache_write_tokens=20, completion_tokens=9)
    usage = json.loads(sim.chat()[1])["usage"]
    assert (usage["prompt_tokens"], usage["total_tokens"]) == (100, 109)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 30, "cache_write_tokens": 20}
    sim.config(usage={"prompt_tokens": 1.5, "completion_tokens": None, "odd": {"a": [1]}})
    usage = json.loads(sim.chat()[1])["usage"]
    assert usage["prompt_tokens"] == 1.5 and usage["odd"] == {"a": [1]}
    assert "completion_tokens" not in usage


@pytest.mark.parametrize("at, where", [("never", []), ("finish", [-1]), ("last", [-1]),
                                       ("every", None)])
def test_where_usage_rides(sim, at, where):
    chunks, _ = deltas(sim.chat(f"[[sim:usage_at={at}]]", stream=True)[1])
    having = [i for i, c in enumerate(chunks) if c.get("usage")]
    if where is None:
        assert len(having) == len(chunks)
    else:
        assert having == [len(chunks) + w for w in where]
    if at == "finish":
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_models_and_embeddings(sim):
    sim.config(models=["a", "b"])
    assert [m["id"] for m in json.loads(sim.call("GET", "/v1/models")[1])["data"]] == ["a", "b"]
    ask = {"model": "e", "input": ["x", "y"], "dimensions": 8}
    floats = json.loads(sim.post("/v1/embeddings", ask)[1])
    packed = json.loads(sim.post("/v1/embeddings", {**ask, "encoding_format": "base64"})[1])
    for plain, coded in zip(floats["data"], packed["data"]):
        values = struct.unpack("<8f", base64.b64decode(coded["embedding"]))
        assert plain["embedding"] == pytest.approx(values, abs=1e-5)
        assert sum(v * v for v in values) == pytest.approx(1, abs=1e-5)
    assert floats["data"][0]["embedding"] != floats["data"][1]["embedding"]
    assert floats["usage"]["total_tokens"] == 2


# --- the other dialects -----------------------------------------------------------------------

def test_anthropic_plain_and_stream(sim):
    sim.config(prompt_tokens=10, cached_tokens=3, cache_write_tokens=2)
    plain = json.loads(anthropic(sim, thinking={"type": "enabled", "budget_tokens": 1024})[1])
    assert [b["type"] for b in plain["content"]] == ["thinking", "text"]
    assert plain["usage"]["input_tokens"] == 5
    assert plain["usage"]["cache_read_input_tokens"] == 3
    text = anthropic(sim, stream=True)[1].decode()
    names = [line[7:] for line in text.split("\n") if line.startswith("event: ")]
    assert names[:3] == ["message_start", "ping", "content_block_start"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    parsed = [json.loads(e) for e in events(text.encode())]
    assert [p["type"] for p in parsed] == names
    got = "".join(p["delta"]["text"] for p in parsed if p["type"] == "content_block_delta")
    assert got == plain["content"][1]["text"]
    delta = next(p for p in parsed if p["type"] == "message_delta")
    assert delta["usage"]["output_tokens"] == -(-len(got) // 4)
    assert delta["usage"]["cache_creation_input_tokens"] == 2


def test_anthropic_tools_and_mistakes(sim):
    tools = [{"name": "get_weather", "input_schema": WEATHER}, {"name": "get_time",
              "input_schema": {"type": "object"}}]
    plain = json.loads(anthropic(sim, "get_weather get_time", tools=tools)[1])
    assert plain["stop_reason"] == "tool_use"
    assert [b["type"] for b in plain["content"]] == ["tool_use", "tool_use"]
    assert plain["content"][0]["input"]["days"] == 2
    parsed = [json.loads(e) for e in
              events(anthropic(sim, "get_weather get_time", tools=tools, stream=True)[1])]
    joined = {0: "", 1: ""}
    for p in parsed:
        if p["type"] == "content_block_delta":
            joined[p["index"]] += p["delta"]["partial_json"]
    assert json.loads(joined[0]) == plain["content"][0]["input"] and joined[1] == ""
    response, text = sim.post("/v1/messages", {"model": "m", "messages": []})
    assert response.status == 400 and json.loads(text)["type"] == "error"
    count = json.loads(sim.post("/v1/messages/count_tokens", {
        "model": "m", "messages": [{"role": "user", "content": "12345"}]})[1])
    assert count == {"input_tokens": 5}


def test_gemini_plain_stream_and_array(sim):
    base = "/v1beta/models/g:"
    ask = {"contents": [{"role": "user", "parts": [{"text": "get_weather"}]}], "tools": [
        {"functionDeclarations": [{"name": "get_weather", "parameters": WEATHER}]}]}
    plain = json.loads(sim.post(base + "generateContent", ask)[1])
    part = plain["candidates"][0]["content"]["parts"][0]
    assert part["functionCall"]["args"]["days"] == 2 and part["thoughtSignature"]
    assert plain["candidates"][0]["finishReason"] == "STOP"
    del ask["tools"]
    response, text = sim.post(base + "streamGenerateContent?alt=sse", ask)
    assert b"\r\n\r\n" in text and b"\n\n" not in text
    parsed = [json.loads(e) for e in events(text)]
    assert ["finishReason" in p["candidates"][0] for p in parsed] == [False] * (
        len(parsed) - 1) + [True]
    array = json.loads(sim.post(base + "streamGenerateContent", ask)[1])
    texts = [["".join(p["candidates"][0]["content"]["parts"][0]["text"] for p in list_)]
             for list_ in (parsed, array)]
    assert texts[0] == texts[1] and "g" == parsed[0]["modelVersion"]
    counted = json.loads(sim.post(base + "countTokens", ask)[1])
    assert counted["totalTokens"] == plain["usageMetadata"]["promptTokenCount"]
    sim.config(reasoning_tokens=5, completion_tokens=8)
    usage = json.loads(sim.post(base + "generateContent", ask)[1])["usageMetadata"]
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (3, 5)


def test_ollama(sim):
    ask = {"model": "m", "messages": [{"role": "user", "content": "get_weather"}]}
    response, text = sim.post("/api/chat", {**ask, "tools": TOOLS[:1]})
    lines = [json.loads(line) for line in text.splitlines()]
    assert response.getheader("content-type") == "application/x-ndjson"
    assert lines[0]["message"]["tool_calls"][0]["function"]["arguments"]["days"] == 2
    assert lines[-1]["done"] is True and lines[-1]["done_reason"] == "stop"
    plain = json.loads(sim.post("/api/chat", {**ask, "stream": False})[1])
    assert plain["done"] and plain["prompt_eval_count"] and plain["eval_count"]
    parts = {**ask, "messages": [{"role": "user", "content": [{"type": "text"}]}]}
    assert sim.post("/api/chat", parts)[0].status == 400
    sim.config(models=["llama"])
    assert json.loads(sim.call("GET", "/api/tags")[1])["models"][0]["name"] == "llama"
    assert "version" in json.loads(sim.call("GET", "/api/version")[1])
    assert json.loads(sim.post("/api/show", {"model": "m"})[1])["capabilities"]
    embedded = json.loads(sim.post("/api/embed", {"model": "m", "input": "x"})[1])
    assert len(embedded["embeddings"][0]) == 384


# --- failures ---------------------------------------------------------------------------------

@pytest.mark.parametrize("error, status", [("rate", 429), ("quota", 429), ("auth", 401),
                                           ("server", 500), ("overloaded", 529)])
def test_each_dialect_has_its_own_error_body(sim, error, status):
    sim.config(error=error)
    response, text = sim.chat()
    assert response.status == status and set(json.loads(text)["error"]) == {
        "message", "type", "param", "code"}
    assert (response.getheader("retry-after") is not None) == (error == "rate")
    response, text = anthropic(sim)
    assert response.status == status and json.loads(text)["error"]["type"].endswith("_error")
    response, text = sim.post("/v1beta/models/g:generateContent",
                              {"contents": [{"parts": [{"text": "x"}]}]})
    assert response.status == status and json.loads(text)["error"]["code"] == status
    response, text = sim.post("/api/chat", {"model": "m", "messages": []})
    assert response.status == status and isinstance(json.loads(text)["error"], str)


def test_error_fields_and_headers(sim):
    response, text = sim.chat("[[sim:error=rate;retry_after=7;error_code=slow;ratelimit]]")
    assert response.getheader("retry-after") == "7"
    assert response.getheader("x-ratelimit-remaining-requests") == "0"
    assert json.loads(text)["error"]["code"] == "slow"
    response, _ = sim.chat(headers={"x-sim-status": "503", "X-Sim-Headers": '{"X-Odd":"1"}'})
    assert response.status == 503 and response.getheader("x-odd") == "1"


def test_error_in_the_middle_of_a_stream(sim):
    sim.config(error_event=3, error_message="boom")
    found = [json.loads(e) for e in events(sim.chat(stream=True)[1])]
    assert len(found) == 3 and found[-1]["error"]["message"] == "boom"
    assert anthropic(sim, stream=True)[1].decode().count("event: error\n") == 1
    lines = sim.post("/api/chat", {"model": "m", "messages": []})[1].splitlines()
    assert json.loads(lines[-1]) == {"error": "boom"}


def test_keys_and_request_limit(sim):
    sim.config(keys=["k1", "k2"])
    assert sim.chat()[0].status == 401
    for name, value in (("Authorization", "Bearer k1"), ("x-api-key", "k2"),
                        ("x-goog-api-key", "k1")):
        assert sim.chat(headers={name: value})[0].status == 200
    assert sim.chat(path="/v1/chat/completions?key=k1")[0].status == 200
    sim.config(limit_requests=2, limit_window_ms=60000)
    k1 = {"Authorization": "Bearer k1"}
    assert [sim.chat(headers=k1)[0].status for _ in range(3)] == [200, 200, 429]
    assert 1 <= int(sim.chat(headers=k1)[0].getheader("retry-after")) <= 60
    assert sim.chat(headers={"x-api-key": "k2"})[0].status == 200


def test_rules_in_order_and_counted(sim):
    sim.config(rules=[
        {"match": {"model": "m", "contains": "first"}, "times": 2, "then": {"status": 500}},
        {"match": {"stream": True}, "then": {"text": "streamed"}},
        {"match": {"key": "k*", "path": "/v1/*"}, "then": {"text": "keyed"}},
        {"match": {"chance": 0}, "then": {"status": 502}}])
    assert [sim.chat("first")[0].status for _ in range(3)] == [500, 500, 200]
    assert deltas(sim.chat("first", stream=True)[1])[1] == "streamed"
    assert b"keyed" in sim.chat(headers={"x-api-key": "k9"})[1]
    sim.config(text="other")  # a change elsewhere does not start the counts anew
    assert sim.chat("first")[0].status == 200
    assert sim.stats()["rule_hits"] == [2, 1, 1, 0]
    assert [r["rule"] for r in sim.requests()] == [0, 0, None, 1, 2, None]


@pytest.mark.parametrize("settings", [
    {"nonsense": 1}, {"status": "x"}, {"ttft": "normal:3"}, {"rules": [{"then": {"no": 1}}]},
    {"rules": [{"match": {"no": 1}, "then": {}}]}, {"keys": "k"}, {"record": 99999}])
def test_a_wrong_configuration_changes_nothing(sim, settings):
    before = sim.call("GET", "/__sim/config")[1]
    response, text = sim.call("POST", "/__sim/config", {"text": "new", **settings})
    assert response.status == 400 and json.loads(text)["error"].startswith("relay-sim: ")
    assert sim.call("GET", "/__sim/config")[1] == before


def test_null_takes_a_setting_back_and_reset_all(sim):
    assert sim.config(text="a", model="b") == {"text": "a", "model": "b"}
    assert sim.config(text=None) == {"model": "b"}
    assert json.loads(sim.call("POST", "/__sim/reset")[1]) == {}


def test_a_mistyped_setting_is_loud(sim):
    assert sim.chat("[[sim:stats=503]]")[0].status == 400
    assert sim.chat(headers={"x-sim-stats": "1"})[0].status == 400
