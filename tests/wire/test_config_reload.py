"""The configuration: what is refused and how, what a reload changes, what it leaves alone."""

import json
import re
import signal
import subprocess
import time

import pytest

from support import (IS_ASAN, RELAY_BIN, SURELY_SECONDS, ask, chat, clean_environment, model, provider, stream, wait_for)


def check(folder, text, env=None):
    path = folder / "c.yaml"
    path.write_text(text)
    return subprocess.run([RELAY_BIN, "check", "--config", str(path)], capture_output=True, text=True,
                          env=clean_environment(**(env or {})), cwd=folder, timeout=SURELY_SECONDS)


@pytest.mark.parametrize("text,line,path,word", [
    ("server:\n  lisen: 127.0.0.1:80\n", 2, "server.lisen", "listen"),
    ("server:\n  workers: many\n", 2, "server.workers", "auto"),
    ("server: [1]\n", 1, "server", "mapping"),
    ("limits:\n  rpm: -5\n", 2, "limits.rpm", "0"),
    ("cache:\n  threshold: 2\n", 2, "cache.threshold", "0 to 1"),
    ("log: {level: loud}\n", 1, "log.level", "debug"),
    ("timeouts:\n\n\n  connect: soon\n", 4, "timeouts.connect", "3s"),
    ("providers:\n  x: {kind: telepathy}\n", 2, "providers.x.kind", "openai"),
    ("providers:\n  x: {kind: openai, base_url: 'ftp://a'}\n", 2, "providers.x", "http"),
    ("models:\n  - {id: noslash}\n", 2, "models[0].id", "/"),
    ("models:\n  - {id: a/b, input: cheap}\n", 2, "models[0].input", "USD"),
    ("nothing: 1\n", 1, "nothing", ""),
    ("server: {\n", None, "", ""),
])
def test_errors_name_the_place(tmp_path, text, line, path, word):
    done = check(tmp_path, text)
    assert done.returncode == 2 and done.stdout.strip() == "", done
    assert "c.yaml" in done.stderr and path in done.stderr and word in done.stderr, done.stderr
    if line:
        assert f":{line}:" in done.stderr, done.stderr


def test_variables(tmp_path):
    text = "providers:\n  x: {kind: openai, base_url: '${U:-http://127.0.0.1:9/v1}', api_key: '${K}'}\n"
    off = check(tmp_path, text)
    assert off.returncode == 0 and re.search(r"x.*off|off.*x|K", off.stdout), off.stdout
    on = check(tmp_path, text, {"K": "sk-very-secret-1"})
    assert on.returncode == 0 and "sk-very-secret-1" not in on.stdout + on.stderr
    assert "127.0.0.1:9" in on.stdout


def test_environment_over_file_and_flag_over_both(start, sim):
    relay = start.relay({"limits": {"rpm": 5}, "providers": {"p": provider(sim)},
                         "models": [model("p/m")]}, env={"RELAY_LIMITS_RPM": "9"})
    with relay.http(relay.first_key) as c:
        assert ask(c, "p/m").headers["x-ratelimit-limit-requests"] == "9"


def test_no_file_at_all(tmp_path):
    """With no file and no flags the defaults are good."""
    done = subprocess.run([RELAY_BIN, "check"], capture_output=True, text=True, cwd=tmp_path,
                          env=clean_environment(), timeout=SURELY_SECONDS)
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1:8080" in done.stdout


def test_a_file_that_is_named_must_be_there(tmp_path):
    done = subprocess.run([RELAY_BIN, "serve", "--config", "nothing.yaml"], capture_output=True,
                          text=True, cwd=tmp_path, env=clean_environment(), timeout=SURELY_SECONDS)
    assert done.returncode == 2 and "nothing.yaml" in done.stderr


def test_a_port_that_is_taken(start, sim):
    relay = start.relay({"providers": {"p": provider(sim)}})
    done = subprocess.run([RELAY_BIN, "serve", "--listen", f"127.0.0.1:{relay.port}", "--config",
                           str(relay.config_path)], capture_output=True, text=True, timeout=SURELY_SECONDS,
                          cwd=relay.folder, env={**relay.env,
                                                 "RELAY_STORE": f"sqlite:{relay.folder}/other/relay.db"})
    assert done.returncode == 1 and str(relay.port) in done.stderr + done.stdout
    assert relay.is_running()


@pytest.mark.parametrize("config", [
    {"store": "sqlite:/proc/nowhere/relay.db"}, {"journal": {"dir": "/proc/nowhere"}},
    {"server": {"listen": "192.0.2.1:80"}}], ids=lambda c: next(iter(c)))
def test_starts_that_fail_say_why(start, config):
    relay = start.relay(config, start=False)
    relay.start(wait=False)
    assert relay.process.wait(SURELY_SECONDS) == 1
    assert relay.log().startswith("relay: ") and len(relay.log().strip().splitlines()) <= 3


# --- reload

@pytest.fixture
def relay(start, sim):
    return start.relay({"providers": {"p": provider(sim)}, "models": [model("p/a")],
                        "aliases": {"it": ["p/a"]}})


def test_a_reload_applies(relay, sim, word):
    with relay.http(relay.first_key) as c:
        assert ask(c, "p/b").status_code == 200  # of an enabled provider: sent as it is
        assert ask(c, "it", word).headers["x-relay-model"] == "a"
        relay.reload(models=[model("p/a"), model("p/b", quality=70)], aliases={"it": ["p/b"]},
                     limits={"rpm": 1234})
        answer = wait_for(lambda: (lambda a: a if a.headers["x-relay-model"] == "b" else None)(
            ask(c, "it", word, cache={"mode": "off"})))
        assert answer.headers["x-ratelimit-limit-requests"] == "1234"
        assert {m["id"]: m for m in c.get("/v1/models").json()["data"]}["p/b"]["quality"] == 70


