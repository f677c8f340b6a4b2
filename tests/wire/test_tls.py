"""TLS on both sides with a CA of our own, and providers behind a CONNECT proxy."""

import socket
import ssl
import threading

import pytest
import trustme

from support import SURELY_SECONDS, ask, error_of, free_port, model, provider, stream, wait_for


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ca")
    ca = trustme.CA()
    ca.folder = folder
    ca.file = str(folder / "ca.pem")
    ca.cert_pem.write_to_path(ca.file)
    return ca


def issue(ca, name, *hosts):
    """Files of a certificate and its key."""
    leaf = ca.issue_cert(*(hosts or ("127.0.0.1", "localhost")))
    cert, key = ca.folder / f"{name}.pem", ca.folder / f"{name}.key"
    leaf.private_key_pem.write_to_path(str(key))
    cert.write_bytes(b"".join(p.bytes() for p in leaf.cert_chain_pems))
    return str(cert), str(key)


@pytest.fixture(scope="module")
def tls_sim(start_once, ca):
    cert, key = issue(ca, "sim")
    return start_once.sim("--tls-cert", cert, "--tls-key", key, name="tls-sim")


def serial(relay, ca):
    context = ssl.create_default_context(cafile=ca.file)
    with socket.create_connection(("127.0.0.1", relay.port), timeout=SURELY_SECONDS) as s:
        with context.wrap_socket(s, server_hostname="127.0.0.1") as t:
            return t.getpeercert()["serialNumber"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_listener(start, sim, ca, word):
    cert, key = issue(ca, "a")
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                         "server": {"tls": {"cert": cert, "key": key}}}, tls=True)
    with relay.http(relay.first_key) as c:
        assert ask(c, "p/m", word).status_code == 200
        answer, events, cut = stream(c, "p/m", f"{word} [[sim:tokens=5000]]")
        assert not cut and events[-1] == "[DONE]"
        assert ask(c, "p/m", "x" * 500000, max_tokens=5).status_code == 200
    # plain HTTP on the TLS port is answered by a closed connection, not by a hang
    with socket.create_connection(("127.0.0.1", relay.port), timeout=SURELY_SECONDS) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            while s.recv(1000):
                pass
        except ConnectionResetError:
            pass
    with pytest.raises(ssl.SSLError):  # an unknown CA is the client's to refuse
        with socket.create_connection(("127.0.0.1", relay.port)) as s:
            ssl.create_default_context().wrap_socket(s, server_hostname="127.0.0.1")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(ca.file)
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1  # refused
    with pytest.raises((ssl.SSLError, OSError)):
        with socket.create_connection(("127.0.0.1", relay.port)) as s:
            old.wrap_socket(s, server_hostname="127.0.0.1")


def test_a_new_certificate_on_sighup(start, sim, ca, word):
    cert, key = issue(ca, "b")
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                         "server": {"tls": {"cert": cert, "key": key}}}, tls=True)
    first = serial(relay, ca)
    assert serial(relay, ca) == first
    with relay.http(relay.first_key) as c:
        with c.stream("POST", "/v1/chat/completions", json={
                "model": "p/m", "stream": True, "messages": [
                    {"role": "user", "content": f"{word} [[sim:events=40;gap_ms=20]]"}]}) as s:
            lines = s.iter_lines()
            next(lines)
            new = issue(ca, "b")  # the same files
            assert new == (cert, key)
            relay.reload()
            second = wait_for(lambda: (lambda n: n if n != first else None)(serial(relay, ca)))
            assert [l for l in lines if l][-1] == "data: [DONE]"
    with open(cert, "w") as f:
        f.write("no certificate")
    size = len(relay.log())
    import signal
    relay.signal(signal.SIGHUP)
    wait_for(lambda: '"error"' in relay.log()[size:] or '"warn"' in relay.log()[size:])
    assert serial(relay, ca) == second


def test_a_bad_certificate_stops_the_start(start, sim, ca, tmp_path):
    cert, key = issue(ca, "c")
    _, other_key = issue(ca, "d")
    for pair in ((cert, other_key), (cert, str(tmp_path / "nothing")), (ca.file + "x", key)):
        relay = start.relay({"server": {"tls": {"cert": pair[0], "key": pair[1]}}}, start=False)
        relay.start(wait=False)
        assert relay.process.wait(SURELY_SECONDS) in (1, 2)
        assert "cert" in relay.log() or "key" in relay.log()


# --- towards providers

def test_upstream_with_its_ca(start, tls_sim, ca, word):
    relay = start.relay({"providers": {"p": provider(tls_sim, ca_file=ca.file)},
                         "models": [model("p/m")]})
    with relay.http(relay.first_key) as c:
        for i in range(5):
            assert ask(c, "p/m", f"{word} {i}").status_code == 200
        answer, events, cut = stream(c, "p/m", f"{word} [[sim:tokens=20000]]")
        assert not cut and events[-1] == "[DONE]"
    used = {r["connection"] for r in tls_sim.find(word)}
    assert len(used) <= 2, "TLS connections are not reused"


def test_upstream_cut_over_tls(start, tls_sim, ca, word):
    """No close_notify and no terminator: cut, not ended (truncation attack)."""
    relay = start.relay({"providers": {"p": provider(tls_sim, ca_file=ca.file)},
                         "models": [model("p/m")]})
    with relay.http(relay.first_key) as c:
        _, events, cut = stream(c, "p/m", f"{word} [[sim:events=10;reset_event=9;gap_ms=30]]")
        assert cut and "error" in events[-1]
        assert ask(c, "p/m", f"{word} [[sim:framing=close;at_body=1;close_at=50]]").status_code == 502


