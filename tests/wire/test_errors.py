"""The reference's error table from a client's side, and everything malformed."""

import json
import socket
import time

import pytest

from support import (SURELY_SECONDS, ask, error_of, model, parse_answers, provider, raw_exchange, raw_request,
                     wait_for)

JSON_HEAD = {"content-type": "application/json"}


def post(http, body, headers=None, path="/v1/chat/completions"):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return http.post(path, content=body, headers={**JSON_HEAD, **(headers or {})})


# --- 400: bodies

@pytest.mark.parametrize("body", [
    b"", b"{", b"nonsense", b'{"model":"p/small",}', b"{'model':1}", b'{"a":1}{"b":2}', b'{"a":01}',
    b'{"model":"p/small","messages":[{"role":"user","content":"\xff\xfe"}]}',
    b'{"model":"p/small","messages":[{"role":"user","content":"\xc0\xaf"}]}',
    b'{"model":"p/small","messages":[{"role":"user","content":"\\ud800"}]}',
    b"\xef\xbb\xbf{", b'{"a":NaN}', b"[" * 100000, b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b'{"model":"p/small\x00"}', b"\x00" * 100,
], ids=lambda b: repr(b[:30]))
def test_broken_json(http, body):
    error_of(post(http, body), 400, "invalid_json")


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"true", b"{}"])
def test_not_a_request(http, body):
    answer = post(http, body)
    error_of(answer, 400, "invalid_request" if body == b"{}" else answer.json()["error"]["code"])
    assert answer.json()["error"]["code"] in ("invalid_request", "invalid_json")


GOOD = {"model": "p/small", "messages": [{"role": "user", "content": "x"}]}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
WRONG = [
    ("model", 1), ("model", None), ("model", ["a"]), ("model", ""),
    ("messages", None), ("messages", "hello"), ("messages", []), ("messages", {}), ("messages", [1]),
    ("messages", ["x"]), ("messages", [{}]), ("messages", [{"role": "user"}]),
    ("messages", [{"role": "wizard", "content": "x"}]), ("messages", [{"role": 1, "content": "x"}]),
    ("messages", [{"content": "x"}]), ("messages", [{"role": "user", "content": 1}]),
    ("messages", [{"role": "user", "content": {"text": "x"}}]),
    ("messages", [{"role": "user", "content": ["x"]}]),
    ("messages", [{"role": "user", "content": [{}]}]),
    ("messages", [{"role": "user", "content": [{"type": "text"}]}]),
    ("messages", [{"role": "user", "content": [{"type": "text", "text": 3}]}]),
    ("messages", [{"role": "user", "content": [{"type": "image_url"}]}]),
    ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 1}}]}]),
    ("messages", [{"role": "assistant", "tool_calls": "x"}]),
    ("stream", "yes"), ("stream", 1), ("stream_options", 1),
    ("stream_options", {"include_usage": "yes"}),
    ("max_tokens", "10"), ("max_tokens", 0), ("max_tokens", -1), ("max_tokens", 1.5),
    ("max_completion_tokens", 0), ("max_completion_tokens", True),
    ("temperature", "hot"), ("temperature", -1), ("n", 0), ("n", "2"), ("n", -3),
    ("stop", 5), ("stop", [1]), ("tools", "get"), ("tools", [1]), ("tools", {}),
    ("tool_choice", 5), ("response_format", "json"), ("response_format", 1),
    ("user", 5), ("metadata", "x"), ("metadata", [1]),
    ("routing", 1), ("routing", "fast"), ("routing", {"max_latency_ms": "600"}),
    ("routing", {"max_latency_ms": -1}), ("routing", {"min_quality": "x"}),
    ("routing", {"min_quality": -5}), ("routing", {"max_cost_usd": -1}),
    ("routing", {"max_cost_usd": "a"}), ("routing", {"deadline_ms": -1}),
    ("routing", {"only": "groq"}), ("routing", {"only": [1]}), ("routing", {"ignore": {}}),
    ("routing", {"models": "x"}), ("routing", {"models": [1]}), ("routing", {"fallbacks": "no"}),
    ("routing", {"strict": 1}),
    ("cache", "off please"), ("cache", 1), ("cache", {"mode": "sometimes"}), ("cache", {"mode": 1}),
    ("cache", {"ttl_s": -1}), ("cache", {"ttl_s": "1"}), ("cache", {"threshold": "x"}),
    ("cache", {"threshold": -0.1}), ("cache", {"namespace": 1}),
]


