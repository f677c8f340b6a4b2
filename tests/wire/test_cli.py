"""The command line: what it prints, where, and with which exit code; with and without a running gateway."""

import json
import re
import subprocess
from decimal import Decimal

import pytest

import support as wire
from support import ask, chat

KEY = r"glw_[0-9A-Za-z]{40}"


@pytest.fixture
def cli(tmp_path):
    """cli("keys", "list", config="...") in an empty folder without any variables."""
    def run(*args, config=None, env=None):
        if config is not None:
            (tmp_path / "relay.yaml").write_text(config)
        return subprocess.run([wire.RELAY_BIN, *args], capture_output=True, text=True, timeout=60,
                              cwd=tmp_path, env=wire.clean_environment(**(env or {})))
    run.folder = tmp_path
    return run


def refused(done, code, *words):
    """One sentence on standard error, nothing on standard output."""
    assert done.returncode == code, done
    assert done.stdout == ""
    assert done.stderr.startswith("relay: ") and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


# --- usage

def test_help_names_every_command(cli):
    done = cli("--help")
    assert done.returncode == 0 and done.stderr == ""
    for name in ("serve", "check", "keys", "models", "route", "usage", "logs", "embed",
                 "version"):
        assert re.search(rf"^  {name} ", done.stdout, re.M), name
        own = cli(name, "--help")
        assert own.returncode == 0 and own.stdout.startswith(f"usage: relay {name}"), own
        assert own.stderr == ""
    assert not re.search(r"^  docs\b", done.stdout, re.M)
    for verb in ("create", "list", "update", "rotate", "revoke"):
        own = cli("keys", verb, "--help")
        assert own.returncode == 0 and own.stdout.startswith(f"usage: relay keys {verb}"), own
    assert cli("help").stdout == done.stdout


def test_no_command_is_an_error_with_the_help(cli):
    done = cli()
    assert done.returncode == 2 and done.stdout == "" and "usage: relay COMMAND" in done.stderr


def test_version(cli):
    done = cli("version")
    assert done.returncode == 0 and re.fullmatch(r"relay \d+\.\d+\.\d+\n", done.stdout)
    assert cli("--version").stdout == done.stdout


@pytest.mark.parametrize("args, words", [
    (["chekc"], ['"check"']),
    (["nonsense"], ["--help"]),
    (["dashboard", "extra"], ["extra", "usage:"]),
    (["embed", "--modle", "x"], ["--modle"]),
    (["check", "--confg", "x"], ["--config"]),
    (["check", "extra"], ["extra", "usage:"]),
    (["check", "--config"], ["--config FILE"]),
    (["check", "--config", "a", "--config", "b"], ["twice"]),
    (["models", "--json=yes"], ["takes no value"]),
    (["models", "-j"], ["-j"]),
    (["models", "--json", "--table"], ["--json", "--table"]),
    (["logs", "--json", "--table"], ["--json", "--table"]),
    (["usage", "--json", "--table"], ["--json", "--table"]),
    (["keys", "list", "--json", "--table"], ["--json", "--table"]),
    (["keys"], ["create|list"]),
    (["keys", "mint"], ["mint"]),
    (["keys", "create"], ["--name"]),
    (["keys", "create", "--name", ""], ["--name"]),
    (["keys", "create", "--name", "a", "--rpm", "many"], ["--rpm", "many"]),
    (["keys", "create", "--name", "a", "--rpm", "-1"], ["--rpm"]),
    (["keys", "create", "--name", "a", "--budget-usd", "1"], ["--budget-period"]),
    (["keys", "create", "--name", "a", "--budget-period", "day"], ["--budget-usd"]),
    (["keys", "create", "--name", "a", "--budget-usd", "x", "--budget-period", "day"], ["12.50"]),
    (["keys", "create", "--name", "a", "--budget-usd", "1", "--budget-period", "week"], ["month"]),
    (["keys", "create", "--name", "a", "--expires", "soon"], ["30d", "never"]),
    (["keys", "create", "--name", "a", "--expires", "2001-01-01T00:00:00Z"], ["30d", "never"]),
    (["keys", "create", "--name", "a", "--tags", "no-value"], ["name=value"]),
    (["keys", "create", "--name", "a", "--tags", "a=1,a=2"], ["once"]),
    (["keys", "update", "x"], ["--help"]),
    (["keys", "revoke"], ["usage:"]),
    (["keys", "rotate", "x", "--grace", "later"], ["24h"]),
    (["route"], ["usage:"]),
    (["route", "--min-quality", "101", "x"], ["--min-quality"]),
    (["usage", "--by", "colour"], ["provider"]),
    (["usage", "--since", "yesterday"], ["24h"]),
    (["logs", "--since", "-"], ["24h"]),
    (["logs", "--limit", "0"], ["--limit"]),
    (["cache"], ["stats|purge"]),
    (["cache", "empty"], ["empty"]),
    (["cache", "purge"], ["--all"]),
    (["cache", "purge", "--all", "--tag", "a=b"], ["usage:"]),
    (["cache", "purge", "--tag", "team"], ["NAME=VALUE"]),
    (["serve", "--listen"], ["--listen"]),
    (["docs", "everything"], ["everything"]),
])
def test_wrong_usage_is_one_sentence_and_exit_2(cli, args, words):
    refused(cli(*args), 2, *words)
    assert list(cli.folder.iterdir()) == []


