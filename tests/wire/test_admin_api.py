"""The admin API: who is let in, what each call answers, and what hostile callers get."""

import contextlib
import json
import re

import pytest

from openapi import Description
from support import (ROOT, ask, error_of, free_port, model, provider, raw_exchange, wait_for)

BASE = "/admin/v1/"
# Marks of a page, a query and a path.
NAME = "<script>alert('1')</script> & \"ключ\" %_ ../"


@pytest.fixture(scope="module")
def world(start_once):
    """A gateway with some traffic, and its description of itself."""
    sim = start_once.sim()
    relay = start_once.relay({"providers": {"p": provider(sim)},
                              "models": [model("p/m", input=1, output=2), model("p/dear", input=5, output=9)]})
    relay.sim = sim
    with relay.http(relay.first_key) as c:
        for i in range(4):
            assert ask(c, "p/m", f"question {i}").status_code == 200
        assert ask(c, "p/m", "question 0").headers["x-relay-cache"] == "exact"
        assert ask(c, "p/none").status_code in (404, 502, 400, 200)
    return relay


@pytest.fixture(scope="module")
def admin(world):
    with world.http(world.admin_key) as c:
        c.base_url = world.url + BASE
        yield c


@pytest.fixture(scope="module")
def described(admin):
    return Description(admin.get("openapi.json").json())


def told(described, admin, method, path, status=200, at=None, **kw):
    """One call, checked against the description."""
    answer = admin.request(method, at or path.lstrip("/"), **kw)
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return described.check(method, path, answer)


# --- who is let in

def test_nothing_is_told_to_who_is_not_signed_in(world, described):
    """Reference 8: every call but signing in needs the admin key or a session."""
    with world.http() as c:
        for method, path in sorted(described.operations()):
            if (method, path) == ("POST", "/session"):
                continue
            answer = c.request(method, BASE + path.lstrip("/").replace("{id}", "x"))
            assert answer.status_code == 401, (method, path, answer.text)
            error_of(answer, 401, "missing_admin_key")
        # Nor which paths there are.
        error_of(c.get(BASE + "nothing"), 401, "missing_admin_key")


def test_each_key_opens_its_own_side_only(world):
    with world.http(world.first_key) as c:
        error_of(c.get(BASE + "keys"), 401, "invalid_admin_key")
    with world.http(world.admin_key) as c:
        error_of(ask(c, "p/m"), 401, "invalid_api_key")
        error_of(c.get(BASE + "nothing"), 404, "not_found")
        error_of(c.put(BASE + "keys"), 405, "method_not_allowed")
        assert c.put(BASE + "keys").headers["allow"] == "GET, POST"


def sign_in(world, **body):
    c = world.http()
    c.base_url = world.url + BASE
    answer = c.post("session", json=body)
    return c, answer


def test_a_session_needs_its_token_for_changes(world, described):
    c, answer = sign_in(world, key=world.admin_key)
    with contextlib.closing(c):
        assert answer.status_code == 200, answer.text
        session = described.check("POST", "/session", answer)
        cookie = answer.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/admin/v1"):
            assert part in cookie
        assert "Secure" not in cookie  # over plain HTTP a browser would not send it back
        assert c.get("session").json() == session
        assert c.get("keys").status_code == 200
        error_of(c.post("keys", json={"name": "no"}), 403, "csrf")
        error_of(c.post("keys", json={"name": "no"}, headers={"x-relay-csrf": "0" * 64}), 403, "csrf")
        mine = {"x-relay-csrf": session["csrf"]}
        error_of(c.post("keys", json={"name": "no"}, headers={**mine, "origin": "http://evil.example"}),
                 403, "csrf")
        good = {**mine, "origin": world.url}
        assert c.post("keys", json={"name": "made in a session"}, headers=good).status_code == 201
        kept = c.cookies["relay_session"]
        assert c.delete("session", headers=mine).status_code == 204
        # The cookie is gone, and worth nothing to who kept it.
        error_of(c.get("keys"), 401, "missing_admin_key")
        error_of(c.get("keys", headers={"cookie": f"relay_session={kept}"}), 401, "missing_admin_key")


def test_a_changed_cookie_is_none(world):
    c, answer = sign_in(world, key=world.admin_key)
    with contextlib.closing(c):
        value = c.cookies["relay_session"]
        c.cookies.clear()
        flipped = value[:-1] + ("0" if value[-1] != "0" else "1")
        longer = value[:64] + "f" + value[65:]
        for bad in (flipped, longer, value[:-2], value + "00", "", "x" * len(value)):
            error_of(c.get("keys", headers={"cookie": f"relay_session={bad}"}), 401, "missing_admin_key")
        assert c.get("keys", headers={"cookie": f"a=b; relay_session={value}; c=d"}).status_code == 200


