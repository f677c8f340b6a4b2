"""Traces over OTLP: what a strict collector gets of real requests, and what happens when it is not there."""

import json
import re

import pytest

from collector import Collector
from support import ROOT, ask, chat, free_port, model, provider, raw_exchange, raw_request, stream, wait_for

INTERNAL, SERVER, CLIENT = 1, 2, 3
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector():
    c = Collector()
    yield c
    c.stop()
    assert not c.faults, c.faults


@pytest.fixture(scope="module")
def traced(start_once, sim, collector):
    relay = start_once.relay({
        "providers": {"p": provider(sim), "q": provider(sim), "mistral": provider(sim),
                      "dead": {**provider(sim), "base_url": f"http://127.0.0.1:{free_port()}/v1"}},
        "models": [model("p/m"), model("q/m", input=3), model("mistral/m", input=9), model("dead/m", input=0.1)],
        "aliases": {"any": ["p/m", "q/m"]},
        "telemetry": {"otlp": collector.url, "headers": {"authorization": "Bearer collector-secret-77"}}})
    relay.client = relay.http(relay.first_key)
    yield relay
    relay.client.close()


def names_of_the_code():
    return set(re.findall(r'X\(\w+, +"([^"]+)"\)', (ROOT / "src/path/span_names.h").read_text()))


def test_the_names_are_documented():
    guide = (ROOT / "docs/guides/observability.md").read_text()
    rows = [line.split("|")[1] for line in guide.splitlines() if re.match(r"\| `(gen_ai|error|http|server|relay)\.", line)]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == names_of_the_code()


def is_whole(trace):
    """What holds of every trace."""
    root = trace.root
    assert root.kind in (SERVER, INTERNAL) and root.flags & 0xFF & 1
    for span in trace.all:
        assert span.trace_id == root.trace_id
        assert root.start <= span.start <= span.end <= root.end, (span.name, span.start - root.start, span.end - root.end)
        assert set(span.attributes) <= names_of_the_code()
    assert len({span.id for span in trace.all}) == len(trace.all)
    ordered = sorted(trace.steps.values(), key=lambda s: (s.start, s.end))
    for before, after in zip(ordered, ordered[1:]):
        assert before.end <= after.start + 1000_000, (before.name, after.name)
    for attempt in trace.attempts:
        assert attempt.kind == CLIENT


def sent_upstream(sim, text):
    (request,) = sim.find(text)
    return {k.lower(): v for k, v in request["headers"].items()} if isinstance(request["headers"], dict) else \
        {k.lower(): v for k, v in request["headers"]}


