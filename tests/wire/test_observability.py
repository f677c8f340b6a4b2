"""What an operator puts beside Relay: that promtool finds nothing to say about the metrics, that the reference's
table is the metrics, that alerts fire when they should, and that every panel of the Grafana dashboard asks a real
Prometheus for something that is there."""

import json
import re
import shutil
import subprocess
from urllib.parse import urlencode

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support import ROOT, SURELY_SECONDS, Process, ask, clean_environment, free_port, model, provider, stream, wait_for

DASHBOARD = ROOT / "deploy/grafana/relay.json"
PROMETHEUS = ROOT / "deploy/prometheus"
# What a metric of a histogram is asked by.
SERIES = r"_(?:bucket|sum|count)"


def program(name):
    found = shutil.which(name) or shutil.which(ROOT / f"build/deps/prometheus/usr/bin/{name}")
    if not found:
        pytest.skip(f"{name} is not there (scripts/setup.sh test)")
    return str(found)


def promtool(*args, input=None, cwd=None):
    done = subprocess.run([program("promtool"), *map(str, args)], input=input, text=True, capture_output=True,
                          timeout=SURELY_SECONDS, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def busy(start_once):
    """A gateway that has had some of everything: answers, streams, hits, failures, limits, tracing to nobody."""
    sims = [start_once.sim(name=n) for n in ("one", "two")]
    relay = start_once.relay({
        "providers": {"p": provider(sims[0]), "q": provider(sims[1])},
        "models": [model("p/m"), model("q/m", input=3), model("p/unpriced", input=None, output=None)],
        "aliases": {"any": ["p/m", "q/m"]}, "telemetry": {"otlp": f"http://127.0.0.1:{free_port()}"}})
    traffic(relay)
    return relay


def traffic(relay, word="w"):
    limited = relay.make_key(f"limited {word}", rpm=1)
    with relay.http(relay.first_key) as c:
        for n in range(3):
            ask(c, "any", f"{word}{n}")
        ask(c, "any", f"{word}0")
        ask(c, "nobody", word)
        ask(c, "auto", f"{word} [[sim:status=503]]")
        stream(c, "any", f"{word} [[sim:events=8;gap_ms=1]]")
        c.post("/v1/embeddings", json={"model": "p/m", "input": word})
    with relay.http(limited) as c:
        ask(c, "any", f"{word} one"), ask(c, "any", f"{word} two")


def test_promtool_has_nothing_to_say(busy):
    assert promtool("check", "metrics", input=busy.metrics_text()) == (0, "")


def reference():
    """name -> (type, labels, only with Redis or after something) of the table in section 6."""
    text = (ROOT / "docs/reference/metrics.md").read_text()
    rows = re.findall(r"^\| `(relay_\w+)` \| (\w+) \|([^|]*)\|(.*)\|$", text, re.M)
    assert len({name for name, *_ in rows}) == len(rows)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels)), what) for name, kind, labels, what in rows}


def test_the_reference_is_the_table_of_the_code():
    code = (ROOT / "src/path/meters.def").read_text()
    rows = re.findall(r'^[A-Z]+\(\w+, "(\w+)", (\w+), \w+, \w+,(?: LABELS\(([^)]*)\),)?$', code, re.M)
    assert {name: (kind.lower(), set(re.findall(r'"(\w+)"', labels))) for name, kind, labels in rows} == \
        {name: row[:2] for name, row in reference().items()}
    assert len(rows) == len(re.findall(r"^[A-Z]+\(", code, re.M))


def families(relay):
    """The page by the names that stand on it with a value."""
    out = {}
    for f in text_string_to_metric_families(relay.metrics_text()):
        if not f.samples:
            continue
        name = f.name + ("_total" if f.type == "counter" else "")
        out[name] = f
    return out


def test_the_page_is_what_the_reference_says(busy):
    known = reference()
    page = families(busy)
    assert set(page) <= set(known)
    for name, family in page.items():
        kind, labels, _ = known[name]
        assert family.type == kind, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, sample
    # Not there in one process without Redis, or before the first audit.
    absent = set(known) - set(page)
    assert all(re.search(r"_(shared|gateway_pages|limits|cache_audit)", name) for name in absent), absent


def test_who_asks_for_much_makes_no_series(busy):
    """Names that clients make up, and keys, are in no label: the page has as many series as before."""
    def series():
        return {(s.name, tuple(sorted(s.labels.items()))) for f in families(busy).values() for s in f.samples}
    with busy.http(busy.first_key) as c:
        ask(c, "p/made-up"), ask(c, "nobody"), c.get("/v1/models/x"), c.get("/v1/x")
        before = series()
        for n in range(40):
            ask(c, f'p/made-up-{n}"}}{{x')
            ask(c, f"nobody-{n}")
            c.get(f"/v1/models/x{n}"), c.get(f"/v1/x{n}")
            c.get("/v1/models", headers={"x-request-id": f"id-{n}", "user-agent": f"agent-{n}"})
    for n in range(5):
        with busy.http(busy.make_key(f"key {n}")) as c:
            ask(c, "p/m", f"of key {n}")
    new = {name for name, _ in series() - before}
    assert new <= {"relay_requests_total"}, new
    assert len(series() - before) <= 3, series() - before


def test_alerts():
    status, said = promtool("check", "rules", PROMETHEUS / "alerts.yml")
    assert status == 0, said
    status, said = promtool("test", "rules", PROMETHEUS / "alerts_test.yml")
    assert status == 0, said
    names = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text()))
    tests = (PROMETHEUS / "alerts_test.yml").read_text()
    for name in names:
        assert len(re.findall(rf"alertname: {name}\b", tests)) >= 2, f"{name} needs a test that it fires, and one that it does not"
    guide = (ROOT / "docs/guides/production.md").read_text()
    assert names == set(re.findall(r"^\| `(Relay\w+)` \|", guide, re.M))


