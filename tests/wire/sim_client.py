"""Starts relay-sim and talks to it. Only the standard library.

The binary is $RELAY_BIN_DIR/relay-sim, else build/relay-sim.
"""
import http.client
import json
import os
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SIM = Path(os.environ.get("RELAY_BIN_DIR", ROOT / "build")) / "relay-sim"


class Sim:
    """A running simulator and the few ways to talk to it."""

    def __init__(self, *flags):
        command = [str(SIM), "--listen", "127.0.0.1:0", "--with-parent", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("relay-sim listening on "), line
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def call(self, method, path, body=None, headers=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        conn.request(method, path, body=data, headers=headers or {})
        response = conn.getresponse()
        text = response.read()
        conn.close()
        return response, text

    def post(self, path, body, **headers):
        names = {k.replace("_", "-"): str(v) for k, v in headers.items()}
        return self.call("POST", path, body, names)

    def chat(self, text="hi", path="/v1/chat/completions", headers=None, **more):
        body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
        return self.call("POST", path, body, headers)

    def config(self, **settings):
        response, text = self.call("POST", "/__sim/config", settings)
        assert response.status == 200, text
        return json.loads(text)

    def requests(self, limit=100):
        return json.loads(self.call("GET", f"/__sim/requests?limit={limit}")[1])["requests"]

    def stats(self):
        return json.loads(self.call("GET", "/__sim/stats")[1])

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def raw(self, data):
        """Sends bytes, reads to the end; returns what came and whether it ended by a reset."""
        sock = self.connect()
        sock.sendall(data)
        return drain(sock)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0
        self.process.stdout.close()


def drain(sock):
    got = b""
    try:
        while part := sock.recv(65536):
            got += part
        return got, False
    except ConnectionResetError:
        return got, True
    finally:
        sock.close()


def request_bytes(text, stream=True, close=True, path="/v1/chat/completions"):
    body = json.dumps({"model": "m", "stream": stream,
                       "messages": [{"role": "user", "content": text}]}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: sim\r\nContent-Length: {len(body)}\r\n"
    return (head + ("Connection: close\r\n" if close else "") + "\r\n").encode() + body


def events(text):
    """The data of each event of a stream with LF or CRLF line ends."""
    blocks = text.decode().replace("\r\n", "\n").strip("\n").split("\n\n")
    lines = [line for block in blocks for line in block.split("\n")]
    return [line[5:].strip() for line in lines if line.startswith("data:")]


def deltas(text):
    found = events(text)
    assert found[-1] == "[DONE]"
    chunks = [json.loads(e) for e in found[:-1]]
    return chunks, "".join(c["choices"][0]["delta"].get("content") or ""
                           for c in chunks if c["choices"])


def anthropic(sim, text="hi", **more):
    return sim.post("/v1/messages", {"model": "m", "max_tokens": 100, **more,
                                     "messages": [{"role": "user", "content": text}]})
