"""Two gateways on one PostgreSQL and one Redis 8 while everything breaks, and then the books: scripts/chaos.sh.

    chaos.py [SECONDS] [SEED]

Clients ask both gateways without a pause. Meanwhile gateways and servers are killed (-9) or stand still,
connections are reset or lead nowhere, the journal's disk is full, a gateway is cut off from everybody by its
network, and the wall clock of a gateway steps. After each fault both gateways must serve again by themselves.
In the end every answer that a client received whole has one row, with the cost that follows from what the
simulated provider told; nothing has two.

What needs root (a network namespace, a small tmpfs) is left out without it, and what needs a preloaded
library under sanitizers. tests/wire/test_chaos.py runs each fault once."""

import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path

import httpx

from postgres_server import Postgres
from redis_server import Redis
from support import RELAY_BIN, Relay, Sim, ask, model, provider, stream, wait_for
from tcp_proxy import Proxy

CLIENTS = 4
PAUSE_SECONDS = 0.008  # of a client between two requests
PATIENCE_SECONDS = 15  # of a client for an answer
PRICE_IN, PRICE_OUT = Decimal(1) / 10**6, Decimal(2) / 10**6
DISK_BYTES = 32 << 20
COMPLAINTS_SHOWN = 20
IS_ROOT = sys.platform == "linux" and os.geteuid() == 0
IS_SANITIZED = bool(re.search(rb"__[at]san_init", Path(RELAY_BIN).read_bytes()))


def run(*words):
    subprocess.run(words, check=True, capture_output=True)


def if_possible(make):
    """What needs rights that this process may lack; None without them."""
    try:
        return make()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"chaos: left out: {getattr(error, 'stderr', None) or error}", flush=True)
        return None


class Network:
    """A namespace with one link to this machine."""

    def __init__(self):
        n = os.getpid() % 250
        self.name = f"relay-chaos-{os.getpid()}"
        self.outer, self.inner = f"rc{n}o", f"rc{n}i"
        self.here, self.there = f"10.203.{n}.1", f"10.203.{n}.2"
        run("ip", "netns", "add", self.name)
        try:
            self._link()
        except subprocess.CalledProcessError:
            self.remove()
            raise

    def _link(self):
        run("ip", "link", "add", self.outer, "type", "veth", "peer", "name", self.inner, "netns", self.name)
        run("ip", "addr", "add", f"{self.here}/30", "dev", self.outer)
        run("ip", "link", "set", self.outer, "up")
        for words in (("addr", "add", f"{self.there}/30", "dev", self.inner), ("link", "set", self.inner, "up"),
                      ("link", "set", "lo", "up")):
            run("ip", "-n", self.name, *words)

    def connect(self, connected):
        run("ip", "link", "set", self.outer, "up" if connected else "down")

    def remove(self):
        run("ip", "netns", "del", self.name)


class Disk:
    """A small file system for a journal."""

    def __init__(self, folder):
        self.folder, self.filler = folder, folder / "filler"
        folder.mkdir(parents=True, mode=0o700)
        run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "chaos", str(folder))

    def fill(self):
        with open(self.filler, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 65536):
                    pass
            except OSError:
                pass

    def empty(self):
        self.filler.unlink()

    def remove(self):
        run("umount", str(self.folder))


class Clock:
    """The wall clock of one gateway."""

    def __init__(self, folder):
        self.path, self.library = folder / "clock", folder / "fake_clock.so"
        self.path.write_bytes(bytes(8))
        source = Path(__file__).with_name("fake_clock.c")
        run(os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", str(self.library), str(source))

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "CHAOS_CLOCK": str(self.path)}

    def set(self, seconds):
        with open(self.path, "r+b") as f:
            f.write(seconds.to_bytes(8, sys.byteorder, signed=True))


