"""docs/openapi/v1.json is what the code serves: the same paths, and answers and refusals of the shapes that it has.
scripts/schemathesis.sh asks the rest."""

import json
import re

import pytest

from openapi import V1, Description
from support import ROOT, model, provider

pytestmark = pytest.mark.once  # a document; the code under it has other tests

TEXT = [{"role": "user", "content": "x"}]
# Of each operation a request that is right.
RIGHT = {
    "/chat/completions": {"model": "p/small", "messages": TEXT},
    "/messages": {"model": "p/small", "max_tokens": 9, "messages": TEXT},
    "/messages/count_tokens": {"model": "p/small", "messages": TEXT},
    "/responses": {"model": "p/small", "input": "x"},
    "/embeddings": {"model": "p/vectors", "input": ["x", "y"]},
}


@pytest.fixture(scope="module")
def described():
    return Description(json.loads(V1.read_text()))


@pytest.fixture(scope="module")
def gateway(start_once):
    sim = start_once.sim()
    return start_once.relay({"providers": {"p": provider(sim)}, "models": [
        model("p/small"), model("p/vectors", capabilities=["embeddings"])]})


def test_its_paths_are_the_routes_of_the_code(described):
    table = re.findall(r'\{"(GET|POST)",\s*"/v1(/[^"]+)",\s*ENDPOINT_', (ROOT / "src/path/endpoints.c").read_text())
    assert len(table) == len(re.findall(r'"/v1/[^"]+",\s*ENDPOINT_', (ROOT / "src/path/endpoints.c").read_text()))
    # One row of the table is a list and its entries.
    assert described.operations() == {*table, ("GET", "/models/{id}")}


@pytest.mark.parametrize("path", RIGHT)
def test_answers_and_refusals_are_as_described(described, gateway, path):
    with gateway.http(gateway.first_key) as client:
        def said(**kw):
            answer = client.post("/v1" + path, **kw)
            described.check("POST", path, answer)
            assert {"x-request-id", "x-relay-id"} <= set(answer.headers)
            return answer.status_code
        assert said(json=RIGHT[path]) == 200
        assert said(json={**RIGHT[path], "model": "p/vectors" if path != "/embeddings" else "p/small"}) in (200, 400)
        assert said(json={**RIGHT[path], "model": "nobody/has-it"}) == 404
        assert said(json={"model": "p/small"}) == 400
        assert said(content=b"{", headers={"content-type": "application/json"}) == 400
        assert said(json=RIGHT[path], headers={"content-type": "text/plain"}) == 415
        assert said(json=RIGHT[path], headers={"authorization": "Bearer " + gateway.first_key[:-1] + "_"}) == 401
        assert said(json=RIGHT[path], headers={"authorization": ""}) == 401


def test_models_are_as_described(described, gateway):
    with gateway.http(gateway.first_key) as client:
        described.check("GET", "/models", client.get("/v1/models"))
        assert described.check("GET", "/models/{id}", client.get("/v1/models/p/small"))["id"] == "p/small"
        described.check("GET", "/models/{id}", client.get("/v1/models/none"))
    with gateway.http() as client:
        for path in ("/models", "/models/{id}"):
            answer = client.get("/v1" + path.replace("{id}", "p/small"))
            assert answer.status_code == 401
            described.check("GET", path, answer)
