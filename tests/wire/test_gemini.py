"""Gemini's native API as provider: translation both ways, against relay-sim."""

import json

import pytest

from support import ask, content_of, error_of, stream, usd

MODEL = "gemini/gemini-2.5-flash"
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {
    "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
    "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}}}
    for n in ("get_weather", "get_time")]
PLAIN, STREAM = ":generateContent", ":streamGenerateContent"


@pytest.fixture(scope="module")
def gemini(start_once):
    return start_once.sim(name="gemini")


@pytest.fixture(scope="module")
def relay(start_once, gemini):
    return start_once.relay({"providers": {"gemini": {"base_url": gemini.url + "/v1beta",
                                                      "api_key": "g-secret"}}})


def sent(gemini, word):
    return [r for r in gemini.requests(path=None) if word in r.get("body", "")]


def test_plain(relay, http, gemini, word):
    answer = ask(http, MODEL, word, temperature=0.5, max_tokens=50, stop=["END"])
    body = answer.json()
    assert answer.status_code == 200, body
    assert body["object"] == "chat.completion" and body["choices"][0]["finish_reason"] == "stop"
    assert word in body["choices"][0]["message"]["content"]
    request = sent(gemini, word)[-1]
    assert request["path"] == f"/v1beta/models/gemini-2.5-flash{PLAIN}"
    assert "g-secret" not in request["path"]
    assert json.loads(request["body"])["generationConfig"] == {
        "temperature": 0.5, "maxOutputTokens": 50, "stopSequences": ["END"]}
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["provider"], row["model"]) == ("gemini", "gemini-2.5-flash")
    assert row["usage_source"] == "provider" and usd(row["cost_usd"]) > 0


def test_streamed(relay, http, word):
    text = f"{word} 你好🙂 [[sim:split=3]]"
    answer, events, cut = stream(http, MODEL, text, stream_options={"include_usage": True})
    assert not cut and events[-1] == "[DONE]"
    assert f"{word} 你好🙂" in content_of(events)
    assert events[-2]["usage"]["cost"] > 0
    assert [e for e in events[:-1] for c in e["choices"] if c["finish_reason"]] == [events[-3]]
    assert relay.row(answer.headers["x-relay-id"])["usage_source"] == "provider"


def test_it_counts_tokens_itself(http, gemini, word):
    answer = http.post("/v1/messages/count_tokens", json={
        "model": MODEL, "messages": [{"role": "user", "content": f"{word} [[sim:prompt_tokens=321]]"}]})
    assert (answer.status_code, answer.json()) == (200, {"input_tokens": 321})
    request = sent(gemini, word)[-1]
    assert request["path"] == "/v1beta/models/gemini-2.5-flash:countTokens"
    assert json.loads(request["body"])["generateContentRequest"]["model"] == "models/gemini-2.5-flash"


def test_embeddings(relay, http, gemini, word):
    answer = http.post("/v1/embeddings", json={"model": "gemini/gemini-embedding-001", "dimensions": 8,
                                               "input": [f"{word} one", f"{word} two"]})
    assert answer.status_code == 200, answer.text
    assert [len(d["embedding"]) for d in answer.json()["data"]] == [8, 8]
    request = sent(gemini, word)[-1]
    assert request["path"] == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["endpoint"], row["usage_source"]) == ("/v1/embeddings", "provider") and row["prompt_tokens"] > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_an_agent_loop(http, gemini, word, streamed):
    """langgenius/dify#29187: the signature of a call goes back with it, byte for byte."""
    messages = [{"role": "user", "content": f"get_weather get_time {word}"}]
    calls = {}
    if streamed:
        _, events, cut = stream(http, MODEL, messages[0]["content"], tools=TOOLS)
        assert not cut
        for e in events[:-1]:
            for c in e["choices"]:
                for t in c["delta"].get("tool_calls") or []:
                    d = calls.setdefault(t["index"], {"type": "function", "function": {
                        "name": "", "arguments": ""}})
                    d["id"] = d.get("id") or t.get("id")
                    d["function"]["name"] += t["function"].get("name") or ""
                    d["function"]["arguments"] += t["function"].get("arguments") or ""
                finish = c.get("finish_reason")
        calls = [calls[i] for i in sorted(calls)]
    else:
        choice = ask(http, MODEL, messages[0]["content"], tools=TOOLS).json()["choices"][0]
        finish, calls = choice["finish_reason"], choice["message"]["tool_calls"]
    assert finish == "tool_calls"
    assert [c["function"]["name"] for c in calls] == ["get_weather", "get_time"]
    assert len({c["id"] for c in calls}) == 2
    messages += [{"role": "assistant", "content": None, "tool_calls": calls}]
    messages += [{"role": "tool", "tool_call_id": c["id"], "content": "sunny"} for c in calls]
    answer = http.post("/v1/chat/completions", json={"model": MODEL, "messages": messages, "tools": TOOLS})
    assert answer.status_code == 200 and answer.json()["choices"][0]["finish_reason"] == "stop"
    contents = json.loads(sent(gemini, word)[-1]["body"])["contents"]
    assert [c["role"] for c in contents] == ["user", "model", "user"]
    parts = contents[1]["parts"]
    assert [p["thoughtSignature"] for p in parts] == ["c2ltLXNpZ25hdHVyZQ=="] * 2
    assert [p["functionResponse"]["name"] for p in contents[2]["parts"]] == ["get_weather", "get_time"]
    assert [p["functionResponse"].get("id") for p in contents[2]["parts"]] == \
        [p["functionCall"].get("id") for p in parts]


def test_images_and_schema(http, gemini, word):
    def parts(url):
        return [{"type": "text", "text": word}, {"type": "image_url", "image_url": {"url": url}}]
    assert ask(http, MODEL, parts("data:image/png;base64,aGk=")).status_code == 200
    turn = json.loads(sent(gemini, word)[-1]["body"])["contents"][0]
    assert turn["parts"] == [{"text": word}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]
    before = len(gemini.requests(path=None))
    error = error_of(ask(http, MODEL, parts("https://example.com/a.png")), 400, "invalid_request")
    assert "data:" in error["message"] and len(gemini.requests(path=None)) == before
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = ask(http, MODEL, word + "s", response_format={
        "type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}})
    assert isinstance(json.loads(answer.json()["choices"][0]["message"]["content"])["n"], int)


def test_failures(relay, http, word):
    error_of(ask(http, MODEL, f"{word} [[sim:status=500]]"), 502, "upstream_error")
    answer = ask(http, MODEL, f"{word} [[sim:status=400;error_message=no such thing]]")
    assert "no such thing" in error_of(answer, 400, answer.json()["error"]["code"])["message"]
    # finishReason is the only end there is
    for fault in ("done=0", "error_event=8", "close_event=8", "reset_event=8"):
        answer, events, cut = stream(http, MODEL, f"{word} [[sim:events=10;{fault};gap_ms=30]]")
        assert cut and "error" in events[-1], fault
        assert not [c for e in events[:-1] for c in e.get("choices", []) if c["finish_reason"]]
        assert relay.row(answer.headers["x-relay-id"])["status"] == 502
    answer = ask(http, MODEL, f"{word} [[sim:finish=MALFORMED_FUNCTION_CALL]]")
    error_of(answer, 502, "upstream_error")
    answer = ask(http, MODEL, f"{word} [[sim:finish=SAFETY]]")
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"
    answer = ask(http, MODEL, f"{word} [[sim:status=429;retry_after=7]]")
    assert error_of(answer, 429, "upstream_rate_limit") and answer.headers["retry-after"] == "7"