class Gateway(Relay):
    """One of the two, in a network of its own if it is given one; its ways to the servers are proxies."""

    def __init__(self, chaos, name, network=None, disk=None, env=None):
        self.network, self.disk = network, disk
        host = network.here if network else "127.0.0.1"
        self.proxies = {kind: Proxy(port, host) for kind, port in
                        (("store", chaos.postgres.port), ("shared", chaos.redis.port), ("sim", chaos.sim.port))}
        at = {kind: f"{host}:{p.port}" for kind, p in self.proxies.items()}
        config = {"store": chaos.postgres.url.replace(f"127.0.0.1:{chaos.postgres.port}", at["store"]),
                  "shared": f"redis://{at['shared']}", "log": {"level": "warn"},
                  "providers": {"p": {**provider(chaos.sim), "base_url": f"http://{at['sim']}/v1"}},
                  "models": [model("p/m", input=1, output=2)],
                  "timeouts": {"connect": "2s", "first_token": "5s", "idle": "5s", "total": "10s"}}
        super().__init__(chaos.folder / name, config, start=False, env=env)
        if disk:
            self.configure({"journal": {"dir": str(disk.folder / "journal")}})
        if network:
            self.configure({"server": {"listen": f"{network.there}:{self.port}"}})

    @property
    def url(self):
        return f"http://{self.network.there if self.network else '127.0.0.1'}:{self.port}"

    def start(self, wait=True):
        # `ip netns exec` becomes the gateway, so signals reach it.
        prefix = ["ip", "netns", "exec", self.network.name] if self.network else []
        super(Relay, self).__init__([*prefix, RELAY_BIN, "serve", "--config", str(self.config_path)],
                                    self.log_path, env=self.env, cwd=self.folder)
        if wait:
            wait_for(self._is_ready, why=lambda: f"relay did not start: {self.log()[-3000:]}")


class Client(threading.Thread):
    """Asks one gateway after the other; keeps what it received whole."""

    def __init__(self, chaos, number):
        super().__init__(name=f"client {number}", daemon=True)
        self.chaos, self.random, self.number, self.asked = chaos, random.Random(chaos.seed * 100 + number), number, 0

    def run(self):
        while not self.chaos.over:
            gateway = self.random.choice(self.chaos.gateways)
            try:
                with gateway.http(self.chaos.key, timeout=PATIENCE_SECONDS) as c:
                    for _ in range(self.random.randrange(1, 40)):
                        if self.chaos.over:
                            return
                        self.ask(c, gateway)
                        time.sleep(PAUSE_SECONDS)
            except httpx.TransportError:
                self.chaos.counts["broken connections"] += 1
                time.sleep(0.02)
            except Exception as error:  # a client that dies would hide what it found
                self.chaos.complain(f"{self.name}: {type(error).__name__} {error}")
                return

    def ask(self, c, gateway):
        self.asked += 1
        tag = f"c{self.number}-{self.asked}"
        prompt, completion = self.random.randrange(1, 5000), self.random.randrange(1, 900)
        text = f"{tag} [[sim:prompt_tokens={prompt};completion_tokens={completion}]]"
        more = {"cache": {"mode": "off"}, "user": tag}
        if self.random.random() < 0.35:
            answer, events, cut = stream(c, "p/m", text, **more)
            whole = answer.status_code == 200 and not cut and events[-1] == "[DONE]"
        else:
            answer = ask(c, "p/m", text, **more)
            whole = answer.status_code == 200
        if whole:
            self.chaos.received.append((tag, answer.headers["x-relay-id"], prompt, completion))
            self.chaos.served[gateway] += 1
        else:
            self.chaos.counts[f"status {answer.status_code}"] += 1


class Reader(threading.Thread):
    """Copies what the simulator recorded before its ring forgets it."""

    def __init__(self, chaos):
        super().__init__(name="reader", daemon=True)
        self.chaos, self.told, self.number = chaos, {}, 0

    def run(self):
        while not self.chaos.over:
            self.read()
            time.sleep(0.3)

    def read(self):
        wanted = min(4096, self.chaos.sim.stats()["requests"] - self.number + 200)
        for record in self.chaos.sim.requests(limit=max(1, wanted)):
            self.told[record["number"]] = json.loads(record["body"])["user"]
            self.number = max(self.number, record["number"])


