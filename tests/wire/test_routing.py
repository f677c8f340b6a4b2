"""Who is asked: bars, lists, capabilities, what is learned, and that the dry run and the log say the same."""

import json

import pytest

from support import ask, error_of, model, provider, stream


@pytest.mark.parametrize("routing,expected", [
    ({"only": ["c"]}, "c"), ({"only": ["d/m", "c/m"]}, "c"), ({"ignore": ["a"]}, "b"),
    ({"ignore": ["a/m", "b"]}, "c"), ({"only": ["a", "b"], "ignore": ["a"]}, "b")])
@pytest.mark.parametrize("name", ["any", "auto", "m"])
def test_only_and_ignore(four, word, routing, expected, name):
    answer = ask(four.client, name, word, routing=routing)
    assert answer.status_code == 200 and answer.headers["x-relay-provider"] == expected


def test_only_nobody(four):
    answer = ask(four.client, "any", routing={"only": ["nobody"]})
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "no_model_available"


def test_an_id_that_several_serve(four, word):
    answer = ask(four.client, "m", word)
    assert answer.headers["x-relay-provider"] == "a" and answer.headers["x-relay-route"] == "chosen"


def test_quality_and_strict(start, word):
    sim = start.sim()
    relay = start.relay({
        "providers": {"p": provider(sim)},
        "models": [model("p/cheap", input=1, quality=35), model("p/good", input=5, output=9, quality=70)]})
    with relay.http(relay.first_key) as c:
        def go(**routing):
            return ask(c, "auto", f"{word} {routing}", routing=routing)
        assert go(min_quality=30).headers["x-relay-model"] == "cheap"
        answer = go(min_quality=60)
        assert answer.headers["x-relay-model"] == "good" and answer.headers["x-relay-route"] == "chosen"
        answer = go(min_quality=90)
        assert answer.status_code == 200 and answer.headers["x-relay-route"] == "target-missed"
        row = relay.row(answer.headers["x-relay-id"])
        assert row["route"] == "target-missed" and row["target_met"] == 0 and row["min_quality"] == 90
        answer = go(min_quality=90, strict=True)
        error_of(answer, 503, "no_model_available")
        answer = ask(c, "auto", word + "h", headers={"x-relay-min-quality": "60"})
        assert answer.headers["x-relay-model"] == "good"


def test_max_cost(four, word):
    """Candidates over max_cost_usd are none: 503, and cheap enough ones serve."""
    answer = ask(four.client, "any", word, max_tokens=1000, routing={"max_cost_usd": 0.01})
    assert answer.status_code == 200
    answer = ask(four.client, "any", word + "2", max_tokens=1000, routing={"max_cost_usd": 0.0000001,
                                                                           "strict": True})
    assert answer.status_code == 503


def test_a_slow_answer_is_delivered_and_recorded_as_missed(four, word):
    four.sims["a"].set(ttft=300)
    answer = ask(four.client, "a/m", word, routing={"max_latency_ms": 50})
    assert answer.status_code == 200
    row = four.row(answer.headers["x-relay-id"])
    assert row["target_met"] == 0 and row["max_latency_ms"] == 50 and row["latency_ms"] >= 295


def test_latency_is_learned(start, word):
    """A cheap model that is too slow loses its traffic to one that is fast enough."""
    slow, fast = start.sim("--latency", "1000"), start.sim("--latency", "5")
    relay = start.relay({
        "providers": {"slow": provider(slow), "fast": provider(fast)},
        "models": [model("slow/m", input=1), model("fast/m", input=5, output=9)],
        "aliases": {"any": ["slow/m", "fast/m"]}})
    with relay.http(relay.first_key) as c:
        def go(i, streamed):
            body = {"routing": {"max_latency_ms": 500}}
            if streamed:
                return stream(c, "any", f"{word} {streamed} {i}", **body)[0].headers["x-relay-provider"]
            return ask(c, "any", f"{word} {streamed} {i}", **body).headers["x-relay-provider"]
        for streamed in (True, False):
            got = [go(i, streamed) for i in range(15)]
            assert got[-3:] == ["fast"] * 3, got
        assert ask(c, "any", word).headers["x-relay-provider"] == "slow"  # no bar: the cheapest


