"""The semantic cache with the real model: what it answers, what it must not, behind every door."""

import json
import urllib.parse
from http.client import HTTPConnection

import anthropic
import openai
import pytest

from support import ROOT, ask, content_of, model, provider, stream, usd, wait_for

FOLDER = ROOT / "build/models/all-MiniLM-L6-v2"
pytestmark = pytest.mark.skipif(not (FOLDER / ".complete").exists(),
                                reason="the model's files are not here (scripts/model.sh)")

CONFIG = {"models": [model("p/small", input=1, output=2, quality=40), model("p/large", input=10, output=20)],
          "cache": {"max_wait": "1m"}}


def start_relay(start, sim, **cache):
    config = {**CONFIG, "providers": {"p": provider(sim)}, "cache": {**CONFIG["cache"], **cache}}
    relay = start.relay(config, env={"RELAY_CACHE_MODEL": FOLDER})
    return relay


@pytest.fixture(scope="module")
def relay(start_once, sim):
    return start_relay(start_once, sim)


def cached(answer):
    return answer.headers["x-relay-cache"]


ASKED = "How do I reset my password?"
ALIKE = ["How can I reset my password?", "how do i reset my password", "Please tell me how I can reset my password.",
         "How do I reset my passwords?"]
# Each is near to its pair by cosine, and asks for something else.
MINIMAL = [
    ("How do I turn on dark mode in the settings?", "How do I turn off dark mode in the settings?", "antonym"),
    ("How far is it from Paris to Berlin by train?", "How far is it from Berlin to Paris by train?", None),
    ("What can I cook with 2 eggs and flour?", "What can I cook with 3 eggs and flour?", "number"),
    ("Is it safe to eat raw salmon?", "Is it not safe to eat raw salmon?", "negation"),
    ("Explain how Python 3.11 handles exceptions.", "Explain how Python 3.12 handles exceptions.", None),
    ("When does the museum in Lisbon open on weekends?", "When does the museum in Madrid open on weekends?", "entity"),
]


def test_a_paraphrase_hits_and_its_row_says_so(relay, http, sim):
    miss = ask(http, "p/small", ASKED)
    assert cached(miss) == "miss"
    for text in ALIKE:
        hit = ask(http, "p/small", text)
        assert cached(hit) == "semantic", (text, relay.row(hit.headers["x-relay-id"])["decision"])
        head = hit.headers
        assert hit.json()["choices"] == miss.json()["choices"] and hit.json()["id"] != miss.json()["id"]
        assert 0.75 <= float(head["x-relay-similarity"]) <= 1 and 0 <= int(head["age"]) <= 60
        assert head["x-relay-route"] == "cached" and usd(head["x-relay-cost-usd"]) == 0
        row = relay.row(head["x-relay-id"])
        assert (row["cache"], row["route"], row["usage_source"]) == ("semantic", "cached", "cache")
        assert row["source_id"] == miss.headers["x-relay-id"]
        assert abs(row["similarity"] - float(head["x-relay-similarity"])) < 1e-3
        usage = miss.json()["usage"]
        assert usd(row["cache_saved_usd"]) * 1000000 == usage["prompt_tokens"] + 2 * usage["completion_tokens"]
        assert 0 < json.loads(row["decision"])["cache"]["score"] <= 1
        assert relay.metric("relay_cache_total", result="semantic") >= 1


@pytest.mark.parametrize("first,second,rule", MINIMAL, ids=[m[1] for m in MINIMAL])
def test_what_only_looks_alike_is_asked(relay, http, first, second, rule):
    assert cached(ask(http, "p/small", first)) == "miss"
    other = ask(http, "p/small", second)
    assert cached(other) == "miss"
    cache = json.loads(relay.row(other.headers["x-relay-id"])["decision"])["cache"]
    assert cache["nearest"] > 0.75 and cache["refused"] == (rule or cache["refused"]) != "score"
    assert relay.metric("relay_cache_vetoes_total", rule=cache["refused"]) >= 1
    assert cached(ask(http, "p/small", second)) == "exact"


