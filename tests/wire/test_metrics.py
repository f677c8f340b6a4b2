"""Metrics, probes, who may read them, and that no secret is anywhere."""

import json
import re
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support import (ask, chat, free_port, model, parse_answers, provider, raw_exchange, stream,
                     wait_for)

NAMES = {
    "relay_requests_total": {"endpoint", "status"}, "relay_request_seconds": set(),
    "relay_overhead_seconds": set(), "relay_ttft_seconds": {"provider", "model"},
    "relay_upstream_seconds": {"provider", "model"},
    "relay_inter_token_seconds": {"provider", "model"},
    "relay_tokens_total": {"provider", "model", "type"}, "relay_cost_usd_total": {"provider", "model"},
    "relay_saved_usd_total": {"kind"}, "relay_cache_total": {"result"}, "relay_limited_total": {"kind"},
    "relay_fallbacks_total": {"provider", "reason"}, "relay_provider_up": {"provider"},
    "relay_inflight": set(), "relay_journal_bytes": set(), "relay_unpriced_total": set(),
    "relay_cost_unknown_total": set(),
    "relay_upstream_unknown_events_total": {"provider"}, "relay_step_seconds": {"step"},
    "relay_build_info": None}
STEPS = {"authenticate", "receive", "limit", "route", "recall", "resemble", "call", "stream", "account",
         "reply"}


def test_names_and_labels(relay, http, word):
    ask(http, "p/small", word)
    stream(http, "p/small", word + "s")
    ask(http, "both", f"{word} [[sim:status=500]]")
    families = {f.name: f for f in text_string_to_metric_families(relay.metrics_text())}
    for name, labels in NAMES.items():
        family = families.get(name) or families.get(name.removesuffix("_total"))
        assert family, name
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), name
        for s in family.samples:
            if labels is not None:
                assert set(s.labels) - {"le"} == labels, s
    assert set(families) | {f + "_total" for f in families} >= set(NAMES)
    steps = {s.labels["step"] for s in families["relay_step_seconds"].samples}
    assert steps == STEPS
    for f in families.values():
        if f.type == "histogram":
            for s in f.samples:
                if s.name.endswith("_bucket") and s.labels["le"] == "+Inf":
                    rest = {k: v for k, v in s.labels.items() if k != "le"}
                    count = next(x.value for x in f.samples
                                 if x.name.endswith("_count") and x.labels == rest)
                    assert s.value == count


def test_content_type(relay):
    with relay.http() as c:
        answer = c.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert c.get("/healthz").status_code == c.get("/readyz").status_code == 200


def test_requests_are_counted_by_status(relay, http, word):
    def count(status):
        return relay.metric("relay_requests_total", endpoint="/v1/chat/completions", status=status)
    before = {s: count(s) for s in ("200", "400", "404", "502")}
    ask(http, "p/small", word)
    ask(http, "p/small", f"{word} [[sim:status=400]]")
    ask(http, "nobody", word)
    ask(http, "p/small", f"{word} [[sim:status=500]]")
    for status in before:
        assert count(status) == before[status] + 1


def test_labels_are_never_from_clients(relay, http, key, word):
    """LiteLLM #12159: mistyped names became labels. Here they come from the configuration alone."""
    evil = f"evil{word}"
    ask(http, evil, evil, user=evil, metadata={evil: evil})
    ask(http, f"p/{evil}", evil)  # sent as it is, unpriced
    http.get(f"/v1/{evil}")
    http.post(f"/v1/{evil}")
    http.request(evil.upper(), "/v1/chat/completions")
    ask(http, "p/small", evil, headers={"x-request-id": evil})
    ask(http, "p/small", f"[[sim:model={evil};finish={evil};error_code={evil}]]")
    text = relay.metrics_text()
    assert evil.lower() not in text.lower()
    assert word not in text


