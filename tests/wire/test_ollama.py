"""Ollama's native API as provider: translation both ways, and what is installed there."""

import json

import pytest

from support import ask, content_of, error_of, free_port, model, stream, usd, wait_for

TOOLS = [{"type": "function", "function": {"name": n, "parameters": {
    "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}}
    for n in ("get_weather", "get_time")]
PATH = "/api/chat"


@pytest.fixture(scope="module")
def ollama(start_once):
    return start_once.sim("--models", "llama3.2:latest,qwen3:8b", name="ollama")


@pytest.fixture(scope="module")
def relay(start_once, ollama):
    relay = start_once.relay({"providers": {"ollama": {"base_url": ollama.url}}})
    wait_for(lambda: "qwen3:8b" in relay.run("models", "--json").stdout or True)
    return relay


def test_discovery(relay, http, ollama):
    """Asked at start by GET /api/tags and POST /api/show; free, and a key's models."""
    models = wait_for(lambda: (lambda d: d if "ollama/qwen3:8b" in d else None)(
        {m["id"]: m for m in http.get("/v1/models").json()["data"]}),
        why=lambda: http.get("/v1/models").text[:2000])
    qwen = models["ollama/qwen3:8b"]
    assert qwen["context"] == 131072 and {"tools", "vision"} <= set(qwen["capabilities"])
    assert "ollama/llama3.2:latest" in models or "ollama/llama3.2" in models
    paths = {r["path"] for r in ollama.requests(path=None)}
    assert {"/api/tags", "/api/show"} <= paths


def test_plain(relay, http, ollama, word):
    answer = ask(http, "ollama/qwen3:8b", word, temperature=0.5, top_p=0.9, seed=3, max_tokens=50,
                 stop=["END"], user="u")
    body = answer.json()
    assert answer.status_code == 200, body
    assert body["object"] == "chat.completion" and body["choices"][0]["finish_reason"] == "stop"
    assert word in body["choices"][0]["message"]["content"] and body["id"] and body["created"]
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    sent = json.loads(ollama.find(word, PATH)[-1]["body"])
    assert sent["stream"] is False and sent["model"] == "qwen3:8b"
    assert sent["options"] == {"temperature": 0.5, "top_p": 0.9, "seed": 3, "num_predict": 50,
                               "stop": ["END"]}
    assert not {"user", "max_tokens", "temperature"} & set(sent)
    row = relay.row(answer.headers["x-relay-id"])
    assert (row["provider"], row["model"]) == ("ollama", "qwen3:8b")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (usage["prompt_tokens"],
                                                                usage["completion_tokens"])
    assert usd(row["cost_usd"]) == 0


def test_streamed(relay, http, word):
    text = f"{word} 你好🙂 [[sim:split=3]]"
    answer, events, cut = stream(http, "ollama/qwen3:8b", text, stream_options={"include_usage": True})
    assert not cut and events[-1] == "[DONE]"
    assert f"{word} 你好🙂" in content_of(events)
    assert len({e["id"] for e in events[:-1]}) == 1  # one chunk id per stream
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[-2]["choices"] == [] and events[-2]["usage"]["prompt_tokens"] > 0
    assert events[-3]["choices"][0]["finish_reason"] == "stop"
    assert relay.row(answer.headers["x-relay-id"])["usage_source"] == "provider"


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(http, ollama, word, streamed):
    """BerriAI/litellm#35663, #37792: arguments are an object there, the end says stop, ids may lack."""
    text = f"get_weather get_time {word}"
    if streamed:
        _, events, cut = stream(http, "ollama/qwen3:8b", text, tools=TOOLS)
        assert not cut
        calls = {}
        for e in events[:-1]:
            for c in e["choices"]:
                for t in c["delta"].get("tool_calls") or []:
                    d = calls.setdefault(t["index"], {"id": None, "name": "", "arguments": ""})
                    d["id"] = d["id"] or t.get("id")
                    d["name"] += t["function"].get("name") or ""
                    d["arguments"] += t["function"].get("arguments") or ""
                finish = c.get("finish_reason") or None
        calls = [calls[i] for i in sorted(calls)]
    else:
        body = ask(http, "ollama/qwen3:8b", text, tools=TOOLS).json()
        finish = body["choices"][0]["finish_reason"]
        calls = [{"id": t["id"], **t["function"]} for t in body["choices"][0]["message"]["tool_calls"]]
    assert finish == "tool_calls"
    assert [c["name"] for c in calls] == ["get_weather", "get_time"]
    assert len({c["id"] for c in calls}) == 2 and all(c["id"] for c in calls)
    assert all(set(json.loads(c["arguments"])) == {"a"} for c in calls)
    sent = json.loads(ollama.find(word, PATH)[-1]["body"])
    assert [t["function"]["name"] for t in sent["tools"]] == ["get_weather", "get_time"]


def test_results_given_back(http, ollama, word):
    body = {"model": "ollama/qwen3:8b", "tools": TOOLS, "messages": [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": word},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function",
             "function": {"name": "get_weather", "arguments": "{\"a\": \"x\"}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200 and answer.json()["choices"][0]["finish_reason"] == "stop"
    sent = json.loads(ollama.find(word, PATH)[-1]["body"])["messages"]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "tool"]
    assert sent[2]["tool_calls"][0]["function"]["arguments"] == {"a": "x"}
    assert sent[3]["content"] == "sunny"
    assert sent[3].get("tool_name") == "get_weather" or sent[3].get("tool_call_id") == "c1"


def test_images(http, ollama, word):
    def parts(url):
        return [{"type": "text", "text": word}, {"type": "image_url", "image_url": {"url": url}}]
    assert ask(http, "ollama/qwen3:8b", parts("data:image/png;base64,aGk=")).status_code == 200
    sent = json.loads(ollama.find(word, PATH)[-1]["body"])["messages"][0]
    assert sent["images"] == ["aGk="] and sent["content"] == word
    before = ollama.count(PATH)
    error = error_of(ask(http, "ollama/qwen3:8b", parts("https://example.com/a.png")), 400,
                     "invalid_request")
    assert "data:" in error["message"] and ollama.count(PATH) == before


def test_json_schema(http, ollama, word):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = ask(http, "ollama/qwen3:8b", word, response_format={
        "type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}})
    assert isinstance(json.loads(answer.json()["choices"][0]["message"]["content"])["n"], int)
    assert json.loads(ollama.find(word, PATH)[-1]["body"])["format"] == schema
    ask(http, "ollama/qwen3:8b", word + "j", response_format={"type": "json_object"})
    assert json.loads(ollama.find(word + "j", PATH)[-1]["body"])["format"] == "json"


@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_and_length(http, ollama, word, streamed):
    text = f"{word} [[sim:reasoning=hmm hmm]]"
    if streamed:
        _, events, _ = stream(http, "ollama/qwen3:8b", text, reasoning_effort="high")
        deltas = [c["delta"] for e in events[:-1] for c in e["choices"]]
        got = "".join(d.get("reasoning") or d.get("reasoning_content") or "" for d in deltas)
    else:
        message = ask(http, "ollama/qwen3:8b", text, reasoning_effort="high"
                      ).json()["choices"][0]["message"]
        got = message.get("reasoning") or message.get("reasoning_content")
    assert got == "hmm hmm"
    assert json.loads(ollama.find(word, PATH)[-1]["body"])["think"] in (True, "high")
    # A model that cannot think is not asked to.
    ask(http, "ollama/llama3.2:latest", f"{word} too", reasoning_effort="high")
    assert "think" not in json.loads(ollama.find(f"{word} too", PATH)[-1]["body"])
    body = ask(http, "ollama/qwen3:8b", word, max_tokens=3).json()
    assert body["choices"][0]["finish_reason"] == "length"


def test_errors(http, word):
    answer = ask(http, "ollama/qwen3:8b", f"{word} [[sim:status=400;error_message=no such thing]]")
    assert "no such thing" in error_of(answer, 400, answer.json()["error"]["code"])["message"]
    error_of(ask(http, "ollama/qwen3:8b", f"{word} [[sim:status=500]]"), 502, "upstream_error")
    # A line {"error": ..} in the middle, with status 200 already sent
    answer, events, cut = stream(http, "ollama/qwen3:8b", f"{word} [[sim:events=10;error_event=8;gap_ms=30]]")
    assert cut and "error" in events[-1] and content_of(events)
    answer, events, cut = stream(http, "ollama/qwen3:8b", f"{word} [[sim:events=10;done=0;gap_ms=30]]")
    assert cut and "error" in events[-1]


def test_usage_left_out(relay, http, word):
    """Counts are omitted when they are nothing: an estimate then, marked."""
    answer = ask(http, "ollama/qwen3:8b", f"{word} [[sim:usage_at=never]]")
    row = relay.row(answer.headers["x-relay-id"])
    assert row["usage_source"] == "estimated" and row["prompt_tokens"] > 0


def test_the_environment_names_it(start, ollama, word):
    relay = start.relay({}, env={"OLLAMA_HOST": ollama.url})
    with relay.http(relay.first_key) as c:
        wait_for(lambda: "ollama/qwen3:8b" in c.get("/v1/models").text)
        assert ask(c, "auto", word, routing={"min_quality": 0}).headers["x-relay-provider"] == "ollama"


def test_an_ollama_that_does_not_answer_is_off(start):
    relay = start.relay({"providers": {"ollama": {"base_url": f"http://127.0.0.1:{free_port()}"}}})
    with relay.http(relay.first_key) as c:
        assert c.get("/readyz").status_code == 200
        assert ask(c, "auto").status_code in (502, 503)


def test_openai_compatible_servers_are_asked_too(start, word):
    sim = start.sim("--models", "qwen3-8b,other")
    relay = start.relay({"providers": {"vllm": {"kind": "openai", "base_url": sim.base_url}},
                         "models": [model("vllm/mine", quality=60)]})
    with relay.http(relay.first_key) as c:
        wait_for(lambda: "vllm/qwen3-8b" in c.get("/v1/models").text)
        assert "vllm/mine" in c.get("/v1/models").text  # one that the configuration names stays
        assert ask(c, "vllm/qwen3-8b", word).status_code == 200
        answer = ask(c, "qwen3-8b", word)
        assert answer.headers["x-relay-provider"] == "vllm"
