"""POST /v1/embeddings through the official SDK: OpenAI-compatible providers, Ollama, aimock."""

import base64
import json
import struct

import httpx
import openai
import pytest
from openai import OpenAI

from node_programs import find_node
from support import ROOT, clean_environment, error_of, free_port, model, provider, usd, wait_for

EMBED = "/embeddings"


@pytest.fixture(scope="module")
def ollama(start_once):
    return start_once.sim("--models", "qwen3:8b,nomic-embed-text:latest", name="ollama")


@pytest.fixture(scope="module")
def relay(start_once, sim, ollama):
    return start_once.relay({
        "providers": {"p": provider(sim), "q": provider(sim), "ollama": {"base_url": ollama.url}},
        "models": [model("p/small", input=0.5, output=1.5, quality=40),
                   {"id": "p/vectors", "input": 0.02, "capabilities": ["embeddings"]},
                   {"id": "q/vectors", "input": 0.2, "capabilities": ["embeddings"]}]})


@pytest.fixture(scope="module")
def client(relay, key):
    with OpenAI(base_url=relay.base_url, api_key=key, max_retries=0) as c:
        yield c


def lengths(answer):
    """Each vector's squared length: the simulator's are of length 1."""
    return [round(sum(x * x for x in d.embedding), 3) for d in answer.data]


@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_as_the_sdk_asks(client, relay, sim, word, more):
    """The SDK asks for base64 when nothing is said, and makes numbers of it."""
    raw = client.embeddings.with_raw_response.create(
        model="p/vectors", input=[f"a {word}", f"b {word}"], dimensions=8, user="u", **more)
    answer = raw.parse()
    assert [d.index for d in answer.data] == [0, 1] and answer.object == "list"
    if more.get("encoding_format") == "base64":  # asked for, so given as it came
        packed = [base64.b64decode(d.embedding) for d in answer.data]
        assert [len(p) for p in packed] == [32, 32]
        assert abs(sum(x * x for x in struct.unpack("<8f", packed[0])) - 1) < 0.01
    else:
        assert [len(d.embedding) for d in answer.data] == [8, 8] and set(lengths(answer)) == {1.0}
    sent = json.loads(sim.find(word, EMBED)[-1]["body"])
    assert sent == {"input": [f"a {word}", f"b {word}"], "model": "vectors", "dimensions": 8,
                    "user": "u", "encoding_format": more.get("encoding_format", "base64")}
    assert raw.headers["x-relay-provider"] == "p" and raw.headers["x-relay-cache"] == "miss"
    row = relay.row(raw.headers["x-relay-id"])
    prompt = answer.usage.prompt_tokens
    assert row["endpoint"] == "/v1/embeddings" and row["status"] == 200 and not row["stream"]
    assert (row["prompt_tokens"], row["completion_tokens"]) == (prompt, 0)
    assert row["finish_reason"] is None
    assert usd(row["cost_usd"]) == usd(raw.headers["x-relay-cost-usd"]) == prompt * usd("2e-8")


def test_the_same_input_comes_from_the_cache(client, relay, sim, word):
    first = client.embeddings.create(model="p/vectors", input=word)
    raw = client.embeddings.with_raw_response.create(model="p/vectors", input=word)
    assert raw.headers["x-relay-cache"] == "exact"
    assert raw.parse().data[0].embedding == first.data[0].embedding
    assert raw.parse().usage.cost == 0
    assert len(sim.find(word, EMBED)) == 1
    row = relay.row(raw.headers["x-relay-id"])
    assert usd(row["cost_usd"]) == 0 and usd(row["cache_saved_usd"]) > 0


def test_auto_and_fallback(client, relay, sim, word):
    """auto is the cheapest model that makes embeddings; its failure is the next one's turn."""
    sim.rules({"match": {"path": "/v1/embeddings"}, "then": {"status": 503}, "times": 1})
    try:
        raw = client.embeddings.with_raw_response.create(
            model="auto", input=word, extra_body={"routing": {"ignore": ["ollama"]}})
    finally:
        sim.reset()
    assert lengths(raw.parse()) == [1.0]
    assert raw.headers["x-relay-route"] == "fallback" and raw.headers["x-relay-provider"] == "q"
    row = relay.row(raw.headers["x-relay-id"])
    assert row["model_asked"] == "auto" and row["attempts"] == 2