class Chaos:
    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.received, self.complaints = [], []
        self.counts, self.served = collections.Counter(), collections.Counter()
        self.over, self.removers = False, []
        self.network = self.disk = self.clock = None

    def start(self):
        self.postgres = self._later(Postgres(), "remove")
        (self.folder / "redis").mkdir()
        self.redis = self._later(Redis(self.folder / "redis"), "stop")
        self.sim = self._later(Sim(self.folder), "stop")
        if IS_ROOT:
            self.network = self._later(if_possible(Network), "remove")
            self.disk = self._later(if_possible(lambda: Disk(self.folder / "disk")), "remove")
        if sys.platform == "linux" and not IS_SANITIZED:
            self.clock = if_possible(lambda: Clock(self.folder))
        self.one = Gateway(self, "one", env=self.clock.environment() if self.clock else None)
        self.two = Gateway(self, "two", network=self.network, disk=self.disk)
        self.gateways = [self.one, self.two]
        for gateway in self.gateways:
            for proxy in gateway.proxies.values():
                self._later(proxy, "close")
            gateway.start()
            self.removers.append(lambda g=gateway: g.is_running() and g.kill())
        self.key = self.one.run("keys", "create", "--name", "all", env={"LD_PRELOAD": ""}).stdout.strip()
        self.clients = [Client(self, n) for n in range(CLIENTS)]
        self.reader = Reader(self)
        for thread in (*self.clients, self.reader):
            thread.start()

    def _later(self, thing, what):
        if thing is None:
            return None
        self.removers.append(getattr(thing, what))
        return thing

    def remove(self):
        self.over = True
        for remover in reversed(self.removers):
            try:
                remover()
            except Exception as error:
                print(f"chaos: while cleaning up: {error}", flush=True)

    def complain(self, text):
        self.complaints.append(text)
        if len(self.complaints) <= COMPLAINTS_SHOWN:
            print("chaos:", text[:2000], flush=True)

    def more(self, count, gateways=None):
        """Until each of these gateways has served so many more."""
        gateways = gateways or self.gateways
        goals = {g: self.served[g] + count for g in gateways}
        wait_for(lambda: all(self.served[g] >= n for g, n in goals.items()),
                 why=lambda: f"a gateway does not serve: {self.served} {[g.log()[-2000:] for g in gateways]}")

    # --- the faults: each leaves things as they were

    def kill_one(self):
        self.one.kill()
        self.one.start()

    def kill_two(self):
        self.two.kill()
        self.more(5, [self.one])
        self.two.start()

    def kill_both(self):
        for gateway in self.gateways:
            gateway.kill()
        for gateway in self.gateways:
            gateway.start()

    def freeze_gateway(self):
        self.two.signal(signal.SIGSTOP)
        self.more(5, [self.one])
        self.two.signal(signal.SIGCONT)

    def kill_postgres(self):
        self.postgres.kill()
        self.more(10)  # keys that are known work
        self.postgres.start()

    def freeze_postgres(self):
        self.postgres.freeze()
        self.more(10)
        self.postgres.thaw()

    def kill_postgres_and_gateway(self):
        self.postgres.kill()
        self.one.kill()
        self.one.start(wait=False)
        self.postgres.start()
        wait_for(self.one._is_ready, why=lambda: self.one.log()[-3000:])

    def kill_redis(self):
        self.redis.kill()
        self.more(10)
        self.redis.start()

    def freeze_redis(self):
        self.redis.signal(signal.SIGSTOP)
        self.more(10)
        self.redis.signal(signal.SIGCONT)

    def reset_connections(self):
        for _ in range(5):
            for gateway in self.gateways:
                for proxy in gateway.proxies.values():
                    proxy.cut()
            time.sleep(0.1)

    def lead_nowhere(self):
        held = [self.one.proxies["store"], self.one.proxies["shared"]]
        for proxy in held:
            proxy.hold()
        self.more(10, [self.one])
        for proxy in held:
            proxy.release()

    def fill_disk(self):
        refused = self.counts["status 503"]
        self.disk.fill()
        wait_for(lambda: self.counts["status 503"] > refused + 3, why=lambda: f"{self.counts} {self.two.log()[-2000:]}")
        self.more(5, [self.one])
        self.disk.empty()

    def cut_off(self):
        self.network.connect(False)
        self.more(10, [self.one])
        self.network.connect(True)

    def step_clock(self):
        for seconds in (26 * 3600, -3 * 3600, 0):
            self.clock.set(seconds)
            self.more(5, [self.one])

    def faults(self):
        always = [self.kill_one, self.kill_two, self.freeze_postgres, self.kill_redis, self.reset_connections,
                  self.kill_postgres, self.freeze_redis, self.lead_nowhere, self.freeze_gateway,
                  self.kill_postgres_and_gateway, self.kill_both]
        return (always + [self.fill_disk] * (self.disk is not None) + [self.cut_off] * (self.network is not None)
                + [self.step_clock] * (self.clock is not None))

    def strike(self, fault):
        began = time.monotonic()
        self.more(10)
        fault()
        self.more(5)
        self.counts[fault.__name__] += 1
        print(f"chaos: {fault.__name__} {time.monotonic() - began:.1f} s", flush=True)

    # --- the books

    def finish(self):
        self.over = True
        for thread in (*self.clients, self.reader):
            thread.join(2 * PATIENCE_SECONDS)
            if thread.is_alive():
                self.complain(f"{thread.name} hangs")
        self.reader.read()
        for gateway in self.gateways:
            if gateway.stop(30) != 0:
                self.complain(f"a gateway did not stop well: {gateway.log()[-3000:]}")
            for sign in ("Sanitizer", "runtime error:", "Assertion"):
                if sign in gateway.log():
                    self.complain(gateway.log()[gateway.log().index(sign) - 200:][:6000])
        self.check_books()

    def check_books(self):
        rows = self.postgres.query("SELECT * FROM requests")
        by_id = {row["id"]: row for row in rows}
        # Who was refused before the body was read left no tag.
        by_tag = collections.Counter(row["user_tag"] for row in rows if row["user_tag"] or row["status"] == "200")
        told = collections.Counter(self.reader.told.values())
        asked = {f"c{c.number}-{n}" for c in self.clients for n in range(1, c.asked + 1)}
        for tag, count in by_tag.items():
            if count > 1:
                self.complain(f"{count} rows of one request: {tag}")
            if tag not in asked:
                self.complain(f"a row that nobody asked for: {tag}")
        for tag, id, prompt, completion in self.received:
            row = by_id.get(id)
            if row is None:
                self.complain(f"an answer without a row: {tag} {id}")
                continue
            if told[tag] == 0 or row["user_tag"] != tag:
                self.complain(f"the row of another request: {tag} {row}")
            cost = prompt * PRICE_IN + completion * PRICE_OUT
            if row["status"] != "200" or row["usage_source"] != "provider" or Decimal(row["cost_usd"]) != cost:
                self.complain(f"a row that says something else than {cost} USD: {tag} {row}")
        spent = Decimal(self.postgres.value("SELECT coalesce(sum(pusd), 0) FROM key_spend"))
        total = sum(Decimal(row["cost_usd"] or 0) for row in rows) * 10**12
        if spent != total:
            self.complain(f"the key has spent {spent}, its rows say {total}")
        print(f"chaos: {len(asked)} asked, {len(self.received)} received, {len(rows)} rows, {sum(told.values())} told by "
              f"the provider; " + ", ".join(f"{k} {n}" for k, n in sorted(self.counts.items())), flush=True)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(100000)
    chaos = Chaos(Path(tempfile.mkdtemp(prefix="relay-chaos-")), seed)
    print(f"chaos: {seconds:.0f} s, seed {seed}, files in {chaos.folder}", flush=True)
    dice, began = random.Random(seed), time.monotonic()
    try:
        chaos.start()
        while time.monotonic() - began < seconds and not chaos.complaints:
            chaos.strike(dice.choice(chaos.faults()))
        chaos.finish()
    finally:
        chaos.remove()
    print(f"chaos: {len(chaos.complaints)} complaints")
    sys.exit(1 if chaos.complaints else 0)


if __name__ == "__main__":
    main()
