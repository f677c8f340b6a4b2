"""What happens when providers fail: who is asked next, what is remembered, what the client sees."""

import time

import pytest

from support import (IS_ASAN, ask, content_of, counts, error_of, fail, free_port, make_four, model,
                     provider, stream, wait_for)

ANOTHER = {
    **{f"status {s}": dict(status=s) for s in (408, 409, 425, 498, 500, 502, 503, 529)},
    "empty": dict(body="", framing="length"),
    "no JSON": dict(body="<html>Bad gateway</html>"),
    "half JSON": dict(malformed_event=1),
    "JSON but no answer": dict(body="{}"),
    "array": dict(body="[]"),
    "reset at 0": dict(reset_at=0),
    "reset in the head": dict(reset_at=20),
    "reset in the body": dict(at_body=True, reset_at=30),
    "closed in the body": dict(at_body=True, close_at=30),
    "wrong length": dict(content_length=100000, connection_close=True),
    "rubbish": dict(raw="cnViYmlzaA0KDQo="),
    "quota": dict(error="quota"), "auth": dict(error="auth"), "billing": dict(error="billing"),
    "permission": dict(error="permission"), "not found": dict(error="not_found"),
    "rate": dict(error="rate"), "overloaded": dict(error="overloaded"),
    "error object with 200": dict(body='{"error":{"message":"no","type":"server_error"}}'),
}


@pytest.mark.parametrize("how", ANOTHER)
def test_plain_goes_to_the_next(four, word, how):
    fail(four, "a", **ANOTHER[how])
    answer = ask(four.client, "any", word)
    assert answer.status_code == 200, answer.text
    head = answer.headers
    assert (head["x-relay-provider"], head["x-relay-route"], head["x-relay-attempts"]) == (
        "b", "fallback", "2")
    row = four.row(head["x-relay-id"])
    assert (row["provider"], row["route"], row["attempts"], row["status"]) == ("b", "fallback", 2, 200)
    attempts = four.attempts(head["x-relay-id"])
    assert [(a["n"], a["provider"]) for a in attempts] == [(1, "a"), (2, "b")]
    assert attempts[0]["error_code"] and attempts[0]["usage_source"] in ("none", "provider",
                                                                         "estimated")
    assert attempts[1]["status"] == 200 and not attempts[1]["error_code"]
    assert four.metric("relay_fallbacks_total", provider="a") == 1


BEFORE_CONTENT = {
    "status 500": dict(status=500), "reset at 0": dict(reset_at=0),
    "reset after the head": dict(at_body=True, reset_at=0),
    "reset after the role": dict(reset_event=1), "closed after the role": dict(close_event=1),
    "ends without anything": dict(body="", framing="length"),
    "error first": dict(error_event=1), "error after the role": dict(error_event=2),
    "malformed": dict(malformed_event=1), "comments only": dict(body=": hello\n\n: more\n\n"),
    "plain JSON": dict(body='{"error":{"message":"no"}}', content_type="application/json"),
    "done at once": dict(body="data: [DONE]\n\n"),
}


@pytest.mark.parametrize("how", BEFORE_CONTENT)
def test_a_stream_before_its_first_content(four, word, how):
    fail(four, "a", **BEFORE_CONTENT[how])
    answer, events, cut = stream(four.client, "any", word)
    assert answer.status_code == 200 and not cut, events
    assert answer.headers["x-relay-provider"] == "b"
    assert events[-1] == "[DONE]" and word in content_of(events)
    assert len({e["id"] for e in events[:-1]}) == 1
    assert sum(1 for e in events[:-1] for c in e["choices"] if c["delta"].get("role")) == 1


AFTER_CONTENT = {
    "reset": dict(reset_event=8), "closed": dict(close_event=8), "no DONE": dict(done=False, finish=""),
    "error event": dict(error_event=8), "malformed": dict(malformed_event=8),
    "oversize": dict(oversize_event=8, oversize_bytes=100 << 20),
}


