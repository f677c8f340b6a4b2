#!/usr/bin/env python3
"""Where the time of a plain request goes in Relay's worker: the scorecard's work under callgrind, and for its share
of the kernel without it.

    steps.py --relay build/relay --sim build/relay-sim --load build/release/bench/relay-load [--requests 1500]

Instructions are exact and the same on a busy machine; microseconds are the worker's own user and system time. Needs
valgrind, and a Relay with symbols, whose functions are the steps; scripts/bench_profile.sh builds one and runs this."""

import argparse
import http.client
import os
import re
import subprocess
import tempfile
from pathlib import Path

import programs
from programs import LOAD_CORE, PROXY_CORE, Load, Mock, Process, Relay
from scorecard import write_bodies

# What is called from the loop or by run_step(), so that no two have an instruction in common.
STEPS = (
    ("both sockets read, both heads taken apart", "net/conn.c:on_read"),
    ("the key is looked up", "path/authenticate.c:authenticate_ask"),
    ("the question is read", "path/receive.c:receive_answer"),
    ("limits are taken", "path/limit.c:limit_ask"),
    ("a model is chosen, and the choice written down", "path/route.c:route_pick"),
    ("the cache's key is made and looked up", "path/cache.c:recall_ask"),
    ("the provider's request is written and sent", "path/call.c:call_ask"),
    ("the provider's answer is read", "path/call.c:call_answer"),
    ("the answer is written and sent", "path/reply.c:reply_send"),
    ("the row, the journal, metrics, the answer kept", "path/account.c:account_write"),
)


class Traced(Relay):
    """Under callgrind, which counts nothing until it is told to."""

    def start(self):
        Process.__init__(self, ["valgrind", "--tool=callgrind", "--separate-threads=yes", "--instr-atstart=no",
                                f"--callgrind-out-file={self.home}/count", self.program, "serve", "--config", str(self.config)],
                         self.home / "relay.log", PROXY_CORE, env=self.env, cwd=self.home)
        self.wait_ready(self.port)

    def count(self, on):
        subprocess.run(["callgrind_control", "-i", "on" if on else "off", str(self.pid)], check=True, stdout=subprocess.DEVNULL)


def annotate(file, inclusive):
    """{"file:function": instructions}, and the sum."""
    out = subprocess.run(["callgrind_annotate", f"--inclusive={'yes' if inclusive else 'no'}", "--threshold=100", "--auto=no",
                          file], check=True, capture_output=True, text=True).stdout
    total = int(re.search(r"(?m)^([\d,]+) .*PROGRAM TOTALS", out)[1].replace(",", ""))
    found = {}
    for number, place in re.findall(r"(?m)^ *([\d,]+) \([ \d.]+%\)  (\S.*)$", out):
        found[place] = found.get(place, 0) + int(number.replace(",", ""))
    return found, total


def ask(load, relay, folder, **options):
    result = load.finish(load.start(relay.port, relay.key, False, options, [f"--expect-body={folder / 'expected.json'}", "--cost"]))
    if result["wrong"] or not result["answered"]:
        raise SystemExit(f"steps: {result['wrong']} wrong answers ({result['why']})")
    return result["answered"]


def worker_ticks(relay):
    """(user, system) of the worker thread, in clock ticks."""
    for task in Path(f"/proc/{relay.pid}/task").iterdir():
        if (task / "comm").read_text().startswith("relay-w"):
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            return int(fields[11]), int(fields[12])
    raise SystemExit("steps: no worker thread")


def native(options, folder, mock, load):
    """Microseconds of user and system time a request."""
    relay = Relay(options.relay, folder, mock.url)
    ask(load, relay, folder, seconds=1)
    before = worker_ticks(relay)
    count = ask(load, relay, folder, seconds=options.seconds)
    spent = [(b - a) / os.sysconf("SC_CLK_TCK") * 1e6 / count for a, b in zip(before, worker_ticks(relay))]
    relay.stop()
    return spent


def counted(options, folder, mock, load):
    """The callgrind file of the worker: the thread in which the steps are."""
    relay = Traced(options.relay, folder, mock.url, name="counted")
    ask(load, relay, folder, requests=500, seconds=300, connections=16)
    relay.count(True)
    ask(load, relay, folder, requests=options.requests, seconds=300, connections=16)
    relay.count(False)
    relay.stop(300)
    for file in sorted(relay.home.glob("count-*")):
        if "route_pick" in file.read_text():
            return file
    raise SystemExit("steps: no steps were counted: has this Relay symbols?")


def print_table(options, file, user, system):
    inclusive, total = annotate(file, True)
    own, _ = annotate(file, False)
    per = 1 / options.requests
    hashing = sum(n for place, n in own.items() if "libcrypto" in place)
    left = total
    print(f"user {user:.1f} us, kernel {system:.1f} us a request, of the worker\n")
    print("| step | instructions a request |\n|---|---:|")
    for text, function in STEPS:
        count = max((n for place, n in inclusive.items() if function + " " in place or place.endswith(function)), default=0)
        left -= count
        print(f"| {text} (`{function}`) | {count * per:,.0f} |")
    print(f"| the loop, turns, the rest | {left * per:,.0f} |")
    print(f"| together | {total * per:,.0f} |")
    print(f"| of it SHA-256, which valgrind's processor lacks instructions for | {hashing * per:,.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("relay", "sim", "load"):
        parser.add_argument(f"--{name}", required=True, type=os.path.abspath)
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    programs.START_SECONDS = 120
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="relay-profile-") as name:
        folder = Path(name)
        write_bodies(folder)
        mock, load = Mock(options.sim, folder), Load(options.load, folder)
        talk = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=10)
        talk.request("POST", "/v1/chat/completions", (folder / "plain.json").read_bytes())
        (folder / "expected.json").write_bytes(talk.getresponse().read())
        talk.close()
        try:
            user, system = native(options, folder, mock, load)
            print_table(options, counted(options, folder, mock, load), user, system)
        finally:
            mock.stop()


if __name__ == "__main__":
    main()
