"""The exact cache and shared calls: what hits, what never may, and what a hit looks like."""

import concurrent.futures
import json
import socket
import threading
import time
from decimal import Decimal

import pytest

from support import (ask, chat, content_of, model, provider, raw_request, stream, usd, wait_for)


@pytest.fixture(scope="module")
def relay(start_once, sim):
    return start_once.relay({
        "providers": {"p": provider(sim), "q": provider(sim)},
        "models": [model("p/small", input=1, output=2, quality=40),
                   model("p/large", input=10, output=20, quality=80), model("q/other", input=50, output=90)],
        "aliases": {"both": ["p/small", "p/large"]}})


def cached(answer):
    return answer.headers["x-relay-cache"]


@pytest.mark.parametrize("first,second", [("plain", "plain"), ("plain", "stream"),
                                          ("stream", "plain"), ("stream", "stream")])
def test_a_hit_in_the_shape_asked_for(relay, http, sim, word, first, second):
    text = f"{word} [[sim:prompt_tokens=1000;completion_tokens=500]]"

    def go(shape):
        """(answer, id, text, usage)"""
        if shape == "plain":
            a = ask(http, "p/small", text)
            b = a.json()
            return a, b["id"], b["choices"][0]["message"]["content"], b["usage"], b
        a, events, cut = stream(http, "p/small", text, stream_options={"include_usage": True})
        assert not cut and events[-1] == "[DONE]"
        assert events[0]["choices"][0]["delta"]["role"] == "assistant"
        assert [c["finish_reason"] for e in events[:-1] for c in e["choices"]][-1] == "stop"
        return a, events[0]["id"], content_of(events), events[-2]["usage"], events[0]
    miss, hit = go(first), go(second)
    assert (cached(miss[0]), cached(hit[0])) == ("miss", "exact")
    assert miss[2] == hit[2] and word in hit[2]
    assert miss[1] != hit[1]
    for count in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert miss[3][count] == hit[3][count]
    assert hit[4]["created"] >= miss[4]["created"] and hit[4]["model"] == "small"
    assert sim.find(word)[1:] == []
    head = hit[0].headers
    assert head["x-relay-route"] == "cached" and head["x-relay-provider"] == "p"
    assert head["x-relay-model"] == "small" and float(head["x-relay-similarity"]) == 1
    assert 0 <= int(head["age"]) <= 5 and head["x-relay-attempts"] == "0"
    row = relay.row(head["x-relay-id"])
    assert (row["cache"], row["route"], row["status"], row["attempts"]) == ("exact", "cached", 200, 0)
    assert row["source_id"] == miss[0].headers["x-relay-id"]
    assert (row["provider"], row["model"]) == ("p", "small")
    assert usd(row["cost_usd"]) == 0 and usd(row["routing_saved_usd"]) == 0
    # what this request would have cost: 1,000 in, 500 out at 1 and 2 USD per million
    assert usd(row["cache_saved_usd"]) == Decimal("0.002")
    assert row["usage_source"] == "cache" and row["finish_reason"] == "stop"
    assert relay.row(miss[0].headers["x-relay-id"])["cache"] == "miss"


def test_answers_that_call_tools_are_not_kept(http, word):
    """A call asks for something to be done now; a text answer beside tools is only a text."""
    tool = {"type": "function", "function": {"name": "get_x", "parameters": {"type": "object"}}}
    for go in (ask, stream):
        def kind(text):
            answer = go(http, "p/small", text, tools=[tool])
            return cached(answer[0] if go is stream else answer)
        assert [kind(f"get_x {word} {go.__name__}") for _ in range(2)] == ["miss", "miss"]
        assert [kind(f"{word} {go.__name__}") for _ in range(2)] == ["miss", "exact"]


DIFFERENT = [
    {"temperature": 0.5}, {"top_p": 0.5}, {"max_tokens": 77}, {"stop": ["x"]}, {"seed": 1},
    {"response_format": {"type": "json_object"}}, {"frequency_penalty": 1},
    {"tools": [{"type": "function", "function": {"name": "unused_f"}}]},
    {"cache": {"namespace": "drafts"}}, {"something_new": 1},
    {"reasoning_effort": "low"}, {"logit_bias": {"5": 1}},
]


