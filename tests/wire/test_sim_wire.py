"""How relay-sim sends and receives: faults at their byte, pace, garbage, the program, TLS. Only pytest
and the standard library.
"""
import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from sim_client import ROOT, SIM, Sim, deltas, drain, events, request_bytes


def lasted(start, seconds):
    """Whether the seconds have passed: a loop's timers count whole milliseconds from its turn's start."""
    return time.monotonic() - start >= seconds - 0.002


@pytest.fixture(scope="module")
def running():
    sim = Sim()
    yield sim
    sim.stop()


@pytest.fixture
def sim(running):
    response, _ = running.call("POST", "/__sim/reset")
    assert response.status == 200
    return running


# --- faults on the wire -----------------------------------------------------------------------

def test_reset_and_close_at_every_kind_of_byte(sim):
    whole, reset = sim.raw(request_bytes("x"))
    assert not reset and whole.endswith(b"0\r\n\r\n")
    # Ids count up, but keep their length.
    for offset in (0, 1, 20, whole.index(b"\r\n\r\n") + 4, 700, len(whole) - 1):
        sim.config(reset_at=offset, close_at=None)
        got, reset = sim.raw(request_bytes("x"))
        assert reset and len(got) == offset
        sim.config(reset_at=None, close_at=offset)
        got, reset = sim.raw(request_bytes("x"))
        assert not reset and len(got) == offset
    assert {r["outcome"] for r in sim.requests()} == {"complete", "cut"}
    assert sim.requests()[-1]["sent_bytes"] == len(whole) - 1


def test_cut_after_events_and_in_the_body(sim):
    got, reset = sim.raw(request_bytes("[[sim:close_event=3]]"))
    assert not reset and got.count(b"data: {") == 3 and not got.endswith(b"0\r\n\r\n")
    got, reset = sim.raw(request_bytes("[[sim:reset_at=5;at_body]]", stream=False))
    assert reset and got.endswith(b"\r\n\r\n" + got[-5:]) and len(got[-5:]) == 5


def test_stall_then_the_rest(sim):
    start = time.monotonic()
    got, _ = sim.raw(request_bytes("[[sim:stall_event=2;stall_ms=300]]"))
    assert lasted(start, 0.3) and b"[DONE]" in got
    sock = sim.connect()
    sock.sendall(request_bytes("[[sim:stall_at=30;stall_ms=60000]]"))
    got = b""
    while len(got) < 30:
        got += sock.recv(100)
    sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        sock.recv(100)
    assert len(got) == 30
    sock.close()


def test_client_that_leaves_is_noticed(sim):
    sock = sim.connect()
    sock.sendall(request_bytes("[[sim:gap_ms=20;tokens=1000]]"))
    sock.recv(100)
    sock.close()
    for _ in range(1000):
        last = sim.requests()[-1]
        if last["outcome"] != "open":
            break
        time.sleep(0.02)
    assert last["outcome"] == "client_closed" and 0 < last["sent_bytes"] < 100000


def test_shapes_of_a_stream(sim):
    def body(settings):
        return sim.chat(f"[[sim:text=hi;{settings}]]", stream=True)[1]
    plain = body("usage_at=asked")
    assert b"\r" not in plain and plain.endswith(b"data: [DONE]\n\n")
    crlf, cr = body("eol=crlf"), body("eol=cr")
    assert crlf.count(b"\r\n\r\n") == cr.count(b"\r\r") == plain.count(b"\n\n")
    assert b"\n" not in cr
    assert b"data:{" in body("data_space=false")
    assert body("comment_every=1;comment=WAIT").count(b": WAIT\n\n") == 3
    assert body("bom").startswith(b"\xef\xbb\xbfdata: ")
    assert body("lead=\\n\\r\\n").startswith(b"\n\r\ndata: ")
    assert body("last_blank=false").endswith(b"[DONE]")
    assert b"[DONE]" not in body("done=false")
    bad = events(body("malformed_event=2"))
    with pytest.raises(json.JSONDecodeError):
        json.loads(bad[1])
    big = events(body("oversize_event=2;oversize_bytes=300000"))
    assert len(big[1]) == 300000 and json.loads(big[1])["object"]


