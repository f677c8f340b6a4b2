"""HTTP itself, malformed on purpose: sizes, slowness, framing, pipelining, connections."""

import json
import re
import socket
import time

import pytest

from smuggling import BODY, GOOD, HOST, LENGTH, LAWFUL, N, REFUSED, framed
from support import (IS_ASAN, SURELY_SECONDS, ask, chat, error_of, model, parse_answers, provider, raw_exchange,
                     raw_request, wait_for)


@pytest.fixture(scope="module")
def small(start_once, sim):
    return start_once.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")],
                             "server": {"max_body": "64KiB", "request_timeout": "1s"}})


def test_body_too_large(small):
    with small.http(small.first_key) as c:
        error_of(ask(c, "p/small", "x" * 70000), 413, "body_too_large")
        assert ask(c, "p/small", "x" * 60000).status_code == 200


def test_too_large_is_told_from_the_length_alone(small):
    got, closed = raw_exchange(small.port, raw_request(small.first_key, b"", length=1 << 40))
    assert got.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body(small):
    body = json.dumps(GOOD).encode()

    def go(chunks, **kw):
        head = raw_request(small.first_key, b"").replace(
            b"Content-Length: 0", b"Transfer-Encoding: chunked")
        return raw_exchange(small.port, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
                            + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks), **kw)[0]
    assert go([body[:5], body[5:], b""]).startswith(b"HTTP/1.1 200 ")
    assert go([bytes([c]) for c in body] + [b""]).startswith(b"HTTP/1.1 200 ")
    assert go([b" " * 9000] * 9 + [b""]).startswith(b"HTTP/1.1 413 ")