@pytest.mark.parametrize("n", range(len(DIFFERENT)), ids=lambda n: next(iter(DIFFERENT[n])))
def test_what_shapes_the_answer_is_part_of_the_question(http, word, n):
    assert cached(ask(http, "p/small", word)) == "miss"
    assert cached(ask(http, "p/small", word, **DIFFERENT[n])) == "miss"
    assert cached(ask(http, "p/small", word)) == "exact"
    assert cached(ask(http, "p/small", word, **DIFFERENT[n])) == "exact"


@pytest.mark.parametrize("more", [
    {"stream_options": {"include_usage": True}}, {"metadata": {"a": "b"}},
    {"routing": {"max_latency_ms": 10000}}], ids=lambda m: next(iter(m)))
def test_what_does_not_shape_it_is_not(http, word, more):
    assert cached(ask(http, "p/small", word)) == "miss"
    if "stream_options" in more:
        assert cached(stream(http, "p/small", word, **more)[0]) == "exact"
    else:
        assert cached(ask(http, "p/small", word, **more)) == "exact"


def test_spelling_of_the_json_does_not_matter(http, word):
    """Bifrost #2791: the order of members must not decide."""
    a = b'{"model":"p/small","temperature":0.50,"messages":[{"role":"user","content":"%s"}]}'
    b = b'{ "messages" : [ { "content" : "%s" , "role" : "user" } ], "temperature":5e-1,"model":"p/small"}'
    head = {"content-type": "application/json"}
    w = word.encode()
    assert cached(http.post("/v1/chat/completions", content=a % w, headers=head)) == "miss"
    assert cached(http.post("/v1/chat/completions", content=b % w, headers=head)) == "exact"


@pytest.mark.parametrize("messages", [
    lambda w: [{"role": "system", "content": "be brief"}, {"role": "user", "content": w}],
    lambda w: [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"},
               {"role": "user", "content": w}],
    lambda w: [{"role": "user", "content": w + " "}],
    lambda w: [{"role": "user", "content": w.upper()}],
    lambda w: [{"role": "system", "content": w}]])
def test_every_message_counts(http, word, messages):
    assert cached(ask(http, "p/small", word)) == "miss"
    body = {"model": "p/small", "messages": messages(word)}
    assert cached(http.post("/v1/chat/completions", json=body)) == "miss"
    assert cached(http.post("/v1/chat/completions", json=body)) == "exact"


def test_the_model_asked_for_counts(http, word):
    assert cached(ask(http, "p/small", word)) == "miss"
    assert cached(ask(http, "p/large", word)) == "miss"
    assert cached(ask(http, "both", word)) == "miss"
    assert cached(ask(http, "both", word)) == "exact"


def test_no_other_key_ever_hits(relay, http, word):
    """Bugs like vllm-sr #1448: scope is a hard part of the key, not a score."""
    assert cached(ask(http, "p/small", word)) == "miss"
    with relay.http(relay.make_key("stranger")) as other:
        assert cached(ask(other, "p/small", word)) == "miss"
        assert cached(ask(other, "p/small", word, cache={"namespace": ""})) in ("miss", "exact")


def test_a_group_shares(start, sim, word):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")],
                         "cache": {"scope": "group"}})
    keys = [relay.make_key(n, cache_group=g) for n, g in (("a", "x"), ("b", "x"), ("c", "y"))]
    a, b, c = (relay.http(k) for k in keys)
    assert cached(ask(a, "p/small", word)) == "miss"
    assert cached(ask(b, "p/small", word)) == "exact"
    assert cached(ask(c, "p/small", word)) == "miss"


def test_global_scope_warns(start, sim, word):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")],
                         "cache": {"scope": "global"}})
    assert '"warn"' in relay.log() and "global" in relay.log()
    with relay.http(relay.make_key("a")) as a, relay.http(relay.make_key("b")) as b:
        assert cached(ask(a, "p/small", word)) == "miss"
        assert cached(ask(b, "p/small", word)) == "exact"


# --- wishes

@pytest.mark.parametrize("more,headers", [
    ({"cache": {"mode": "off"}}, {}), ({}, {"x-relay-cache": "off"}),
    ({}, {"cache-control": "no-store"}), ({"temperature": 1.2}, {}), ({"n": 2}, {})])
def test_bypass_neither_reads_nor_writes(http, word, more, headers):
    assert cached(ask(http, "p/small", word, headers=headers, **more)) == "bypass"
    assert cached(ask(http, "p/small", word)) == "miss"
    assert cached(ask(http, "p/small", word, headers=headers, **more)) == "bypass"


