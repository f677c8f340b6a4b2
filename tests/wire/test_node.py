"""The JavaScript SDKs against Relay: openai, @anthropic-ai/sdk, and ai with its providers.

What goes through /v1/messages and /v1/responses is answered by providers of other dialects than the
door's, and by its own."""

import json

import pytest

from dialects import DIALECTS, four_dialects, model_of, wait_closed
from node_programs import run_node
from support import wait_for

# How SDKs ask and what they make of answers: the Python SDKs take the same doors under AddressSanitizer.
pytestmark = pytest.mark.once

MODELS = [model_of(d) for d in DIALECTS]


def test_openai(relay, key, sim):
    out = json.loads(run_node("openai.mjs", relay.base_url, key, "p/small"))
    assert "hello node" in out["plain"] and "hello stream" in out["streamed"]
    assert out["headers"]["cache"] == "miss" and relay.row(out["headers"]["id"])["status"] == 200
    assert out["total"] > 0 and out["usage"]["total_tokens"] > 0
    assert out["tool"]["name"] == "get_weather" and "city" in json.loads(out["tool"]["arguments"])
    assert out["finish"] == "tool_calls"
    assert isinstance(out["parsed"]["name"], str) and isinstance(out["parsed"]["age"], int)
    assert "p/small" in out["models"] and out["model"] == "p/small"
    assert out["errors"] == {
        "bad key": ["AuthenticationError", 401, "invalid_api_key"],
        "no model": ["NotFoundError", 404, "model_not_found"],
        "no messages": ["BadRequestError", 400, "invalid_request"],
        "upstream": ["InternalServerError", 502, "upstream_error"],
        "cut": "APIError"}
    wait_for(lambda: sim.find("abort [[")[0]["outcome"] == "client_closed")


def test_ai(relay, key):
    out = json.loads(run_node("ai.mjs", relay.base_url, key, "p/small"))
    assert "hello ai" in out["plain"] and "hello ai stream" in out["streamed"]
    assert out["usage"]["inputTokens"] > 0 and out["usage"]["outputTokens"] > 0
    assert out["streamUsage"]["outputTokens"] > 0 and out["finish"] == "stop"
    assert out["steps"] == ["tool-calls", "stop"] and out["toolResult"] == "sunny" and out["loopText"]
    assert out["streamedSteps"] == ["tool-calls", "stop"]
    assert isinstance(out["object"]["age"], int)
    assert out["reasoning"] == "step by step"
    assert out["broken"][0] == "error"
    assert out["error"][1] == 400 and "no such knob" in out["error"][2]


@pytest.fixture(scope="module")
def doors(start_once):
    """A gateway before the four dialects on a simulator that refuses each model's first retry-…"""
    sim = start_once.sim(name="doors")
    sim.rules(*[{"match": {"contains": f"retry-{m}"}, "times": 1, "then": {"error": "overloaded"}}
                for m in MODELS])
    relay = start_once.relay(four_dialects(sim.url))
    relay.sim = sim
    return relay


def check_rows(relay, out, endpoint, prompt, completion):
    """The row of the plain answer has what the client was told."""
    row = relay.row(out["id"])
    assert (row["endpoint"], row["status"], row["usage_source"]) == (endpoint, 200, "provider")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (prompt, completion)


def test_anthropic(doors, word):
    everything = json.loads(run_node("anthropic.mjs", doors.url, doors.first_key, word, *MODELS))
    for model, out in everything.items():
        assert f"plain {word}" in out["plain"] and out["stop"] == "end_turn"
        assert out["text"] == out["streamed"] and f"streamed {word}" in out["text"]
        assert out["kinds"][0] == "message_start" and out["kinds"][-1] == "message_stop"
        assert out["streamUsage"]["output_tokens"] > 0 and out["counted"] > 0
        assert out["tool"][:2] == ["tool_use", "get_weather"] and word in out["tool"][2]["city"]
        assert out["answered"] == ["end_turn", True]
        assert isinstance(out["object"]["name"], str) and isinstance(out["object"]["age"], int)
        assert out["errors"]["provider"] == ["BadRequestError", 400, "invalid_request_error"]
        assert out["errors"]["model"] == ["NotFoundError", 404, "not_found_error"]
        assert out["errors"]["key"] == ["AuthenticationError", 401, "authentication_error"]
        assert out["errors"]["cut"] != "none", model
        assert f"retry-{model}" in out["retried"] and out["aborted"] == "APIUserAbortError"
        check_rows(doors, out, "/v1/messages", out["usage"]["input_tokens"], out["usage"]["output_tokens"])
    doors.wait_rows(len(MODELS), "endpoint = '/v1/messages' AND status = 499")
    wait_closed(doors.sim, f"abort {word}", len(MODELS))


def test_responses(doors, word):
    everything = json.loads(run_node("responses.mjs", doors.base_url, doors.first_key, word, *MODELS))
    for model, out in everything.items():
        assert f"plain {word}" in out["plain"] and f"streamed {word}" in out["streamed"]
        assert out["text"] == out["streamed"]
        assert out["kinds"][0] == "response.created" and out["kinds"][-1] == "response.completed"
        assert out["tool"][0] == "get_weather" and word in out["tool"][1]["city"] and out["answered"]
        assert isinstance(out["object"]["name"], str) and isinstance(out["object"]["age"], int)
        assert out["errors"]["provider"][:2] == ["BadRequestError", 400]
        assert out["errors"]["field"][:2] == ["BadRequestError", 400]
        assert out["errors"]["key"] == ["AuthenticationError", 401, "invalid_api_key"]
        assert out["errors"]["cut"] != "none", model
        assert f"retry-{model}" in out["retried"] and out["aborted"] >= 4
        check_rows(doors, out, "/v1/responses", out["usage"]["input_tokens"], out["usage"]["output_tokens"])
    doors.wait_rows(len(MODELS), "endpoint = '/v1/responses' AND status = 499")
    wait_closed(doors.sim, f"abort {word}", len(MODELS))


@pytest.mark.parametrize("kind,endpoint", [("openai", "/v1/responses"), ("anthropic", "/v1/messages")])
def test_ai_through(doors, word, kind, endpoint):
    everything = json.loads(run_node("ai_doors.mjs", kind, doors.base_url, doors.first_key, word, *MODELS))
    for model, out in everything.items():
        assert f"plain {word}" in out["plain"] and f"streamed {word}" in out["streamed"]
        assert out["finish"] == "stop" and out["streamUsage"]["outputTokens"] > 0
        for steps, way in ((out["steps"], "plain"), (out["streamedSteps"], "streamed")):
            (first, results), last = steps
            assert (first, last) == ("tool-calls", ["stop", []]), model
            assert f"sunny in get_weather get_time {way} {word}" in results[0]
            assert results[1] == {"hour": 7}
        for made in (out["object"], out["streamedObject"]):
            assert isinstance(made["name"], str) and isinstance(made["age"], int)
        assert out["errors"]["provider"][1] == 400 and out["errors"]["key"][1] == 401
        assert out["broken"][0] == "error" and out["left"] == ["abort"], model
        assert f"retry-{model}" in out["retried"]
        check_rows(doors, out, endpoint, out["usage"]["inputTokens"], out["usage"]["outputTokens"])
    wait_closed(doors.sim, f"abort [[sim:tokens=500;gap_ms=20]] {word}", len(MODELS))