def test_an_address_of_the_command_line_signs_in_once(world):
    address = world.run("dashboard").stdout.strip()
    found = re.fullmatch(re.escape(world.url) + r"/#/enter\?token=([0-9a-f]+)", address)
    assert found, address
    c, answer = sign_in(world, token=found[1])
    c.close()
    assert answer.status_code == 200, answer.text
    c, again = sign_in(world, token=found[1])
    c.close()
    error_of(again, 401, "invalid_token")


def test_a_restart_forgets_who_signed_out(start, sim):
    """The key that seals sessions stays: one that was signed out is a session again until its time is over."""
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]})
    token = re.search(r"token=([0-9a-f]+)", relay.run("dashboard").stdout)[1]
    c, answer = sign_in(relay, token=token)
    with contextlib.closing(c):
        cookie = answer.headers["set-cookie"].partition(";")[0]
        assert c.delete("session", headers={"x-relay-csrf": answer.json()["csrf"]}).status_code == 204
    with relay.http() as c:
        c.headers["cookie"] = cookie
        error_of(c.get(BASE + "session"), 401, "missing_admin_key")
    assert relay.stop() == 0
    relay.start()
    with relay.http() as c:
        c.headers["cookie"] = cookie
        assert c.get(BASE + "session").status_code == 200
    c, answer = sign_in(relay, token=token)
    c.close()
    assert answer.status_code == 200, answer.text


def test_wrong_keys_are_counted(start, sim):
    """A gateway of its own: what is refused here is refused for a minute."""
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]})
    with relay.http() as c:
        codes = [c.post(BASE + "session", json={"key": f"gla_wrong{i}"}).json()["error"]["code"]
                 for i in range(30)]
        assert codes[0] == "invalid_admin_key" and codes[-1] == "too_many_tries"
        late = c.post(BASE + "session", json={"key": relay.admin_key})
        if error_of(late, 429, "too_many_tries"):
            assert int(late.headers["retry-after"]) > 0


def test_signing_in_takes_one_of_two(world):
    with world.http() as c:
        for body in ({}, {"key": "a", "token": "b"}, {"key": 7}, {"token": None}):
            error_of(c.post(BASE + "session", json=body), 400, "invalid_request")
        error_of(c.post(BASE + "session", content=b"{"), 400, "invalid_json")
        error_of(c.post(BASE + "session", content=b"[1]"), 400, "invalid_request")
        error_of(c.post(BASE + "session", content=b" " * 100_000), 413, "body_too_large")


def test_a_rebound_name_is_told_nothing(world):
    """Reference 8: on a loopback address only a loopback Host."""
    for path in ("/admin/v1/keys", "/admin/v1/session", "/", "/metrics"):
        head = f"GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n" \
               f"Authorization: Bearer {world.admin_key}\r\n\r\n"
        answer, _ = raw_exchange(world.port, head.encode())
        assert answer.startswith(b"HTTP/1.1 403"), answer[:200]
    with world.http(world.admin_key) as c:
        for host in ("localhost", f"127.0.0.1:{world.port}", "[::1]:80"):
            assert c.get(BASE + "cache", headers={"host": host}).status_code == 200


def test_an_address_of_its_own(start, sim):
    port = free_port()
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")],
                         "admin": {"listen": f"127.0.0.1:{port}", "key": "a-configured-admin-key"}})
    with relay.http("a-configured-admin-key") as c:
        error_of(c.get(BASE + "keys"), 404, "not_found")
        c.base_url = f"http://127.0.0.1:{port}"
        assert c.get(BASE + "keys").status_code == 200
        error_of(ask(c, "p/m"), 404, "not_found")
    assert relay.run("dashboard").stdout.startswith(f"http://127.0.0.1:{port}/#/enter?token=")


def test_each_file_of_the_pages_says_what_it_is(world):
    types = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
             ".woff2": "font/woff2", ".md": "text/plain", ".txt": "text/plain"}
    dist = ROOT / "web/dist"
    with world.http() as c:
        for file in (f for f in dist.rglob("*") if f.is_file()):
            answer = c.get("/" + str(file.relative_to(dist)))
            assert answer.content == file.read_bytes()
            assert answer.headers["content-type"].split(";")[0] == types[file.suffix], file