def test_a_plain_request(traced, collector, sim, word):
    answer = ask(traced.client, "p/m", word)
    id = answer.headers["x-relay-id"]
    trace = collector.trace_of(id)
    is_whole(trace)
    root = trace.root
    assert root.name == "POST /v1/chat/completions" and root.kind == SERVER and root.status == 0
    assert root.trace_id == id.replace("-", "") and root.parent == ""
    assert root["http.request.method"] == "POST" and root["http.route"] == "/v1/chat/completions"
    assert root["http.response.status_code"] == 200
    assert root["relay.key"] == traced.first_key[:8]
    assert root["relay.route"] == "pinned" and root["relay.cache"] == "miss" and root["relay.attempts"] == 1
    assert root["gen_ai.request.model"] == "p/m" and root["gen_ai.response.model"] == "m"
    assert root["relay.provider"] == root["gen_ai.provider.name"] == "p"
    assert f'{root["relay.cost_usd"]:.12f}'.rstrip("0") == answer.headers["x-relay-cost-usd"].rstrip("0")
    assert {"receive", "route", "call", "account", "reply"} <= set(trace.steps)
    assert set(trace.steps) <= {"authenticate", "receive", "limit", "route", "recall", "resemble", "call", "stream",
                                "account", "reply"}
    (attempt,) = trace.attempts
    usage = answer.json()["usage"]
    assert attempt.name == "chat m" and attempt["gen_ai.operation.name"] == "chat"
    assert attempt["gen_ai.request.model"] == "m"
    assert attempt["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert attempt["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    assert attempt["gen_ai.response.finish_reasons"] == ["stop"]
    assert attempt["server.address"] == "127.0.0.1" and attempt["server.port"] == sim.port
    assert attempt["http.response.status_code"] == 200
    assert "gen_ai.request.stream" not in attempt.attributes and "error.type" not in attempt.attributes
    assert trace.steps["call"].start <= attempt.start and attempt.end <= trace.steps["call"].end + 1000_000
    assert sent_upstream(sim, word)["traceparent"] == f"00-{root.trace_id}-{attempt.id}-03"


def test_who_sends_it(traced, collector, word):
    collector.trace_of(ask(traced.client, "p/m", word).headers["x-relay-id"])
    headers, _, _ = collector.requests[-1]
    assert headers["authorization"] == "Bearer collector-secret-77"
    assert collector.resource["service.name"] == "relay" and collector.resource["service.version"]
    assert re.fullmatch(r"[0-9a-f-]{36}", collector.resource["service.instance.id"])


def test_a_stream(traced, collector, word):
    answer, _, _ = stream(traced.client, "p/m", f"{word} [[sim:events=5;gap_ms=20]]")
    trace = collector.trace_of(answer.headers["x-relay-id"])
    is_whole(trace)
    (attempt,) = trace.attempts
    assert attempt["gen_ai.request.stream"] is True and trace.root["gen_ai.request.stream"] is True
    assert 0 < attempt["gen_ai.response.time_to_first_chunk"] < (attempt.end - attempt.start) / 1e9
    assert "stream" in trace.steps and attempt.end > trace.steps["call"].end


def test_a_hit_has_no_attempt(traced, collector, word):
    ask(traced.client, "p/m", word)
    hit = ask(traced.client, "p/m", word)
    assert hit.headers["x-relay-cache"] == "exact"
    trace = collector.trace_of(hit.headers["x-relay-id"])
    is_whole(trace)
    assert trace.attempts == [] and "call" not in trace.steps
    assert trace.root["relay.cache"] == "exact" and trace.root["relay.similarity"] == 1
    assert trace.root["relay.cost_usd"] == 0 and trace.root["relay.attempts"] == 0
    assert not [a for a in trace.root.attributes if a.startswith("gen_ai.usage")]


def test_a_fallback_has_two_attempts(traced, collector, sim, word):
    answer = ask(traced.client, "any", f"{word} [[sim:status=500]]", routing={"models": ["p/m", "q/m"]})
    assert answer.status_code == 502
    trace = collector.trace_of(answer.headers["x-relay-id"])
    is_whole(trace)
    first, second = trace.attempts
    assert first["relay.provider"] == "p" and second["relay.provider"] == "q"
    assert first.end <= second.start
    for attempt in trace.attempts:
        assert attempt.is_error and attempt["error.type"] == "upstream_error"
        assert attempt["http.response.status_code"] == 500
    assert second["http.request.resend_count"] == 1 and "http.request.resend_count" not in first.attributes
    assert trace.root.is_error and trace.root["error.type"] == "upstream_error"
    assert trace.root["http.response.status_code"] == 502 and trace.root["relay.error.step"] == "call"
    assert trace.steps["call"].is_error
    ids = [{k.lower(): v for k, v in dict(r["headers"]).items()}["traceparent"].split("-")[2] for r in sim.find(word)]
    assert ids == [first.id, second.id]


def test_a_fallback_that_answers(traced, collector, word):
    answer = ask(traced.client, "dead/m", word, routing={"models": ["dead/m", "q/m"]})
    assert answer.status_code == 200
    trace = collector.trace_of(answer.headers["x-relay-id"])
    is_whole(trace)
    first, second = trace.attempts
    assert first.is_error and first["error.type"] == "upstream_error"
    assert "http.response.status_code" not in first.attributes and "gen_ai.usage.input_tokens" not in first.attributes
    assert second.status == 0 and second["gen_ai.usage.output_tokens"] > 0
    assert trace.root["relay.route"] == "fallback" and trace.root["relay.provider"] == "q" and trace.root.status == 0
    assert not any(s.is_error for s in trace.steps.values())


def test_names_with_anything_in_them(traced, collector, word):
    name = f'p/{word}"\\</script>\u00e4\u4f60\U0001f600' + "x" * 100
    trace = collector.trace_of(ask(traced.client, name, word).headers["x-relay-id"])
    is_whole(trace)
    assert trace.root["gen_ai.request.model"] == name
    assert trace.attempts[0].name == "chat " + name[2:]


def test_a_clients_fault_is_no_error_of_the_server(traced, collector, word):
    answer = ask(traced.client, "nobody", word)
    trace = collector.trace_of(answer.headers["x-relay-id"])
    is_whole(trace)
    assert trace.root["http.response.status_code"] == 404 and not trace.root.is_error
    assert trace.root["relay.error.code"] == "model_not_found" and trace.root["relay.error.step"] == "route"
    assert "error.type" not in trace.root.attributes and trace.attempts == []


def test_a_cut_stream_is_an_error(traced, collector, word):
    answer, _, cut = stream(traced.client, "p/m", f"{word} [[sim:events=10;reset_event=8;gap_ms=10]]")
    assert cut
    trace = collector.trace_of(answer.headers["x-relay-id"])
    is_whole(trace)
    assert trace.root["http.response.status_code"] == 200 and trace.root.is_error
    assert trace.root["error.type"] == trace.attempts[0]["error.type"] == "upstream_truncated"
    assert trace.root["relay.error.step"] == "stream" and trace.steps["stream"].is_error


def test_providers_by_the_names_of_the_conventions(traced, collector, word):
    (attempt,) = collector.trace_of(ask(traced.client, "mistral/m", word).headers["x-relay-id"]).attempts
    assert attempt["gen_ai.provider.name"] == "mistral_ai" and attempt["relay.provider"] == "mistral"


def test_the_callers_trace_is_continued(traced, collector, sim, word):
    answer = ask(traced.client, "p/m", word, headers={
        "traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"})
    trace = collector.trace_of(answer.headers["x-relay-id"])
    is_whole(trace)
    assert trace.root.trace_id == TRACE and trace.root.parent == PARENT
    assert trace.root.flags == 0x301, "its parent is another process's"
    assert trace.root.state == "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
    (attempt,) = trace.attempts
    assert attempt.flags == 0x101
    got = sent_upstream(sim, word)
    assert got["traceparent"] == f"00-{TRACE}-{attempt.id}-01"
    assert "tracestate" not in got, "a provider is told no more than which request this is"


def test_a_caller_that_does_not_record(traced, collector, sim, word):
    unseen = ask(traced.client, "p/m", word, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    parent = sent_upstream(sim, word)["traceparent"]
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", parent) and PARENT not in parent
    collector.trace_of(ask(traced.client, "p/m", word + " seen").headers["x-relay-id"])
    assert unseen.headers["x-relay-id"] not in {s.get("relay.id") for s in collector.spans()}


@pytest.mark.parametrize("header", [f"00-{TRACE.upper()}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01",
                                    f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-x", "00-ab"])
def test_a_traceparent_that_is_none_begins_a_trace(traced, collector, header, word):
    answer = ask(traced.client, "p/m", word, headers={"traceparent": header, "tracestate": "a=b"})
    root = collector.trace_of(answer.headers["x-relay-id"]).root
    assert root.trace_id == answer.headers["x-relay-id"].replace("-", "") and root.parent == root.state == ""


def test_two_traceparents_are_none(traced, collector, word):
    head = f"traceparent: 00-{TRACE}-{PARENT}-01\r\n"
    data = raw_request(traced.first_key, chat("p/m", word), head + head + "Connection: close\r\n")
    id = re.search(rb"x-relay-id: ([0-9a-f-]+)", raw_exchange(traced.port, data)[0])[1].decode()
    assert collector.trace_of(id).root.trace_id == id.replace("-", "")


def test_who_has_no_key_leaves_no_spans(traced, collector, word):
    with traced.http("glw_" + "a" * 40) as c:
        refused = ask(c, "p/m", word, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert refused.status_code == 401
    collector.trace_of(ask(traced.client, "p/m", word).headers["x-relay-id"])
    assert refused.headers["x-relay-id"] not in {s.get("relay.id") for s in collector.spans()}


def test_prompts_and_keys_are_in_no_span(traced, collector, word):
    secret = f"prompt{word}"
    id = ask(traced.client, "p/m", f"{secret} [[sim:text=answer{word}]]", user=f"user{word}",
             metadata={"team": f"tag{word}"}).headers["x-relay-id"]
    trace = collector.trace_of(id)
    text = json.dumps([[s.name, s.state, s.attributes] for s in trace.all])
    assert word not in text and traced.first_key[9:] not in text and "sk-sim" not in text


def test_the_log_names_the_trace(traced, collector, word):
    answer = ask(traced.client, "p/m", word, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    id = answer.headers["x-relay-id"]
    line = wait_for(lambda: [x for x in traced.log().splitlines() if id in x])[0]
    assert json.loads(line)["trace_id"] == TRACE


def counted(relay, result):
    return relay.metric("relay_trace_spans_total", result=result)


def test_what_a_collector_may_say(start, sim, word):
    collector = Collector()
    try:
        relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                             "telemetry": {"otlp": collector.url + "/v1/traces"}})
        with relay.http(relay.first_key) as client:
            # It may be overloaded: the same spans come again.
            collector.answers = [(503, "busy", {"retry-after": "1"}), (429, "", {})]
            id = ask(client, "p/m", word).headers["x-relay-id"]
            trace = collector.trace_of(id)
            assert len(collector.requests) == 3
            wait_for(lambda: counted(relay, "sent") == len(trace.all))
            assert counted(relay, "dropped") == 0
            # It may refuse them for good: they do not come again.
            collector.answers = [(400, "bad Bearer abcdefgh12345678", {})]
            ask(client, "p/m", word + "2")
            refused = wait_for(lambda: counted(relay, "refused"))
            # It may refuse a part.
            collector.answers = [(200, '{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}', {})]
            ask(client, "p/m", word + "3")
            wait_for(lambda: counted(relay, "refused") == refused + 2)
            collector.trace_of(ask(client, "p/m", word + "4").headers["x-relay-id"])
            assert len(collector.requests) == 6
        log = relay.log()
        for said in ("traces cannot be sent", "traces are sent again", "the collector refuses traces", "too old"):
            assert said in log
        assert "abcdefgh12345678" not in log
    finally:
        collector.stop()


def test_a_reload_starts_moves_and_stops_it(start, sim, word):
    one, two = Collector(), Collector()
    try:
        relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]})
        with relay.http(relay.first_key) as client:
            ask(client, "p/m", word)
            assert "relay_trace_spans_total{" not in relay.metrics_text()
            relay.reload(telemetry={"otlp": one.url})
            one.trace_of(ask(client, "p/m", word + "1").headers["x-relay-id"])
            relay.reload(telemetry={"otlp": two.url, "headers": {"x-tenant": "t"}})
            two.trace_of(ask(client, "p/m", word + "2").headers["x-relay-id"])
            assert f"traces of 100 % of the requests go to {two.url}" in relay.run("check").stdout
            assert two.requests[-1][0]["x-tenant"] == "t"
            relay.reload(telemetry={"sample": 0})
            ask(client, "p/m", word + "3")
            assert sent_upstream(sim, word + "3")["traceparent"].endswith("-02"), "nobody records it"
            relay.reload(telemetry={"otlp": ""})
            ask(client, "p/m", word + "4")
            assert "traceparent" not in sent_upstream(sim, word + "4")
        relay.stop()
        assert len({s.trace_id for s in one.spans()}) == len({s.trace_id for s in two.spans()}) == 1
    finally:
        one.stop()
        two.stop()


def test_the_end_sends_what_is_left(start, sim, word):
    """Spans that wait behind a collector that holds its answer are sent before the process ends."""
    collector = Collector()
    try:
        relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                             "telemetry": {"otlp": collector.url}})
        with relay.http(relay.first_key) as client:
            collector.gate.clear()
            first = ask(client, "p/m", word).headers["x-relay-id"]
            wait_for(lambda: collector.asked == 1)
            last = ask(client, "p/m", word + "2").headers["x-relay-id"]
            collector.gate.set()
        assert relay.stop() == 0
        assert {first, last} <= {s.get("relay.id") for s in collector.spans()}
    finally:
        collector.stop()


def test_the_end_does_not_wait_for_ever(start, sim, word):
    """A collector that takes what it gets and says nothing."""
    collector = Collector()
    try:
        relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                             "telemetry": {"otlp": collector.url}})
        with relay.http(relay.first_key) as client:
            collector.gate.clear()
            assert ask(client, "p/m", word).status_code == 200
            wait_for(lambda: collector.asked == 1)
            assert ask(client, "p/m", word + "2").status_code == 200
        assert relay.stop() == 0 and collector.asked == 1
        assert "stopped" in relay.log()
    finally:
        collector.stop()


def test_nobody_listens(start, sim, word):
    """Requests do not notice, and the end comes."""
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                         "telemetry": {"otlp": f"http://127.0.0.1:{free_port()}"}})
    with relay.http(relay.first_key) as client:
        for n in range(5):
            assert ask(client, "p/m", word + str(n)).status_code == 200
        wait_for(lambda: "traces cannot be sent" in relay.log())
        assert counted(relay, "sent") == 0
    assert relay.stop() == 0
    assert relay.log().count("traces cannot be sent") == 1