def test_head_too_large(small):
    key = small.first_key
    for extra in ("X-Big: " + "a" * 100000 + "\r\n", "".join(f"X-{i}: b\r\n" for i in range(5000))):
        got, closed = raw_exchange(small.port, raw_request(key, GOOD, extra))
        assert got.startswith(b"HTTP/1.1 431 "), got[:100]
        assert closed and b"headers_too_large" in got
    got, _ = raw_exchange(small.port, b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert int(got.split()[1]) in (414, 431)


@pytest.mark.parametrize("pieces", [[b"POST /v1/chat/comp"], [b"POST / HTTP/1.1\r\nHost: a\r\n"]])
def test_a_slow_head(small, pieces):
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", small.port), timeout=SURELY_SECONDS) as s:
        got = b""
        s.sendall(pieces[0])
        s.settimeout(0.2)
        while time.monotonic() - start < SURELY_SECONDS:  # one more byte of a header, again and again
            try:
                block = s.recv(1000)
                got += block
                if not block:
                    break
            except socket.timeout:
                try:
                    s.sendall(b"x")
                except OSError:
                    break
            except OSError:
                break
    assert time.monotonic() - start > 0.8
    assert got.startswith(b"HTTP/1.1 408 ") or got == b""


def test_a_slow_body(small):
    start = time.monotonic()
    got, closed = raw_exchange(small.port, raw_request(small.first_key, b"{", length=100))
    assert time.monotonic() - start > 0.8
    assert got.startswith(b"HTTP/1.1 408 ") and closed
    assert b"request_timeout" in got
    row = small.wait_rows(1, "status = 408")[0]
    assert row["error_code"] == "request_timeout"


def test_an_idle_connection_costs_nobody_else(small):
    idle = [socket.create_connection(("127.0.0.1", small.port)) for _ in range(100)]
    with small.http(small.first_key) as c:
        assert ask(c, "p/small").status_code == 200
    [s.close() for s in idle]


# --- framing

@pytest.mark.parametrize("shape", REFUSED)
def test_ambiguous_framing(relay, key, sim, shape):
    """400 and the connection closes; nothing is sent upstream."""
    before = sim.count()
    data = REFUSED[shape].replace(b"Bearer K", b"Bearer " + key.encode())
    follow = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    got, closed = raw_exchange(relay.port, data + follow)
    assert closed, "the connection stayed open"
    answers = [int(p.split()[0]) for p in (b"\n" + got).split(b"\nHTTP/1.1 ")[1:]]
    expected = ([505], [400]) if shape == "HTTP/1.2" else ([400], [413]) if "huge" in shape else ([400],)
    assert answers in expected, got[:300]
    assert sim.count() == before


# What comes of those in LAWFUL, and of a request behind them; 200 twice where nothing else is said.
ANSWERS = {"an empty chunked body": [400, 200], "HTTP/1.0 that stays": [200], "line ends in the path": [404, 200],
           "a length of nothing and a body": [400, 400], "a head beyond measure": [431]}


@pytest.mark.parametrize("shape", sorted(set(LAWFUL) - {"a length beyond the body"}))
def test_lawful_framing_ends_where_it_says(relay, key, shape):
    """What follows is a request of its own: never a part of this one, nor this of it."""
    data = LAWFUL[shape].replace(b"Bearer K", b"Bearer " + key.encode())
    follow = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    got, closed = raw_exchange(relay.port, data + follow)
    answers = [int(p.split()[0]) for p in re.split(rb"(?:^|[\n}])HTTP/1.[01] ", got)[1:]]
    assert closed and answers == ANSWERS.get(shape, [200, 200]), got
    assert 200 not in answers[1:] or got.endswith(b'{"status":"ok"}'), got


def test_the_same_length_twice_is_one_answer_or_400(relay, key):
    data = framed(key, HOST, LENGTH, LENGTH, "Connection: close", body=BODY)
    assert int(raw_exchange(relay.port, data)[0].split()[1]) in (200, 400)


@pytest.mark.parametrize("line,status", [
    ("POST http://127.0.0.1/v1/chat/completions HTTP/1.1", 200),
    ("POST /v1/chat/completions?api-version=2026-01-01 HTTP/1.1", 200),
    ("POST //v1/chat/completions HTTP/1.1", 404), ("POST /v1/chat%2Fcompletions HTTP/1.1", 404),
    ("POST /v1/chat/completions/ HTTP/1.1", 404), ("OPTIONS * HTTP/1.1", 400),
    ("CONNECT 127.0.0.1:443 HTTP/1.1", 400), ("PRI * HTTP/2.0", 400)])
def test_request_lines(relay, key, line, status):
    data = framed(key, HOST, LENGTH, "Connection: close", body=BODY).split(b"\r\n", 1)[1]
    got, closed = raw_exchange(relay.port, line.encode() + b"\r\n" + data)
    assert closed and int(got.split()[1]) == status, got[:200]


def test_upgrades_are_passed_over(relay, key):
    data = framed(key, HOST, LENGTH, "Connection: Upgrade, close", "Upgrade: h2c", body=BODY)
    assert raw_exchange(relay.port, data)[0].startswith(b"HTTP/1.1 200 ")


def test_trailers_and_chunk_extensions(relay, key):
    head = framed(key, HOST, "Transfer-Encoding: chunked", "Connection: close")
    good = b"%x;a=b\r\n%s\r\n0\r\nAuthorization: Bearer x\r\n\r\n" % (N, BODY)
    assert raw_exchange(relay.port, head + good)[0].startswith(b"HTTP/1.1 200 ")
    for flood in (b"1;" + b"a" * 2000000, b"1\r\n{\r\n0\r\n" + b"X-A: b\r\n" * 200000):
        got, closed = raw_exchange(relay.port, head + flood)
        assert closed and int(got.split()[1] if got else 400) in (400, 413, 431)


def test_pipelining(relay, key):
    one = raw_request(key, chat("p/small", "pipe [[sim:ttft=50]]", cache={"mode": "off"}))
    bad = raw_request(key, {"model": "p/small"})
    last = raw_request(key, chat("p/small", "last"), "Connection: close\r\n")
    got, closed = raw_exchange(relay.port, one + bad + one + last)
    assert closed
    answers = parse_answers(got)
    assert [a[0] for a in answers] == [200, 400, 200, 200]
    assert b"last" in answers[3][2]


def test_pipelining_is_bounded(relay, key):
    """A client that only sends is not read without end."""
    one = raw_request(key, chat("p/small", "x" * 1000 + " [[sim:ttft=300]]", cache={"mode": "off"}))
    with socket.create_connection(("127.0.0.1", relay.port), timeout=0.5) as s:
        sent = 0
        try:
            for _ in range(20000):
                s.sendall(one)
                sent += len(one)
        except socket.timeout:
            pass
        assert sent < 16 << 20
    with relay.http(key) as c:
        assert ask(c, "p/small").status_code == 200


def test_byte_by_byte(relay, key):
    with socket.create_connection(("127.0.0.1", relay.port), timeout=SURELY_SECONDS) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for b in raw_request(key, GOOD, "Connection: close\r\n"):
            s.sendall(bytes([b]))
        got = b""
        while block := s.recv(65536):
            got += block
    assert got.startswith(b"HTTP/1.1 200 ")


def test_http_1_0(relay, key):
    data = framed(key, HOST, LENGTH, body=BODY).replace(b"HTTP/1.1", b"HTTP/1.0")
    got, closed = raw_exchange(relay.port, data)
    assert closed and b" 200 " in got[:20]
    body = json.dumps({**GOOD, "stream": True}).encode()
    data = framed(key, HOST, f"Content-Length: {len(body)}", body=body).replace(b"HTTP/1.1", b"HTTP/1.0")
    got, closed = raw_exchange(relay.port, data)
    assert closed and b"chunked" not in got and got.rstrip().endswith(b"data: [DONE]")


def test_half_closed_clients_are_answered(relay, key):
    got, _ = raw_exchange(relay.port, raw_request(key, GOOD, "Connection: close\r\n"), close_write=True)
    assert got.startswith(b"HTTP/1.1 200 ") or got == b""


def test_a_slow_reader_is_bounded(start):
    """Reference 4.5: a slow client slows the upstream; memory per stream is bounded."""
    sim = start.sim()
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    key = relay.first_key
    with relay.http(key) as c:
        ask(c, "p/small", "warm")
    before = relay.memory_bytes()
    readers = []
    for i in range(4):  # 4 answers of 16 MB each, of which nobody reads more than the first bytes
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", relay.port))
        s.sendall(raw_request(key, chat("p/small", f"{i} [[sim:tokens=200000;events=50000]]",
                                        stream=True, max_tokens=300000)))
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")
        readers.append(s)
    time.sleep(1)  # what would grow has grown
    grown = relay.memory_bytes() - before
    [s.close() for s in readers]
    rows = relay.wait_rows(5)
    assert IS_ASAN or grown < 24 << 20, f"{grown >> 20} MiB for 4 slow readers"
    assert sorted(r["status"] for r in rows) == [200, 499, 499, 499, 499]


def test_too_many_connections(start, sim):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")],
                         "server": {"max_connections": 10}})
    many = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(40)]
    for s in many:
        s.close()

    def works():
        try:
            with relay.http(relay.first_key, timeout=2) as c:
                return ask(c, "p/small").status_code == 200
        except Exception:
            return False
    wait_for(works)