def test_the_pages_are_part_of_the_program(world):
    with world.http() as c:
        page = c.get("/")
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
        assert page.headers["cache-control"] == "no-cache"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        files = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
        assert any(f.endswith(".js") for f in files), files
        for file in files:
            small = c.get(file, headers={"accept-encoding": "gzip"})
            plain = c.get(file, headers={"accept-encoding": "gzip;q=0, br"})
            assert small.status_code == plain.status_code == 200 and small.content == plain.content
            assert small.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
            assert ("immutable" in small.headers["cache-control"]) == file.startswith("/assets/")
            assert small.headers["content-security-policy"] == policy
        assert c.head("/").status_code == 200 and c.head("/").content == b""
        for path in ("/assets/", "/assets/%2e%2e/index.html", "/index.htm", "/assets/nothing.js", "/data/admin-key"):
            error_of(c.get(path), 404, "not_found")
        error_of(c.post("/", json={}), 404, "not_found")


# --- keys

def test_keys_are_made_changed_and_revoked(world, admin, described):
    draft = {"name": NAME, "rpm": 7, "tpm": None, "budget_usd": "12.50", "budget_period": "month",
             "models": ["p/m"], "cache_group": "g", "tags": {"team": NAME},
             "expires_at": "2099-01-01T00:00:00Z"}
    made = told(described, admin, "POST", "/keys", 201, json=draft)
    assert re.fullmatch(r"glw_[0-9A-Za-z]{40}", made["key"]) and made["tag"] == made["key"][:8]
    assert (made["name"], made["rpm"], made["tpm"], made["budget_usd"]) == (NAME, 7, None, "12.5")
    with world.http(made["key"]) as c:  # it works at once
        assert ask(c, "p/m", "by the new key").status_code == 200
        error_of(ask(c, "p/dear"), 403, "model_not_allowed")
    at = f"keys/{made['id']}"
    changed = told(described, admin, "PATCH", "/keys/{id}", at=at,
                   json={"rpm": None, "models": [], "budget_usd": None, "cache_group": None})
    assert (changed["rpm"], changed["models"], changed["budget_period"], changed["cache_group"]) == \
        (None, [], None, None)
    assert changed["name"] == NAME and changed["tags"] == {"team": NAME}
    assert changed["expires_at"].startswith("2099-01-01T00:00:00")
    with world.http(made["key"]) as c:
        wait_for(lambda: ask(c, "p/dear").status_code == 200)
        revoked = told(described, admin, "DELETE", "/keys/{id}", at=at)
        assert revoked["revoked_at"]
        wait_for(lambda: ask(c, "p/m").status_code == 401)
    assert "key" not in changed and made["key"] not in admin.get("keys").text


def test_keys_are_listed_page_by_page(admin, described):
    ids = [told(described, admin, "POST", "/keys", 201, json={"name": f"Page {i}"})["id"] for i in range(5)]
    seen, after = [], None
    while True:
        page = told(described, admin, "GET", "/keys",
                    params={"limit": 2, "q": "pAGE", **({"after": after} if after else {})})
        seen += [k["id"] for k in page["keys"]]
        after = page["next"]
        if not after:
            break
    assert seen == ids[::-1]
    assert [k["id"] for k in told(described, admin, "GET", "/keys", params={"id": ids[2]})["keys"]] == [ids[2]]
    told(described, admin, "DELETE", "/keys/{id}", at=f"keys/{ids[0]}")
    states = {s: [k["id"] for k in told(described, admin, "GET", "/keys",
                                        params={"state": s, "q": "page"})["keys"]]
              for s in ("active", "revoked", "expired")}
    assert states == {"active": ids[:0:-1], "revoked": [ids[0]], "expired": []}


def test_the_command_line_lists_the_same(world, admin):
    assert json.loads(world.run("keys", "list", "--json").stdout)["keys"] == \
        admin.get("keys", params={"limit": 200}).json()["keys"]