@pytest.mark.parametrize("more,headers", [
    ({"cache": {"mode": "refresh"}}, {}), ({}, {"x-relay-cache": "refresh"}),
    ({}, {"cache-control": "no-cache"})])
def test_refresh_stores_the_new_answer(http, sim, word, more, headers):
    ask(http, "p/small", word)
    fresh = ask(http, "p/small", word, headers=headers, **more)
    assert cached(fresh) in ("miss", "bypass") and len(sim.find(word)) == 2
    hit = ask(http, "p/small", word)
    assert cached(hit) == "exact" and len(sim.find(word)) == 2


def test_refresh_replaces(relay, http, sim, word):
    first = ask(http, "p/small", word)
    sim.rules({"match": {"contains": word}, "then": {"text": "the newer answer"}})
    fresh = ask(http, "p/small", word, cache={"mode": "refresh"})
    assert fresh.json()["choices"][0]["message"]["content"] == "the newer answer"
    hit = ask(http, "p/small", word)
    sim.rules()
    assert hit.json()["choices"][0]["message"]["content"] == "the newer answer"
    assert relay.row(hit.headers["x-relay-id"])["source_id"] == fresh.headers["x-relay-id"]
    assert first.headers["x-relay-id"] != fresh.headers["x-relay-id"]


def test_age(http, word):
    ask(http, "p/small", word)
    time.sleep(1.1)
    hit = ask(http, "p/small", word)
    assert cached(hit) == "exact" and int(hit.headers["age"]) >= 1
    assert cached(ask(http, "p/small", word, headers={"cache-control": "max-age=60"})) == "exact"
    assert cached(ask(http, "p/small", word, headers={"cache-control": "max-age=0"})) == "miss"


@pytest.mark.parametrize("more,headers", [({"cache": {"ttl_s": 3}}, {}), ({}, {"x-relay-cache-ttl": "3"})])
def test_ttl(http, word, more, headers):
    assert cached(ask(http, "p/small", word, headers=headers, **more)) == "miss"
    assert cached(ask(http, "p/small", word)) == "exact"
    wait_for(lambda: cached(ask(http, "p/small", word, headers={"x-relay-cache": "exact"})) == "miss")


def test_namespaces_divide(http, word):
    a, b = {"cache": {"namespace": "a"}}, {"cache": {"namespace": "b"}}
    assert cached(ask(http, "p/small", word, **a)) == "miss"
    assert cached(ask(http, "p/small", word, **b)) == "miss"
    assert cached(ask(http, "p/small", word, **a)) == "exact"


def test_cacheable_temperatures(http, word):
    for t in (None, 0, 0.7, 1):
        more = {} if t is None else {"temperature": t}
        ask(http, "p/small", f"{word} {t}", **more)
        assert cached(ask(http, "p/small", f"{word} {t}", **more)) == "exact"


# --- what is not kept

@pytest.mark.parametrize("fault", ["status=500", "status=400", "finish=error"])
def test_failures_are_not_kept(http, sim, word, fault):
    first = ask(http, "p/small", f"{word} [[sim:{fault}]]")
    second = ask(http, "p/small", f"{word} [[sim:{fault}]]")
    assert second.headers.get("x-relay-cache") != "exact"
    assert first.status_code == second.status_code


def test_an_answer_that_the_client_left_is_not_kept_half(relay, http, sim, word):
    text = f"{word} [[sim:events=2000;gap_ms=10]]"
    with http.stream("POST", "/v1/chat/completions", json=chat("p/small", text, stream=True)) as s:
        for _ in s.iter_raw():
            break
        id = s.headers["x-relay-id"]
    assert relay.row(id)["status"] == 499
    assert cached(ask(http, "p/small", text)) == "miss"


def test_a_length_cut_answer(http, word):
    """max_tokens is part of the question, so its answer may be kept."""
    a = ask(http, "p/small", word, max_tokens=3)
    b = ask(http, "p/small", word, max_tokens=3)
    assert cached(b) in ("exact", "miss") and b.json()["choices"][0]["finish_reason"] == "length"
    assert a.json()["choices"][0]["message"]["content"] == b.json()["choices"][0]["message"]["content"]


# --- admissible

def test_a_hit_must_be_admissible(http, word):
    assert ask(http, "auto", word).headers["x-relay-model"] == "small"
    assert cached(ask(http, "auto", word)) == "exact"
    for routing in ({"min_quality": 60}, {"only": ["p/large"]}, {"ignore": ["p/small"]},
                    {"models": ["p/large"]}):
        answer = ask(http, "auto", word, routing=routing, cache={"namespace": ""})
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-relay-model"] == "large", routing
    answer = ask(http, "auto", word, routing={"min_quality": 20})
    assert cached(answer) == "exact"