@pytest.mark.parametrize("how", AFTER_CONTENT)
def test_a_stream_after_its_first_content(four, word, how):
    """Never another model, never a clean end: one error event, no [DONE], the connection closes."""
    # The gaps are between the content and the fault: where both come in one read, no content has gone out
    # yet, and another model may still serve.
    fail(four, "a", **{"gap_ms": 30, **AFTER_CONTENT[how]})
    if how == "no DONE":
        fail(four, "a", gap_ms=30, close_event=10)
    answer, events, cut = stream(four.client, "any", word)
    assert answer.status_code == 200 and answer.headers["x-relay-provider"] == "a"
    assert cut, "the final chunk came: the stream looks whole"
    assert "[DONE]" not in events
    assert len([e for e in events if "error" in e]) == 1 and "error" in events[-1]
    assert events[-1]["error"]["code"] in ("upstream_truncated", "upstream_error", "upstream_invalid")
    assert content_of(events)
    assert not any(c.get("finish_reason") for e in events for c in e.get("choices", []))
    assert counts(four) == [1, 0, 0, 0]
    row = four.row(answer.headers["x-relay-id"])
    assert row["status"] == 502 and row["error_code"] == events[-1]["error"]["code"]
    assert row["usage_source"] == "estimated" and row["completion_tokens"] > 0


def test_a_truncated_stream_is_not_kept(four, word):
    fail(four, "a", close_event=8, gap_ms=30)
    assert stream(four.client, "a/m", word)[2]
    four.sims["a"].reset()
    answer = ask(four.client, "a/m", word)
    assert answer.status_code == 200 and answer.headers["x-relay-cache"] == "miss"


def test_a_stream_without_done_but_finished(four, word):
    """finish_reason came and only [DONE] is missing: an end before the terminator is a failure."""
    fail(four, "a", done=False)
    answer, events, cut = stream(four.client, "a/m", word)
    assert cut and "[DONE]" not in events and "error" in events[-1]


@pytest.mark.parametrize("split", [1, 7, 1460])
@pytest.mark.parametrize("eol", ["lf", "crlf", "cr"])
def test_shapes_of_good_streams(four, word, split, eol):
    four.sims["a"].set(split=split, split_gap_ms=0, eol=eol, bom=True, data_space=False,
                       comment_every=3, comment="OPENROUTER PROCESSING", last_blank=(eol != "cr"))
    text = f"{word} 你好🙂 Grüße"
    answer, events, cut = stream(four.client, "a/m", text)
    assert not cut and events[-1] == "[DONE]"
    assert text in content_of(events)


def test_a_stall_in_a_stream(start, word):
    relay = make_four(start, timeouts={"idle": "600ms", "first_token": "600ms"})
    fail(relay, "a", stall_event=6, stall_ms=100000)
    answer, events, cut = stream(relay.client, "any", word)
    assert cut
    assert events[-1]["error"]["code"] in ("upstream_timeout", "upstream_truncated")
    fail(relay, "b", ttft=100000)  # a first token that does not come: the next
    relay.sims["a"].set(stall_event=None, ttft=100000)
    answer, events, cut = stream(relay.client, "any", word + "2")
    assert not cut and answer.headers["x-relay-provider"] == "c"
    seen = wait_for(lambda: [r for r in relay.sims["a"].requests() if r["outcome"] == "client_closed"])
    assert seen


def test_comments_are_life(start, word):
    """Any byte counts against idle: keep-alives of a queueing provider hold the stream open."""
    relay = make_four(start, timeouts={"idle": "1s", "first_token": "1s"})
    relay.sims["a"].set(comment_every=1, gap_ms=300, events=6)
    answer, events, cut = stream(relay.client, "a/m", word)
    assert not cut and events[-1] == "[DONE]"


def test_a_slow_head_of_a_plain_answer_is_not_cut_by_stream_timeouts(start, word):
    relay = make_four(start, timeouts={"idle": "300ms", "first_token": "300ms"})
    relay.sims["a"].set(ttft=900)
    assert ask(relay.client, "a/m", word).status_code == 200


def test_total_timeout(start, word):
    relay = make_four(start, timeouts={"total": "500ms"})
    for sim in relay.sims.values():
        sim.set(ttft=100000)
    answer = ask(relay.client, "any", word)
    error_of(answer, 504, "upstream_timeout")
    assert relay.row(answer.headers["x-relay-id"])["status"] == 504


@pytest.mark.parametrize("streamed", [False, True])
def test_deadline(four, word, streamed):
    for sim in four.sims.values():
        sim.set(ttft=100000)
    began = time.monotonic()
    body = {"routing": {"deadline_ms": 300}}
    if streamed:
        answer, events, _ = stream(four.client, "any", word, **body)
        assert answer.status_code == 504 and events["error"]["code"] == "upstream_timeout"
    else:
        answer = ask(four.client, "any", word, **body)
        error_of(answer, 504, "upstream_timeout")
    assert time.monotonic() - began > 0.25
    wait_for(lambda: four.sims["a"].requests()[0]["outcome"] == "client_closed")


