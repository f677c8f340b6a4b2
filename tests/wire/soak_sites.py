"""The two places that the soak breaks: a gateway on SQLite, and two on one PostgreSQL and one Redis 8.

Each has its faults as methods; a fault leaves things as they were. One that kills (`kill_…`, `restart_…`) a gateway
whose memory is watched belongs to the first part of the time only: `faults(late)`."""

import collections
import contextlib
import signal
import sqlite3
import sys
import threading
import time

from postgres_server import Postgres
from redis_server import Redis
from soak_machine import IS_ROOT, IS_SANITIZED, Clock, Disk, Network, if_possible
from support import RELAY_BIN, ROOT, Relay, model, wait_for
from tcp_proxy import Proxy

ADMIN_KEY = "gla_the-soaks-own-admin-key"
DATA_BYTES_PER_SECOND = 192 << 10  # what a gateway on SQLite may write
DISK_BYTES = 64 << 20
AWAY_SECONDS = 2  # for this long a database or a provider is away
MODEL = ROOT / "build/models/all-MiniLM-L6-v2"
HAS_MODEL = (MODEL / ".complete").exists()

# model -> (provider, simulator, USD per million tokens in, out), cheapest first
MODELS = {"am": ("a", "a", "0.5", "1.5"), "bm": ("b", "b", "3", "15"), "cm": ("c", "b", "4", "16"),
          "gm": ("g", "a", "5", "17"), "qm": ("q", "q", "1", "2"), "ae": ("a", "a", "0.02", "0")}


def gateway_config(at):
    """Four providers in three dialects on two simulators that fail, and a quiet one. at: simulator -> HOST:PORT"""
    keys = {"api_key": ["sk-sim-first-key", "sk-sim-other-key"]}
    return {
        "server": {"workers": 4, "shutdown_grace": "10s"},
        "admin": {"key": ADMIN_KEY},
        "providers": {
            "a": {"kind": "openai", "base_url": f"http://{at['a']}/v1", **keys},
            "b": {"kind": "openai", "base_url": f"http://{at['b']}/v1", **keys},
            "c": {"kind": "anthropic", "base_url": f"http://{at['b']}/v1", **keys},
            "g": {"kind": "gemini", "base_url": f"http://{at['a']}/v1beta", **keys},
            "q": {"kind": "openai", "base_url": f"http://{at['q']}/v1", **keys}},
        "models": [{"id": f"{p}/ae", "input": float(i), "capabilities": ["embeddings"]} if m == "ae" else
                   model(f"{p}/{m}", input=float(i), output=float(o), cached_input=float(i),
                         quality=10 if p == "q" else 50) for m, (p, _, i, o) in MODELS.items()],
        "aliases": {"both": ["a/am", "b/bm"], "all": ["a/am", "b/bm", "c/cm", "g/gm"]},
        "targets": {"min_quality": 30},  # what the simulators list besides has none
        "cache": {"max_entries": 300, "semantic": HAS_MODEL},
        "timeouts": {"connect": "2s", "first_token": "5s", "idle": "5s", "total": "20s"},
        "log": {"level": "warn"},
    }


class Gateway(Relay):
    def __init__(self, site, name, network=None, proxied=(), changes=(), env=None):
        """proxied: which of store, shared, a, b and q are reached by a proxy that can break the way there."""
        self.name, self.network = name, network
        self.lives = 0  # how often it was killed
        self.still_until = 0.0
        self.config_lock = threading.Lock()  # whoever writes the file, or starts what reads it
        host = network.here if network else "127.0.0.1"
        self.proxies = {what: Proxy(site.ports[what], host) for what in proxied}
        at = {what: f"{host}:{self.proxies[what].port}" if what in self.proxies else f"127.0.0.1:{port}"
              for what, port in site.ports.items()}
        model_env = {"RELAY_CACHE_MODEL": MODEL} if HAS_MODEL else {}
        super().__init__(site.folder / name, gateway_config(at), start=False, env={**model_env, **(env or {})})
        for change in changes:
            self.configure(change(at))
        if network:
            self.configure({"server": {"listen": f"{network.there}:{self.port}"}})

    @property
    def host(self):
        return self.network.there if self.network else "127.0.0.1"

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def start(self, wait=True):
        # `ip netns exec` becomes the gateway, so signals reach it.
        prefix = ["ip", "netns", "exec", self.network.name] if self.network else []
        super(Relay, self).__init__([*prefix, RELAY_BIN, "serve", "--config", str(self.config_path)],
                                    self.log_path, env=self.env, cwd=self.folder)
        if wait:
            wait_for(self._is_ready, why=lambda: f"relay did not start: {self.log()[-3000:]}")

    @contextlib.contextmanager
    def standing_still(self):
        """Whoever asks meanwhile waits, and that is not the gateway's fault."""
        self.still_until = float("inf")
        try:
            yield
        finally:
            self.still_until = time.monotonic()