def test_many_unknown_names_do_not_grow_the_page(relay, http):
    ask(http, "p/warm0")
    before = len(relay.metrics_text())
    for i in range(200):
        ask(http, f"p/unknown-{i}")
        http.get(f"/nothing/{i}")
    assert len(relay.metrics_text()) - before < 4096


def test_inflight(relay, http, key, word):
    def inflight(count):
        wait_for(lambda: relay.metric("relay_inflight") == count)
    inflight(0)  # a request is one until its end is out
    with http.stream("POST", "/v1/chat/completions", json=chat(
            "p/small", f"{word} [[sim:events=5000;gap_ms=10]]", stream=True)):
        inflight(1)
    inflight(0)


def test_rebinding(relay):
    """On a loopback address /metrics, the admin API and the dashboard answer to a loopback Host only."""
    def status(path, host):
        data = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        return parse_answers(raw_exchange(relay.port, data)[0])[0][0]
    for host in ("127.0.0.1", f"127.0.0.1:{relay.port}", "localhost", f"localhost:{relay.port}", "[::1]"):
        assert status("/metrics", host) == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "", "localhost.evil",
                 "0x7f.1", "127.1.evil"):
        for path in ("/metrics", "/admin/v1/keys"):
            assert status(path, host) in (400, 401, 403, 404, 421), (path, host)
            assert status(path, host) != 200
    assert status("/healthz", "evil.example") == 200


def test_metrics_elsewhere_need_the_admin_key(start, sim):
    port = free_port()
    relay = start.relay({"providers": {"p": provider(sim)}, "server": {"listen": f"0.0.0.0:{port}"}},
                        start=False)
    relay.port = port
    relay.start()
    with relay.http() as c:
        assert c.get("/metrics").status_code == 401
        assert c.get("/healthz").status_code == 200
    with relay.http(relay.admin_key) as c:
        assert c.get("/metrics").status_code == 200
    with relay.http(relay.first_key) as c:
        assert c.get("/metrics").status_code in (401, 403)


def test_an_address_of_their_own(start, sim):
    port = free_port()
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                         "admin": {"listen": f"127.0.0.1:{port}"}})
    with relay.http(relay.first_key) as c:
        assert c.get("/metrics").status_code == 404
        assert ask(c, "p/m").status_code == 200
        assert c.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
        assert c.post(f"http://127.0.0.1:{port}/v1/chat/completions", json={}).status_code == 404