def test_split_writes_give_the_same_bytes(sim):
    want = sim.chat("[[sim:id=same;text=你好🙂]]", stream=True)[1]
    got = sim.chat("[[sim:id=same;text=你好🙂;split=7;split_gap_ms=0]]", stream=True)[1]
    assert len(got) > 600 and got == want
    sock = sim.connect()
    start = time.monotonic()
    sock.sendall(request_bytes("[[sim:text=ab;split=100;split_gap_ms=40]]"))
    got = b"".join(iter(lambda: sock.recv(65536), b""))
    assert lasted(start, (len(got) // 100 - 1) * 0.04)
    sock.close()


def test_framings_and_raw(sim):
    assert sim.chat("[[sim:framing=chunked]]")[0].getheader("transfer-encoding") == "chunked"
    response, text = sim.chat("[[sim:framing=close]]")
    assert response.getheader("connection") == "close" and json.loads(text)
    response, _ = sim.chat("[[sim:framing=length]]", stream=True)
    assert int(response.getheader("content-length")) > 100
    assert len(sim.chat("[[sim:content_length=10]]")[1]) == 10
    with pytest.raises(http.client.IncompleteRead):
        sim.chat("[[sim:content_length=100000]]")
    literal = b"HTTP/1.1 299 Odd\r\nx: y\r\n\r\n\x00\xff"
    code = base64.b64encode(literal).decode()
    assert sim.raw(request_bytes(f"[[sim:raw={code}]]")) == (literal, False)
    assert sim.chat("[[sim:body=oops;content_type=text/html]]")[1] == b"oops"
    got = sim.raw(request_bytes("[[sim:interim=103]]"))[0]
    assert got.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200")


def test_connections_that_end_unsaid(sim):
    for settings in ({"close_unsaid": True}, {"idle_close_ms": 50, "close_unsaid": None}):
        sim.config(**settings)
        got, reset = sim.raw(request_bytes("x", close=False))
        assert got.endswith(b"0\r\n\r\n") and not reset and b"connection" not in got
        assert sim.requests()[-1]["outcome"] == "complete"


def test_refuse_next(sim):
    sim.config(refuse_next=1)
    got, reset = b"", False
    try:
        got, reset = sim.raw(request_bytes("x"))
    except (ConnectionResetError, BrokenPipeError):
        reset = True
    assert reset and got == b""
    assert sim.chat()[0].status == 200


# --- time -------------------------------------------------------------------------------------

def test_latency_and_pace(sim):
    start = time.monotonic()
    sim.chat("[[sim:ttft=200]]")
    assert lasted(start, 0.2)
    start = time.monotonic()
    sim.chat("[[sim:ttft=100;tps=50;tokens=11]]", stream=True)
    assert lasted(start, 0.3)


def test_distributions_stay_in_their_bounds(sim):
    sim.config(ttft="uniform:5:15", seed=7)
    for _ in range(10):
        sim.chat()
    sim.config(ttft="lognormal:5:10")
    for _ in range(10):
        sim.chat()
    times = [r["duration_ms"] for r in sim.requests()]
    assert min(times[:10]) >= 4 and min(times[10:]) > 0 and len(set(times)) > 10


# --- what it receives -------------------------------------------------------------------------

def test_requests_are_kept_as_they_came(sim):
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    sim.call("POST", "/v1/chat/completions?x=1", body, {"X-CaseD": "Yes", "x-api-key": "sk-1"})
    seen = sim.requests()[-1]
    assert seen["method"] == "POST" and seen["target"] == "/v1/chat/completions?x=1"
    assert ["X-CaseD", "Yes"] in seen["headers"] and ["x-api-key", "sk-1"] in seen["headers"]
    assert seen["body"].encode() == body and seen["status"] == 200 and seen["model"] == "m"
    sim.call("POST", "/v1/chat/completions", b"\xff\xfe")
    assert base64.b64decode(sim.requests()[-1]["body_base64"]) == b"\xff\xfe"
    sim.config(record=2)
    for _ in range(5):
        sim.chat()
    assert len(sim.requests()) == 2


def test_pipelined_and_chunked_requests(sim):
    one = request_bytes("one", stream=False, close=False)
    two = request_bytes("two", stream=True)
    got, _ = sim.raw(one + one + two)
    assert got.count(b"HTTP/1.1 200 OK") == 3
    body = request_bytes("x" * 3000, stream=False).split(b"\r\n\r\n", 1)[1]
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(body[i:i + 9]), body[i:i + 9])
                      for i in range(0, len(body), 9)) + b"0\r\n\r\n"
    head = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: close\r\n\r\n")
    sock = sim.connect()
    for i in range(0, len(head + chunks), 777):
        sock.sendall((head + chunks)[i:i + 777])
    assert b"x" * 2000 in drain(sock)[0]
    assert sim.requests()[-1]["body"].encode() == body