class Site:
    """What both have in common; soak.py gives each its clients."""

    def __init__(self, run, name):
        self.run, self.name, self.folder = run, name, run.folder / name
        self.folder.mkdir()
        self.ports = {sim: s.port for sim, s in run.sims.items()}
        self.gateways, self.removers, self.up = [], [], set()
        self.probes = None
        self.calm_since = None  # None: something is broken
        self.struck = collections.defaultdict(list)  # fault -> [(how long it lasted, until recovered)]

    def later(self, thing, what):
        if thing is not None:
            self.removers.append(getattr(thing, what))
        return thing

    def add(self, *words, **options):
        gateway = Gateway(self, *words, **options)
        for proxy in gateway.proxies.values():
            self.later(proxy, "close")
        self.removers.append(lambda: gateway.process and gateway.is_running() and gateway.kill())
        gateway.start()
        self.gateways.append(gateway)
        self.up.add(gateway)
        return gateway

    def remove(self):
        for remover in reversed(self.removers):
            try:
                remover()
            except Exception as error:
                print(f"soak: while cleaning up: {error}", flush=True)

    def more(self, count, gateways=None):
        """Until each of these gateways has answered so many more probes."""
        goals = {g: self.probes.served[g.name] + count for g in gateways or self.gateways}

        def reached():
            self.probes.read()
            return all(self.probes.served[g.name] >= n for g, n in goals.items())
        wait_for(reached, why=lambda: f"a gateway does not serve: {self.probes.served} "
                                      f"{[(g.name, g.log()[-2000:]) for g in self.gateways]}")

    def kill(self, gateway):
        with self.run.lock:
            self.up.discard(gateway)  # until the next one takes signals, SIGHUP ends it
            gateway.lives += 1
            died = not gateway.is_running()
        if died:
            self.run.complain(f"{gateway.name} ended by itself: {gateway.log()[-3000:]}")
        gateway.kill()

    def start(self, gateway, wait=True):
        with gateway.config_lock:
            gateway.start(wait)
        if wait:
            self.up.add(gateway)

    def kill_and_start(self, gateway):
        self.kill(gateway)
        self.start(gateway)

    # --- faults of providers: fallbacks carry what they can, and who asks for others notices nothing

    def provider_fails(self):
        self.run.sims["b"].set(status=503)
        time.sleep(AWAY_SECONDS)
        self.run.sims["b"].set(status=0)

    def provider_stands_still(self):
        with self.run.sims_lock:  # nobody asks it for its records meanwhile
            self.run.sims["a"].signal(signal.SIGSTOP)
            time.sleep(AWAY_SECONDS)
            self.run.sims["a"].signal(signal.SIGCONT)


class SqliteSite(Site):
    """One gateway on SQLite. What it keeps is on a file system of its own, if this process may mount one."""

    watched_from, last_kill = {"alone": 0.4}, 0.15

    def __init__(self, run):
        super().__init__(run, "sqlite")
        self.disk = None
        if IS_ROOT:
            size = DISK_BYTES + int(run.seconds * DATA_BYTES_PER_SECOND)
            self.disk = self.later(if_possible(lambda: Disk(self.folder / "alone" / "data", size)), "remove")
        self.alone = self.add("alone")

    def select(self, sql):
        return [tuple(row.values()) for row in self.alone.query(sql)]

    def check_store(self):
        if self.alone.query("PRAGMA integrity_check")[0]["integrity_check"] != "ok":
            self.run.complain("the database is damaged")

    def kill_alone(self):
        self.kill_and_start(self.alone)

    def restart_alone(self):
        with self.run.lock:
            self.up.discard(self.alone)
        if self.alone.stop() != 0:
            self.run.complain("the gateway did not stop well: " + self.alone.log()[-3000:])
        self.start(self.alone)

    def stop_alone(self):
        with self.alone.standing_still():
            self.alone.signal(signal.SIGSTOP)
            time.sleep(AWAY_SECONDS)
            self.alone.signal(signal.SIGCONT)

    def lock_database(self):
        """Somebody else's transaction: the store is there and takes nothing."""
        db = sqlite3.connect(self.alone.data / "relay.db", timeout=60, isolation_level=None)
        try:
            db.execute("BEGIN EXCLUSIVE")
            self.more(10)
            time.sleep(AWAY_SECONDS)
            db.execute("ROLLBACK")
        finally:
            db.close()

    def fill_disk(self):
        """Everything it writes fails, until requests are refused rather than not booked."""
        refused = self.run.statuses["alone", 503]
        self.disk.fill()
        try:
            wait_for(lambda: self.run.statuses["alone", 503] > refused + 3,
                     why=lambda: f"{self.run.statuses} {self.alone.log()[-2000:]}")
        finally:
            self.disk.empty()

    def faults(self, late):
        return ([self.kill_alone, self.restart_alone] * (not late) + [self.lock_database, self.stop_alone]
                + [self.fill_disk] * (self.disk is not None) + [self.provider_fails, self.provider_stands_still])