def test_cached_answers_survive_an_outage_of_every_provider(start, word):
    sim = start.sim()
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    with relay.http(relay.first_key) as c:
        assert ask(c, "auto", word).status_code == 200
        sim.stop()
        for i in range(5):
            assert ask(c, "auto", f"{word} {i}").status_code in (502, 503)
        hit = ask(c, "auto", word)
        assert hit.status_code == 200 and cached(hit) == "exact"
        assert cached(stream(c, "auto", word)[0]) == "exact"


def test_latency_and_money_do_not_matter_for_a_hit(relay, http, word):
    text = f"{word} [[sim:ttft=100]]"
    ask(http, "p/small", text)
    assert cached(ask(http, "p/small", text, routing={"max_latency_ms": 1})) == "exact"


def test_metrics_of_the_cache(relay, http, word):
    before = {k: relay.metric("relay_cache_total", result=k) for k in ("exact", "miss", "bypass")}
    saved = relay.metric("relay_saved_usd_total", kind="cache")
    ask(http, "p/small", word)
    ask(http, "p/small", word)
    ask(http, "p/small", word, cache={"mode": "off"})
    for kind in before:
        assert relay.metric("relay_cache_total", result=kind) == before[kind] + 1
    assert relay.metric("relay_saved_usd_total", kind="cache") > saved


def test_the_cache_is_bounded(start, sim, word):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")],
                         "cache": {"max_entries": 20}})
    with relay.http(relay.first_key) as c:
        for i in range(100):
            ask(c, "p/small", f"{word} {i}")
        assert cached(ask(c, "p/small", f"{word} 99")) == "exact"
        assert cached(ask(c, "p/small", f"{word} 0")) == "miss"


def test_switched_off(start, sim, word):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")],
                         "cache": {"exact": False, "semantic": False}})
    with relay.http(relay.first_key) as c:
        ask(c, "p/small", word)
        assert cached(ask(c, "p/small", word)) in ("bypass", "miss")


# --- shared calls

def _at_once(relay, keys, go):
    """go(client) for each key at the same time: their connections are there before the first begins."""
    ready = threading.Barrier(len(keys))

    def one(key):
        with relay.http(key) as c:
            c.get("/healthz")
            ready.wait()
            return go(c)
    with concurrent.futures.ThreadPoolExecutor(len(keys)) as pool:
        return list(pool.map(one, keys))


def _many(relay, key, text, n):
    return _at_once(relay, [key] * n, lambda c: ask(c, "p/small", text))


def _wait_inflight(relay, count):
    wait_for(lambda: relay.metric("relay_inflight") == count)


def test_identical_requests_share_one_call(relay, key, sim, word):
    answers = _many(relay, key, f"{word} [[sim:ttft=1500]]", 10)
    assert [a.status_code for a in answers] == [200] * 10
    assert len(sim.find(word)) == 1
    assert sorted(cached(a) for a in answers) == ["miss"] + ["shared"] * 9
    assert len({a.json()["id"] for a in answers}) == 10
    assert len({a.json()["choices"][0]["message"]["content"] for a in answers}) == 1
    leader = next(a for a in answers if cached(a) == "miss").headers["x-relay-id"]
    for a in answers:
        row = relay.row(a.headers["x-relay-id"])
        assert row["cache"] == cached(a) and row["latency_ms"] >= 100
        if row["cache"] == "shared":
            assert usd(row["cost_usd"]) == 0 and row["source_id"] == leader


def test_a_shared_call_that_fails(relay, key, sim, word):
    """They go on by themselves."""
    sim.rules({"match": {"contains": word}, "times": 1, "then": {"ttft": 800, "status": 500}})
    answers = _many(relay, key, f"{word} [[sim:ttft=300]]", 5)
    sim.rules()
    statuses = sorted(a.status_code for a in answers)
    assert statuses == [200, 200, 200, 200, 502], statuses