def test_expect_continue_and_a_slow_reader(sim):
    sim.config(read_pause_ms=200)
    request = request_bytes("x", stream=False)
    head, body = request.split(b"\r\n\r\n", 1)
    sock = sim.connect()
    start = time.monotonic()
    sock.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(body)
    assert b"200 OK" in drain(sock)[0] and lasted(start, 0.2)


GARBAGE = [
    b"\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/2\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\n\r\n", b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
    b"A" * 70000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
]


@pytest.mark.parametrize("data", GARBAGE)
def test_garbage_is_refused_and_survived(sim, data):
    sock = sim.connect()
    try:
        sock.sendall(data)
    except OSError:
        pass
    got, _ = drain(sock)
    assert got.startswith(b"HTTP/1.1 400 ") or got == b""
    assert sim.chat()[0].status == 200


@pytest.mark.parametrize("body", [
    b"", b"[", b"[]", b"null", b'{"model":1}', b'{"model":"m"}', b'{"model":"m","messages":{}}',
    b'{"model":"m","messages":[1,null,{}]}', b"[" * 100000, b'{"model":"m","messages":' +
    b"[" * 50000 + b"]" * 50000 + b"}",
    b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":{}}',
    b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":0}'])
def test_wrong_bodies_get_400(sim, body):
    assert sim.call("POST", "/v1/chat/completions", body)[0].status == 400


@pytest.mark.parametrize("path", ["/v1/messages", "/v1beta/models/x:generateContent", "/api/chat",
                                  "/v1/embeddings", "/v1/messages/count_tokens", "/api/show"])
def test_odd_values_anywhere_are_survived(sim, path):
    odd = [1, None, True, "x", [], {}, [None], [1, "x", {"text": 1}], {"a": {"b": []}}]
    for value in odd:
        names = ("messages", "contents", "tools", "tool_choice", "system", "stop", "options",
                 "generationConfig", "format", "input", "response_format", "thinking", "usage")
        body = {"model": "m", "max_tokens": 5, **{n: value for n in names}}
        assert sim.post(path, body)[0].status in (200, 400)
    assert sim.call("POST", "/nowhere")[0].status == 404
    assert sim.call("PATCH", "/v1/models")[0].status == 404


def test_a_deep_patch_is_refused(sim):
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    assert sim.call("POST", "/__sim/config", ('{"usage":%s}' % deep).encode())[0].status == 400
    assert sim.chat("[[sim:usage=%s]]" % deep)[0].status == 400


# --- the program ------------------------------------------------------------------------------

def test_bench_mode():
    sim = Sim("--bench")
    try:
        assert len(sim.chat()[1]) == 600 and json.loads(sim.chat()[1])["usage"]
        chunks, text = deltas(sim.chat(stream=True)[1])
        assert len(chunks) == 34 and text.startswith(" bench 00 bench 01")
        assert sim.requests() == [] and sim.stats()["chats"] == 3
        sim.config(gap_ms=5)
        start = time.monotonic()
        assert len(deltas(sim.chat(stream=True)[1])[0]) == 34
        assert lasted(start, 34 * 0.005)
    finally:
        sim.stop()


def test_flags_are_settings(tmp_path):
    file = tmp_path / "config.json"
    file.write_text('{"model": "other", "rules": [{"then": {"finish": "odd"}}]}')
    sim = Sim("--tokens=12", "--latency", "1", "--keys", "k1,k2", "--config", str(file),
              "--set", "id=fixed")
    try:
        answer = json.loads(sim.chat(headers={"x-api-key": "k2"})[1])
        assert answer["usage"]["completion_tokens"] == 12 and answer["id"] == "fixed"
        assert answer["model"] == "other" and answer["choices"][0]["finish_reason"] == "odd"
        assert sim.chat()[0].status == 401
    finally:
        sim.stop()


@pytest.mark.parametrize("flags", [["--nothing"], ["--listen", "x"], ["--set", "no=1"],
                                   ["--tokens"], ["--tls-cert", "x"]])
def test_wrong_flags(flags):
    done = subprocess.run([str(SIM), *flags], capture_output=True, timeout=20, check=False)
    assert done.returncode == 2 and done.stderr.startswith(b"relay-sim: ")


def test_help_and_fields():
    text = subprocess.run([str(SIM), "--help"], capture_output=True, check=True).stdout
    assert b"--listen HOST:PORT" in text
    text = subprocess.run([str(SIM), "--fields"], capture_output=True, check=True).stdout
    guide = (ROOT / "docs/guides/relay-sim.md").read_text()
    for line in text.decode().splitlines():
        assert f"`{line.split()[0]}`" in guide


def test_ends_with_its_parent(tmp_path):
    script = (f'"{SIM}" --listen 127.0.0.1:0 --with-parent >listening & '
              'until [ -s listening ]; do sleep 0.05; done; echo $!; kill -9 $$')
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False,
                          cwd=tmp_path, timeout=60)
    pid = int(done.stdout.split()[-1])
    for _ in range(1000):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("it still runs")


def test_ready_fd():
    read, write = os.pipe()
    process = subprocess.Popen([str(SIM), "--listen", "127.0.0.1:0", "--quiet", "--ready-fd",
                                str(write)], pass_fds=[write], stdout=subprocess.PIPE)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.readline().startswith("relay-sim listening on http://127.0.0.1:")
    process.terminate()
    assert process.communicate(timeout=20)[0] == b"" and process.returncode == 0


def test_tls(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=sim",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
                    str(cert)], check=True, capture_output=True)
    sim = Sim("--tls-cert", str(cert), "--tls-key", str(key))
    context = ssl.create_default_context(cafile=str(cert))
    try:
        conn = http.client.HTTPSConnection("127.0.0.1", sim.port, timeout=20, context=context)
        for stream in (False, True):
            body = {"model": "m", "stream": stream, "messages": [
                {"role": "user", "content": "[[sim:tokens=20000;piece_chars=400]] " + "y" * 90000}]}
            conn.request("POST", "/v1/chat/completions", json.dumps(body))
            text = conn.getresponse().read()
            if stream:
                assert len(deltas(text)[1]) == 80000
            else:
                assert len(json.loads(text)["choices"][0]["message"]["content"]) == 80000
        with pytest.raises((http.client.HTTPException, OSError)):
            body["messages"][0]["content"] = "[[sim:close_event=2]]"
            conn.request("POST", "/v1/chat/completions", json.dumps(body))
            conn.getresponse().read()
        conn.close()
        plain = socket.create_connection(("127.0.0.1", sim.port), timeout=20)
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        drain(plain)
    finally:
        sim.stop()