def test_a_deadline_inside_a_stream(four, word):
    four.sims["a"].set(events=5000, gap_ms=20)
    answer, events, cut = stream(four.client, "a/m", word, routing={"deadline_ms": 1000})
    assert cut
    assert events[-1]["error"]["code"] == "upstream_timeout"
    assert four.row(answer.headers["x-relay-id"])["error_code"] == "upstream_timeout"


def test_refused_connections(start, word):
    sim = start.sim()
    dead = {"kind": "openai", "base_url": f"http://127.0.0.1:{free_port()}/v1", "api_key": "x"}
    relay = start.relay({"providers": {"a": dead, "b": provider(sim)},
                         "models": [model("a/m", input=1), model("b/m", input=5, output=9)],
                         "aliases": {"any": ["a/m", "b/m"]}})
    with relay.http(relay.first_key) as c:
        for i in range(3):
            assert ask(c, "any", f"{word} {i}").headers["x-relay-provider"] == "b"
        # Three connect failures in a row: a is left out and no attempt is wasted on it.
        answer = ask(c, "any", f"{word} 4")
        assert answer.headers["x-relay-attempts"] == "1"
        assert relay.metric("relay_provider_up", provider="a") == 0
        assert relay.metric("relay_provider_up", provider="b") == 1
        # Unhealthy candidates are left out unless nothing else is left.
        answer = ask(c, "a/m", word)
        error_of(answer, 502, "upstream_error")


def test_the_breaker_opens_by_rate(four, word):
    fail(four, "a", status=500)
    providers = []
    for i in range(40):
        answer = ask(four.client, "any", f"{word} {i}")
        assert answer.status_code == 200
        providers.append(answer.headers["x-relay-attempts"])
    # at least 20 requests, more than half of them failed within 30 s
    assert providers[:20] == ["2"] * 20
    assert providers[-5:] == ["1"] * 5
    assert 20 <= four.sims["a"].count() <= 25


def test_two_keys_and_a_429(start, word):
    sim = start.sim()
    other = start.sim()
    relay = start.relay({
        "providers": {"a": provider(sim, api_key=["sk-one-000000", "sk-two-000000"]),
                      "b": provider(other)},
        "models": [model("a/m", input=1), model("b/m", input=9, output=9)],
        "aliases": {"any": ["a/m", "b/m"]}})
    limit = {"status": 429, "retry_after": "300"}
    sim.rules({"match": {"key": "sk-one*"}, "then": limit})
    with relay.http(relay.first_key) as c:
        # pinned: another key of that provider may be used
        for i in range(4):
            answer = ask(c, "a/m", f"{word} {i}")
            assert answer.status_code == 200 and answer.headers["x-relay-provider"] == "a"
        used = [dict((n.lower(), v) for n, v in r["headers"])["authorization"][7:13]
                for r in sim.requests()]
        assert used.count("sk-one") <= 1, "a resting key was asked again"
        sim.rules({"then": limit})
        answer = ask(c, "any", word + " both")
        assert answer.status_code == 200 and answer.headers["x-relay-provider"] == "b"


def test_keys_are_balanced(start, word):
    sim = start.sim()
    relay = start.relay({"providers": {"a": provider(sim, api_key=["sk-one-000000", "sk-two-000000"])},
                         "models": [model("a/m")]})
    with relay.http(relay.first_key) as c:
        for i in range(40):
            ask(c, "a/m", f"{word} {i}")
    used = [dict((n.lower(), v) for n, v in r["headers"])["authorization"][7:13]
            for r in sim.requests()]
    assert len(used) == 40 and 10 <= used.count("sk-one") <= 30


@pytest.mark.parametrize("streamed", [False, True])
def test_all_limited_is_429_with_the_shortest_wait(four, word, streamed):
    """Elsewhere the wait got lost (api7/aisix#46)."""
    for sim in four.sims.values():
        sim.set(status=429, retry_after="40")
    if streamed:
        answer, body, _ = stream(four.client, "any", word)
    else:
        answer = ask(four.client, "any", word)
        body = answer.json()
    assert answer.status_code == 429
    assert body["error"]["code"] == "upstream_rate_limit"
    assert 20 <= int(answer.headers["retry-after"]) <= 41
    assert "provider" in body["error"]["message"].lower()  # whose limit it was
    # and while the keys rest, nobody is asked in vain
    before = counts(four)
    answer = ask(four.client, "a/m", word + "2")
    assert answer.status_code in (429, 503) and int(answer.headers["retry-after"]) <= 41
    assert counts(four) == before


