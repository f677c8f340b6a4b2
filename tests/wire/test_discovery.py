"""What OpenAI-compatible servers of one's own say about their models (GET /models)."""

import json

from support import model, provider


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
