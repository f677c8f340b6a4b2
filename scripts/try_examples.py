#!/usr/bin/env python3
"""Tries the worked examples of docs/guides/contributing.md. Needs only Python's standard library and git.

    scripts/try_examples.py          applies them to a copy of the tree under build/, builds it and runs their commands
    scripts/try_examples.py apply    only looks whether they still apply (CI)

A block `diff` is a patch; its line numbers do not count, the lines around the change stand in the file once. A block `sh` that this script is named for in the line
above runs once all patches are in and the copy is built, in a folder of its own, where the copy's `relay` is on the
PATH and 127.0.0.1:8080 is a free port.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "guides" / "contributing.md"
COMMAND_SECONDS_MAX = 300


def blocks(pattern):
    return re.findall(pattern, PAGE.read_text(), re.M | re.S)


def copy_tree(tree):
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def apply(tree):
    patches = blocks(r"^```diff\n(.*?)^```$")
    for patch in patches:
        for part in re.split(r"(?m)^(?=--- )", patch)[1:]:
            head, _, body = part.partition("\n@@")
            name = re.search(r"^--- a/(.*)$", head, re.M)[1]
            lines = body.partition("\n")[2].splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            after = "".join(line[1:] for line in lines if line[0] in " +")
            text = (tree / name).read_text()
            if text.count(before) != 1:
                sys.exit(f"{PAGE.relative_to(ROOT)}: {name} has these lines {text.count(before)} times:\n{before}")
            (tree / name).write_text(text.replace(before, after))
    return len(patches)


def build(tree):
    (tree / "build").mkdir()
    if (ROOT / "build" / "deps").is_dir():
        (tree / "build" / "deps").symlink_to(ROOT / "build" / "deps")
    jobs = os.environ.get("JOBS", str(os.cpu_count()))
    subprocess.run(["cmake", "--preset", "release"], cwd=tree, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "build/release", "-j", jobs], cwd=tree, check=True, stdout=subprocess.DEVNULL)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(tree, script):
    """One block, with whatever it leaves running stopped afterwards."""
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    env["PATH"] = f"{tree / 'build'}:{env['PATH']}"
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{free_port()}")
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=env,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            return process.wait(COMMAND_SECONDS_MAX)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def main():
    os.makedirs(ROOT / "build", exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="examples.") as folder:
        tree = Path(folder)
        copy_tree(tree)
        print(f"{apply(tree)} patches apply", flush=True)
        if sys.argv[1:] == ["apply"]:
            return 0
        build(tree)
        print("the tree builds with them", flush=True)
        scripts = blocks(r"^<!-- not run: scripts/try_examples.py[^\n]*-->\n```sh\n(.*?)^```$")
        failed = sum(run(tree, script) != 0 for script in scripts)
        print(f"{len(scripts) - failed} passed, {failed} failed")
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
