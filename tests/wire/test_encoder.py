"""relay/all-MiniLM-L6-v2, which Relay's own encoder serves: through the official SDK, and `relay embed`.

tests/wire/fixtures/encoder.json has vectors of a float64 forward in numpy (tests/embed/reference.py).
The tests with vectors need the model's files, which `make build` fetches where there is a network."""

import base64
import json
import struct
import subprocess
import threading
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI

from support import RELAY_BIN, ROOT, clean_environment, error_of, usd, wait_for

NAME = "relay/all-MiniLM-L6-v2"
FOLDER = ROOT / "build/models/all-MiniLM-L6-v2"
GOLDEN = json.loads((Path(__file__).parent / "fixtures/encoder.json").read_text())
TEXTS = list(GOLDEN)

with_model = pytest.mark.skipif(not (FOLDER / ".complete").exists(),
                                reason="the model's files are not here (scripts/model.sh)")


@pytest.fixture(scope="module")
def relay(start_once):
    return start_once.relay(env={"RELAY_CACHE_MODEL": FOLDER})


@pytest.fixture(scope="module")
def client(relay):
    with OpenAI(base_url=relay.base_url, api_key=relay.make_key(), max_retries=0) as c:
        yield c


@pytest.fixture(scope="module")
def without(start_once):
    return start_once.relay()


def is_near(vector, text):
    assert len(vector) == 384
    return max(abs(a - b) for a, b in zip(vector, GOLDEN[text])) < 1e-4


@with_model
@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"},
                                  {"dimensions": 384}])
def test_vectors_are_those_of_the_reference(client, relay, more):
    raw = client.embeddings.with_raw_response.create(model=NAME, input=TEXTS, **more)
    answer = raw.parse()
    assert [d.index for d in answer.data] == list(range(len(TEXTS)))
    for text, d in zip(TEXTS, answer.data):
        vector = d.embedding
        if more.get("encoding_format") == "base64":
            vector = struct.unpack("<384f", base64.b64decode(vector))
        assert is_near(vector, text), text
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 2 * len(TEXTS)
    assert answer.usage.cost == 0
    assert raw.headers["x-relay-provider"] == "relay" and raw.headers["x-relay-cache"] == "bypass"
    row = relay.row(raw.headers["x-relay-id"])
    assert (row["provider"], row["model"], row["route"]) == ("relay", "all-MiniLM-L6-v2", "pinned")
    assert row["prompt_tokens"] == answer.usage.prompt_tokens and row["status"] == 200
    assert usd(row["cost_usd"]) == 0


@with_model
def test_one_text(client):
    answer = client.embeddings.create(model=NAME, input=TEXTS[0])
    assert len(answer.data) == 1 and is_near(answer.data[0].embedding, TEXTS[0])


@with_model
@pytest.mark.parametrize("body, param", [
    ({"input": "x", "dimensions": 256}, "dimensions"), ({"input": [1, 2]}, "input"),
    ({"input": [[1], [2]]}, "input"), ({"input": ["x"] * 2049}, "input")])
def test_what_it_cannot_do_names_the_field(client, body, param):
    with pytest.raises(openai.BadRequestError) as e:
        client.embeddings.create(model=NAME, **body)
    assert e.value.param == param


@with_model
def test_it_is_listed(client, relay):
    listed = {m.id: m for m in client.models.list().data}[NAME]
    assert listed.owned_by == "relay" and listed.capabilities == ["embeddings"]
    assert client.models.retrieve(NAME).id == NAME
    done = relay.run("models", "--json")
    assert NAME in [m["id"] for m in json.loads(done.stdout)["models"]]


@with_model
def test_a_client_that_leaves_takes_its_texts_back(client, relay):
    """Its row says so soon, and who comes next does not wait for what it left."""
    key = client.api_key
    long = ["word " * 300] * 2000

    def leave():
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{relay.base_url}/embeddings", json={"model": NAME, "input": long},
                       timeout=httpx.Timeout(30, read=1), headers={"authorization": f"Bearer {key}"})
    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    left = wait_for(lambda: [r for r in relay.rows() if r["error_code"] == "client_closed"])
    assert left[0]["provider"] == "relay" and usd(left[0]["cost_usd"]) == 0
    assert is_near(client.with_options(timeout=10).embeddings.create(
        model=NAME, input=TEXTS[1]).data[0].embedding, TEXTS[1])


def test_without_a_model(without):
    with OpenAI(base_url=without.base_url, api_key=without.make_key(), max_retries=0) as c:
        with pytest.raises(openai.NotFoundError) as e:
            c.embeddings.create(model=NAME, input="x")
        assert e.value.code == "model_not_found" and "relay check" in e.value.message
        assert NAME not in [m.id for m in c.models.list().data]
    assert "no embedding model" in without.log() and "make build" in without.log()
    assert f"{NAME} is off: the model none is not here" in without.run("check").stdout


def test_files_that_are_not_the_model_are_said_at_start(start, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"no weights")
    relay = start.relay(env={"RELAY_CACHE_MODEL": folder})
    assert "bad/config.json: No such file" in relay.log()
    assert "bad/config.json: No such file" in relay.run("check").stdout
    assert relay.run("embed", "x", check=False).returncode == 1


def embed(*args, text=None, model=FOLDER):
    return subprocess.run([RELAY_BIN, "embed", *args], input=text, capture_output=True, text=True,
                          env=clean_environment(RELAY_CACHE_MODEL=model), timeout=60, check=False)


@with_model
def test_relay_embed():
    both = json.loads(embed("--json", *TEXTS[:2]).stdout)
    assert all(is_near(d["embedding"], t) for d, t in zip(both["data"], TEXTS))
    cosine = sum(a * b for a, b in zip(GOLDEN[TEXTS[0]], GOLDEN[TEXTS[1]]))
    assert abs(both["cosine"] - cosine) < 1e-4
    assert f"cosine: {cosine:.4f}" in embed(*TEXTS[:2]).stdout
    piped = json.loads(embed("--json", f"--model={FOLDER}", text=TEXTS[2] + "\n", model="none").stdout)
    assert len(piped["data"]) == 1 and is_near(piped["data"][0]["embedding"], TEXTS[2])


def test_relay_embed_without_a_model():
    done = embed("x", model="none")
    assert (done.returncode, done.stdout) == (1, "")
    assert "make build" in done.stderr and done.stderr.count("\n") == 1
