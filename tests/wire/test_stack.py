"""`make stack`: the served set-up for real, in a temporary folder and on free ports. What goes through
nginx reaches both gateways, which behave as one; one of them is killed; everything is stopped and found again."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import httpx
import openai
import pytest

from support import BIN_DIR, ROOT, SURELY_SECONDS, clean_environment, free_port, wait_for

pytestmark = pytest.mark.once  # a script and the programs that it starts

SCRIPT = ROOT / "scripts/stack.sh"
NAMES = ("balancer", "prometheus", "relay1", "relay2", "sim", "redis", "postgres")


class Stack:
    def __init__(self):
        # Not in pytest's folder: PostgreSQL's user must come through.
        self.top = Path(tempfile.mkdtemp(prefix="relay-stack-"))
        self.top.chmod(0o711)
        self.folder = self.top / "stack"
        self.ports = {name: free_port() for name in NAMES}
        self.env = clean_environment(STACK_DIR=self.folder, RELAY_BIN_DIR=BIN_DIR,
                                     **{f"STACK_{name.upper()}_PORT": port for name, port in self.ports.items()})
        for name in ("RELAY_REDIS_SERVER", "RELAY_POSTGRES_BIN"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def run(self, *args, check=True, **env):
        done = subprocess.run([SCRIPT, *args], capture_output=True, text=True, env={**self.env, **env}, timeout=SURELY_SECONDS * 3)
        assert not check or done.returncode == 0, f"{args}: {done.returncode} {done.stdout} {done.stderr} {self.logs()}"
        return done

    def logs(self):
        return "".join(f"\n== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.folder.glob("logs/*.log"))

    def pids(self):
        return {path.stem: int(path.read_text().split()[0]) for path in self.folder.glob("run/*.pid")}

    def secret(self, name):
        return (self.folder / "secrets" / name).read_text().strip()

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def client(self, key):
        return openai.OpenAI(base_url=self.url("balancer") + "/v1", api_key=key, max_retries=0,
                             http_client=httpx.Client(trust_env=False, timeout=SURELY_SECONDS))

    def get(self, name, path, **params):
        with httpx.Client(trust_env=False, timeout=SURELY_SECONDS) as c:
            return c.get(self.url(name) + path, params=params)

    def answered(self, name):
        """How many chats a gateway has answered with 200."""
        found = re.findall(r'^relay_requests_total\{[^}]*status="200"[^}]*\} (\d+)', self.get(name, "/metrics").text, re.M)
        return sum(map(int, found))

    def rows(self, tag):
        done = self.run("relay", "logs", "--since", "1h", "--limit", "1000", "--json")
        return [row for row in map(json.loads, done.stdout.splitlines()) if (row.get("tags") or {}).get("t") == tag]


@pytest.fixture(scope="module")
def stack():
    s = Stack()
    if (done := s.run("programs", check=False)).returncode != 0:
        shutil.rmtree(s.top)
        pytest.skip(done.stderr.strip())
    yield s
    left = s.pids()
    s.run("stop", check=False)
    shutil.rmtree(s.top, ignore_errors=True)
    assert not left, f"a test left {left} running"


def chat(client, word, tag="stack", **more):
    return client.chat.completions.with_raw_response.create(
        model="sim/small", messages=[{"role": "user", "content": word}], extra_headers={"x-relay-tags": f"t={tag}"}, **more)


def test_the_whole_set_up(stack, word):
    # Tests that run in the background of a shell have Ctrl-C ignored, which bash cannot take back.
    started = subprocess.Popen(["env", "--default-signal=INT", SCRIPT, "start"], env=stack.env,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = ""
        while "To stop:" not in said:
            line = started.stdout.readline()
            assert line, f"{said} {stack.logs()}"
            said += line
        serves(stack, word)
        shares_limits(stack, word)
        is_watched(stack)
        survives_a_gateway(stack, word)
        pids, key = stack.pids(), stack.secret("client-key")
    finally:
        rest = interrupt(started)
    assert started.returncode == 0, rest
    nothing_runs(stack, pids)
    logs = stack.logs()
    assert not re.search(r"ERROR: (Address|Leak)Sanitizer|runtime error:", logs), logs
    finds_its_data_again(stack, key, word)


def interrupt(started):
    """Ctrl-C; what it says until its end. bash loses a SIGINT that comes while it waits for a child which does
    not die of it, as one from a keyboard does: then it is sent again."""
    for _ in range(SURELY_SECONDS):
        started.send_signal(signal.SIGINT)
        try:
            return started.communicate(timeout=5)[0]
        except subprocess.TimeoutExpired:
            pass
    raise AssertionError("it does not stop")


def serves(stack, word):
    ids = set()
    with stack.client(stack.secret("client-key")) as client:
        for n in range(6):
            answer = chat(client, f"{word} plain {n}")
            assert word in answer.parse().choices[0].message.content
            ids.add(answer.headers["x-relay-id"])
        for n in range(2):
            answer = chat(client, f"{word} streamed {n}", stream=True)
            text = "".join(c.choices[0].delta.content or "" for c in answer.parse() if c.choices)
            assert word in text
            ids.add(answer.headers["x-relay-id"])
        with pytest.raises(openai.AuthenticationError):
            chat(client.with_options(api_key="glw_none"), word)
    wait_for(lambda: {row["id"] for row in stack.rows("stack")} == ids, why=stack.logs)
    for name in ("relay1", "relay2"):
        wait_for(lambda: "trouble" not in (ready := stack.get(name, "/readyz").json()) and
                 (ready["store"], ready["shared"]) == ("reachable", "reachable"), why=stack.logs)
    assert stack.answered("relay1") > 0 and stack.answered("relay2") > 0
    assert stack.get("balancer", "/metrics").status_code == 404


def shares_limits(stack, word):
    """Whichever gateway a request goes to, one is fewer left. A Redis that is late for once, on a busy machine,
    has each gateway admit its share of the limit; then it is tried again."""
    def counted():
        key = stack.run("relay", "keys", "create", "--name", f"limited-{word}", "--rpm", "6").stdout.strip()
        left = []
        with stack.client(key) as client:
            for n in range(12):
                try:
                    left.append(chat(client, f"{word} limited {n}", "limited").headers["x-ratelimit-remaining-requests"])
                except openai.RateLimitError:
                    left.append("refused")
        return left
    wait_for(lambda: counted() == ["5", "4", "3", "2", "1", "0"] + ["refused"] * 6, why=stack.logs)


def is_watched(stack):
    def value(query):
        found = stack.get("prometheus", "/api/v1/query", query=query).json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None
    wait_for(lambda: value('sum(up{job="relay"})') == 2, why=stack.logs)
    rules = stack.get("prometheus", "/api/v1/rules").json()["data"]["groups"]
    assert [group["name"] for group in rules] == ["relay"] and len(rules[0]["rules"]) >= 5


def survives_a_gateway(stack, word):
    os.kill(stack.pids()["relay1"], signal.SIGKILL)
    wait_for(lambda: not is_open(stack.ports["relay1"]))
    with stack.client(stack.secret("client-key")) as client:
        for n in range(6):
            assert word in chat(client.with_options(max_retries=2), f"{word} on {n}").parse().choices[0].message.content
    done = stack.run("status", check=False)
    assert done.returncode == 1 and re.search(r"^relay1 +is down", done.stdout, re.M), done.stdout


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def nothing_runs(stack, pids):
    assert set(pids) == set(NAMES)
    assert not [name for name, pid in pids.items() if is_running(pid)]
    assert not [name for name, port in stack.ports.items() if is_open(port)]


def finds_its_data_again(stack, key, word):
    stack.run("start", "--detach")
    again = stack.run("start", check=False)
    assert again.returncode == 1 and "runs already" in again.stderr
    pids = stack.pids()
    assert stack.secret("client-key") == key
    with stack.client(key) as client:
        chat(client, f"{word} again")
    wait_for(lambda: len(stack.rows("stack")) == 8 + 6 + 1, why=stack.logs)
    stack.run("stop")
    nothing_runs(stack, pids)


def test_secrets_are_for_their_owner(stack):
    for path in (stack.folder / "secrets").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert (stack.folder / "secrets").stat().st_mode & 0o077 == 0


def test_a_port_that_is_taken_is_named(stack):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        done = stack.run("start", "--detach", check=False, STACK_REDIS_PORT=str(port))
    assert done.returncode == 1
    assert f"port {port} for redis is taken" in done.stderr and "STACK_REDIS_PORT" in done.stderr
    assert stack.pids() == {}


def test_only_what_was_started_here_is_stopped(stack):
    """A number that now belongs to somebody else's process is left alone."""
    other = subprocess.Popen(["sleep", "600"])
    try:
        (stack.folder / "run").mkdir(parents=True, exist_ok=True)
        (stack.folder / "run/relay1.pid").write_text(f"{other.pid}\n12345\n")
        stack.run("stop")
        assert other.poll() is None
        assert stack.pids() == {}
    finally:
        other.kill()
        other.wait()
