"""The newcomer's way: no file, no keys, nothing installed. `relay serve --demo` is what `make run` starts."""

import json
import os
import re
import signal
import subprocess

import httpx
from openai import OpenAI

from support import RELAY_BIN, SURELY_SECONDS, Process, clean_environment, free_port, wait_for


CURL = r"  (curl -N .*(?:\n    .*)*)"


def is_gone(pid):
    """A child of nobody may stay a zombie where no init collects it."""
    try:
        return " Z " in open(f"/proc/{pid}/stat").read()
    except OSError:
        return True


class Demo(Process):
    def __init__(self, folder, *args, **env):
        self.folder = folder
        self.port = free_port()
        super().__init__([RELAY_BIN, "serve", "--listen", f"127.0.0.1:{self.port}", *args],
                         folder / "demo.log", env=clean_environment(**env), cwd=folder)

    def ready(self):
        assert self.is_running(), self.log()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


def child_of(pid):
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                return int(entry)
    return None


def test_the_first_ten_minutes(tmp_path):
    demo = Demo(tmp_path, "--demo")
    try:
        wait_for(demo.ready, why=demo.log)
        banner = wait_for(lambda: (lambda text: text if re.search(CURL + "\n\n", text) else None)(demo.log()))
        assert re.search(r"(?i)no provider was found", banner)
        assert f"127.0.0.1:{demo.port}" in banner
        key_path = tmp_path / "data" / "first-key"
        assert str(key_path.name) in banner
        key = key_path.read_text().strip()
        assert key not in banner

        client = OpenAI(base_url=f"http://127.0.0.1:{demo.port}/v1", api_key=key)
        res = client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "ship it"}],
            extra_body={"routing": {"max_latency_ms": 600}})
        assert "ship it" in res.choices[0].message.content
        text = ""
        for chunk in client.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": "ship it again"}], stream=True,
                extra_body={"routing": {"max_latency_ms": 600}}):
            text += chunk.choices[0].delta.content or ""
        assert "ship it again" in text

        # The curl line as it is printed, by a shell.
        line = re.search(CURL, banner)[1]
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=20,
                              env=clean_environment())
        assert done.stdout.rstrip().endswith("data: [DONE]"), done

        sim = child_of(demo.pid)
        assert sim, "no relay-sim runs beside it"
        assert demo.stop() == 0
        wait_for(lambda: is_gone(sim), why="relay-sim outlived relay")

        again = Demo(tmp_path, "--demo")
        try:
            wait_for(again.ready, why=again.log)
            assert key_path.read_text().strip() == key
            done = subprocess.run([RELAY_BIN, "logs", "--json", "--since", "1h"], cwd=tmp_path, capture_output=True,
                                  text=True, timeout=SURELY_SECONDS, env=clean_environment())
            assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == [200] * 3, done.stdout
            sim = child_of(again.pid)
            again.signal(signal.SIGKILL)
            again.process.wait()
            wait_for(lambda: is_gone(sim), why="relay-sim outlived a killed relay")
        finally:
            again.stop()
    finally:
        demo.stop()


def test_without_demo_it_says_what_to_do(tmp_path):
    plain = Demo(tmp_path)
    try:
        wait_for(plain.ready, why=plain.log)
        assert "GROQ_API_KEY" in wait_for(lambda: plain.log())
        assert child_of(plain.pid) is None
    finally:
        assert plain.stop() == 0


def test_a_provider_in_the_environment_is_used(tmp_path):
    """With a key in the environment nothing stands in."""
    demo = Demo(tmp_path, "--demo", GROQ_API_KEY="gsk_test_0123456789")
    try:
        wait_for(demo.ready, why=demo.log)
        assert child_of(demo.pid) is None
        assert "groq" in demo.log() and "gsk_test" not in demo.log()
        key = (tmp_path / "data" / "first-key").read_text().strip()
        models = httpx.get(f"http://127.0.0.1:{demo.port}/v1/models", trust_env=False,
                           headers={"authorization": f"Bearer {key}"}).json()["data"]
        assert len(models) > 5 and all(m["owned_by"] == "groq" for m in models)
    finally:
        assert demo.stop() == 0


def test_it_stands_in_beside_providers_without_keys(tmp_path):
    """The file of the package, of which nothing has been filled in."""
    (tmp_path / "relay.yaml").write_text(
        "providers:\n  groq: {api_key: \"${GROQ_API_KEY}\"}\nmodels:\n"
        "  - {id: groq/own, input: 1, output: 1, quality: 50, context: 8192, max_output: 1024}\n")
    demo = Demo(tmp_path, "--demo")
    try:
        wait_for(demo.ready, why=demo.log)
        key = (tmp_path / "data" / "first-key").read_text().strip()
        with OpenAI(base_url=f"http://127.0.0.1:{demo.port}/v1", api_key=key, max_retries=0,
                    http_client=httpx.Client(trust_env=False)) as client:
            answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content
        # A key in the file, read again: nothing stands in any more.
        (tmp_path / "relay.yaml").write_text("providers:\n  groq: {api_key: gsk_test_0123456789}\n")
        os.kill(demo.pid, signal.SIGHUP)
        headers = {"authorization": f"Bearer {key}"}
        url = f"http://127.0.0.1:{demo.port}/v1/models"
        wait_for(lambda: {m["owned_by"] for m in httpx.get(url, trust_env=False, headers=headers).json()["data"]}
                 == {"groq"}, why=demo.log)
    finally:
        assert demo.stop() == 0