@pytest.mark.parametrize("n", range(len(WRONG)), ids=lambda n: f"{WRONG[n][0]}-{WRONG[n][1]!r}"[:60])
def test_wrong_types_name_the_field(http, sim, n):
    field, value = WRONG[n]
    before = sim.count()
    error = error_of(post(http, {**GOOD, field: value}), 400, "invalid_request")
    inner = next(iter(value)) if isinstance(value, dict) and value else field
    names = {field, field.rstrip("s"), inner, "role", "content", "text", "url", "tool_calls"}
    assert any(name in error["message"] for name in names), error["message"]
    assert sim.count() == before


@pytest.mark.parametrize("field", ["model", "messages"])
def test_missing_fields(http, field):
    error = error_of(post(http, {k: v for k, v in GOOD.items() if k != field}), 400,
                     "invalid_request")
    assert field in error["message"]


@pytest.mark.parametrize("name,value", [
    ("x-relay-max-latency-ms", "soon"), ("x-relay-max-latency-ms", "-5"),
    ("x-relay-min-quality", "best"), ("x-relay-cache", "maybe"), ("x-relay-cache-ttl", "-1")])
def test_wrong_headers(http, name, value):
    error_of(post(http, GOOD, {name: value}), 400, "invalid_request")


def test_nulls_are_as_if_missing(http):
    body = {**GOOD, **dict.fromkeys(["temperature", "stop", "tool_choice", "max_tokens", "n",
                                     "response_format", "user", "routing", "cache", "stream"])}
    assert post(http, body).status_code == 200


def test_parameters_named_twice_and_big_numbers(http):
    assert post(http, b'{"model":"p/small","messages":[{"role":"user","content":"x"}],'
                      b'"max_tokens":999999999999999999999}').status_code in (200, 400)
    assert post(http, b'{"model":"p/small","messages":[{"role":"user","content":"x"}],'
                      b'"temperature":1e400}').status_code == 400


# --- 401, 403, 404, 405, 413, 415

@pytest.mark.parametrize("headers,code", [
    ({}, "missing_api_key"), ({"authorization": "Bearer"}, None),
    ({"authorization": "Bearer glw_" + "a" * 40}, "invalid_api_key"),
    ({"authorization": "Bearer sk-something"}, "invalid_api_key"),
    ({"authorization": "Basic dTpw"}, None), ({"x-api-key": "x" * 5000}, "invalid_api_key")])
def test_keys(relay, headers, code):
    with relay.http() as c:
        answer = c.post("/v1/chat/completions", json=GOOD, headers=headers)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert code is None or error["code"] == code
    assert error["code"] in ("missing_api_key", "invalid_api_key")


def test_an_expired_key(relay):
    for seconds in (2, 10, 40):  # on a busy machine the first may be over before it is used
        key = relay.make_key("short", expires=f"{seconds}s")
        with relay.http(key) as c:
            status = ask(c, "p/small").status_code
        if status == 200:
            break
    assert status == 200
    with relay.http(key) as c:
        wait_for(lambda: ask(c, "p/small").status_code == 401)
        error_of(ask(c, "p/small"), 401, "expired_api_key")


def test_the_key_is_asked_for_before_the_body(relay):
    """401 goes out although no byte of the body has come."""
    got, _ = raw_exchange(relay.port, raw_request("glw_bad", b"", length=1000000))
    assert got.startswith(b"HTTP/1.1 401 ")


def test_expect_continue(relay, key):
    with socket.create_connection(("127.0.0.1", relay.port), timeout=SURELY_SECONDS) as s:
        body = json.dumps(GOOD).encode()
        s.sendall(raw_request(key, b"", "Expect: 100-continue\r\n", length=len(body)))
        assert s.recv(100).startswith(b"HTTP/1.1 100 ")
        s.sendall(body)
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")
    got, _ = raw_exchange(relay.port, raw_request("glw_bad", b"", "Expect: 100-continue\r\n",
                                                  length=10))
    assert got.startswith(b"HTTP/1.1 401 ")