@pytest.mark.parametrize("how", ["no ca_file", "another CA", "another name"])
def test_upstream_that_cannot_be_trusted(start, tls_sim, ca, word, how):
    if how == "no ca_file":
        p = provider(tls_sim)
    elif how == "another CA":
        other = trustme.CA()
        path = start.path / "other.pem"
        other.cert_pem.write_to_path(str(path))
        p = provider(tls_sim, ca_file=str(path))
    else:
        cert, key = issue(ca, "wrong", "example.com")
        p = provider(start.sim("--tls-cert", cert, "--tls-key", key), ca_file=ca.file)
    before = tls_sim.count()
    relay = start.relay({"providers": {"p": p}, "models": [model("p/m")]})
    with relay.http(relay.first_key) as c:
        answer = ask(c, "p/m", word)
    error_of(answer, 502, "upstream_error")
    assert tls_sim.count() == before, "the prompt reached a server that is not trusted"
    assert "certificate" in answer.text.lower() or "tls" in answer.text.lower()


def test_a_missing_ca_file_is_a_configuration_error(start, tls_sim):
    relay = start.relay({"providers": {"p": provider(tls_sim, ca_file="/nowhere/ca.pem")}}, start=False)
    done = relay.run("check", check=False)
    assert done.returncode == 2 and "/nowhere/ca.pem" in done.stderr


def test_plain_http_where_tls_is_expected(start, sim, ca, word):
    relay = start.relay({"providers": {"p": {**provider(sim, ca_file=ca.file), "base_url":
                                             f"https://127.0.0.1:{sim.port}/v1"}},
                         "models": [model("p/m")], "timeouts": {"connect": "500ms"}})
    with relay.http(relay.first_key) as c:
        assert ask(c, "p/m", word).status_code in (502, 504)  # it waits for a head's end


class Proxy(threading.Thread):
    """A CONNECT proxy; seen: the heads it got. status: what it answers."""

    def __init__(self, status=200):
        super().__init__(daemon=True)
        self.status = status
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            block = client.recv(4096)
            if not block:
                return
            head += block
        self.seen.append(head.decode())
        if self.status != 200:
            client.sendall(f"HTTP/1.1 {self.status} No\r\nContent-Length: 0\r\n\r\n".encode())
            client.close()
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        server = socket.create_connection(("127.0.0.1", int(port)))  # whatever the name is
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

        def pump(a, b):
            try:
                while block := a.recv(65536):
                    b.sendall(block)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        threading.Thread(target=pump, args=(server, client), daemon=True).start()
        pump(client, server)

    def stop(self):
        self.listener.close()


@pytest.fixture
def proxy():
    p = Proxy()
    yield p
    p.stop()


@pytest.mark.parametrize("how", ["provider", "environment"])
def test_connect_proxy(start, ca, proxy, word, how):
    """The name goes to the proxy unresolved; the certificate is checked for it all the same."""
    url = f"http://user:s3cret@127.0.0.1:{proxy.port}"
    cert, key = issue(ca, "named", "provider.test")
    sim = start.sim("--tls-cert", cert, "--tls-key", key)
    named = provider(sim, ca_file=ca.file, base_url=f"https://provider.test:{sim.port}/v1")
    env = {}
    if how == "provider":
        named["proxy"] = url
    else:
        env["HTTPS_PROXY"] = url
    relay = start.relay({"providers": {"p": named}, "models": [model("p/m")]}, env=env)
    with relay.http(relay.first_key) as c:
        assert ask(c, "p/m", word).status_code == 200
        _, events, cut = stream(c, "p/m", word + "s")
        assert not cut
    heads = [h for h in proxy.seen if h.startswith(f"CONNECT provider.test:{sim.port} HTTP/1.1")]
    assert heads and "Basic dXNlcjpzM2NyZXQ=" in heads[0]
    assert "sk-sim" not in "".join(proxy.seen)
    assert "s3cret" not in relay.log()


def test_no_proxy(start, tls_sim, ca, proxy, word):
    """Loopback never goes through HTTPS_PROXY; `none` and NO_PROXY switch it off."""
    mine = provider(tls_sim, ca_file=ca.file)
    named = {**mine, "base_url": "https://provider.test:1/v1"}
    env = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
    relay = start.relay({"providers": {
        "local": mine, "off": {**named, "proxy": "none"}, "no": {**named, "base_url":
                                                                "https://other.test:1/v1"}},
        "models": [model("local/m"), model("off/m"), model("no/m")]},
        env={**env, "NO_PROXY": "other.test"})
    with relay.http(relay.first_key) as c:
        assert ask(c, "local/m", word).status_code == 200
        assert ask(c, "off/m", word).status_code == 502
        assert ask(c, "no/m", word).status_code == 502
    assert proxy.seen == []


def test_a_proxy_that_refuses(start, tls_sim, ca, word):
    proxy = Proxy(status=407)
    relay = start.relay({"providers": {"p": provider(tls_sim, ca_file=ca.file,
                                                     proxy=f"http://127.0.0.1:{proxy.port}")},
                         "models": [model("p/m")]})
    with relay.http(relay.first_key) as c:
        error_of(ask(c, "p/m", word), 502, "upstream_error")
    proxy.stop()
    relay = start.relay({"providers": {"p": provider(tls_sim, ca_file=ca.file,
                                                     proxy=f"http://127.0.0.1:{free_port()}")},
                         "models": [model("p/m")]})
    with relay.http(relay.first_key) as c:
        error_of(ask(c, "p/m", word), 502, "upstream_error")
