"""cache.model as an https address: `serve` fetches the files while it serves, and asks nobody at the next start."""

import http.server
import json
import re
import ssl
import threading

import pytest
import trustme

from support import SURELY_SECONDS, ask, error_of, model, provider, wait_for
from test_encoder import FOLDER, NAME, TEXTS, is_near, with_model
from test_tls import Proxy

TARGET = "models/all-MiniLM-L6-v2"


class Files(http.server.ThreadingHTTPServer):
    """An https server of the model's files; a trick in `tricks` gets (handler, bytes) in the place of an answer."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        ca = trustme.CA()
        self.ca = str(folder / "ca.pem")
        ca.cert_pem.write_to_path(self.ca)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1", "models.test").configure_cert(context)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.seen, self.tricks = [], {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.server_address[1]}/minilm"

    def handle_error(self, request, client_address):
        pass  # who does not trust it, or leaves


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.removeprefix("/minilm/")
        self.server.seen.append(name)
        path = FOLDER / name
        data = path.read_bytes() if path.is_file() else None
        if name in self.server.tricks:
            self.server.tricks[name](self, data)
        elif data is None:
            self.say(404, b"")
        else:
            self.say(200, data)

    def say(self, status, data, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def files(tmp_path):
    server = Files(tmp_path)
    yield server
    server.shutdown()
    server.server_close()


def begin(start, files, **more):
    """A gateway that trusts the server's authority as a machine's own."""
    return start.relay(env={"RELAY_CACHE_MODEL": files.url, "SSL_CERT_FILE": files.ca, **more})


def why(relay):
    """The sentence about the try that failed."""
    said = wait_for(lambda: re.search(r'.*cannot be fetched.*', relay.log()), why=relay.log)
    assert len(re.findall("cannot be fetched", relay.log())) == 1
    line = json.loads(said[0])
    assert "exact caching only" in line["msg"] and line["again_in_s"] == 300
    return line["why"]


@with_model
def test_the_model_comes_while_the_gateway_serves(start, files, sim, word):
    """Exact caching until it is here, vectors after; the next start finds it without the network."""
    gate = threading.Event()
    files.tricks["model.safetensors"] = lambda h, data: (gate.wait(SURELY_SECONDS), h.say(200, data))
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]},
                        env={"RELAY_CACHE_MODEL": files.url, "SSL_CERT_FILE": files.ca})
    wait_for(lambda: "model.safetensors" in files.seen)
    assert "is being fetched: exact caching only until then" in relay.log()
    said = relay.run("check").stdout
    assert f"{NAME} is off: the model is not in {relay.data}/{TARGET} yet" in said and files.url in said
    assert relay.run("embed", "x", check=False).returncode == 1
    with relay.http(relay.first_key) as c:
        assert ask(c, "p/m", word).headers["x-relay-cache"] == "miss"
        assert ask(c, "p/m", word).headers["x-relay-cache"] == "exact"
        body = {"model": NAME, "input": TEXTS[0]}
        answer = c.post("/v1/embeddings", json=body)
        error_of(answer, 404, "model_not_found")
        gate.set()
        wait_for(lambda: c.post("/v1/embeddings", json=body).status_code == 200, why=relay.log)
        assert is_near(c.post("/v1/embeddings", json=body).json()["data"][0]["embedding"], TEXTS[0])
        assert NAME in [m["id"] for m in c.get("/v1/models").json()["data"]]
    assert not (relay.data / "models/.fetch-all-MiniLM-L6-v2").exists()
    assert f"{NAME} from {relay.data}/{TARGET}" in relay.run("check").stdout
    assert is_near(json.loads(relay.run("embed", "--json", TEXTS[1]).stdout)["data"][0]["embedding"], TEXTS[1])
    assert relay.stop() == 0
    files.seen.clear()
    relay.start()
    with relay.http(relay.first_key) as c:
        assert c.post("/v1/embeddings", json=body).status_code == 200
    assert files.seen == []


def cut(handler, data):
    handler.say(200, data[:1 << 20], length=len(data))
    handler.close_connection = True


@with_model
@pytest.mark.parametrize("name, trick, sentence", [
    ("model.safetensors", lambda h, data: h.say(200, data[:-1] + b"x"), "model.safetensors: has the SHA-256"),
    ("vocab.txt", lambda h, data: h.say(200, data + b"more\n"), "vocab.txt: has the SHA-256"),
    ("model.safetensors", cut, "/minilm/model.safetensors: connection closed before the answer was whole"),
    ("model.safetensors", lambda h, data: h.say(403, b""), "/minilm/model.safetensors: the answer is 403")])
def test_what_is_not_the_model_is_not_used(start, files, name, trick, sentence):
    files.tricks[name] = trick
    relay = begin(start, files)
    assert sentence in why(relay)
    assert list((relay.data / "models").iterdir()) == []
    with relay.http(relay.first_key) as c:
        assert c.post("/v1/embeddings", json={"model": NAME, "input": "x"}).status_code == 404


@with_model
def test_a_vocabulary_in_tokenizer_json(start, files):
    files.tricks["vocab.txt"] = lambda h, data: h.say(404, b"")
    relay = begin(start, files)
    wait_for((relay.data / TARGET / "tokenizer.json").exists, why=relay.log)
    assert is_near(json.loads(relay.run("embed", "--json", TEXTS[0]).stdout)["data"][0]["embedding"], TEXTS[0])


@with_model
def test_killed_in_the_middle(start, files):
    """The next start throws away what is half there, and begins anew."""
    gate = threading.Event()
    files.tricks["model.safetensors"] = lambda h, data: (h.say(200, data[:1 << 20], length=len(data)),
                                                         gate.wait(SURELY_SECONDS))
    relay = begin(start, files)
    half = relay.data / "models/.fetch-all-MiniLM-L6-v2"
    wait_for(lambda: (half / "model.safetensors").exists())
    relay.kill()
    gate.set()
    assert half.exists() and not (relay.data / TARGET).exists()
    files.tricks.clear()
    relay.start()
    wait_for((relay.data / TARGET).exists, why=relay.log)
    assert not half.exists()


@with_model
def test_through_the_proxy_of_the_environment(start, files):
    """And past it where NO_PROXY names the host, which nobody knows then."""
    proxy = Proxy()
    env = {"RELAY_CACHE_MODEL": files.url.replace("127.0.0.1", "models.test"), "SSL_CERT_FILE": files.ca,
           "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
    relay = start.relay(env=env)
    wait_for((relay.data / TARGET).exists, why=relay.log)
    assert proxy.seen[0].startswith("CONNECT models.test:")
    proxy.seen.clear()
    past = start.relay(env={**env, "NO_PROXY": "other.test,models.test"})
    assert "/minilm/config.json: " in why(past)
    assert proxy.seen == []
    proxy.listener.close()


def test_nobody_to_fetch_it_from(start, tmp_path):
    """One sentence each; the gateway serves. The proxy of the environment is asked (nothing listens there)."""
    relay = start.relay(env={"RELAY_CACHE_MODEL": "https://models.test/minilm"})
    assert "https://models.test/minilm/config.json: connection refused" in why(relay)
    with pytest.raises(FileNotFoundError):
        (relay.data / "models/.fetch-all-MiniLM-L6-v2").stat()


def test_a_server_that_nobody_vouches_for(start, files):
    relay = start.relay(env={"RELAY_CACHE_MODEL": files.url})
    assert "/minilm/config.json: TLS failed (" in why(relay)
    assert files.seen == []


@pytest.mark.parametrize("address, sentence", [
    ("http://127.0.0.1:1/minilm", "is not https"), ("https://u:p@models.test/x", "has a name or a password"),
    ("https://models.test/x?a=b", "has a ? or a #")])
def test_other_addresses_are_refused(start, address, sentence):
    relay = start.relay(env={"RELAY_CACHE_MODEL": address})
    assert "no embedding model" in relay.log() and sentence in relay.log()
    assert sentence in relay.run("check").stdout and "u:p" not in relay.log()
