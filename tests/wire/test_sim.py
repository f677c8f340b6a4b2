"""relay-sim by itself: other tests believe what it says, so it is tested like a product.

Only pytest and the standard library. The binary is $RELAY_BIN_DIR/relay-sim, else build/relay-sim.
"""
import base64
import http.client
import json
import os
import socket
import ssl
import struct
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SIM = Path(os.environ.get("RELAY_BIN_DIR", ROOT / "build")) / "relay-sim"


class Sim:
    """A running simulator and the few ways to talk to it."""

    def __init__(self, *flags):
        command = [str(SIM), "--listen", "127.0.0.1:0", "--with-parent", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("relay-sim listening on "), line
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def call(self, method, path, body=None, headers=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        conn.request(method, path, body=data, headers=headers or {})
        response = conn.getresponse()
        text = response.read()
        conn.close()
        return response, text

    def post(self, path, body, **headers):
        names = {k.replace("_", "-"): str(v) for k, v in headers.items()}
        return self.call("POST", path, body, names)

    def chat(self, text="hi", path="/v1/chat/completions", headers=None, **more):
        body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
        return self.call("POST", path, body, headers)

    def config(self, **settings):
        response, text = self.call("POST", "/__sim/config", settings)
        assert response.status == 200, text
        return json.loads(text)

    def requests(self, limit=100):
        return json.loads(self.call("GET", f"/__sim/requests?limit={limit}")[1])["requests"]

    def stats(self):
        return json.loads(self.call("GET", "/__sim/stats")[1])

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def raw(self, data):
        """Sends bytes, reads to the end; returns what came and whether it ended by a reset."""
        sock = self.connect()
        sock.sendall(data)
        return drain(sock)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0
        self.process.stdout.close()


def drain(sock):
    got = b""
    try:
        while part := sock.recv(65536):
            got += part
        return got, False
    except ConnectionResetError:
        return got, True
    finally:
        sock.close()


def request_bytes(text, stream=True, close=True, path="/v1/chat/completions"):
    body = json.dumps({"model": "m", "stream": stream,
                       "messages": [{"role": "user", "content": text}]}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: sim\r\nContent-Length: {len(body)}\r\n"
    return (head + ("Connection: close\r\n" if close else "") + "\r\n").encode() + body


def events(text):
    """The data of each event of a stream with LF or CRLF line ends."""
    blocks = text.decode().replace("\r\n", "\n").strip("\n").split("\n\n")
    lines = [line for block in blocks for line in block.split("\n")]
    return [line[5:].strip() for line in lines if line.startswith("data:")]


def deltas(text):
    found = events(text)
    assert found[-1] == "[DONE]"
    chunks = [json.loads(e) for e in found[:-1]]
    return chunks, "".join(c["choices"][0]["delta"].get("content") or ""
                           for c in chunks if c["choices"])


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

def anthropic(sim, text="hi", **more):
    return sim.post("/v1/messages", {"model": "m", "max_tokens": 100, **more,
                                     "messages": [{"role": "user", "content": text}]})


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


# --- faults on the wire -----------------------------------------------------------------------

def test_reset_and_close_at_every_kind_of_byte(sim):
    whole, reset = sim.raw(request_bytes("x"))
    assert not reset and whole.endswith(b"0\r\n\r\n")
    # Ids count up, but keep their length.
    for offset in (0, 1, 20, whole.index(b"\r\n\r\n") + 4, 700, len(whole) - 1):
        sim.config(reset_at=offset, close_at=None)
        got, reset = sim.raw(request_bytes("x"))
        assert reset and len(got) == offset
        sim.config(reset_at=None, close_at=offset)
        got, reset = sim.raw(request_bytes("x"))
        assert not reset and len(got) == offset
    assert {r["outcome"] for r in sim.requests()} == {"complete", "cut"}
    assert sim.requests()[-1]["sent_bytes"] == len(whole) - 1


def test_cut_after_events_and_in_the_body(sim):
    got, reset = sim.raw(request_bytes("[[sim:close_event=3]]"))
    assert not reset and got.count(b"data: {") == 3 and not got.endswith(b"0\r\n\r\n")
    got, reset = sim.raw(request_bytes("[[sim:reset_at=5;at_body]]", stream=False))
    assert reset and got.endswith(b"\r\n\r\n" + got[-5:]) and len(got[-5:]) == 5


def test_stall_then_the_rest(sim):
    start = time.monotonic()
    got, _ = sim.raw(request_bytes("[[sim:stall_event=2;stall_ms=300]]"))
    assert time.monotonic() - start >= 0.3 and b"[DONE]" in got
    sock = sim.connect()
    sock.sendall(request_bytes("[[sim:stall_at=30;stall_ms=60000]]"))
    sock.settimeout(0.3)
    got = b""
    with pytest.raises(TimeoutError):
        while True:
            got += sock.recv(100)
    assert len(got) == 30
    sock.close()


def test_client_that_leaves_is_noticed(sim):
    sock = sim.connect()
    sock.sendall(request_bytes("[[sim:gap_ms=20;tokens=1000]]"))
    sock.recv(100)
    sock.close()
    for _ in range(200):
        last = sim.requests()[-1]
        if last["outcome"] != "open":
            break
        time.sleep(0.02)
    assert last["outcome"] == "client_closed" and 0 < last["sent_bytes"] < 100000


def test_shapes_of_a_stream(sim):
    def body(settings):
        return sim.chat(f"[[sim:text=hi;{settings}]]", stream=True)[1]
    plain = body("usage_at=asked")
    assert b"\r" not in plain and plain.endswith(b"data: [DONE]\n\n")
    crlf, cr = body("eol=crlf"), body("eol=cr")
    assert crlf.count(b"\r\n\r\n") == cr.count(b"\r\r") == plain.count(b"\n\n")
    assert b"\n" not in cr
    assert b"data:{" in body("data_space=false")
    assert body("comment_every=1;comment=WAIT").count(b": WAIT\n\n") == 3
    assert body("bom").startswith(b"\xef\xbb\xbfdata: ")
    assert body("lead=\\n\\r\\n").startswith(b"\n\r\ndata: ")
    assert body("last_blank=false").endswith(b"[DONE]")
    assert b"[DONE]" not in body("done=false")
    bad = events(body("malformed_event=2"))
    with pytest.raises(json.JSONDecodeError):
        json.loads(bad[1])
    big = events(body("oversize_event=2;oversize_bytes=300000"))
    assert len(big[1]) == 300000 and json.loads(big[1])["object"]


def test_split_writes_give_the_same_bytes(sim):
    want = sim.chat("[[sim:id=same;text=你好🙂]]", stream=True)[1]
    start = time.monotonic()
    got = sim.chat("[[sim:id=same;text=你好🙂;split=7;split_gap_ms=0]]", stream=True)[1]
    assert len(got) > 600 and got == want
    sock = sim.connect()
    sock.sendall(request_bytes("[[sim:text=ab;split=100;split_gap_ms=2]]"))
    sizes = []
    while part := sock.recv(65536):
        sizes.append(len(part))
    assert len(sizes) > 3 and time.monotonic() > start
    sock.close()


def test_framings_and_raw(sim):
    assert sim.chat("[[sim:framing=chunked]]")[0].getheader("transfer-encoding") == "chunked"
    response, text = sim.chat("[[sim:framing=close]]")
    assert response.getheader("connection") == "close" and json.loads(text)
    response, _ = sim.chat("[[sim:framing=length]]", stream=True)
    assert int(response.getheader("content-length")) > 100
    assert len(sim.chat("[[sim:content_length=10]]")[1]) == 10
    with pytest.raises(http.client.IncompleteRead):
        sim.chat("[[sim:content_length=100000]]")
    literal = b"HTTP/1.1 299 Odd\r\nx: y\r\n\r\n\x00\xff"
    code = base64.b64encode(literal).decode()
    assert sim.raw(request_bytes(f"[[sim:raw={code}]]")) == (literal, False)
    assert sim.chat("[[sim:body=oops;content_type=text/html]]")[1] == b"oops"
    got = sim.raw(request_bytes("[[sim:interim=103]]"))[0]
    assert got.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200")


def test_connections_that_end_unsaid(sim):
    for settings in ({"close_unsaid": True}, {"idle_close_ms": 50, "close_unsaid": None}):
        sim.config(**settings)
        got, reset = sim.raw(request_bytes("x", close=False))
        assert got.endswith(b"0\r\n\r\n") and not reset and b"connection" not in got
        assert sim.requests()[-1]["outcome"] == "complete"


def test_refuse_next(sim):
    sim.config(refuse_next=1)
    got, reset = b"", False
    try:
        got, reset = sim.raw(request_bytes("x"))
    except (ConnectionResetError, BrokenPipeError):
        reset = True
    assert reset and got == b""
    assert sim.chat()[0].status == 200


# --- time -------------------------------------------------------------------------------------

def test_latency_and_pace(sim):
    start = time.monotonic()
    sim.chat("[[sim:ttft=200]]")
    assert time.monotonic() - start >= 0.2
    start = time.monotonic()
    sim.chat("[[sim:ttft=100;tps=50;tokens=11]]", stream=True)
    assert 0.3 <= time.monotonic() - start


def test_distributions_stay_in_their_bounds(sim):
    sim.config(ttft="uniform:5:15", seed=7)
    for _ in range(10):
        sim.chat()
    sim.config(ttft="lognormal:5:10")
    for _ in range(10):
        sim.chat()
    times = [r["duration_ms"] for r in sim.requests()]
    assert min(times[:10]) >= 5 and min(times[10:]) > 0 and len(set(times)) == 20


# --- what it receives -------------------------------------------------------------------------

def test_requests_are_kept_as_they_came(sim):
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    sim.call("POST", "/v1/chat/completions?x=1", body, {"X-CaseD": "Yes", "x-api-key": "sk-1"})
    seen = sim.requests()[-1]
    assert seen["method"] == "POST" and seen["target"] == "/v1/chat/completions?x=1"
    assert ["X-CaseD", "Yes"] in seen["headers"] and ["x-api-key", "sk-1"] in seen["headers"]
    assert seen["body"].encode() == body and seen["status"] == 200 and seen["model"] == "m"
    sim.call("POST", "/v1/chat/completions", b"\xff\xfe")
    assert base64.b64decode(sim.requests()[-1]["body_base64"]) == b"\xff\xfe"
    sim.config(record=2)
    for _ in range(5):
        sim.chat()
    assert len(sim.requests()) == 2


def test_pipelined_and_chunked_requests(sim):
    one = request_bytes("one", stream=False, close=False)
    two = request_bytes("two", stream=True)
    got, _ = sim.raw(one + one + two)
    assert got.count(b"HTTP/1.1 200 OK") == 3
    body = request_bytes("x" * 3000, stream=False).split(b"\r\n\r\n", 1)[1]
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(body[i:i + 9]), body[i:i + 9])
                      for i in range(0, len(body), 9)) + b"0\r\n\r\n"
    head = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: close\r\n\r\n")
    sock = sim.connect()
    for i in range(0, len(head + chunks), 777):
        sock.sendall((head + chunks)[i:i + 777])
    assert b"x" * 2000 in drain(sock)[0]
    assert sim.requests()[-1]["body"].encode() == body


def test_expect_continue_and_a_slow_reader(sim):
    sim.config(read_pause_ms=200)
    request = request_bytes("x", stream=False)
    head, body = request.split(b"\r\n\r\n", 1)
    sock = sim.connect()
    start = time.monotonic()
    sock.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(body)
    assert b"200 OK" in drain(sock)[0] and time.monotonic() - start >= 0.2


GARBAGE = [
    b"\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/2\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\n\r\n", b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
    b"A" * 70000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
]


@pytest.mark.parametrize("data", GARBAGE)
def test_garbage_is_refused_and_survived(sim, data):
    sock = sim.connect()
    try:
        sock.sendall(data)
    except OSError:
        pass
    got, _ = drain(sock)
    assert got.startswith(b"HTTP/1.1 400 ") or got == b""
    assert sim.chat()[0].status == 200


@pytest.mark.parametrize("body", [
    b"", b"[", b"[]", b"null", b'{"model":1}', b'{"model":"m"}', b'{"model":"m","messages":{}}',
    b'{"model":"m","messages":[1,null,{}]}', b"[" * 100000, b'{"model":"m","messages":' +
    b"[" * 50000 + b"]" * 50000 + b"}",
    b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":{}}',
    b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":0}'])
def test_wrong_bodies_get_400(sim, body):
    assert sim.call("POST", "/v1/chat/completions", body)[0].status == 400


@pytest.mark.parametrize("path", ["/v1/messages", "/v1beta/models/x:generateContent", "/api/chat",
                                  "/v1/embeddings", "/v1/messages/count_tokens", "/api/show"])
def test_odd_values_anywhere_are_survived(sim, path):
    odd = [1, None, True, "x", [], {}, [None], [1, "x", {"text": 1}], {"a": {"b": []}}]
    for value in odd:
        names = ("messages", "contents", "tools", "tool_choice", "system", "stop", "options",
                 "generationConfig", "format", "input", "response_format", "thinking", "usage")
        body = {"model": "m", "max_tokens": 5, **{n: value for n in names}}
        assert sim.post(path, body)[0].status in (200, 400)
    assert sim.call("POST", "/nowhere")[0].status == 404
    assert sim.call("PATCH", "/v1/models")[0].status == 404


def test_a_deep_patch_is_refused(sim):
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    assert sim.call("POST", "/__sim/config", ('{"usage":%s}' % deep).encode())[0].status == 400
    assert sim.chat("[[sim:usage=%s]]" % deep)[0].status == 400


# --- the program ------------------------------------------------------------------------------

def test_bench_mode():
    sim = Sim("--bench")
    try:
        assert len(sim.chat()[1]) == 600 and json.loads(sim.chat()[1])["usage"]
        chunks, text = deltas(sim.chat(stream=True)[1])
        assert len(chunks) == 34 and text.startswith(" bench 00 bench 01")
        assert sim.requests() == [] and sim.stats()["chats"] == 3
        sim.config(gap_ms=5)
        start = time.monotonic()
        assert len(deltas(sim.chat(stream=True)[1])[0]) == 34
        assert time.monotonic() - start >= 34 * 0.005
    finally:
        sim.stop()


def test_flags_are_settings(tmp_path):
    file = tmp_path / "config.json"
    file.write_text('{"model": "other", "rules": [{"then": {"finish": "odd"}}]}')
    sim = Sim("--tokens=12", "--latency", "1", "--keys", "k1,k2", "--config", str(file),
              "--set", "id=fixed")
    try:
        answer = json.loads(sim.chat(headers={"x-api-key": "k2"})[1])
        assert answer["usage"]["completion_tokens"] == 12 and answer["id"] == "fixed"
        assert answer["model"] == "other" and answer["choices"][0]["finish_reason"] == "odd"
        assert sim.chat()[0].status == 401
    finally:
        sim.stop()


@pytest.mark.parametrize("flags", [["--nothing"], ["--listen", "x"], ["--set", "no=1"],
                                   ["--tokens"], ["--tls-cert", "x"]])
def test_wrong_flags(flags):
    done = subprocess.run([str(SIM), *flags], capture_output=True, timeout=20, check=False)
    assert done.returncode == 2 and done.stderr.startswith(b"relay-sim: ")


def test_help_and_fields():
    text = subprocess.run([str(SIM), "--help"], capture_output=True, check=True).stdout
    assert b"--listen HOST:PORT" in text
    text = subprocess.run([str(SIM), "--fields"], capture_output=True, check=True).stdout
    guide = (ROOT / "docs/guides/relay-sim.md").read_text()
    for line in text.decode().splitlines():
        assert f"`{line.split()[0]}`" in guide


def test_ends_with_its_parent():
    script = (f'"{SIM}" --listen 127.0.0.1:0 --with-parent & sleep 0.3; echo $!; '
              'kill -9 $$')
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    pid = int(done.stdout.split()[-1])
    for _ in range(200):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("it still runs")


def test_ready_fd():
    read, write = os.pipe()
    process = subprocess.Popen([str(SIM), "--listen", "127.0.0.1:0", "--quiet", "--ready-fd",
                                str(write)], pass_fds=[write], stdout=subprocess.PIPE)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.readline().startswith("relay-sim listening on http://127.0.0.1:")
    process.terminate()
    assert process.communicate(timeout=20)[0] == b"" and process.returncode == 0


def test_tls(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=sim",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
                    str(cert)], check=True, capture_output=True)
    sim = Sim("--tls-cert", str(cert), "--tls-key", str(key))
    context = ssl.create_default_context(cafile=str(cert))
    try:
        conn = http.client.HTTPSConnection("127.0.0.1", sim.port, timeout=20, context=context)
        for stream in (False, True):
            body = {"model": "m", "stream": stream, "messages": [
                {"role": "user", "content": "[[sim:tokens=20000;piece_chars=400]] " + "y" * 90000}]}
            conn.request("POST", "/v1/chat/completions", json.dumps(body))
            text = conn.getresponse().read()
            if stream:
                assert len(deltas(text)[1]) == 80000
            else:
                assert len(json.loads(text)["choices"][0]["message"]["content"]) == 80000
        with pytest.raises((http.client.HTTPException, OSError)):
            body["messages"][0]["content"] = "[[sim:close_event=2]]"
            conn.request("POST", "/v1/chat/completions", json.dumps(body))
            conn.getresponse().read()
        conn.close()
        plain = socket.create_connection(("127.0.0.1", sim.port), timeout=20)
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        drain(plain)
    finally:
        sim.stop()
