"""What OpenAI-compatible servers of one's own say about their models (GET /models)."""

import json
import signal

from support import ask, model, provider, wait_for


def test_models_and_their_context(start):
    """vLLM and llama.cpp each have a way to tell the context; the configuration's word wins."""
    sim = start.sim()
    sim.rules({"match": {"path": "/v1/models"}, "then": {"body": json.dumps({"object": "list", "data": [
        {"id": "plain", "object": "model"},
        {"id": "of-vllm", "object": "model", "max_model_len": 32768},
        {"id": "of-llama-cpp", "object": "model", "meta": {"n_ctx": 4096, "n_ctx_train": 131072}},
        {"id": "configured", "object": "model", "max_model_len": 32768},
        {"id": "odd", "object": "model", "max_model_len": -1, "meta": {"n_ctx": 8192}},
        {"id": "x" * 300}, {"name": "no id"}, "not an object",
    ]})}})
    relay = start.relay({"providers": {"own": provider(sim)},
                         "models": [model("own/configured", context=9000), model("own/unlisted")]})
    with relay.http(relay.first_key) as http:
        found = {m["id"]: m["context"] for m in http.get("/v1/models").json()["data"]
                 if m["id"].startswith("own/")}
    assert found == {"own/plain": None, "own/of-vllm": 32768, "own/of-llama-cpp": 4096,
                     "own/configured": 9000, "own/odd": None, "own/unlisted": 100000}


def starting(start):
    """A gateway that is still asking its only server for models."""
    sim = start.sim()
    sim.rules({"match": {"path": "/v1/models"}, "then": {"ttft": 1500}})
    relay = start.relay({"providers": {"own": provider(sim)}, "models": [model("own/m")]}, start=False)
    relay.start(wait=False)
    wait_for(lambda: sim.requests("/v1/models"), why=relay.log)
    return relay


def test_a_reload_while_the_first_models_are_asked_for(start):
    relay = starting(start)
    relay.configure({"aliases": {"late": ["own/m"]}})
    relay.signal(signal.SIGHUP)
    relay.signal(signal.SIGHUP)
    wait_for(relay._is_ready, why=relay.log)
    with relay.http(relay.first_key) as http:
        wait_for(lambda: ask(http, "late").status_code == 200, why=relay.log)
    assert relay.stop() == 0


def test_a_stop_while_the_first_models_are_asked_for(start):
    assert starting(start).stop() == 0