def test_quality_counts_only_where_it_is_asked_for(client, word):
    """Nobody knows the quality of these models, and the configuration asks auto for 30."""
    raw = client.embeddings.with_raw_response.create(model="auto", input=word,
                                                     extra_body={"routing": {"ignore": ["ollama"]}})
    assert raw.headers["x-relay-route"] == "chosen"
    with pytest.raises(openai.InternalServerError) as refused:
        client.embeddings.create(model="auto", input=word + "s",
                                 extra_body={"routing": {"ignore": ["ollama"], "min_quality": 30}})
    assert refused.value.status_code == 503 and "no_quality: 2" in str(refused.value)


def test_unpriced(client, relay, word):
    raw = client.embeddings.with_raw_response.create(model="p/embed-unheard-of", input=word)
    assert "x-relay-cost-usd" not in raw.headers
    row = relay.row(raw.headers["x-relay-id"])
    assert row["cost_usd"] is None and row["prompt_tokens"] > 0 and row["completion_tokens"] == 0


@pytest.mark.parametrize("packed", [False, True])
def test_ollama(client, relay, ollama, word, packed):
    """Its own /api/embed; Relay itself writes the base64."""
    wait_for(lambda: "embeddings" in next((m.capabilities for m in client.models.list()
                                           if m.id.startswith("ollama/nomic")), []))
    more = {} if packed else {"encoding_format": "float"}
    raw = client.embeddings.with_raw_response.create(
        model="ollama/nomic-embed-text", input=[word, "b"], dimensions=16, **more)
    answer = raw.parse()
    assert [len(d.embedding) for d in answer.data] == [16, 16] and set(lengths(answer)) == {1.0}
    sent = json.loads(ollama.find(word, "/api/embed")[-1]["body"])
    assert sent == {"model": "nomic-embed-text:latest", "input": [word, "b"], "dimensions": 16,
                    "truncate": False}
    row = relay.row(raw.headers["x-relay-id"])
    assert (row["prompt_tokens"], row["completion_tokens"]) == (answer.usage.prompt_tokens, 0)
    assert usd(row["cost_usd"]) == 0
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="ollama/nomic-embed-text", input=[1, 2])
    assert refused.value.param == "input"


def test_neither_goes_the_other_way(client, http, word):
    with pytest.raises(openai.BadRequestError, match="makes no embeddings"):
        client.embeddings.create(model="p/small", input=word)
    with pytest.raises(openai.BadRequestError, match="/v1/embeddings"):
        client.chat.completions.create(model="p/vectors",
                                       messages=[{"role": "user", "content": word}])


def test_a_dry_run_is_a_chat(relay):
    """relay route: the cheapest of all makes embeddings only, and is not among the candidates."""
    text = relay.run("route", "--min-quality", "0", "hello").stdout
    assert "p/small" in text and "vectors" not in text and "nomic" not in text


@pytest.mark.parametrize("field, value", [
    ("input", None), ("input", 7), ("input", []), ("input", [None]), ("input", {"a": "b"}),
    ("model", 5), ("model", ""), ("dimensions", 0), ("dimensions", "8"), ("dimensions", 1e300),
    ("encoding_format", "hex"), ("encoding_format", 7), ("user", [])])
def test_bad_fields_are_named(http, field, value):
    answer = http.post("/v1/embeddings", json={"model": "p/vectors", "input": "x", field: value})
    error = error_of(answer, 400, "invalid_request")
    assert error["param"].startswith(field) and field in error["message"]


def test_tokens_and_stream(http, sim):
    """Lists of tokens go on as they are; `stream` means nothing here."""
    answer = http.post("/v1/embeddings", json={"model": "p/vectors", "input": [[17, 23], [42]], "stream": True})
    assert answer.status_code == 200 and len(answer.json()["data"]) == 2
    assert "stream" not in json.loads(sim.last(EMBED)["body"])


def test_aimock(start):
    """Not ours: it gives numbers whatever is asked for, and the SDK takes them."""
    node, folder = find_node()
    port = free_port()
    mock = start.process(
        [node, f"{folder}/node_modules/@copilotkit/aimock/dist/cli.js", "-p", str(port), "-f",
         str(ROOT / "tests/wire/fixtures/aimock.json"), "--log-level", "warn"],
        "aimock", env=clean_environment(), cwd=folder)

    def ready():
        assert mock.is_running(), mock.log()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False
    wait_for(ready, why=mock.log)
    relay = start.relay({"providers": {
        "m": {"kind": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": "x"}}})
    with OpenAI(base_url=relay.base_url, api_key=relay.first_key, max_retries=0) as client:
        raw = client.embeddings.with_raw_response.create(model="m/embed", input=["a", "b"])
    assert len(raw.parse().data) == 2 and len(raw.parse().data[0].embedding) > 1
    assert relay.row(raw.headers["x-relay-id"])["completion_tokens"] == 0