@pytest.mark.parametrize("draft, param", [
    ({}, "name"), ({"name": ""}, "name"), ({"name": "x" * 129}, "name"), ({"name": "a\nb"}, "name"),
    ({"name": 7}, "name"), ({"name": "x", "rpm": -1}, "rpm"), ({"name": "x", "tpm": "9"}, "tpm"),
    ({"name": "x", "rpm": 1.5}, "rpm"), ({"name": "x", "rpm": 10**15}, "rpm"),
    ({"name": "x", "budget_usd": 5}, "budget_usd"), ({"name": "x", "budget_usd": "-1"}, "budget_usd"),
    ({"name": "x", "budget_usd": "5"}, "budget_period"),
    ({"name": "x", "budget_usd": "5", "budget_period": "week"}, "budget_period"),
    ({"name": "x", "models": "p/m"}, "models"), ({"name": "x", "models": [7]}, "models"),
    ({"name": "x", "models": ["m"] * 257}, "models"), ({"name": "x", "tags": {"a": 1}}, "tags"),
    ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
    ({"name": "x", "expires_at": "soon"}, "expires_at"), ({"name": "x", "cache_group": "a" * 200}, "cache_group"),
    ({"name": "x", "key": "glw_mine"}, "key"),
])
def test_a_draft_that_is_refused_names_the_setting(admin, draft, param):
    error = error_of(admin.post("keys", json=draft), 400, "invalid_request")
    assert error["param"] == param, error


def test_ids_that_are_none(admin):
    other = "01a20948-976d-7261-945c-0c205d8afd57"
    for id in ("x", "..%2f..", "0", "%00", "%ff", other + "0", "' OR 1=1 --", other):
        for method, path in (("PATCH", "keys/"), ("DELETE", "keys/")):
            error_of(admin.request(method, path + id, json={}), 404, "not_found")
    for id in ("x", "%20"):
        error_of(admin.delete("cache/entries/" + id), 404, "not_found")
    assert admin.delete("cache/entries/" + other).json() == {"purged": 0}


@pytest.mark.parametrize("query, param", [
    ("limit=0", "limit"), ("limit=201", "limit"), ("limit=-1", "limit"), ("limit=1e3", "limit"),
    ("limit=99999999999999999999", "limit"), ("after=x", "after"), ("id=%27", "id"), ("state=any", "state"),
    ("nothing=1", "nothing"), ("limit=1&limit=2", None), ("q=%ff", None), ("q=%", None), ("q=%00", None),
    ("&".join(f"p{i}=1" for i in range(40)), None),
])
def test_a_query_that_is_refused_names_the_parameter(admin, query, param):
    error = error_of(admin.get("keys?" + query), 400, "invalid_request")
    assert error["param"] == param, error


# --- models, dry runs, the cache, the configuration

def test_models_have_latency_and_health(world, admin, described):
    wait_for(lambda: len(world.rows("model = 'm'")) >= 5)
    found = told(described, admin, "GET", "/models")
    by_id = {m["id"]: m for m in found["models"]}
    assert by_id["p/m"]["requests"] >= 4 and by_id["p/m"]["latency_ms"]["p50"] > 0
    assert (by_id["p/m"]["health"], by_id["p/dear"]["prices_usd_per_million"]["input"]) == ("up", "5")
    assert [(p["name"], p["kind"], p["health"]) for p in found["providers"]
            if p["models"]] == [("p", "openai", "up")]


def test_a_dry_run(world, admin, described):
    answer = told(described, admin, "POST", "/route", json={"prompt": "hello", "stream": False})
    assert [c["model"] for c in answer["candidates"]][:2] == ["p/m", "p/dear"]
    assert answer["model"] == "auto" and answer["stream"] is False and answer["measured"] > 0
    told(described, admin, "POST", "/route", json={})
    key = admin.post("keys", json={"name": "narrow", "models": ["p/dear"]}).json()["id"]
    narrow = told(described, admin, "POST", "/route", json={"prompt_tokens": 9, "key": key})
    assert [c["model"] for c in narrow["candidates"]] == ["p/dear"] and narrow["refused"]
    missing = told(described, admin, "POST", "/route", 404, json={"model": "p-m"})
    assert missing["error"]["code"] == "model_not_found"
    none = told(described, admin, "POST", "/route", 503, json={"prompt_tokens": 99_000_000, "key": key})
    assert none["error"]["code"] == "no_model_available" and "context" in none["error"]["message"]
    for body, param in (({"prompt": 1}, "prompt"), ({"min_quality": 101}, "min_quality"),
                        ({"max_latency_ms": -1}, "max_latency_ms"), ({"stream": "yes"}, "stream"),
                        ({"prompt_tokens": -1}, "prompt_tokens"), ({"max_cost_usd": "x"}, "max_cost_usd"),
                        ({"key": "x"}, "key"), ({"model": ""}, "model")):
        assert error_of(admin.post("route", json=body), 400, "invalid_request")["param"] == param


