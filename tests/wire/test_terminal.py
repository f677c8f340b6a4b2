"""The command line on a terminal: tables that fit, colours, JSON elsewhere; and `relay logs --follow`, which
shows each row once through restarts of the store."""

import json
import re
import signal
import subprocess

import pytest

import support as wire
from postgres_server import Postgres, needs_postgres
from support import ask, wait_for
from terminal import Terminal


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture
def shown(relay):
    """shown("usage", columns=80): the text of a command of this gateway on a terminal."""
    def show(*args, columns=200, **env):
        terminal = Terminal([wire.RELAY_BIN, *args, "--config", str(relay.config_path)], columns,
                            {**relay.env, **env}, relay.folder)
        code = terminal.end()
        assert code == 0, terminal.text
        return terminal.text
    return show


LISTS = (["usage"], ["usage", "--by", "key"], ["logs"], ["models"], ["keys", "list"])


@pytest.fixture
def traffic(relay, http, word):
    for answer in (ask(http, "p/small", word), ask(http, "p/small", word), ask(http, "no/such-model", word)):
        relay.row(answer.headers["x-relay-id"])


@pytest.mark.parametrize("args", LISTS, ids=" ".join)
def test_a_table_on_a_terminal_and_json_elsewhere(relay, traffic, shown, args):
    table = shown(*args)
    assert "\x1b[1m" in table and re.match(r"[A-Z]+ +>?[A-Z$]", plain(table)), table
    for line in relay.run(*args).stdout.splitlines():
        assert isinstance(json.loads(line), dict)
    asked = shown(*args, "--json")
    assert [json.loads(line) for line in asked.splitlines()] and "\x1b" not in asked
    elsewhere = relay.run(*args, "--table").stdout
    assert "\x1b" not in elsewhere and re.match(r"[A-Z]+ +[A-Z$]", elsewhere), elsewhere


@pytest.mark.parametrize("args", LISTS, ids=" ".join)
@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}], ids=str)
def test_who_wants_no_colours_gets_none(traffic, shown, args, env):
    assert "\x1b" not in shown(*args, **env)
    assert "\x1b[" in shown(*args, NO_COLOR="")


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_wider_than_the_terminal(relay, traffic, shown, columns):
    relay.make_key("a key with quite a long name, longer than others", budget_usd=12, budget_period="month")
    for args in [*LISTS, ["check"], ["route", "hello"]]:
        for line in plain(shown(*args, columns=columns)).splitlines():
            assert len(line.replace(str(relay.folder), "")) <= columns, (args, line)


def test_colours_say_what_went_wrong(traffic, shown):
    lines = shown("logs").splitlines()
    assert any("\x1b[33m404\x1b[0m" in line and "\x1b[33mmodel_not_found\x1b[0m" in line for line in lines)
    assert any("\x1b[32m200\x1b[0m" in line and "\x1b[32mexact\x1b[0m" in line for line in lines)


def test_help_of_every_command_fits_and_says_when_it_is_json(shown):
    commands = re.findall(r"^  (\w+) ", shown("--help").partition("commands:")[2], re.M)
    assert {"usage", "logs", "models", "keys"} <= set(commands)
    verbs = [["keys", verb] for verb in ("create", "list", "update", "rotate", "revoke")]
    for command in [*([c] for c in commands), *verbs, ["cache", "stats"], ["cache", "purge"]]:
        text = shown(*command, "--help", columns=80)
        assert text.startswith(f"usage: relay {' '.join(command)}"), text
        for line in text.splitlines():
            assert len(line) <= 80, line
    for args in LISTS:
        text = shown(*args, "--help")
        assert "--table" in text and "JSON elsewhere" in " ".join(text.split()), text


# --- relay logs --follow

class Follower:
    """relay logs --follow --json of a gateway, read as it writes."""

    def __init__(self, relay, *args):
        self.errors_path = relay.folder / "follow.err"
        self.out_path = relay.folder / "follow.out"
        with open(self.out_path, "w") as out, open(self.errors_path, "w") as errors:
            self.process = subprocess.Popen(
                [wire.RELAY_BIN, "logs", "--follow", "--json", *args, "--config", str(relay.config_path)],
                stdout=out, stderr=errors, cwd=relay.folder, env=relay.env)

    @property
    def ids(self):
        whole = self.out_path.read_text().rpartition("\n")[0]
        return [json.loads(line)["id"] for line in whole.splitlines()]

    @property
    def errors(self):
        return self.errors_path.read_text()

    def has(self, *ids):
        """Waits until all have come; then each came once."""
        wait_for(lambda: set(ids) <= set(self.ids), why=lambda: f"{ids} not in {self.ids}; {self.errors}")
        assert len(self.ids) == len(set(self.ids)), self.ids

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(wire.SURELY_SECONDS)