def test_no_cors_unless_named(start, sim, relay, key):
    origin = {"origin": "https://app.example.com"}
    with relay.http(key) as c:
        assert "access-control-allow-origin" not in c.get("/v1/models", headers=origin).headers
    other = start.relay({"providers": {"p": provider(sim)}, "server": {"cors": ["https://app.example.com"]}})
    with other.http() as c:
        pre = c.options("/v1/chat/completions", headers={
            **origin, "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type"})
        assert pre.status_code in (200, 204)
        assert pre.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "authorization" in pre.headers["access-control-allow-headers"].lower()
        answer = c.get("/v1/models", headers={**origin, "authorization": f"Bearer {other.first_key}"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        answer = c.get("/v1/models", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-origin" not in c.get("/metrics", headers=origin).headers


def test_secrets_are_nowhere(start, word):
    """Keys, prompts and answers are in no log, metric, error or file that is not theirs."""
    sim = start.sim("--keys", "sk-provider-good-0123456789")
    secrets = {"good": "sk-provider-good-0123456789", "bad": "sk-provider-bad-987654321"}
    relay = start.relay({
        "providers": {"p": provider(sim, api_key=secrets["good"], headers={"x-org": "hdr-secret-5150"}),
                      "q": provider(sim, api_key=secrets["bad"])},
        "models": [model("p/m"), model("q/m")],
        "admin": {"key": "admin-secret-0123456789"}, "log": {"level": "debug"}})
    prompt, reply = f"prompt{word}secret", f"answer{word}secret"
    first = relay.first_key
    made = relay.make_key("made")
    wrong = made[:-1] + ("A" if made[-1] != "A" else "B")
    seen = []
    with relay.http(made) as c:
        text = f"{prompt} [[sim:text={reply}]]"
        seen.append(ask(c, "p/m", text))
        seen.append(stream(c, "p/m", text + "s")[0])
        seen.append(ask(c, "q/m", text))
        seen.append(ask(c, "p/m", f"{prompt} [[sim:status=400;error_message=see {secrets['good']} ok]]"))
        seen.append(ask(c, "p/m", f"{prompt} [[sim:status=500;error_message={secrets['good']}]]"))
        seen.append(ask(c, "nobody", prompt))
        seen.append(c.post("/v1/chat/completions", content='{"model":"p/m","' + prompt,
                           headers={"content-type": "application/json"}))
        stream(c, "p/m", f"{prompt} [[sim:events=10;reset_event=8;gap_ms=30]]")
    with relay.http(wrong) as c:
        seen.append(ask(c, "p/m", prompt))
    with relay.http("admin-secret-0123456789") as c:
        seen.append(c.get("/metrics"))
        seen.append(c.get("/v1/models"))
    relay.run("check")
    for args in (["logs", "--json"], ["usage", "--json"], ["keys", "list", "--json"], ["models", "--json"]):
        done = relay.run(*args)
        seen.append(done.stdout + done.stderr)
    metrics = relay.metrics_text()
    relay.stop()
    everything = {"log": relay.log(), "metrics": metrics}
    for i, s in enumerate(seen):
        everything[f"answer {i}"] = s if isinstance(s, str) else (
            json.dumps(dict(s.headers)) + ("" if s.is_stream_consumed and not hasattr(s, "_content")
                                           else s.text))
    hidden = [*secrets.values(), first[9:], made[9:], wrong[9:], "admin-secret", "hdr-secret"]
    for place, text in everything.items():
        for secret in hidden:
            assert secret not in text, (place, secret)
        assert prompt not in text or place.startswith("answer"), place
    assert reply not in relay.log() and reply not in metrics
    for path in (relay.data).rglob("*"):
        if not path.is_file() or path.name in ("first-key", "admin-key"):
            continue
        data = path.read_bytes()
        # The cache's own file holds answers, and questions that others may be like.
        texts = [] if path.name.startswith("relay-cache.db") else [prompt, reply]
        for secret in [*hidden, *texts]:
            assert secret.encode() not in data, (path, secret)


def test_content_is_logged_only_when_asked(start, sim, word):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                         "log": {"content": True}})
    with relay.http(relay.first_key) as c:
        plain = ask(c, "p/m", word).headers["x-relay-id"]
        streamed = stream(c, "p/m", word + "s")[0].headers["x-relay-id"]
        ask(c, "p/m", word + "x" * 200000)
    relay.row(plain), relay.row(streamed)
    relay.wait_rows(3)
    rows = {r["request_id"]: r for r in relay.query("SELECT * FROM contents")}
    if not isinstance(next(iter(rows)), str):
        rows = {re.sub(r"(.{8})(.{4})(.{4})(.{4})(.{12})", r"\1-\2-\3-\4-\5", k.hex()): v
                for k, v in rows.items()}
    text = json.dumps({k: {a: (b.decode(errors="replace") if isinstance(b, bytes) else b)
                           for a, b in v.items() if a != "request_id"} for k, v in rows.items()})
    assert len(rows) == 3 and word in text
    for v in rows.values():
        for a, b in v.items():
            assert not isinstance(b, (str, bytes)) or len(b) <= 65536, a
    assert word not in relay.log()


def test_the_log_is_json_lines(relay, http, word):
    id = ask(http, "p/small", word).headers["x-relay-id"]
    line = wait_for(lambda: [l for l in relay.log().splitlines() if id in l])[0]
    parsed = json.loads(line)
    assert parsed["level"] and ("time" in parsed or "at" in parsed or "ts" in parsed)
    for l in relay.log().splitlines():
        if l.startswith("{"):
            json.loads(l)