def test_the_cache_is_shown_and_purged(world, admin, described):
    state = told(described, admin, "GET", "/cache")
    assert state["answers"] >= 4 and state["results"]["exact"] >= 1 and state["bytes"] > 0
    with world.http(world.first_key) as c:
        first = ask(c, "p/m", "to be forgotten", headers={"x-relay-tags": "team=blue"})
        hit = ask(c, "p/m", "to be forgotten")
        assert hit.headers["x-relay-cache"] == "exact"
        at = "cache/entries/" + first.headers["x-relay-id"]
        assert told(described, admin, "DELETE", "/cache/entries/{id}", at=at) == {"purged": 1}
        assert ask(c, "p/m", "to be forgotten").headers["x-relay-cache"] == "miss"
        ask(c, "p/m", "tagged", headers={"x-relay-tags": "team=blue"})
        assert told(described, admin, "DELETE", "/cache", params={"tag": "team=blue"}) == {"purged": 1}
        owner = world.key_id(world.first_key)
        assert told(described, admin, "DELETE", "/cache", params={"scope": f"key:{owner}"})["purged"] >= 4
        assert told(described, admin, "DELETE", "/cache", params={"scope": "group:" + NAME}) == {"purged": 0}
        assert told(described, admin, "DELETE", "/cache", params={"scope": "all"})["purged"] >= 0
    for query in ("", "scope=", "scope=key:", "scope=key:x", "scope=some", "tag=", "tag=x", "tag=%3Dx",
                  "scope=all&tag=a%3Db"):
        error_of(admin.delete("cache?" + query), 400, "invalid_request")


def test_the_configuration_has_no_secrets(start, sim):
    relay = start.relay({"providers": {"p": provider(sim, api_key="a-secret-of-the-provider")},
                         "models": [model("p/m")], "admin": {"key": "a-secret-of-the-admin"}})
    with relay.http("a-secret-of-the-admin") as c:
        document = Description(c.get(BASE + "openapi.json").json())
        answer = c.get(BASE + "config")
        found = document.check("GET", "/config", answer)
        assert "a-secret" not in answer.text
        assert found["file"] == str(relay.config_path) and "providers" in found["yaml"]
        assert found["status"]["client_url"] == relay.url
        assert (found["status"]["store_state"], found["status"]["shared_state"]) == ("reachable", "memory")
        relay.configure({"targets": {"min_quality": 12}})
        done = c.post(BASE + "config/reload", json={})
        assert document.check("POST", "/config/reload", done)["loaded_at"] > found["loaded_at"]
        assert "min_quality: 12" in c.get(BASE + "config").json()["yaml"]
        relay.configure({"targets": {"min_quality": 1000}})
        error = error_of(c.post(BASE + "config/reload"), 422, "invalid_config")
        assert "min_quality" in error["message"]
        assert "min_quality: 12" in c.get(BASE + "config").json()["yaml"]
        relay.configure({"targets": {"min_quality": 12}, "server": {"workers": 1}})
        assert "restart" in error_of(c.post(BASE + "config/reload"), 422, "invalid_config")["message"]


def test_a_store_that_is_away(start, sim):
    relay = start.relay({"providers": {"p": provider(sim)}, "models": [model("p/m")]})
    with relay.http(relay.admin_key) as c:
        assert c.get(BASE + "keys").status_code == 200
        (relay.data / "relay.db").rename(relay.data / "away.db")
        for answer in (c.get(BASE + "keys"), c.get(BASE + "models"), c.post(BASE + "keys", json={"name": "x"})):
            error_of(answer, 503, "store_away")
            assert int(answer.headers["retry-after"]) > 0
        assert c.get(BASE + "config").status_code == 200
        wait_for(lambda: c.get(BASE + "config").json()["status"]["store_state"] == "away")
        (relay.data / "away.db").rename(relay.data / "relay.db")
        wait_for(lambda: c.get(BASE + "keys").status_code == 200)


def test_clients_that_leave_before_their_answer(world):
    """Their calls end without an answer, and without harm."""
    for path in ("keys", "models", "cache"):
        for _ in range(10):
            head = f"GET {BASE}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n" \
                   f"Authorization: Bearer {world.admin_key}\r\n\r\n"
            raw_exchange(world.port, head.encode(), seconds=0.001)
    with world.http(world.admin_key) as c:
        assert c.get(BASE + "keys").status_code == 200