def test_a_refused_credential(four, word):
    """502 with Relay's text, never the provider's; that key is out, at log level error."""
    fail(four, "a", error="auth", error_message="Incorrect API key provided: sk-a-secret-1")
    answer = ask(four.client, "a/m", word)
    error = error_of(answer, 502, "upstream_error")
    assert "sk-a" not in answer.text and "Incorrect" not in answer.text
    assert any('"error"' in l and '"a"' in l for l in four.log().splitlines())
    assert "sk-a-secret" not in four.log()
    before = len(four.sims["a"].requests())
    ask(four.client, "any", word)
    assert len(four.sims["a"].requests()) == before


def test_insufficient_quota_puts_the_key_out(four, word):
    fail(four, "a", error="quota")
    assert ask(four.client, "any", word).headers["x-relay-provider"] == "b"
    four.sims["a"].reset()
    answer = ask(four.client, "any", word + "2")
    assert answer.headers["x-relay-provider"] == "b" and answer.headers["x-relay-attempts"] == "1"


def test_a_reload_forgives_a_key(four, word):
    fail(four, "a", error="auth")
    assert ask(four.client, "any", word).headers["x-relay-provider"] == "b"
    four.sims["a"].reset()
    four.reload()
    wait_for(lambda: ask(four.client, "any", word + "x", cache={"mode": "off"}
                         ).headers["x-relay-provider"] == "a")


def test_a_missing_model_is_out_for_a_while(four, word):
    fail(four, "a", error="not_found")
    assert ask(four.client, "any", word).headers["x-relay-provider"] == "b"
    before = len(four.sims["a"].requests())
    assert ask(four.client, "any", word + "2").headers["x-relay-attempts"] == "1"
    assert len(four.sims["a"].requests()) == before


@pytest.mark.parametrize("status", [400, 413, 422])
def test_own_faults_are_passed_on(four, word, status):
    fail(four, "a", status=status, error_message="temperature must be between 0 and 2")
    answer = ask(four.client, "any", word)
    assert answer.status_code == (400 if status == 400 else answer.status_code)
    assert answer.status_code in (400, 413, 422)
    assert "temperature must be between 0 and 2" in answer.json()["error"]["message"]
    assert answer.json()["relay"]["provider"] == "a"
    assert counts(four)[1:] == [0, 0, 0]


def test_a_moderation_refusal_goes_on_and_is_not_remembered(four, word):
    fail(four, "a", status=403, error_code="content_policy_violation",
         error_message="Your request was flagged by moderation")
    answer = ask(four.client, "any", word)
    assert answer.status_code == 200 and answer.headers["x-relay-provider"] == "b"
    four.sims["a"].reset()
    assert ask(four.client, "any", word + "2").headers["x-relay-provider"] == "a"


def test_an_unsupported_field_goes_on_and_is_not_remembered(four, word):
    fail(four, "a", status=400, error_code="unsupported_parameter",
         error_message="Unsupported parameter: 'temperature' is not supported with this model.")
    answer = ask(four.client, "any", word, temperature=0.5)
    assert answer.status_code == 200 and answer.headers["x-relay-provider"] == "b"
    four.sims["a"].reset()
    assert ask(four.client, "any", word + "2").headers["x-relay-provider"] == "a"


def test_context_too_long_goes_to_a_larger_one_only(start, word):
    sims = {n: start.sim(name=n) for n in "abc"}
    relay = start.relay({
        "providers": {n: provider(s) for n, s in sims.items()},
        "models": [model("a/m", input=1, context=9000), model("b/m", input=2, context=9000),
                   model("c/m", input=3, context=64000)],
        "aliases": {"any": ["a/m", "b/m", "c/m"], "small": ["a/m", "b/m"]}})
    sims["a"].set(error="context")
    with relay.http(relay.first_key) as c:
        answer = ask(c, "any", word)
        assert answer.status_code == 200 and answer.headers["x-relay-provider"] == "c"
        assert sims["b"].count() == 0
        answer = ask(c, "small", word)
        assert answer.status_code == 400 and sims["b"].count() == 0