def test_an_admin_key_is_no_client_key(relay, key):
    with relay.http(relay.admin_key) as c:
        assert ask(c, "p/small").status_code == 401
    with relay.http(key) as c:
        assert c.get("/admin/v1/keys").status_code in (401, 403, 404)


def test_a_model_outside_the_allow_list(relay, sim):
    with relay.http(relay.make_key("narrow", models="p/small")) as c:
        assert ask(c, "p/small").status_code == 200
        before = sim.count()
        error_of(ask(c, "p/large"), 403, "model_not_allowed")
        assert sim.count() == before
        answer = ask(c, "auto")
        assert answer.status_code == 200 and answer.headers["x-relay-model"] == "small"


@pytest.mark.parametrize("field,value", [
    ("models", ["p/large"]), ("provider", {"order": ["x"]}), ("plugins", [{"id": "web"}]),
    ("web_search_options", {}), ("service_tier", "priority")])
def test_fields_that_choose_another_price(relay, http, field, value):
    """Refused for a key with an allow-list or a budget, passed on for others."""
    for options in ({"models": "p/small"}, {"budget_usd": 1, "budget_period": "day"}):
        with relay.http(relay.make_key("narrow", **options)) as c:
            error = error_of(ask(c, "p/small", **{field: value}), 400, "invalid_request")
            assert field in error["message"]
            assert ask(c, "p/small", service_tier="auto").status_code == 200
    assert ask(http, "p/small", **{field: value}).status_code == 200


def test_no_such_model_names_the_nearest(http):
    error = error_of(ask(http, "p2/smal"), 404, "model_not_found")
    assert "p/small" in error["message"]
    error = error_of(ask(http, "fats"), 404, "model_not_found")
    assert "fast" in error["message"]
    error_of(ask(http, "x" * 5000), 404, "model_not_found")
    error_of(ask(http, "line\nbreak\u0007"), 404, "model_not_found")


@pytest.mark.parametrize("name", ["p/evil\r\nx-injected: 1", "p/evil\nset-cookie: a=b", "p/a\x00b",
                                  "p/\x7f", "p/" + "y" * 300])
def test_a_name_never_becomes_a_header(relay, http, sim, name):
    """`provider/anything` goes upstream as it is, but not when it could be more than a name."""
    before = sim.count()
    answer = ask(http, name)
    error_of(answer, 404, "model_not_found")
    assert "x-injected" not in answer.headers and "set-cookie" not in answer.headers
    assert sim.count() == before


def test_names_of_a_hostile_provider(start, word):
    sim = start.sim("--set", "record=4096")
    sim.set(models=["good", "bad\r\nx-injected: 1", "n" * 300])
    relay = start.relay({"providers": {"p": {"kind": "openai", "base_url": sim.base_url}}})
    with relay.http(relay.first_key) as c:
        wait_for(lambda: "p/good" in c.get("/v1/models").text)
        assert [m["id"] for m in c.get("/v1/models").json()["data"]] == ["p/good"]
        for i in range(3):
            answer = ask(c, "auto", f"{word} {i}")
            assert answer.headers["x-relay-model"] == "good" and "x-injected" not in answer.headers


@pytest.mark.parametrize("size", [5000, 70000, 1000000])
def test_messages_are_short_and_whole(http, size):
    """A long name must neither come back whole nor break the body."""
    for body in ({"model": "x" * size}, {"model": "auto", "routing": {"models": ["y" * size]}},
                 {"model": "auto", "routing": {"only": ["z" * size]}},
                 {"model": "p/small", "messages": [{"role": "w" * size, "content": "x"}]},
                 {"model": "p/small", "cache": {"mode": "m" * size}}):
        answer = post(http, {**GOOD, **body})
        assert 400 <= answer.status_code < 600
        assert answer.json()["error"]["message"] and len(answer.content) < 4096, answer.text[:300]
    answer = http.get("/v1/models/" + "x" * 20000)
    assert answer.status_code == 404 and len(answer.content) < 4096