def test_a_new_provider_and_one_that_goes(relay, start, word):
    other = start.sim()
    with relay.http(relay.first_key) as c:
        assert ask(c, "q/new", word).status_code == 404
        relay.configure({"providers": {"q": provider(other)}})
        relay.config["models"].append(model("q/new"))
        relay.reload(log={"level": "info"})
        wait_for(lambda: ask(c, "q/new", word).status_code == 200)
        del relay.config["providers"]["p"]
        relay.config["models"] = [model("q/new")]
        relay.config["aliases"] = {}
        relay.reload(limits={"rpm": 0})
        wait_for(lambda: ask(c, "p/a", word + "2").status_code == 404)


def test_an_invalid_one_is_refused_and_the_old_stays(relay, word):
    good = relay.config_path.read_text()
    with relay.http(relay.first_key) as c:
        for bad in ("{", '{"server": {"lisen": 1}}', '{"limits": {"rpm": -1}}', "\x00", ""):
            relay.write_config(bad if bad else "[]")
            size = len(relay.log())
            relay.signal(signal.SIGHUP)
            wait_for(lambda: '"error"' in relay.log()[size:] or '"warn"' in relay.log()[size:],
                     why=lambda: f"{bad!r}: nothing in the log: {relay.log()[size:]}")
            assert ask(c, "it", word).status_code == 200
            assert c.get("/readyz").status_code == 200
    relay.write_config(good)


def test_what_needs_a_restart_is_refused(relay, word):
    log = relay.reload(server={"workers": 3}, models=[model("p/a", quality=1)])
    wait_for(lambda: "workers" in relay.log())
    with relay.http(relay.first_key) as c:
        assert ask(c, "it", word).status_code == 200


def test_running_streams_are_unharmed(relay, sim, word):
    with relay.http(relay.first_key) as c:
        with c.stream("POST", "/v1/chat/completions", json=chat(
                "it", f"{word} [[sim:events=60;gap_ms=20]]", stream=True)) as s:
            lines = s.iter_lines()
            next(lines)
            for n in range(3):
                relay.reload(aliases={"it": ["p/gone"]}, limits={"rpm": n})
            assert [l for l in lines if l][-1] == "data: [DONE]"
        assert relay.row(s.headers["x-relay-id"])["status"] == 200


def test_many_reloads_under_load(relay, sim, word):
    import threading
    stop, bad = threading.Event(), []

    def work(n):
        i = 0
        with relay.http(relay.first_key) as c:
            while not stop.is_set():
                i += 1
                answer = ask(c, "it", f"{word} {n} {i}")
                if answer.status_code != 200:
                    bad.append(answer.text)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    [t.start() for t in threads]
    before = relay.memory_bytes()
    for i in range(30):
        relay.configure({"targets": {"min_quality": i % 3}})
        relay.signal(signal.SIGHUP)
        time.sleep(0.02)
    stop.set()
    [t.join() for t in threads]
    assert not bad and relay.is_running()
    assert IS_ASAN or relay.memory_bytes() - before < 64 << 20


# --- the command line

def test_help_everywhere(relay):
    for command in (["serve"], ["check"], ["keys"], ["keys", "create"], ["keys", "list"], ["models"],
                    ["route"], ["usage"], ["logs"], ["version"], []):
        done = subprocess.run([RELAY_BIN, *command, "--help"], capture_output=True, text=True,
                              timeout=SURELY_SECONDS, cwd=relay.folder, env=relay.env)
        assert done.returncode == 0 and "usage" in done.stdout.lower(), (command, done)
    assert re.search(r"\d+\.\d+", subprocess.run([RELAY_BIN, "version"], capture_output=True, text=True,
                                                 timeout=SURELY_SECONDS).stdout)


def test_config_flag_anywhere(relay):
    for args in (["--config", str(relay.config_path), "check"], ["check", "--config",
                                                                 str(relay.config_path)]):
        if args[0] == "check":
            done = subprocess.run([RELAY_BIN, *args], capture_output=True, text=True, timeout=SURELY_SECONDS,
                                  cwd=relay.folder, env=relay.env)
            assert done.returncode == 0, done.stderr
    done = subprocess.run([RELAY_BIN, "keys", "list", "--json", "--config", str(relay.config_path)],
                          capture_output=True, text=True, timeout=SURELY_SECONDS, cwd=relay.folder, env=relay.env)
    assert json.loads(done.stdout)["keys"]


def test_models_command(relay):
    text = json.dumps(json.loads(relay.run("models", "--json").stdout))
    assert "p/a" in text
    assert "p/a" in relay.run("models").stdout or "a" in relay.run("models").stdout


def test_first_start(start, sim):
    """A first client key and an admin key are made, shown, kept safe, and found again."""
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/a")]})
    first, admin = relay.first_key, relay.admin_key
    assert re.fullmatch(r"glw_[0-9A-Za-z]{40}", first) and admin.startswith("gla_")
    assert (relay.data.stat().st_mode & 0o777) == 0o700
    assert ((relay.data / "admin-key").stat().st_mode & 0o777) == 0o600
    assert ((relay.data / "first-key").stat().st_mode & 0o777) == 0o600
    assert admin not in relay.log()
    assert len(relay.keys()) == 1
    assert relay.stop() == 0
    relay.start()
    assert (relay.first_key, relay.admin_key) == (first, admin) and len(relay.keys()) == 1
    with relay.http(first) as c:
        assert ask(c, "p/a").status_code == 200
