"""Asks each gateway for the same small thing all the time, and how fast each answer came: the soak's stopwatch.

    soak_probe.py NAME URL KEY [NAME URL KEY ...]

is a process of its own, so that the soak's other clients do not slow it. A line for each answer: the gateway's name,
its number, when it was asked (monotonic seconds), how long that took, the status (0: none) and x-relay-id."""

import collections
import json
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 60
GOOD_SECONDS = 1  # recovered: every probe of so long was answered well
GOOD_COUNT = 10


def probe_tag(name, number):
    return f"q{number}{name}z"


def probe(name, url, key):
    address, number, connection = urlsplit(url), 0, None
    while True:
        number += 1
        body = json.dumps({"model": "q/qm", "user": probe_tag(name, number), "cache": {"mode": "off"},
                           "messages": [{"role": "user", "content": "probe"}]})
        began, status, id = time.monotonic(), 0, "-"
        try:
            if connection is None:
                connection = HTTPConnection(address.hostname, address.port, timeout=PATIENCE_SECONDS)
            connection.request("POST", "/v1/chat/completions", body, {
                "authorization": f"Bearer {key}", "content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            status, id = answer.status, answer.headers["x-relay-id"]
        except (OSError, HTTPException):
            connection.close()
            connection = None
        sys.stdout.write(f"{name} {number} {began:.4f} {time.monotonic() - began:.4f} {status} {id}\n")
        sys.stdout.flush()
        time.sleep(PAUSE_SECONDS)


Probe = collections.namedtuple("Probe", "name number began seconds status id")


class Probes:
    """The process with the probes of some gateways, [(name, url, key)], and what it has told."""

    def __init__(self, path, gateways):
        self.path, self.offset, self.rest = path, 0, b""
        self.told = {name: [] for name, _, _ in gateways}
        self.served = collections.Counter()
        self.lock = threading.Lock()
        self.slow_seconds = 2.0
        words = [word for gateway in gateways for word in gateway]
        with open(path, "wb") as out:
            self.process = subprocess.Popen([sys.executable, __file__, *words], stdout=out)

    def read(self):
        with self.lock:
            self._read()

    def _read(self):
        with open(self.path, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        self.offset += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            name, number, began, seconds, status, id = line.decode().split()
            self.told[name].append(Probe(name, int(number), float(began), float(seconds), int(status), id))
            self.served[name] += status == "200"

    def is_good(self, p):
        return p.status == 200 and p.seconds <= self.slow_seconds

    def recovered(self, name, since):
        """Seconds after `since` at which the last bad answer came before a second of good ones; None if that is yet
        to come."""
        self.read()
        bad_until, first, count = since, None, 0
        for p in reversed(self.told[name]):
            if p.began + p.seconds < since:
                break
            count += 1
        for p in self.told[name][len(self.told[name]) - count:]:
            if not self.is_good(p):
                bad_until, first, good = p.began + p.seconds, None, 0
                continue
            if first is None:
                first, good = p.began, 0
            good += 1
            if good >= GOOD_COUNT and p.began - first >= GOOD_SECONDS:
                return bad_until - since
        return None

    def percentile(self, name, share, begin, end):
        """Of the seconds that answers took which were asked for between the two moments."""
        seconds = sorted(p.seconds for p in self.told[name] if begin <= p.began < end and p.status == 200)
        return seconds[min(len(seconds) - 1, int(len(seconds) * share))] if seconds else None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        """What was under way in the pause looks slow; nothing is broken then, so nobody waits for it."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.read()


if __name__ == "__main__":
    words = sys.argv[1:]
    for place in range(0, len(words), 3):
        threading.Thread(target=probe, args=words[place:place + 3]).start()