@pytest.mark.parametrize("method,path,status,code", [
    ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
    ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ("POST", "/v1/models", 405, "method_not_allowed"),
    ("GET", "/v1/nothing", 404, "not_found"), ("POST", "/v1", 404, "not_found"),
    ("GET", "/v1/models/none/such", 404, "model_not_found"),
    ("POST", "/v1/chat/completions/x", 404, "not_found"),
    ("POST", "/v1/../v1/chat/completions", 404, "not_found"),
    ("GET", "/v1/models/%2e%2e", 404, None), ("GET", "/%00", 404, "not_found"),
    ("PATCH", "/healthz", 405, None)])
def test_paths_and_methods(relay, key, method, path, status, code):
    data = raw_request(key, b"", method=method, path=path, extra="Connection: close\r\n")
    answers = parse_answers(raw_exchange(relay.port, data)[0])
    assert answers[0][0] == status, answers
    body = json.loads(answers[0][2])
    assert code is None or body["error"]["code"] == code
    if status == 405:
        assert answers[0][1]["allow"]


def test_unknown_method_names(relay, key):
    for method in ("BREW", "get", "X" * 1000):
        data = raw_request(key, b"", method=method, extra="Connection: close\r\n")
        got = raw_exchange(relay.port, data)[0]
        assert int(got.split()[1]) in (400, 405, 501, 431), got[:100]
        # Whoever is told that a method is not allowed is told which are (RFC 9110, 15.5.6).
        assert (b" 405 " in got[:14]) == (b"\r\nallow: " in got), got[:300]


def test_what_no_door_is_there_for(http):
    """One sentence says so; nobody is left guessing at an empty page."""
    for path in ("/v1/completions", "/v1/audio/speech", "/v1/images/generations", "/v1/files"):
        answer = http.post(path, json={**GOOD, "input": "x"})
        assert error_of(answer, 404, "not_found")["message"].count(".") <= 2, path


@pytest.mark.parametrize("type", ["text/plain", "application/x-www-form-urlencoded",
                                  "multipart/form-data; boundary=x", "application/jsonx"])
def test_media_types(http, type):
    answer = http.post("/v1/chat/completions", content=json.dumps(GOOD),
                       headers={"content-type": type})
    error_of(answer, 415, "unsupported_media_type")


def test_good_media_types(http):
    for type in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        assert http.post("/v1/chat/completions", content=json.dumps(GOOD),
                         headers={"content-type": type}).status_code == 200


def test_a_compressed_body_is_refused(http):
    answer = post(http, GOOD, {"content-encoding": "gzip"})
    assert answer.status_code in (400, 415)


def test_thousands_of_wrong_keys_are_bounded_in_the_log(start, sim):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    size = len(relay.log())
    began = time.monotonic()
    sent = 0
    with socket.create_connection(("127.0.0.1", relay.port), timeout=SURELY_SECONDS) as s:
        one = raw_request("glw_" + "Q" * 40, b"")
        for _ in range(20):
            s.sendall(one * 100)
            sent += 100
            got = b""
            while got.count(b"HTTP/1.1 ") < 100:
                block = s.recv(1 << 16)
                assert block, "wrong keys closed the connection"
                got += block
            assert got.count(b"HTTP/1.1 401 ") == 100
    # At most 20 lines a second, and the seconds it began and ended in.
    bound = 20 * (time.monotonic() - began + 2) * 512
    assert len(relay.log()) - size < min(bound, sent * 100), "one log line per wrong key"
    assert "QQQQQQQQ" not in relay.log()
    assert relay.metric("relay_requests_total", status="401") >= sent
    assert relay.rows() == []


def test_error_answers_tell_the_id_of_the_row(relay, http):
    answer = ask(http, "nobody")
    id = answer.headers["x-relay-id"]
    assert answer.json()["relay"]["id"] == id or answer.json()["error"]["relay"]["id"] == id
    assert relay.row(id)["error_code"] == "model_not_found"
    assert answer.headers["content-type"].startswith("application/json")


def test_nothing_configured(start):
    relay = start.relay({})
    with relay.http(relay.first_key) as c:
        answer = ask(c, "auto")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "no_model_available"
        assert relay.row(answer.headers["x-relay-id"])["status"] == 503