class SharedSite(Site):
    """Two gateways on PostgreSQL and Redis, each behind proxies of its own; the second in a network of its own, with
    its journal on a small file system, if this process may make them."""

    watched_from, last_kill = {"two": 0.4}, 0.15

    def __init__(self, run):
        super().__init__(run, "shared")
        self.postgres = self.later(Postgres(), "remove")
        (self.folder / "redis").mkdir()
        self.redis = self.later(Redis(self.folder / "redis"), "stop")
        self.ports |= {"store": self.postgres.port, "shared": self.redis.port}
        self.network = self.disk = self.clock = None
        if IS_ROOT:
            self.network = self.later(if_possible(Network), "remove")
            self.disk = self.later(if_possible(lambda: Disk(self.folder / "disk", DISK_BYTES)), "remove")
        if sys.platform == "linux" and not IS_SANITIZED:
            self.clock = if_possible(lambda: Clock(self.folder))
        stores = [lambda at: {"store": self.postgres.url.replace(f"127.0.0.1:{self.postgres.port}", at["store"]),
                              "shared": f"redis://{at['shared']}"}]
        journal = [lambda at: {"journal": {"dir": str(self.disk.folder / "journal")}}] if self.disk else []
        self.one = self.add("one", proxied=("store", "shared"), changes=stores,
                            env=self.clock.environment() if self.clock else None)
        self.two = self.add("two", network=self.network, proxied=("store", "shared", *run.sims),
                            changes=stores + journal)

    def select(self, sql):
        return [tuple(row.values()) for row in self.postgres.query(sql)]

    def check_store(self):
        pass  # PostgreSQL's own tools have nothing that a query does not show

    def kill_one(self):
        self.kill_and_start(self.one)

    def kill_two(self):
        self.kill(self.two)
        self.more(5, [self.one])
        self.start(self.two)

    def kill_both(self):
        for gateway in self.gateways:
            self.kill(gateway)
        for gateway in self.gateways:
            self.start(gateway)

    def stop_gateway(self):
        with self.two.standing_still():
            self.two.signal(signal.SIGSTOP)
            self.more(5, [self.one])
            self.two.signal(signal.SIGCONT)

    def kill_postgres(self):
        self.postgres.kill()
        self.more(10)  # keys that are known work
        time.sleep(AWAY_SECONDS)
        self.postgres.start()

    def stop_postgres(self):
        self.postgres.freeze()
        self.more(10)
        time.sleep(AWAY_SECONDS)
        self.postgres.thaw()

    def kill_postgres_and_gateway(self):
        self.postgres.kill()
        self.kill(self.one)
        self.start(self.one, wait=False)
        self.postgres.start()
        wait_for(self.one._is_ready, why=lambda: self.one.log()[-3000:])
        self.up.add(self.one)

    def kill_redis(self):
        self.redis.kill()
        self.more(10)
        time.sleep(AWAY_SECONDS)
        self.redis.start()

    def stop_redis(self):
        self.redis.signal(signal.SIGSTOP)
        self.more(10)
        time.sleep(AWAY_SECONDS)
        self.redis.signal(signal.SIGCONT)

    def stop_both_stores(self):
        self.redis.signal(signal.SIGSTOP)
        self.postgres.freeze()
        self.more(10)
        self.postgres.thaw()
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
        refused = self.run.statuses["two", 503]
        self.disk.fill()
        try:
            wait_for(lambda: self.run.statuses["two", 503] > refused + 3,
                     why=lambda: f"{self.run.statuses} {self.two.log()[-2000:]}")
            self.more(5, [self.one])
        finally:
            self.disk.empty()

    def cut_off(self):
        with self.two.standing_still():
            self.network.connect(False)
            self.more(10, [self.one])
            self.network.connect(True)

    def step_clock(self):
        for seconds in (26 * 3600, -3 * 3600, 0):
            self.clock.set(seconds)
            self.more(5, [self.one])

    def faults(self, late):
        always = [self.kill_one, self.stop_postgres, self.kill_redis, self.reset_connections, self.kill_postgres,
                  self.stop_redis, self.lead_nowhere, self.stop_gateway, self.kill_postgres_and_gateway,
                  self.stop_both_stores]
        return ([self.kill_two, self.kill_both] * (not late) + always
                + [self.fill_disk] * (self.disk is not None) + [self.cut_off] * (self.network is not None)
                + [self.step_clock] * (self.clock is not None))