@pytest.fixture
def follow():
    """follow(relay, "--limit", "2"): stopped afterwards."""
    running = []

    def start(*args):
        running.append(Follower(*args))
        return running[-1]
    yield start
    for f in running:
        if f.process.poll() is None:
            f.process.kill()
            f.process.wait()


def id_of(http, content, model="p/small"):
    return ask(http, model, content).headers["x-relay-id"]


def test_follow_shows_what_is_there_and_what_comes(relay, http, word, follow):
    before = id_of(http, f"{word} before")
    relay.row(before)
    f = follow(relay)
    f.has(before)
    after = id_of(http, f"{word} after")
    f.has(before, after)
    assert f.ids.index(before) < f.ids.index(after)


def test_follow_knows_keys_that_were_made_later(relay, follow, word):
    f = follow(relay)
    with relay.http(relay.make_key("made later")) as http:
        id = id_of(http, word)
    f.has(id)
    line = next(line for line in f.out_path.read_text().splitlines() if id in line)
    assert "made later" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_following_with_exit_code_0(relay, http, word, follow, number):
    f = follow(relay)
    f.has(id_of(http, word))
    assert f.stop(number) == 0 and f.errors == ""


def test_a_limit_is_for_the_rows_that_are_there(start, follow):
    """The older ones do not come with a later poll either: the last one looks back over all."""
    sim = start.sim()
    relay = start.relay({"providers": {"p": wire.provider(sim)}, "models": [wire.model("p/small")]})
    with relay.http(relay.make_key()) as http:
        old = [id_of(http, f"old {i}") for i in range(4)]
        relay.wait_rows(4)
        f = follow(relay, "--limit", "2")
        f.has(*old[2:])
        for i in range(3):
            f.has(id_of(http, f"new {i}"))
    assert f.ids[:2] == old[2:] and len(f.ids) == 5


def test_follow_on_a_terminal_prints_its_head_once(relay, http, word):
    f = Terminal([wire.RELAY_BIN, "logs", "--follow", "--config", str(relay.config_path)], 120, relay.env, relay.folder)
    try:
        for i in range(2):
            id_of(http, f"[[sim:status=400]] {word} {i}")
            wait_for(lambda: len(re.findall(r"^\S+ +400 ", plain(f.text), re.M)) == i + 1, why=lambda: f.text)
        assert plain(f.text).count("TIME ") == 1
        f.process.send_signal(signal.SIGINT)
        assert f.end() == 0
    finally:
        f.process.kill()


def test_follow_goes_on_through_a_kill_of_the_gateway(start, follow):
    sim = start.sim()
    relay = start.relay({"providers": {"p": wire.provider(sim)}, "models": [wire.model("p/small")]})
    key = relay.make_key()
    with relay.http(key) as http:
        f = follow(relay)
        f.has(before := id_of(http, "before"))
        last = id_of(http, "last")
    relay.kill()
    relay.start()
    with relay.http(key) as http:
        f.has(before, last, id_of(http, "after"))
    assert f.stop() == 0 and f.errors == ""


@needs_postgres
def test_follow_waits_out_a_restart_of_postgresql(start, follow):
    server = Postgres()
    try:
        sim = start.sim()
        relay = start.relay({"providers": {"p": wire.provider(sim)}, "models": [wire.model("p/small")],
                             "store": server.url, "limits": {"rpm": 0, "tpm": 0}})
        with relay.http(relay.make_key()) as http:
            f = follow(relay)
            f.has(before := id_of(http, "before"))
            server.stop()
            wait_for(lambda: "Waiting for it" in f.errors, why=lambda: f.errors)
            meanwhile = [id_of(http, f"meanwhile {i}") for i in range(5)]
            server.start()
            f.has(before, *meanwhile, id_of(http, "after"))
        assert "the store is back" in f.errors
        assert f.stop() == 0
    finally:
        server.remove()