def test_the_leader_leaves(relay, key, sim, word):
    """Its upstream is cancelled only when the last of them has left."""
    text = f"{word} [[sim:ttft=3000]]"
    _wait_inflight(relay, 0)
    leader = socket.create_connection(("127.0.0.1", relay.port))
    leader.sendall(raw_request(key, chat("p/small", text)))
    wait_for(lambda: sim.find(word))
    got = []
    thread = threading.Thread(target=lambda: got.extend(_many(relay, key, text, 3)))
    thread.start()
    _wait_inflight(relay, 4)
    leader.close()
    thread.join()
    assert [a.status_code for a in got] == [200] * 3
    assert len(sim.find(word)) == 1 and sim.find(word)[0]["outcome"] == "complete"


def test_all_leave(relay, key, sim, word):
    sockets = []
    _wait_inflight(relay, 0)
    for i in range(3):
        s = socket.create_connection(("127.0.0.1", relay.port))
        s.sendall(raw_request(key, chat("p/small", f"{word} [[sim:ttft=600000]]")))
        sockets.append(s)
        _wait_inflight(relay, i + 1)
    wait_for(lambda: sim.find(word))
    sockets[0].close()
    time.sleep(0.3)  # long enough for a cancelled call to be seen
    assert [r["outcome"] for r in sim.find(word)] == ["open"]
    for s in sockets[1:]:
        s.close()
    wait_for(lambda: sim.find(word)[0]["outcome"] == "client_closed")


def test_streams_and_other_keys_do_not_share(relay, key, sim, word):
    other = relay.make_key("apart")
    _at_once(relay, [key, other], lambda c: ask(c, "p/small", f"{word} [[sim:ttft=800]]"))
    assert len(sim.find(word)) == 2
    text = f"{word} streams [[sim:ttft=800]]"
    assert _at_once(relay, [key] * 3, lambda c: cached(stream(c, "p/small", text)[0])) == ["miss"] * 3
    assert len(sim.find(word + " streams")) == 3


def forgotten(relay, *args):
    return int(relay.run("cache", "purge", *args).stdout.split()[0])


def test_purging(start, sim, word):
    """One answer, a key's, a group's, by tag, and all: in the file at once, in memory within a second."""
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    keys = {"ann": relay.make_key("ann"), "bob": relay.make_key("bob"), "team": relay.make_key("tim", cache_group="g")}

    def go(who, n=0, **more):
        with relay.http(keys[who]) as client:
            return ask(client, "p/small", f"{word} {n}", **more)

    def written(count):
        wait_for(lambda: json.loads(relay.run("cache", "stats", "--json").stdout)["answers"] == count)

    def until_missed(who, n=0):
        """It is forgotten in memory, too; the miss's answer is kept."""
        wait_for(lambda: cached(go(who, n)) == "miss")

    first = go("ann")
    for n in (1, 2):
        go("ann", n, metadata={"team": "x"})
    go("bob"), go("team")
    written(5)
    assert cached(go("ann")) == "exact"
    assert forgotten(relay, "--entry", first.headers["x-relay-id"]) == 1
    until_missed("ann")
    assert forgotten(relay, "--tag", "team=y") == 0
    assert forgotten(relay, "--tag", "team=x") == 2
    until_missed("ann", 1)
    assert [cached(go("ann", n)) for n in (0, 2)] == ["exact", "miss"]
    assert forgotten(relay, "--key", "bob") == 1
    assert forgotten(relay, "--group", "g") == 1
    until_missed("bob")
    until_missed("team")
    assert relay.run("cache", "purge", "--key", "tim", check=False).returncode == 1
    written(5)
    assert forgotten(relay, "--all") == 5
    until_missed("bob")
    # Without a gateway it works as well.
    written(1)
    relay.stop()
    assert forgotten(relay, "--all") == 1
    relay.start()
    assert cached(go("bob")) == "miss"


def test_a_cache_that_is_off_leaves_no_file(start, sim, word):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    with relay.http(relay.make_key()) as client:
        ask(client, "p/small", word)
    relay.stop()
    assert (relay.data / "relay-cache.db").exists()
    assert word in (relay.data / "relay-cache.db").read_bytes().decode("latin-1")
    relay.configure({"cache": {"exact": False, "semantic": False}})
    relay.start()
    assert not (relay.data / "relay-cache.db").exists()


def test_a_second_gateway_on_the_same_file_caches_in_memory(start, sim, word):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")]})
    other = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/small")],
                         "store": f"sqlite:{relay.data}/relay.db", "journal": {"dir": str(relay.data / "journal-2")}})
    assert "cached answers are in memory only" in other.log()
    with other.http(relay.make_key()) as client:
        assert [cached(ask(client, "p/small", word)) for _ in range(2)] == ["miss", "exact"]