def say(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def clients(relay):
    key = relay.make_key("doors")
    o = openai.OpenAI(base_url=relay.base_url, api_key=key, max_retries=0)
    a = anthropic.Anthropic(base_url=relay.url, api_key=key, max_retries=0)
    yield o, a
    o.close()
    a.close()


def by_chat(clients, text, streamed):
    raw = clients[0].chat.completions.with_raw_response.create(
        model="p/small", messages=say(text), stream=streamed, **({"stream_options": {"include_usage": True}} if streamed else {}))
    if not streamed:
        c = raw.parse()
        assert c.choices[0].finish_reason == "stop"
        return raw.headers, c.id, c.choices[0].message.content, c.usage.total_tokens
    chunks = list(raw.parse())
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    return (raw.headers, chunks[0].id, "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
            chunks[-1].usage.total_tokens)


def by_messages(clients, text, streamed):
    more = {"model": "p/small", "max_tokens": 500, "messages": say(text)}
    if not streamed:
        raw = clients[1].messages.with_raw_response.create(**more)
        m = raw.parse()
        assert m.stop_reason == "end_turn"
        return raw.headers, m.id, m.content[0].text, m.usage.input_tokens + m.usage.output_tokens
    with clients[1].messages.stream(**more) as s:
        m = s.get_final_message()
        assert m.stop_reason == "end_turn"
        return s.response.headers, m.id, m.content[0].text, m.usage.input_tokens + m.usage.output_tokens


def by_responses(clients, text, streamed):
    raw = clients[0].responses.with_raw_response.create(model="p/small", input=text, stream=streamed)
    r = raw.parse()
    if streamed:
        events = list(r)
        assert [e.sequence_number for e in events] == list(range(len(events)))
        r = events[-1].response
    assert r.status == "completed"
    return raw.headers, r.id, r.output_text, r.usage.total_tokens


@pytest.mark.parametrize("second", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("first", [False, True], ids=["from-plain", "from-streamed"])
@pytest.mark.parametrize("door", [by_chat, by_messages, by_responses])
def test_every_door_replays_plain_and_streamed(relay, clients, word, door, first, second):
    """Through the official SDKs: their types refuse what is not of the shape."""
    subject = f"the {word} washing machine"
    miss = door(clients, f"How do I clean {subject}?", first)
    hit = door(clients, f"How can I clean {subject}?", second)
    assert miss[0]["x-relay-cache"] == "miss"
    assert hit[0]["x-relay-cache"] == "semantic", relay.row(hit[0]["x-relay-id"])["decision"]
    assert hit[1] != miss[1] and hit[2] == miss[2] != "" and hit[3] == miss[3]


@pytest.mark.parametrize("more", [
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
    {"seed": 1}, {"logprobs": True}, {"logit_bias": {"5": 1}}, {"cache": {"mode": "exact"}},
], ids=lambda m: next(iter(m)))
def test_where_it_steps_aside(http, word, more):
    assert cached(ask(http, "p/small", f"How do I clean a {word} bicycle?", **more)) == "miss"
    assert cached(ask(http, "p/small", f"How can I clean a {word} bicycle?", **more)) == "miss"


@pytest.mark.parametrize("text", [
    "Write to ann.smith@example.com about the invoice, please.", "What is the weather in Paris today?",
    "Warum ist der Himmel am Abend eigentlich rot?", "Explain this: ```int main(void) { return 0; }```",
    "Tell me about bicycles. " * 80])
def test_texts_that_share_nothing(relay, http, text):
    before = relay.metric("relay_cache_total", result="semantic")
    assert cached(ask(http, "p/small", text)) == "miss"
    assert cached(ask(http, "p/small", text + " Thanks!")) == "miss"
    assert cached(ask(http, "p/small", text)) == "exact"
    assert relay.metric("relay_cache_total", result="semantic") == before


def test_an_outage_of_every_provider_leaves_the_hits(start):
    sim = start.sim()
    relay = start_relay(start, sim)
    with relay.http(relay.make_key()) as http:
        assert cached(ask(http, "p/small", ASKED)) == "miss"
        sim.stop()
        assert cached(ask(http, "p/small", ALIKE[0])) == "semantic"


def test_a_restart_keeps_what_was_written(start, sim):
    """Also after SIGKILL, once the answer is in the file: a second after it came."""
    relay = start_relay(start, sim)
    key = relay.make_key()
    with relay.http(key) as http:
        first = ask(http, "p/small", ASKED)
        assert cached(first) == "miss"

        def kept():
            return json.loads(relay.run("cache", "stats", "--json").stdout)["similar"] == 1
        wait_for(kept)
    assert oct((relay.data / "relay-cache.db").stat().st_mode)[-3:] == "600"
    for stop in (relay.kill, relay.stop):
        stop()
        relay.start()
        with relay.http(key) as http:
            assert cached(ask(http, "p/small", ASKED)) == "exact"
            hit = ask(http, "p/small", ALIKE[0])
            assert cached(hit) == "semantic"
            assert hit.json()["choices"] == first.json()["choices"]
            assert relay.row(hit.headers["x-relay-id"])["source_id"] == first.headers["x-relay-id"]
    # Without the model the very same question is still answered.
    relay.stop()
    relay.env["RELAY_CACHE_MODEL"] = "none"
    relay.start()
    with relay.http(key) as http:
        assert cached(ask(http, "p/small", ASKED)) == "exact"
        assert cached(ask(http, "p/small", ALIKE[1])) == "miss"


def test_without_a_model_it_is_exact_caching_only(start, sim):
    relay = start.relay({**CONFIG, "providers": {"p": provider(sim)}})
    assert "exact caching only" in relay.log()
    with relay.http(relay.make_key()) as http:
        assert cached(ask(http, "p/small", ASKED)) == "miss"
        assert cached(ask(http, "p/small", ALIKE[0])) == "miss"
        assert cached(ask(http, "p/small", ASKED)) == "exact"


def test_a_busy_encoder_holds_nobody_up(start, sim):
    """Embeddings keep the encoder busy for a minute; chats go on as bypass, without waiting their turn."""
    relay = start_relay(start, sim, max_wait="25ms")
    key = relay.make_key()
    with relay.http(key) as http:
        texts = (f"Which of the planets has the most moons, number {n}?" for n in range(10000))
        wait_for(lambda: cached(ask(http, "p/small", next(texts))) == "miss")
        flood = {"model": "relay/all-MiniLM-L6-v2", "input": ["a text of some length " * 40] * 2000}
        url = urllib.parse.urlsplit(relay.base_url)
        busy = HTTPConnection(url.hostname, url.port)
        busy.request("POST", "/v1/embeddings", json.dumps(flood), {"authorization": f"Bearer {key}",
                                                                   "content-type": "application/json"})
        ask_one = (cached(ask(http, "p/small", f"Which of the planets has the most rings, number {n} of them?"))
                   for n in range(10000))
        wait_for(lambda: next(ask_one) == "bypass")
        assert {next(ask_one) for _ in range(20)} == {"bypass"}
        busy.close()  # who leaves takes what waits back
        wait_for(lambda: next(ask_one) == "miss")


def test_audits_ask_again_and_belong_to_no_key(start, sim, word):
    relay = start_relay(start, sim, audit=1)
    key = relay.make_key("audited", budget_usd="1", budget_period="total")
    with relay.http(key) as http:
        asked = ask(http, "p/small", f"How do I reset my {word} password?")
        hit = ask(http, "p/small", f"How can I reset my {word} password?")
    assert (cached(asked), cached(hit)) == ("miss", "semantic")
    (audit,) = relay.wait_rows(1, "endpoint = 'audit'")
    assert (audit["key_id"], audit["status"], audit["cache"], audit["stream"]) == (None, 200, "bypass", 0)
    assert audit["source_id"] == asked.headers["x-relay-id"] and usd(audit["cost_usd"]) > 0
    found = json.loads(audit["decision"])["audit"]
    assert found["of"] == hit.headers["x-relay-id"]
    # relay-sim makes its answers of the question, so these two say other words.
    assert found["result"] in ("same", "different", "undecided") and 0 < found["score"] <= 1
    assert relay.metric("relay_cache_audits_total", result=found["result"]) == 1
    assert "(audit)" in relay.run("logs", "--table").stdout
    row = relay.row(asked.headers["x-relay-id"])
    listed = wait_for(lambda: [k for k in relay.keys() if k["tag"] == key[:8] and usd(k["budget_spent_usd"]) > 0])
    assert usd(listed[0]["budget_spent_usd"]) == usd(row["cost_usd"])