def test_capabilities(start, word):
    sim = start.sim()
    relay = start.relay({
        "providers": {"p": provider(sim)},
        "models": [model("p/plain", input=1, capabilities=[]),
                   model("p/tools", input=2, capabilities=["tools"]),
                   model("p/json", input=3, capabilities=["json"]),
                   model("p/eyes", input=4, capabilities=["vision"]),
                   model("p/web", input=5, capabilities=["vision", "image_urls"])]})
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}

    def image(url):
        return [{"type": "text", "text": word}, {"type": "image_url", "image_url": {"url": url}}]
    with relay.http(relay.first_key) as c:
        def served(content=word, **more):
            answer = ask(c, "auto", content, **more)
            return answer.headers.get("x-relay-model", answer.status_code)
        assert served() == "plain"
        assert served(tools=[tool]) == "tools"
        assert served(response_format=schema) == "json"
        assert served(image("data:image/png;base64,AAAA")) == "eyes"
        assert served(image("https://example.com/x.png")) == "web"


def test_a_long_prompt_needs_a_large_context(start, word):
    sim = start.sim()
    relay = start.relay({
        "providers": {"p": provider(sim)},
        "models": [model("p/small", input=1, context=4000, max_output=1000),
                   model("p/long", input=5, output=9, context=200000)]})
    with relay.http(relay.first_key) as c:
        assert ask(c, "auto", word).headers["x-relay-model"] == "small"
        assert ask(c, "auto", "many words " * 5000).headers["x-relay-model"] == "long"
        assert ask(c, "auto", word, max_tokens=6000).headers["x-relay-model"] == "long"


def test_unknown_models_are_never_chosen(start, word):
    sim = start.sim()
    relay = start.relay({"providers": {"p": provider(sim)},
                         "models": [{"id": "p/no-quality", "input": 0, "output": 0, "context": 9999},
                                    {"id": "p/no-price", "quality": 99, "context": 9999},
                                    model("p/known", input=9, output=9)]})
    with relay.http(relay.first_key) as c:
        answer = ask(c, "auto", word, routing={"min_quality": 10})
        assert answer.headers["x-relay-model"] == "known"


def test_dry_run_agrees_with_what_is_served(start, word):
    sim = start.sim()
    relay = start.relay({
        "providers": {"p": provider(sim)},
        "models": [model(f"p/m{q}", input=q / 10, output=q / 5, quality=q) for q in (20, 40, 60, 80)]})
    with relay.http(relay.first_key) as c:
        for q in (0, 20, 35, 55, 75, 80, 95):
            dry = json.loads(relay.run("route", "--json", "--min-quality", str(q), word).stdout)
            answer = ask(c, "auto", f"{word} {q}", routing={"min_quality": q})
            head = answer.headers
            assert dry["candidates"][0]["model"] == f"{head['x-relay-provider']}/{head['x-relay-model']}"
            assert dry["target_missed"] == (head["x-relay-route"] == "target-missed") == (q == 95)
            person = relay.run("route", "--min-quality", str(q), word).stdout
            assert dry["candidates"][0]["model"] in person


def test_the_decision_is_recorded(four, word):
    answer = ask(four.client, "any", word)
    decision = json.loads(four.row(answer.headers["x-relay-id"])["decision"])
    text = json.dumps(decision)
    assert "a/m" in text or '"a"' in text
    assert len(text) <= 600


def test_routing_saved(four, word):
    """The same tokens at the dearest candidate that cleared the bars, less the true cost."""
    answer = ask(four.client, "any", f"{word} [[sim:prompt_tokens=1000000;completion_tokens=0]]")
    row = four.row(answer.headers["x-relay-id"])
    assert float(row["cost_usd"]) == 1 and float(row["routing_saved_usd"]) == 3
