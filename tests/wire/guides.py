"""The fenced blocks of a page of the documentation, and what it takes for each to be true.

What a block's language asks for:

    sh        runs as one script, which must succeed
    console   the lines behind `$ ` run one after the other, on a terminal of 120 columns; what follows each
              is what it prints. `…` stands for anything, alone in a line for any number of lines
    python    runs; `js` too, where Node.js and its packages are there
    yaml      Relay takes it as its configuration. What it lacks of providers is put before it
    json      is JSON
    text, c   nothing: what somebody else says, output out of its place
    diff      nothing here: scripts/try_examples.py applies it

All blocks of a page run in its order, in one folder of its own, before a gateway that was started there with
--demo; it listens where the page says 127.0.0.1:8080. A block that cannot run says so in the line above it:
<!-- not run: reason -->. A block without a language is a mistake."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

import support as wire
from terminal import Terminal

LANGUAGES = {"sh", "console", "python", "js", "yaml", "json", "text", "c", "diff"}
COLUMNS = 120
BASE = """\
providers:
  groq: {api_key: x}
  openai: {api_key: x}
  my-vllm: {kind: openai, base_url: "http://10.0.0.7:8000/v1"}
"""
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.M | re.S)
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*$")


class Block:
    def __init__(self, page, text, match):
        self.page = page
        self.line = text[:match.start()].count("\n") + 1
        self.language = match["language"]
        indent = len(match["indent"])
        self.body = "\n".join(line[indent:] for line in match["body"].split("\n"))
        reason = NOT_RUN.search(text[:match.start()])
        self.not_run = reason and reason[1]

    def __str__(self):
        return f"{self.page.relative_to(wire.ROOT)}:{self.line}"


def pages():
    return [wire.ROOT / "README.md", *sorted((wire.ROOT / "docs" / "guides").glob("*.md"))]


def blocks_of(page):
    text = page.read_text()
    return [Block(page, text, match) for match in FENCE.finditer(text)]


def expected_pattern(lines):
    """A regular expression for what a command prints: blanks count as blanks, however many, since columns are
    as wide as their widest text."""
    out = []
    for line in lines:
        if line.strip() == "…":
            out.append(r"(?:.*\n)*?")
            continue
        parts = [r" +".join(re.escape(word) for word in re.split(r" +", part)) for part in line.rstrip().split("…")]
        out.append(r".*".join(parts) + r" *\n")
    return "".join(out)


def commands_of(body):
    """(command, the lines that follow it) of a console block; a line that ends in a backslash goes on."""
    found = []
    continued = False
    for line in body.rstrip("\n").split("\n"):
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif continued:
            found[-1] = (found[-1][0] + "\n" + line, [])
        else:
            found[-1][1].append(line)
        continued = line.endswith("\\") and not found[-1][1]
    return found


class Runner:
    """Runs a page's blocks in a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.gateway = None
        self.groups = []  # sessions that blocks have begun
        self.ports = {}
        (self.folder / "build").mkdir()
        for name, program in (("relay", wire.RELAY_BIN), ("relay-sim", wire.SIM_BIN)):
            (self.folder / "build" / name).symlink_to(Path(program).resolve())
        for name in ("relay.example.yaml", "deploy"):
            (self.folder / name).symlink_to(wire.ROOT / name)
        self.env = wire.clean_environment(
            PATH=f"{self.folder / 'build'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            PYTHONDONTWRITEBYTECODE="1", NO_COLOR="1", RELAY_ROUTING_EXPLORE="0")

    def _start(self):
        port = self._port("8080")
        self.gateway = wire.Process([wire.RELAY_BIN, "serve", "--demo", "--listen", f"127.0.0.1:{port}"],
                                    self.folder / "gateway.log", env=self.env, cwd=self.folder)

        def is_ready():
            assert self.gateway.is_running(), self.gateway.log()
            try:
                with httpx.Client(trust_env=False) as client:
                    return client.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
            except httpx.TransportError:
                return False
        wire.wait_for(is_ready, why=self.gateway.log)

    def stop(self):
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.gateway is not None:
            assert self.gateway.stop() == 0, self.gateway.log()

    def _port(self, written):
        if written not in self.ports:
            self.ports[written] = str(wire.free_port())
        return self.ports[written]

    def _here(self, text):
        """The page's addresses are ports that are free on this machine."""
        return re.sub(r"\b(?:127\.0\.0\.1|localhost):(8080|9100)\b",
                      lambda m: f"127.0.0.1:{self._port(m[1])}", text)

    def _run(self, block, command, suffix):
        path = self.folder / f"block{block.line}{suffix}"
        path.write_text(self._here(block.body))
        out = self.folder / f"block{block.line}.out"
        with open(out, "w") as file:
            process = subprocess.Popen([*command, str(path)], cwd=self.folder, env=self.env, stdout=file,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        self.groups.append(process.pid)
        code = process.wait(wire.SURELY_SECONDS)
        assert code == 0, f"{block} ended with {code}:\n{out.read_text()}"

    def run(self, block):
        assert block.language in LANGUAGES, f"{block}: {block.language or 'no language'}; one of {sorted(LANGUAGES)}"
        if block.not_run or block.language in ("text", "c", "diff"):
            return
        if block.language in ("sh", "console", "python", "js") and self.gateway is None:
            self._start()
        getattr(self, f"_run_{block.language}")(block)

    def _run_sh(self, block):
        self._run(block, ["bash", "-euo", "pipefail"], ".sh")

    def _run_python(self, block):
        self._run(block, [sys.executable], ".py")

    def _run_js(self, block):
        node, packages = os.environ.get("RELAY_NODE"), os.environ.get("RELAY_NODE_DIR")
        if node and packages:
            modules = self.folder / "node_modules"
            if not modules.exists():
                modules.symlink_to(Path(packages) / "node_modules")
            self._run(block, [node], ".mjs")

    def _run_json(self, block):
        json.loads(block.body)

    def _run_yaml(self, block):
        path = self.folder / f"block{block.line}.yaml"
        path.write_text(("" if re.search(r"^providers:", block.body, re.M) else BASE) + block.body)
        names = {name: "x" * 16 for name in re.findall(r"\$\{(\w+)\}", block.body)}
        done = subprocess.run([wire.RELAY_BIN, "check", "--print", "--config", str(path)], cwd=self.folder,
                              env={**self.env, **names}, capture_output=True, text=True, timeout=wire.SURELY_SECONDS)
        assert done.returncode == 0, f"{block}: {done.stderr}"

    def _run_console(self, block):
        for command, lines in commands_of(block.body):
            terminal = Terminal(["bash", "-euo", "pipefail", "-c", self._here(command)], COLUMNS, self.env, self.folder,
                                start_new_session=True)
            self.groups.append(terminal.process.pid)
            code = terminal.process.wait(wire.SURELY_SECONDS)
            assert code == 0, f"{block}: {command} ended with {code}:\n{terminal.text}"
            pattern = re.compile(expected_pattern([self._here(line) for line in lines]))

            def fits():
                text = terminal.text
                return pattern.fullmatch(text if text.endswith("\n") or not text else text + "\n")
            wire.wait_for(fits,
                          why=lambda: f"{block}: {command} printed\n{terminal.text}\nnot\n" + "\n".join(lines))