# --- configuration

@pytest.mark.parametrize("args", [
    ["check"], ["keys", "list"], ["keys", "create", "--name", "a"], ["models"], ["route", "x"],
    ["usage"], ["logs"], ["serve"]])
def test_a_bad_configuration_is_exit_2_everywhere(cli, args):
    done = cli(*args, config="server: {listne: x}\n")
    refused(done, 2, 'relay.yaml:1:10: server.listne is not a setting; did you mean "listen"?')


def test_config_stands_before_or_after_the_other_arguments(cli):
    (cli.folder / "x.yaml").write_text("store: elsewhere/x.db\n")
    for args in (["--config", "x.yaml", "keys", "list"], ["keys", "--config", "x.yaml", "list"],
                 ["keys", "list", "--config", "x.yaml"], ["keys", "list", "--config=x.yaml"]):
        done = cli(*args)
        assert done.returncode == 0, done
    done = cli("keys", "create", "--name", "a", "--config", "x.yaml")
    assert done.returncode == 0 and (cli.folder / "elsewhere" / "x.db").exists()
    refused(cli("check", "--config", "absent.yaml"), 2, "absent.yaml", "No such file")


def test_check_tells_what_would_run(cli):
    done = cli("check", env={"GROQ_API_KEY": "gsk-secret", "GEMINI_API_KEY": "g-secret"}, config="""
providers:
  openai: {api_key: "${OPENAI_API_KEY}"}
  mine: {kind: openai, base_url: "http://127.0.0.1:9/v1", api_key: [k-secret-1, k-secret-2]}
models: [{id: mine/m, input: 1}]
aliases: {fast: [mine/m]}
limits: {rpm: 0}
""")
    assert done.returncode == 0 and done.stderr == "", done
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert "relay.yaml, valid" in lines["configuration"]
    assert "http://127.0.0.1:8080" in lines["listen"]
    assert "data/admin-key" in lines["admin"]
    assert "no limit of requests and 200000 tokens" in lines["limits"]
    assert re.search(r"groq +on +1 ", done.stdout)
    assert re.search(r"openai +off .*OPENAI_API_KEY is not set", done.stdout)
    assert re.search(r"gemini +on +1 ", done.stdout)
    assert re.search(r"anthropic +off .*ANTHROPIC_API_KEY is not set", done.stdout)
    assert re.search(r"mine +on +2 +1 ", done.stdout)
    assert re.search(r"ollama +on .*when it answers", done.stdout)
    assert "1 configured, 1 aliases" in done.stdout
    assert "need a restart" in done.stdout and "server.listen" in done.stdout
    assert "secret" not in done.stdout
    assert {p.name for p in cli.folder.iterdir()} == {"relay.yaml"}  # nothing was made


def test_check_reads_the_files_that_the_start_would_need(cli):
    refused(cli("check", config="server: {tls: {cert: absent.pem, key: absent.key}}"), 2, "server.tls",
            "absent.pem")
    refused(cli("check", config="providers: {groq: {ca_file: absent.pem}}"), 2, "absent.pem")


