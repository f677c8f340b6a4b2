"""The JavaScript SDKs against Relay: openai, and ai with createOpenAICompatible."""

import json

import pytest

from support import run_node, wait_for


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
    wait_for(lambda: sim.find("abort [[")[0]["outcome"] == "client_closed", 2)


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