def test_a_line_for_each_request(start, word):
    """However it ends. A line is JSON and has all that the guide says."""
    sim = start.sim()
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]})
    ids = {}
    with relay.http(relay.first_key) as c:
        for text, status in (("", 200), ("", 200), (" [[sim:status=500]]", 502), (" [[sim:status=400]]", 400)):
            ids[ask(c, "p/m", word + text).headers["x-relay-id"]] = status
        ids[ask(c, "nobody", word).headers["x-relay-id"]] = 404
        ids[stream(c, "p/m", f"{word} s")[0].headers["x-relay-id"]] = 200
        ids[stream(c, "p/m", f"{word} c [[sim:events=10;reset_event=8;gap_ms=1]]")[0].headers["x-relay-id"]] = 502
    with relay.http("glw_" + "x" * 40) as c:
        ids[ask(c, "p/m", word).headers["x-relay-id"]] = 401
    assert relay.stop() == 0
    lines = [json.loads(line) for line in relay.log().splitlines() if line.startswith("{")]
    assert all({"time", "level", "msg"} <= set(line) for line in lines)
    requests = [line for line in lines if line["msg"] == "request"]
    assert {line["id"]: line["status"] for line in requests} == ids and len(requests) == len(ids)
    guide = (ROOT / "docs/guides/observability.md").read_text()
    shown = set(re.findall(r'"(\w+)":', guide[guide.index('{"time"'):guide.index("(On one line.)")]))
    assert all(set(line) == shown - {"trace_id"} for line in requests)
    assert all(line["level"] == {5: "warn"}.get(line["status"] // 100, "info") for line in requests)


# --- Grafana


def dashboard():
    return json.loads(DASHBOARD.read_text())


def panels():
    return [p for p in dashboard()["panels"] if p["type"] != "row"]


def expressions():
    """(panel, PromQL with Grafana's variables filled in)."""
    values = {"$__rate_interval": "15s", "$__range": "15s", "$instance": ".*", "1h]": "15s]"}
    out = []
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in values.items():
                text = text.replace(name, value)
            assert "$" not in text, text
            out.append((panel["title"], text))
    return out


def test_the_dashboard_is_one_that_grafana_reads():
    d = dashboard()
    assert d["uid"] and d["title"] and d["id"] is None and d["schemaVersion"] >= 39
    ids = [p["id"] for p in d["panels"]]
    assert len(set(ids)) == len(ids)
    names = {v["name"] for v in d["templating"]["list"]}
    assert names == {"datasource", "instance"}
    taken = set()
    for p in d["panels"]:
        at = p["gridPos"]
        spots = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not spots & taken, p["title"]
        taken |= spots
    for p in panels():
        assert p["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        refs = [t["refId"] for t in p["targets"]]
        assert p["title"] and len(set(refs)) == len(refs) > 0
        for t in p["targets"]:
            assert t["datasource"] == p["datasource"]
            used = set(re.findall(r"\{\{(\w+)\}\}", t.get("legendFormat", "")))
            assert all(label in t["expr"] for label in used), (p["title"], used)


def test_the_dashboard_asks_for_what_there_is(tmp_path):
    known = reference()
    rules = {"groups": [{"name": "panels", "rules": [{"record": f"panel:{n}", "expr": e} for n, (_, e) in enumerate(expressions())]}]}
    (tmp_path / "rules.yml").write_text(json.dumps(rules))  # which is YAML, too
    status, said = promtool("check", "rules", tmp_path / "rules.yml")
    assert status == 0, said
    asked = set()
    for title, text in expressions():
        for name in re.findall(r"\brelay_\w+", text):
            base = re.sub(SERIES + "$", "", name)
            asked.add(base if base in known else name)
            assert (base if base in known else name) in known, (title, name)
            assert (known[base][0] == "histogram") == (base != name) if base in known else True, (title, name)
    assert asked == set(known), f"no panel shows {set(known) - asked}"


def test_every_panel_shows_something(busy, tmp_path):
    """A real Prometheus reads the gateway; then each panel's query has an answer, where the metric is there."""
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
        "rule_files": [str(PROMETHEUS / "alerts.yml")],
        "scrape_configs": [{"job_name": "relay", "static_configs": [{"targets": [f"127.0.0.1:{busy.port}"]}]}]}))
    prometheus = Process([program("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
                          f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], tmp_path / "prometheus.log",
                         env=clean_environment())
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=SURELY_SECONDS) as c:
            def value(text):
                answer = c.get("/api/v1/query?" + urlencode({"query": text})).json()
                assert answer["status"] == "success", (text, answer)
                return answer["data"]["result"]

            def is_up():
                assert prometheus.is_running(), prometheus.log()
                try:
                    return c.get("/-/ready").status_code == 200 and value("relay_build_info")
                except httpx.TransportError:
                    return False
            wait_for(is_up, why=prometheus.log)
            traffic(busy, "watched")
            page = families(busy)
            shown = [(title, text) for title, text in expressions()
                     if all(re.sub(SERIES + "$", "", n) in page or n in page for n in re.findall(r"\brelay_\w+", text))]
            assert len(shown) > 30
            for title, text in expressions():
                wait_for(lambda: value(text) or (title, text) not in shown, why=lambda: f"{title} shows nothing: {text}")
            rules = c.get("/api/v1/rules").json()["data"]["groups"][0]["rules"]
            assert all(rule["health"] in ("ok", "unknown") for rule in rules), rules
    finally:
        prometheus.stop()