def test_check_print_reads_back(cli):
    config = "cache: {ttl: 2h}\nadmin: {key: sixteen-characters-or-more}\nlimits: {rpm: 7}\n"
    done = cli("check", "--print", config=config)
    assert done.returncode == 0 and "  ttl: 2h\n" in done.stdout and "sixteen" not in done.stdout
    again = cli("check", "--print", config=done.stdout.replace("key: (set)", 'key: ""'))
    assert again.returncode == 0, again.stderr
    assert "  rpm: 7\n" in again.stdout


def test_the_reference_is_current(cli):
    page = (wire.ROOT / "docs" / "reference" / "settings.md").read_text()
    assert cli("docs", "configuration").stdout == page


# --- keys

def test_a_key_is_printed_alone_and_once(cli):
    done = cli("keys", "create", "--name", "my app", "--rpm", "10", "--tpm", "0", "--budget-usd", "12.50",
               "--budget-period", "month", "--models", "groq/x, fast", "--tags", "team=x,b=c d",
               "--expires", "30d", "--cache-group", "g")
    assert done.returncode == 0 and re.fullmatch(KEY + "\n", done.stdout), done
    assert done.stdout.strip() not in done.stderr
    listed = cli("keys", "list", "--json")
    assert done.stdout[4:-1] not in listed.stdout
    answer = json.loads(listed.stdout)
    assert set(answer) == {"keys", "next", "defaults"} and answer["next"] is None
    (key,) = answer["keys"]
    assert set(key) == {"id", "tag", "name", "created_at", "expires_at", "revoked_at", "last_used_at", "rpm",
                        "tpm", "budget_usd", "budget_period", "budget_spent_usd", "models", "cache_group",
                        "tags"}
    assert key["tag"] == done.stdout[:8] and key["name"] == "my app"
    assert (key["rpm"], key["tpm"]) == (10, 0)
    assert (key["budget_usd"], key["budget_period"], key["budget_spent_usd"]) == ("12.5", "month", "0")
    assert key["models"] == ["groq/x", "fast"] and key["tags"] == {"team": "x", "b": "c d"}
    assert key["cache_group"] == "g" and key["revoked_at"] is None and key["last_used_at"] is None
    assert key["expires_at"] > key["created_at"]
    table = cli("keys", "list", "--table").stdout
    assert re.search(r"my app +active +10 +none +\$12\.50/month +\$0 ", table), table


def test_update_changes_what_is_given_and_nothing_else(cli):
    cli("keys", "create", "--name", "a", "--rpm", "3", "--models", "m1,m2", "--tags", "x=y")
    before = json.loads(cli("keys", "list", "--json").stdout)["keys"][0]
    assert cli("keys", "update", before["id"], "--name", "b", "--tpm", "9").returncode == 0
    after = json.loads(cli("keys", "list", "--json").stdout)["keys"][0]
    assert after == {**before, "name": "b", "tpm": 9}
    assert cli("keys", "update", "b", "--models", "", "--rpm", "default", "--tags", "", "--budget-usd", "2",
               "--budget-period", "day").returncode == 0
    cleared = json.loads(cli("keys", "list", "--json").stdout)["keys"][0]
    assert cleared == {**after, "models": [], "rpm": None, "tags": {}, "budget_usd": "2",
                       "budget_period": "day"}
    assert cli("keys", "update", before["tag"], "--budget-usd", "none").returncode == 0
    assert json.loads(cli("keys", "list", "--json").stdout)["keys"][0]["budget_usd"] is None


def test_rotate_and_revoke(cli):
    first = cli("keys", "create", "--name", "a", "--rpm", "3").stdout.strip()
    done = cli("keys", "rotate", first[:8], "--grace", "24h")
    assert done.returncode == 0 and re.fullmatch(KEY + "\n", done.stdout) and done.stdout.strip() != first
    keys = {k["tag"]: k for k in json.loads(cli("keys", "list", "--json").stdout)["keys"]}
    assert keys[first[:8]]["expires_at"] is not None and keys[done.stdout[:8]]["expires_at"] is None
    assert keys[done.stdout[:8]]["rpm"] == 3
    gone = cli("keys", "revoke", first[:8], keys[done.stdout[:8]]["id"])
    assert gone.returncode == 0, gone
    assert all(k["revoked_at"] for k in json.loads(cli("keys", "list", "--json").stdout)["keys"])
    assert "revoked" in cli("keys", "list", "--table").stdout