def test_max_attempts(four, word):
    for sim in four.sims.values():
        sim.set(status=500)
    answer = ask(four.client, "any", word)
    error_of(answer, 502, "upstream_error")
    assert counts(four) == [1, 1, 1, 0] and answer.headers["x-relay-attempts"] == "3"
    assert answer.headers["x-should-retry"] == "false"
    assert [a["provider"] for a in four.attempts(four.row(answer.headers["x-relay-id"])["id"])] == [
        "a", "b", "c"]


def test_the_cost_of_failed_attempts_counts(four, word):
    """A request's cost is the sum of its attempts': an answer that was cut after its head was paid
    for, even if nobody told how much."""
    fail(four, "a", at_body=True, close_at=60)
    before = four.metric("relay_cost_unknown_total")
    answer = ask(four.client, "any", f"{word} [[sim:prompt_tokens=100;completion_tokens=10]]")
    id = answer.headers["x-relay-id"]
    row = four.row(id)
    attempts = four.attempts(id)
    total = sum(float(a["cost_usd"] or 0) for a in attempts)
    assert float(row["cost_usd"]) == pytest.approx(total)
    assert attempts[1]["prompt_tokens"] == 100
    if attempts[0]["usage_source"] == "none":
        assert four.metric("relay_cost_unknown_total") == before + 1


def test_pinned_does_not_change_the_model(four, word):
    fail(four, "a", status=500)
    answer = ask(four.client, "a/m", word)
    error_of(answer, 502, "upstream_error")
    assert counts(four) == [1, 0, 0, 0] and answer.headers["x-relay-attempts"] == "1"


def test_a_pinned_model_with_models_named(four, word):
    fail(four, "a", status=500)
    answer = ask(four.client, "a/m", word, routing={"models": ["a/m", "d/m", "b/m"]})
    assert answer.headers["x-relay-provider"] == "d"


def test_models_in_order(four, word):
    """routing.models replaces the choice: the first, then the rest as fallbacks, price or not."""
    answer = ask(four.client, "auto", word, routing={"models": ["d/m", "c/m"]})
    assert answer.headers["x-relay-provider"] == "d"
    fail(four, "d", status=503)
    fail(four, "c", status=503)
    answer = ask(four.client, "auto", word + "2", routing={"models": ["d/m", "c/m"]})
    assert answer.status_code == 502 and counts(four)[:2] == [0, 0]


def test_no_fallbacks_wanted(four, word):
    fail(four, "a", status=500)
    answer = ask(four.client, "any", word, routing={"fallbacks": False})
    assert answer.status_code == 502 and counts(four) == [1, 0, 0, 0]


def test_an_interim_answer_is_passed_over(four, word):
    fail(four, "a", interim=103)
    assert ask(four.client, "a/m", word).status_code == 200


def test_a_redirect_is_not_followed(four, word):
    other = four.sims["b"]
    fail(four, "a", status=307, headers={"location": other.base_url + "/chat/completions"},
         body="")
    answer = ask(four.client, "a/m", word)
    assert answer.status_code == 502
    assert other.count() == 0


def test_provider_messages_are_cleaned(four, word):
    secret = "sk-live-" + "a1B2" * 8
    fail(four, "a", status=400, error_message="bad\u0007 thing " + secret + " " + "y" * 5000)
    answer = ask(four.client, "a/m", word)
    text = answer.json()["error"]["message"]
    assert answer.status_code == 400 and "bad" in text and len(text.encode()) <= 2048
    assert secret not in answer.text and "\u0007" not in text


def test_an_idle_connection_closed_by_the_provider_is_no_failure(four, word):
    """The same place is asked again when a reused connection closed before any byte came."""
    four.sims["a"].set(connection_close=False)
    for i in range(3):
        assert ask(four.client, "a/m", f"{word} {i}").status_code == 200
    connections = {r["connection"] for r in four.sims["a"].requests()}
    assert len(connections) <= 2, "connections are not reused"


@pytest.mark.parametrize("size", [80 << 20])
def test_a_huge_plain_answer_is_bounded(four, word, size):
    fail(four, "a", oversize_event=1, oversize_bytes=size)
    answer = ask(four.client, "any", word)
    assert answer.status_code == 200 and answer.headers["x-relay-provider"] == "b"
    assert IS_ASAN or four.memory_bytes() < 150 << 20


def test_head_of_a_silent_stream(four):
    """(10 s of silence are not waited for here: the path tests do, with a clock of their own.)"""
    answer, events, cut = stream(four.client, "a/m", "head")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert float(answer.headers["x-relay-ttft-ms"]) >= 0
