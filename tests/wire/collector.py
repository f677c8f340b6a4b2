"""A collector of traces that takes nothing but what OTLP over HTTP in JSON allows.

Each body is read into OpenTelemetry's own protobuf messages, where an unknown field, a wrong type or a
name in place of a number is an error; ids, which OTLP writes in hexadecimal, are checked and rewritten
for that.
"""

import base64
import http.server
import json
import re
import threading

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support import wait_for

ID_BYTES = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def _check(value):
    """Ids as base64; enums are numbers and 64-bit integers are strings."""
    if isinstance(value, list):
        return [_check(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, item in value.items():
        if key in ID_BYTES:
            assert re.fullmatch(r"[0-9a-f]{%d}" % (2 * ID_BYTES[key]), item), (key, item)
            assert set(item) != {"0"}, key
            item = base64.b64encode(bytes.fromhex(item)).decode()
        elif key in ("kind", "code", "flags"):
            assert type(item) is int, (key, item)
        elif key == "intValue" or key.endswith("UnixNano"):
            assert isinstance(item, str) and re.fullmatch(r"-?\d+", item), (key, item)
        out[key] = _check(item)
    return out


def _no_twins(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), names
    return dict(pairs)


def decode(body):
    return ParseDict(_check(json.loads(body, object_pairs_hook=_no_twins)), ExportTraceServiceRequest(),
                     ignore_unknown_fields=False)


def _value(v):
    kind = v.WhichOneof("value")
    assert kind, v
    found = getattr(v, kind)
    return [_value(item) for item in found.values] if kind == "array_value" else found


class Span:
    def __init__(self, message):
        self.trace_id, self.id = message.trace_id.hex(), message.span_id.hex()
        self.parent = message.parent_span_id.hex()
        self.state, self.flags, self.name, self.kind = message.trace_state, message.flags, message.name, message.kind
        self.start, self.end = message.start_time_unix_nano, message.end_time_unix_nano
        self.status = message.status.code
        self.is_error = self.status == 2
        self.attributes = {a.key: _value(a.value) for a in message.attributes}
        assert len(self.attributes) == len(message.attributes), "an attribute stands twice"

    def __getitem__(self, name):
        return self.attributes[name]

    def get(self, name):
        return self.attributes.get(name)


class Trace:
    """The spans of one request: its own, its steps by name, its attempts in order."""

    def __init__(self, spans):
        (self.root,) = [s for s in spans if "relay.id" in s.attributes]
        rest = [s for s in spans if s is not self.root]
        assert all(s.parent == self.root.id for s in rest)
        self.attempts = sorted((s for s in rest if "gen_ai.operation.name" in s.attributes), key=lambda s: s.start)
        self.steps = {s.name: s for s in rest if s not in self.attempts}
        assert len(self.steps) + len(self.attempts) == len(rest)
        self.all = spans


class Collector:
    """answers: what to say to the next requests, as (status, body, headers); then 200. Held while `gate` is shut."""

    def __init__(self):
        self.requests, self.faults, self.answers, self.resource = [], [], [], {}
        self.gate = threading.Event()
        self.gate.set()
        self.asked = 0
        self.lock = threading.Lock()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self, body)

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, handler, body):
        with self.lock:
            self.asked += 1
            status, text, headers = self.answers.pop(0) if self.answers else (200, '{"partialSuccess":{}}', {})
            try:
                assert handler.path == "/v1/traces", handler.path
                assert handler.headers["content-type"] == "application/json"
                message = decode(body)
                self._note(handler, message, status)
            except Exception as e:  # noqa: BLE001 - told to the test, which has another thread
                self.faults.append(f"{e!r}: {body[:2000]!r}")
        self.gate.wait()
        try:
            handler.send_response(status)
            for name, value in {"content-type": "application/json", "content-length": str(len(text)), **headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(text.encode())
        except OSError:
            pass  # it has left

    def _note(self, handler, message, status):
        spans = []
        for resource in message.resource_spans:
            self.resource = {a.key: _value(a.value) for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                spans += [Span(s) for s in scope.spans]
        assert spans
        self.requests.append((dict(handler.headers), spans, status))

    def spans(self):
        """All that it has said yes to."""
        with self.lock:
            assert not self.faults, self.faults
            return [s for _, spans, status in self.requests if status == 200 for s in spans]

    def trace_of(self, relay_id):
        """The trace with the request of this x-relay-id, once it is here: a request's spans come together."""
        def found():
            spans = self.spans()
            roots = [s for s in spans if s.get("relay.id") == relay_id]
            return roots and [s for s in spans if roots[0].id in (s.id, s.parent)]
        return Trace(wait_for(found, why=lambda: f"no trace of {relay_id} among {len(self.spans())} spans"))

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