def test_a_key_that_is_not_there_is_exit_1(cli):
    refused(cli("keys", "revoke", "nobody"), 1, "relay keys create")  # there is no store at all
    cli("keys", "create", "--name", "a")
    for verb in (["revoke"], ["rotate"], ["update", "--rpm", "1"]):
        refused(cli("keys", verb[0], "nobody", *verb[1:]), 1, "nobody")


def test_an_empty_list_is_an_empty_list(cli):
    done = cli("keys", "list", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["keys"] == []
    assert cli("keys", "list", "--table").stdout == "" and not (cli.folder / "data").exists()


# --- catalogue and routing

def test_models(cli):
    config = """
providers: {mine: {kind: openai, base_url: "http://127.0.0.1:9/v1"}}
models:
  - {id: mine/a, input: 0.15, output: 0.6, quality: 41, context: 1000, capabilities: [tools, json]}
  - {id: mine/b}
"""
    answer = json.loads(cli("models", "--json", config=config).stdout)
    by_id = {m["id"]: m for m in answer["models"]}
    assert set(by_id) == {"mine/a", "mine/b"}
    a, b = by_id["mine/a"], by_id["mine/b"]
    assert a["prices_usd_per_million"]["input"] == "0.15" and a["quality"] == 41 and a["context"] == 1000
    assert a["capabilities"] == ["tools", "json"] and a["provider"] == "mine" and a["model"] == "a"
    assert b["prices_usd_per_million"]["input"] is None and b["quality"] is None and b["context"] is None
    table = cli("models", "--table").stdout
    assert re.search(r"^mine/a +0\.15 .*0\.6 +41\.0 +1000 .*tools,json$", table, re.M), table
    nothing = cli("models", "--table", config="")
    assert nothing.returncode == 0 and nothing.stdout == "" and "relay check" in nothing.stderr


ROUTING = """
providers: {mine: {kind: openai, base_url: "http://127.0.0.1:9/v1"}}
models:
  - {id: mine/cheap, input: 1, output: 1, quality: 20, context: 100000}
  - {id: mine/good, input: 2, output: 2, quality: 60, context: 100000}
  - {id: mine/best, input: 3, output: 3, quality: 80, context: 100000}
aliases: {two: [mine/cheap, mine/best]}
"""


def test_route_is_a_dry_run(cli):
    answer = json.loads(cli("route", "--json", "hello there", config=ROUTING).stdout)
    order = [c["model"] for c in answer["candidates"]]
    assert order[0] == "mine/good" and set(order) == {"mine/cheap", "mine/good", "mine/best"}
    first = answer["candidates"][0]
    tokens = Decimal(answer["prompt_tokens"]) + Decimal(first["expected_completion_tokens"])
    assert Decimal(first["expected_cost_usd"]) == tokens * 2 / 1000000
    assert first["missed"] is None and answer["target_missed"] is False and answer["min_quality"] == 30
    table = cli("route", "hello there").stdout
    assert re.search(r"^1  mine/good +\$0\.00\d+ +\d+ % +60\.0  chosen$", table, re.M), table


def test_route_with_bars_and_names(cli):
    answer = json.loads(cli("route", "--min-quality", "70", "--json", "x", config=ROUTING).stdout)
    assert answer["candidates"][0]["model"] == "mine/best"
    answer = json.loads(cli("route", "--min-quality", "90", "--json", "x").stdout)
    assert answer["target_missed"] is True and answer["candidates"][0]["missed"] == "quality"
    answer = json.loads(cli("route", "--model", "two", "--json", "x").stdout)
    assert answer["candidates"][0]["model"] == "mine/cheap"
    answer = json.loads(cli("route", "--max-latency-ms", "1", "--json", "x").stdout)
    assert answer["max_latency_ms"] == 1
    refused(cli("route", "--model", "mien/cheap", "x"), 1, "mine/cheap")
    nobody = cli("route", "x", config="")
    assert nobody.returncode == 1 and nobody.stderr.count("\n") == 1 and "relay check" in nobody.stderr


# --- beside a running gateway

def test_usage_sums_are_exact(start):
    sim = start.sim()
    relay = start.relay({"providers": {"p": wire.provider(sim)}, "cache": {"exact": True},
                         "models": [wire.model("p/m", input=0.1, output=0.7, quality=40)]})
    key = relay.make_key("spender")
    with relay.http(key) as client:
        for i in range(7):
            assert ask(client, "p/m", f"question {i}").status_code == 200
        assert ask(client, "p/m", "question 0").headers["x-relay-cache"] == "exact"
    rows = relay.wait_rows(8)
    want = sum(Decimal(r["cost_usd"]) for r in rows)
    assert want > 0
    answer = json.loads(relay.run("usage", "--by", "model", "--json").stdout)
    assert set(answer) == {"by", "from", "to", "rows", "count", "total"} and answer["by"] == "model"
    assert Decimal(answer["total"]["cost_usd"]) == want
    assert sum(Decimal(r["cost_usd"]) for r in answer["rows"]) == want
    assert answer["total"]["requests"] == 8 and answer["total"]["cache_hits"] == 1
    assert answer["total"]["prompt_tokens"] == sum(r["prompt_tokens"] or 0 for r in rows)
    assert Decimal(answer["total"]["cache_saved_usd"]) == sum(Decimal(r["cache_saved_usd"] or 0) for r in rows)
    for by, groups in (("hour", {r["at"][:13] for r in rows}), ("day", {r["at"][:10] for r in rows}),
                       ("provider", {"p"}), ("key", {"spender"})):
        grouped = json.loads(relay.run("usage", "--by", by, "--json").stdout)
        assert Decimal(grouped["total"]["cost_usd"]) == want
        assert len(grouped["rows"]) == len(groups) and by in grouped["rows"][0]
    table = relay.run("usage", "--by", "key", "--table").stdout
    assert re.search(r"^spender +8 +0 +1 ", table, re.M), table
    # Made anew while the gateway serves, the summaries tell the same of the same range.
    assert "made anew" in relay.run("usage", "--rebuild").stdout
    again = json.loads(relay.run("usage", "--by", "model", "--json").stdout)
    assert (again["rows"], again["total"]) == (answer["rows"], answer["total"])
    assert re.search(r"^total +8 ", table, re.M)
    listed = json.loads(relay.run("keys", "list", "--json").stdout)["keys"]
    assert next(k for k in listed if k["name"] == "spender")["last_used_at"] is not None


def test_logs_show_every_row_oldest_first(relay, http, word):
    ids = [ask(http, "p/small", f"{word} {i}").headers["x-relay-id"] for i in range(3)]
    ids.append(http.post("/v1/chat/completions", json=chat("no/such", word)).headers["x-relay-id"])
    for id in ids:
        relay.row(id)
    rows = [json.loads(line) for line in relay.run("logs", "--json").stdout.splitlines()]
    mine = [r for r in rows if r["id"] in ids]
    assert [r["id"] for r in mine] == ids
    for r in mine[:3]:
        stored = relay.row(r["id"])
        for column in ("at", "provider", "model", "route", "status", "prompt_tokens", "completion_tokens",
                       "cost_usd", "cache", "attempts", "finish_reason", "key_id"):
            assert r[column] == stored[column], column
    assert mine[3]["status"] == 404 and mine[3]["error_code"] == "model_not_found"
    newest = relay.run("logs", "--json", "--limit", "1").stdout.splitlines()
    assert [json.loads(line)["id"] for line in newest] == ids[3:]
    text = relay.run("logs", "--table").stdout
    assert re.search(r"^TIME +CODE +KEY", text)
    assert re.search(r"^\S+Z +404 +module +\S+ .* model_not_found$", text, re.M), text


def test_control_characters_of_clients_do_not_reach_the_terminal(relay, http):
    id = http.post("/v1/chat/completions", json=chat("evil\x1b[31m\nname\u009b1m", "x")).headers["x-relay-id"]
    relay.row(id)
    text = relay.run("logs", "--table").stdout
    assert "\x1b" not in text and "\u009b" not in text and "evil?[31m?name" in text


def test_measured_latency_is_shown_and_used(relay, http, word):
    id = ask(http, "p/small", word).headers["x-relay-id"]
    relay.row(id)
    small = next(m for m in json.loads(relay.run("models", "--json").stdout)["models"] if m["id"] == "p/small")
    assert small["requests"] >= 1 and small["latency_ms"]["p50"] > 0
    assert json.loads(relay.run("route", "--json", "--plain", "x").stdout)["measured"] >= 1
