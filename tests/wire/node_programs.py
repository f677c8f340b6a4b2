"""The Node.js that runs the scripts of tests/wire/node."""

import os
import subprocess

from support import ROOT, SURELY_SECONDS, clean_environment


def find_node():
    """(a Node.js, the folder with the installed packages), as scripts/test.sh prepared them."""
    own = sorted(ROOT.glob("build/node-2*/node_modules/node-linux-*/bin/node"))
    node = os.environ.get("RELAY_NODE") or (str(own[-1]) if own else "node")
    return node, os.environ.get("RELAY_NODE_DIR", str(ROOT / "build/node"))


def run_node(script, *args, seconds=4 * SURELY_SECONDS):
    """A script of tests/wire/node; what it printed."""
    node, folder = find_node()
    done = subprocess.run([node, script, *args], cwd=folder, capture_output=True, text=True,
                          timeout=seconds, env=clean_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
