"""No secret of the configuration, and no client's key, is in anything that the process says: its output, the metrics,
the traces, the answers, the admin API, the command line. Everything that knows a secret fails while it knows it."""

import json

from collector import Collector
from support import ask, free_port, model, provider, stream, wait_for

SECRETS = {
    "provider": "sk-prov-1a2b3c4d5e6f7g8h", "second key": "sk-prov-8h7g6f5e4d3c2b1a", "wrong key": "gsk_wrongwrongwrong123456",
    "provider header": "hdr-5150-secret-value", "proxy password": "proxypw-3141592653", "redis password": "redispw-2718281828",
    "collector header": "otlp-token-1618033988", "admin key": "admin-key-1414213562", "environment": "envkey-1732050807"}


def configuration(good, other, collector):
    return {
        "providers": {
            "good": provider(good, api_key=[SECRETS["provider"], SECRETS["second key"]], headers={"x-org": SECRETS["provider header"]}),
            "wrong": provider(other, api_key=SECRETS["wrong key"]),
            "proxied": {"kind": "openai", "base_url": "https://models.invalid/v1", "api_key": "${SECRET_OF_ENV}",
                        "proxy": f"http://user:{SECRETS['proxy password']}@127.0.0.1:{free_port()}"}},
        "models": [model("good/m"), model("wrong/m"), model("proxied/m")],
        "shared": f"redis://relay:{SECRETS['redis password']}@127.0.0.1:{free_port()}",
        "admin": {"key": SECRETS["admin key"]}, "log": {"level": "debug"},
        "telemetry": {"otlp": collector.url, "headers": {"authorization": f"Bearer {SECRETS['collector header']}"}}}


def traffic(relay, key, word, said):
    """Every way to fail; what clients get is added to `said`."""
    def note(answer):
        said.append(("answer", json.dumps(dict(answer.headers)) + answer.text))
        return answer
    with relay.http(key) as c:
        assert note(ask(c, "good/m", word)).status_code == 200
        assert note(ask(c, "wrong/m", word)).status_code == 502
        assert note(ask(c, "proxied/m", word)).status_code == 502
        for name in ("provider", "second key", "provider header", "wrong key"):
            note(ask(c, "good/m", f"{word} [[sim:status=400;error_message=said {SECRETS['provider']} and Bearer {SECRETS[name]} it]]"))
        stream(c, "good/m", f"{word} s [[sim:events=10;reset_event=8;gap_ms=1]]")
        note(c.get("/v1/models")), note(c.get("/metrics")), note(c.get("/nothing"))
    with relay.http(key[:-1] + ("A" if key[-1] != "A" else "B")) as c:
        assert note(ask(c, "good/m", word)).status_code == 401


def administration(relay, said):
    with relay.http(SECRETS["admin key"]) as c:
        for path in ("config", "keys", "models", "usage", "requests", "cache", "openapi.json"):
            answer = c.get(f"/admin/v1/{path}")
            assert answer.status_code == 200, answer.text
            said.append((path, answer.text))
        for row in c.get("/admin/v1/requests").json()["rows"]:
            said.append(("a request", c.get(f"/admin/v1/requests/{row['id']}").text))
        said.append(("reload", c.post("/admin/v1/config/reload", json={}).text))
    with relay.http("gla_wrong-" + SECRETS["environment"]) as c:
        said.append(("refused", c.get("/admin/v1/config").text))
    for args in (["check"], ["check", "--print"], ["logs", "--json"], ["keys", "list"], ["models"], ["usage"],
                 ["route", "--model", "good/m", "hi"]):
        done = relay.run(*args, check=False)
        said.append((" ".join(args), done.stdout + done.stderr))


def test_secrets_are_in_nothing_that_is_said(start, word):
    good = start.sim("--keys", f"{SECRETS['provider']},{SECRETS['second key']}", name="good")
    other = start.sim("--keys", "another", name="other")
    collector = Collector()
    try:
        relay = start.relay(configuration(good, other, collector), env={"SECRET_OF_ENV": SECRETS["environment"]})
        collector.answers = [(400, f"who is Bearer {SECRETS['collector header']}?", {})]
        key, said = relay.make_key("made"), []
        traffic(relay, key, word, said)
        wait_for(lambda: "the collector refuses traces" in relay.log())
        administration(relay, said)
        traffic(relay, key, word + "again", said)
        said.append(("metrics", relay.metrics_text()))
        wait_for(lambda: any(s.get("relay.error.code") for s in collector.spans()))
        assert relay.stop() == 0
        said.append(("output", relay.log()))
        said.append(("traces", json.dumps([[s.name, s.attributes] for s in collector.spans()])))
    finally:
        collector.stop()
    assert len(said) > 30 and sum(len(text) for _, text in said) > 50_000
    hidden = {**SECRETS, "client key": key[9:-6], "first key": (relay.data / "first-key").read_text().strip()[9:-6]}
    for place, text in said:
        for name, secret in hidden.items():
            assert secret not in text, f"the {name} is in {place}: {text[max(0, text.index(secret) - 200):][:400]}"
