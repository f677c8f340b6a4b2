"""A question, two calls at once, their results, the answer: through every pair of door and provider's
dialect, plain and streamed, with the official SDKs before Relay and two simulators behind it."""

import json

import pytest

from agents import AGENTS, seen_by
from aimock import start_aimock
from dialects import DIALECTS, INPUT, OUTPUT, four_dialects, model_of, provider_of, questions
from support import usd

pytestmark = [pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"]),
              pytest.mark.parametrize("dialect", DIALECTS), pytest.mark.parametrize("door", AGENTS)]
RESULTS = ["21 degrees, \"fair\" ☀️", "{\"hour\": 7}"]


@pytest.fixture(scope="module")
def aimock(start_once):
    yield from start_aimock(start_once)


@pytest.fixture(scope="module")
def relay(start_once, sim):
    return start_once.relay(four_dialects(sim.url))


@pytest.fixture(scope="module")
def before_aimock(start_once, aimock):
    return start_once.relay(four_dialects(aimock.url))


def loop(relay, door, dialect, streamed, word, names):
    """Goes round once: (the first turn, the second, their rows)."""
    agent = AGENTS[door](relay, relay.first_key, model_of(dialect), streamed, word)
    first = agent.ask(f"{names} {word}")
    assert [c.name for c in first.calls] == ["get_weather", "get_time"]
    assert first.finish == "tool_calls" and len({c.id for c in first.calls}) == 2
    second = agent.give([(c.id, r) for c, r in zip(first.calls, RESULTS)])
    assert second.finish == "stop" and second.text and not second.calls
    rows = relay.wait_rows(2, "tags LIKE ?", f"%{word}%")
    for row, turn in zip(rows, (first, second)):
        assert (row["endpoint"], row["provider"]) == (agent.endpoint, provider_of(dialect))
        assert (row["status"], row["stream"], row["finish_reason"]) == (200, streamed, turn.finish)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (turn.prompt, turn.completion)
        assert usd(row["cost_usd"]) * 1000000 == turn.prompt * INPUT + turn.completion * OUTPUT
    return first, second, rows


def test_against_relay_sim(relay, sim, word, door, dialect, streamed):
    first, second, rows = loop(relay, door, dialect, streamed, word, "get_weather get_time")
    assert [set(c.arguments) >= {key} for c, key in zip(first.calls, ("city", "zone"))] == [True] * 2
    assert word in first.calls[0].arguments["city"]
    assert "relay-sim" in second.text
    assert [r["usage_source"] for r in rows] == ["provider"] * 2
    assert first.prompt < second.prompt
    asked, told = questions(sim, dialect, word)
    seen = seen_by[dialect](told)
    assert [s[1:] for s in seen] == [(c.name, c.arguments, r) for c, r in zip(first.calls, RESULTS)]
    if dialect in ("openai", "anthropic"):  # the others' ids are Relay's, or carry a signature
        assert [s[0] for s in seen] == [c.id for c in first.calls]
    assert json.dumps(asked["tools"]) == json.dumps(told["tools"])


def test_against_aimock(before_aimock, aimock, word, door, dialect, streamed):
    """A simulator that is not ours. It may tell no usage: then it is estimated."""
    first, second, rows = loop(before_aimock, door, dialect, streamed, word, "weather")
    assert [(c.name, c.arguments) for c in first.calls] == [
        ("get_weather", {"city": "Paris", "unit": "c"}), ("get_time", {"tz": "CET"})]
    if dialect in ("openai", "anthropic"):
        assert [c.id for c in first.calls] == ["call_001", "call_002"]
    assert second.text == "It is 20C."
    assert {r["usage_source"] for r in rows} <= {"provider", "estimated"}
    told = aimock.client.get("/__aimock/journal").json()
    assert all(r in json.dumps(told[-1]["body"], ensure_ascii=False).replace('\\"', '"') for r in
               ("21 degrees, ", "hour")), told[-1]


def test_a_hit_in_the_other_shape(relay, word, door, dialect, streamed):
    """What the cache replays, streamed or plain, is as good to the SDK's types as what it has stored."""
    turns = [AGENTS[door](relay, relay.first_key, model_of(dialect), shape, word).ask(word)
             for shape in (streamed, not streamed)]
    assert turns[0] == turns[1] and word in turns[0].text
    rows = relay.wait_rows(2, "tags LIKE ?", f"%{word}%")
    assert [(r["cache"], r["stream"]) for r in rows] == [("miss", streamed), ("exact", not streamed)]
    assert usd(rows[1]["cost_usd"]) == 0 and rows[1]["source_id"] == rows[0]["id"]
