"""The soak's operator, who changes keys and the configuration, and its reader, who keeps the providers' own book."""

import collections
import random
import re
import signal
import threading
import time
from decimal import Decimal

import httpx

from soak_clients import HANG_SECONDS
from soak_sites import ADMIN_KEY, MODELS
from support import wait_for

TAG = re.compile(r"\bq\d+[a-z]*z\b")
PRICES = {m: (Decimal(i), Decimal(o)) for m, (_, _, i, o) in MODELS.items()}

# (chance, what happens). What is told after these the simulator's own book cannot know.
FAULTS = [
    (0.01, {"status": 500}), (0.01, {"status": 503}), (0.01, {"error": "overloaded"}),
    (0.01, {"error": "rate", "retry_after": 1}), (0.01, {"reset_at": 0}), (0.01, {"close_at": 120}),
    (0.01, {"reset_event": 3}), (0.01, {"close_event": 4}), (0.01, {"malformed_event": 3}),
    (0.02, {"stall_event": 2, "stall_ms": 400}), (0.002, {"stall_event": 2, "stall_ms": 8000}),
    (0.002, {"ttft": 7000}), (0.05, {"split": 7, "split_gap_ms": 0}), (0.02, {"close_unsaid": True}),
]
HARMLESS = ("split", "close_unsaid", "stall_event", "status", "error")
USUAL_PROMPT, USUAL_COMPLETION = 40, 20  # of a question that says nothing else


class Keeper(threading.Thread):
    """Of one site: keys made, changed, rotated, revoked; reloads, right and wrong ones."""

    def __init__(self, run, site):
        super().__init__(name=f"keeper {site.name}", daemon=True)
        self.soak, self.site, self.random = run, site, random.Random(f"{run.seed} {site.name} keeper")

    def run(self):
        while not self.soak.over.wait(self.random.uniform(0.2, 0.8)):
            if self.soak.pause.is_set():
                continue
            did = self.random.choice([self.replace_key, self.update_key, self.reload, self.reload_wrong])
            try:
                if did():
                    self.soak.counts[did.__name__] += 1
            except httpx.TransportError:
                pass  # the gateway is being killed
            except Exception as error:
                self.soak.complain(f"{self.name}: {type(error).__name__} {error}")

    def admin(self, method, path, **json):
        """The answer's JSON; None where the store is away, or the gateway that was asked."""
        gateway = self.random.choice(self.site.gateways)
        calm = self.site.calm_since
        with gateway.http(ADMIN_KEY, timeout=HANG_SECONDS) as c:
            answer = c.request(method, f"/admin/v1/{path}", json=json or None)
        if answer.status_code // 100 == 2:
            return answer.json() if answer.content else {}
        # A gateway gives its store some seconds, which a busy machine may need.
        if answer.status_code != 503 and calm is not None and calm == self.site.calm_since:
            self.soak.complain(f"{method} {path}: {answer.status_code} {answer.text}")
        return None

    def make_key(self, name, **limits):
        made = self.admin("POST", "keys", name=name, **limits)
        return made and (made["key"], made["id"])

    def replace_key(self):
        site, made = self.site, self.make_key("passing")
        if made is None:
            return False
        key, id = made
        self.use_at_once(key)
        (old, old_id), site.passing, site.passing_id = (site.passing, site.passing_id), key, id
        if self.admin("DELETE", f"keys/{old_id}") is None:
            return False
        site.revoked.append((old, time.monotonic()))
        return True

    def use_at_once(self, key):
        """A new key works once the call that made it has returned, with every gateway that can look it up."""
        for gateway in self.site.gateways:
            with gateway.http(key, timeout=HANG_SECONDS) as c:
                # 503: its store is away, or too slow for a moment
                answer = wait_for(lambda: [a for a in [c.get("/v1/models")] if a.status_code != 503])[0]
            if answer.status_code != 200:
                self.soak.complain(f"a new key got {answer.status_code} {answer.text} of {gateway.name}")

    def update_key(self):
        return self.admin("PATCH", f"keys/{self.site.passing_id}", rpm=self.random.choice([100000, None]),
                          tags={"n": str(self.random.random())}) is not None

    def hup(self, gateway):
        with self.soak.lock:
            if gateway in self.site.up and gateway.is_running():
                gateway.signal(signal.SIGHUP)

    def reload(self):
        gateway = self.random.choice(self.site.gateways)
        with gateway.config_lock:
            gateway.configure({"aliases": {"both": self.random.sample(["a/am", "b/bm"], 2)},
                               "routing": {"explore": self.random.choice([0, 0.1])}})
        self.hup(gateway)
        return True

    def reload_wrong(self):
        gateway = self.random.choice(self.site.gateways)
        with gateway.config_lock:
            good = gateway.config_path.read_text()
            gateway.write_config(good[:-10])
            self.hup(gateway)
            time.sleep(0.1)
            gateway.write_config(good)
        return True


class Cost:
    """What one request's attempts cost in the providers' book. unknown: Relay may have seen less than was told."""

    __slots__ = ("attempts", "usd", "prompt", "completion", "unknown")

    def __init__(self):
        self.attempts, self.usd, self.prompt, self.completion, self.unknown = 0, Decimal(0), 0, 0, False


class Reader(threading.Thread):
    """Takes what the simulators recorded before their ring forgets it."""

    def __init__(self, run):
        super().__init__(name="reader", daemon=True)
        self.soak = run
        self.next_number = {name: 1 for name in run.sims}
        self.waiting = {name: set() for name in run.sims}  # numbers that are open yet
        self.book = collections.defaultdict(Cost)  # tag -> Cost
        self.told = collections.Counter()

    def run(self):
        while not self.soak.over.wait(0.5):
            try:
                self.read()
            except Exception as error:
                self.soak.complain(f"reader: {type(error).__name__} {error}")

    def read(self):
        with self.soak.sims_lock:
            for name, sim in self.soak.sims.items():
                self.read_one(name, sim)

    def read_one(self, name, sim):
        first, waiting = self.next_number[name], self.waiting[name]
        oldest = min(waiting, default=first)
        wanted = sim.stats()["requests"] - oldest + 50
        if wanted > 4096:
            self.soak.complain(f"{name} has forgotten requests")
        for record in sim.requests(None, min(4096, max(1, wanted))):
            number = record["number"]
            if number < first and number not in waiting:
                continue
            self.next_number[name] = max(self.next_number[name], number + 1)
            waiting.discard(number)
            if record["outcome"] == "open":
                waiting.add(number)
            elif record["model"] in PRICES:
                self.take(record)

    def take(self, record):
        body = record.get("body", "")
        tag = TAG.search(body)
        if tag is None:
            return  # tokens counted
        cost = self.book[tag[0]]
        cost.attempts += 1
        self.told[record["status"] if record["outcome"] == "complete" else record["outcome"]] += 1
        if record["status"] >= 400:
            return
        rule = record["rule"]
        if record["outcome"] != "complete" or rule is not None and next(iter(FAULTS[rule][1])) not in HARMLESS:
            cost.unknown = True
            return
        said = [re.search(rf"{kind}_tokens=(\d+)", body) for kind in ("prompt", "completion")]
        prompt, completion = (int(found[1]) if found else usual
                              for found, usual in zip(said, (USUAL_PROMPT, USUAL_COMPLETION)))
        if record["path"].endswith("/embeddings"):
            completion = 0
        price_in, price_out = PRICES[record["model"]]
        cost.usd += (prompt * price_in + completion * price_out) / 1000000
        cost.prompt += prompt
        cost.completion += completion
