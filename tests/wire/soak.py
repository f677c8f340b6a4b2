"""Load, faults and time together, and then the books: scripts/soak.sh.

    soak.py [--minutes N] [--seed N] [--table FILE]

Two places (soak_sites.py): a gateway on SQLite, and two on one PostgreSQL and one Redis. Clients of all kinds
(soak_clients.py) ask through them without a pause; three simulated providers answer, two of which fail at random. An
operator (soak_keeper.py) makes, changes and revokes keys by the admin API and reloads configurations, right and wrong
ones. Meanwhile each place is broken in one way after the other, and must serve again by itself. At six moments all
clients pause, and memory and descriptors are looked at.

Every request has a tag of its own, which reaches the log as `user` and the providers in its text. So there are three
books to compare in the end (soak_books.py). Exits with 1 and the reasons, or prints a table."""

import argparse
import collections
import os
import random
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

from postgres_server import BIN as HAS_POSTGRES
from soak_books import Books
from soak_clients import HANG_SECONDS, KINDS, Client, Seen
from soak_keeper import FAULTS, USUAL_COMPLETION, USUAL_PROMPT, Keeper, Reader
from soak_machine import IS_SANITIZED
from soak_probe import Probes, probe_tag
from soak_sites import ADMIN_KEY, SharedSite, SqliteSite
from support import SURELY_SECONDS, Sim, wait_for

CLIENTS = 5  # for each gateway
RECOVERY_SECONDS = 30  # after this long a fault's traces must be gone; in fact they are much sooner
SLOW_SECONDS, SLOW_TIMES = 0.25, 5  # what is slow: slower than both, the second times what is usual
GROWTH_BYTES_MAX = 4 << 20
GROWTH_FILES_MAX = 2
JUDGED_SECONDS = 600  # a shorter run is all warm-up
COMPLAINTS_SHOWN = 20
LOOKS = 5
EVERYTHING = "usage?by=day&from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
ESTABLISHED, CLOSE_WAIT, LISTEN = "01", "08", "0A"

Look = collections.namedtuple("Look", "share pid lives bytes files")


class Soak:
    """What all threads share."""

    def __init__(self, folder, seconds, seed, clients=CLIENTS, is_judge_of_time=True):
        """is_judge_of_time: fail if a gateway recovers late or its memory grows; else only tell it. A machine that has
        other work cannot promise the first, and a short run not the second."""
        self.folder, self.seconds, self.seed = folder, seconds, seed
        self.clients, self.is_judge_of_time = clients, is_judge_of_time
        self.lock, self.sims_lock = threading.RLock(), threading.Lock()
        self.over, self.pause = threading.Event(), threading.Event()
        self.working, self.number = 0, 0
        self.seen, self.complaints, self.sites, self.books = [], [], [], []
        self.counts, self.statuses = collections.Counter(), collections.Counter()
        self.looks = collections.defaultdict(list)  # gateway's name -> [Look]
        self.threads, self.strikers, self.sims = [], [], {}
        self.reader = self.began = None

    def complain(self, text):
        with self.lock:
            self.complaints.append(text)
        if len(self.complaints) <= COMPLAINTS_SHOWN:
            print("soak:", text[:2000], flush=True)

    def new_tag(self):
        with self.lock:
            self.number += 1
            return f"q{self.number}z"

    def start(self):
        for n, name in enumerate("abq"):
            sim = self.sims[name] = Sim(self.folder, name=name)
            sim.set(seed=self.seed + n, prompt_tokens=USUAL_PROMPT, completion_tokens=USUAL_COMPLETION,
                    ttft="lognormal:4:40" if name != "q" else 4, tps=4000,
                    rules=[{"match": {"chance": c}, "then": t} for c, t in FAULTS] if name != "q" else [])
        self.reader = Reader(self)
        for kind in (SqliteSite, SharedSite) if HAS_POSTGRES else (SqliteSite,):
            site = kind.__new__(kind)
            self.sites.append(site)
            site.__init__(self)
            self.people(site)
        for thread in (*self.threads, self.reader):
            thread.start()

    def people(self, site):
        """A site's keys, and who uses them."""
        keeper = Keeper(self, site)
        site.calm_since, site.revoked = None, collections.deque(maxlen=8)
        site.striking = threading.Lock()
        site.keys = {name: wait_for(lambda: keeper.make_key(name, **limits))[0] for name, limits in
                     {"steady": {}, "probe": {}, "limited": {"rpm": 200},
                      "poor": {"budget_usd": "0.02", "budget_period": "total"}}.items()}
        site.passing, site.passing_id = wait_for(lambda: keeper.make_key("passing"))
        site.probes = Probes(self.folder / f"{site.name}.probes",
                             [(g.name, g.url, site.keys["probe"]) for g in site.gateways])
        site.removers.append(site.probes.stop)
        self.threads += [keeper, *(Client(self, site, n) for n in range(self.clients * len(site.gateways)))]
        self.strikers.append(Striker(self, site))

    def run(self):
        self.start()
        self.began = time.monotonic()
        for site in self.sites:
            site.more(20)
            now = time.monotonic()
            for gateway in site.gateways:
                usual = site.probes.percentile(gateway.name, 0.99, 0, now)
                if self.is_judge_of_time:
                    site.probes.slow_seconds = max(SLOW_SECONDS, usual * SLOW_TIMES)
            site.calm_since = time.monotonic()
        for striker in self.strikers:
            striker.start()
        for n in range(1, LOOKS):
            while self.share() < n / LOOKS and not self.complaints:
                time.sleep(0.2)
            self.look(n / LOOKS)
        for striker in self.strikers:
            striker.join()
        self.look(1)
        self.finish()

    def share(self):
        """Of the time that is over."""
        return min(1, (time.monotonic() - self.began) / self.seconds) if self.seconds else 1

    def remove(self):
        self.over.set()
        for site in self.sites:
            site.remove()
        for sim in self.sims.values():
            if sim.is_running():
                sim.stop()

    # --- memory and descriptors

    def look(self, share):
        """At the gateways while nothing is broken and nobody asks."""
        for site in self.sites:
            site.striking.acquire()
        self.pause.set()
        try:
            wait_for(lambda: self.working == 0, HANG_SECONDS + SURELY_SECONDS, "clients do not come to rest")
            for site in self.sites:
                site.probes.pause()
                for gateway in site.gateways:
                    self.look_at(share, site, gateway)
        finally:
            for site in self.sites:
                site.probes.go_on()
                site.striking.release()
            self.pause.clear()

    def look_at(self, share, site, gateway):
        with gateway.http(ADMIN_KEY) as c:
            wait_for(lambda: re.search(r"^relay_inflight 0$", c.get("/metrics").text, re.M),
                     why=f"requests are left in flight at {gateway.name}")
        files, ports = [], {**site.ports, **{name: proxy.port for name, proxy in gateway.proxies.items()}}
        # A connection to PostgreSQL that rests in its pool is found dead when it is used.
        may_rest = f"half closed {ports.get('store')}"

        def rests():
            files[:] = [self.open_files(gateway)]
            return not any(kind.startswith(("clients", "half closed")) and kind != may_rest for kind in files[0])
        try:
            wait_for(rests)
        except AssertionError:
            self.complain(f"{gateway.name} keeps what has been closed: {files} {ports}")
        self.looks[gateway.name].append(Look(share, gateway.pid, gateway.lives, gateway.memory_bytes(), files[0]))

    @staticmethod
    def open_files(gateway):
        """How many descriptors by what they are: clients, others' servers, half closed, and everything else."""
        proc, kinds, sockets = Path(f"/proc/{gateway.pid}"), collections.Counter(), {}
        for line in (proc / "net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            port, peer = (int(word.split(":")[1], 16) for word in words[1:3])
            kind = "clients" if port == gateway.port and words[3] == ESTABLISHED else "servers"
            sockets[words[9]] = {LISTEN: "other", CLOSE_WAIT: f"half closed {peer}"}.get(words[3], kind)
        for n in os.listdir(proc / "fd"):
            try:
                target = os.readlink(proc / "fd" / n)
            except FileNotFoundError:
                continue
            found = re.fullmatch(r"socket:\[(\d+)\]", target)
            kinds[sockets.get(found[1], "other") if found else "other"] += 1
        kinds["clients"] -= 1  # the probe's, which rests
        return +kinds

    def judge_looks(self, site):
        for gateway in site.gateways:
            looks = self.looks[gateway.name]
            last = looks[-1]
            first = next((k for k in looks if k.pid == last.pid and k.share >= site.watched_from.get(gateway.name, 1)), last)
            if last.files["other"] - first.files["other"] > GROWTH_FILES_MAX:
                self.complain(f"{gateway.name}: open files grew from {first.files} to {last.files}")
            if last.bytes - first.bytes > GROWTH_BYTES_MAX and self.seconds >= JUDGED_SECONDS and not IS_SANITIZED:
                self.complain(f"{gateway.name}: memory grew from {first.bytes} to {last.bytes} bytes")

    # --- the end

    def finish(self):
        self.over.set()
        for thread in (*self.threads, self.reader):
            thread.join(HANG_SECONDS + SURELY_SECONDS)
            if thread.is_alive():
                self.complain(f"{thread.name} hangs")
        self.ended = time.monotonic()
        for site in self.sites:
            site.probes.stop()
            self.take_probes(site)
        self.reader.read()
        for site in self.sites:
            self.judge_looks(site)
            keys, usage = self.ask_sums(site)
            for gateway in site.gateways:
                if not gateway.is_running() or gateway.stop() != 0:
                    self.complain(f"{gateway.name} did not stop well: {gateway.log()[-3000:]}")
            books = Books(self, site)
            books.check_sums(keys, usage)
            site.check_store()
            self.books.append(books)

    def take_probes(self, site):
        site.probed = {probe_tag(name, len(told) + 1) for name, told in site.probes.told.items()}  # may be under way
        for name, told in site.probes.told.items():
            for p in told:
                id, status = (p.id, p.status) if p.status else (None, None)
                self.seen.append(Seen(probe_tag(name, p.number), "probe", name, id, status == 200, p.status != 0, status,
                                      None, None, False))

    def ask_sums(self, site):
        """What the admin API says when every journal is in the store."""
        gateway = site.gateways[0]
        with gateway.http(ADMIN_KEY) as c:
            def get(path):
                answer = c.get(f"/admin/v1/{path}")
                assert answer.status_code == 200, answer.text
                return answer.json()

            def is_settled():
                count = int(site.select("SELECT count(*) FROM requests")[0][0])
                return get(EVERYTHING)["total"]["requests"] == count
            time.sleep(1)  # a journal is copied within 200 ms
            wait_for(is_settled, why="the summaries do not come to the number of rows")
            keys, page = [], {"next": ""}
            while page["next"] is not None:
                page = get("keys?limit=200" + f"&after={page['next']}" * bool(page["next"]))
                keys += page["keys"]
            return keys, get(EVERYTHING)


class Striker(threading.Thread):
    """Breaks one site in one way after the other, and waits until each is over."""

    def __init__(self, run, site):
        super().__init__(name=f"striker {site.name}", daemon=True)
        self.soak, self.site, self.random = run, site, random.Random(f"{run.seed} {site.name} striker")

    def run(self):
        soak = self.soak
        try:
            for fault in self.all():
                time.sleep(self.random.uniform(0, min(4, soak.seconds / 60)))
                with self.site.striking:
                    self.strike(fault)
                if soak.complaints:
                    return
        except Exception as error:
            soak.complain(f"{self.name}: {type(error).__name__} {error}")

    def all(self):
        """Each fault once; then, until the time is over, what may happen at that time."""
        faults = self.site.faults(late=False)
        yield from self.random.sample(faults, len(faults))
        while self.soak.share() < 1:
            yield self.random.choice(self.site.faults(late=self.soak.share() >= self.site.last_kill))

    def wait_for_stores(self):
        """Gateways serve before they have found their stores again."""
        for gateway in self.site.gateways:
            with gateway.http(ADMIN_KEY) as c:
                wait_for(lambda: c.get("/admin/v1/keys?limit=1").status_code == 200,
                         why=lambda: f"{gateway.name} does not find its store: {gateway.log()[-2000:]}")

    def strike(self, fault):
        site, soak = self.site, self.soak
        site.more(5)
        began, site.calm_since = time.monotonic(), None
        fault()
        ended = time.monotonic()
        recovered = []
        for gateway in site.gateways:
            slowest = wait_for(lambda: [r for r in [site.probes.recovered(gateway.name, ended)] if r is not None],
                               why=lambda: f"{gateway.name} is slow after {fault.__name__}: "
                                           f"{site.probes.told[gateway.name][-20:]} {gateway.log()[-2000:]}")
            recovered += slowest
        self.wait_for_stores()
        site.calm_since = time.monotonic()
        site.struck[fault.__name__].append((ended - began, max(recovered)))
        print(f"soak: {soak.share():4.0%} {site.name} {fault.__name__} {ended - began:.1f} s, recovered after "
              f"{max(recovered):.2f} s", flush=True)
        if max(recovered) > RECOVERY_SECONDS and soak.is_judge_of_time:
            soak.complain(f"{site.name} recovered {max(recovered):.1f} s after {fault.__name__}")


def main():
    parser = argparse.ArgumentParser(description="Load, faults and time together, and then the books.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(100000))
    parser.add_argument("--table", type=Path, help="where the table goes besides")
    told = parser.parse_args()
    from soak_table import table
    soak = Soak(Path(tempfile.mkdtemp(prefix="relay-soak-")), told.minutes * 60, told.seed)
    print(f"soak: {told.minutes:g} minutes, seed {told.seed}, files in {soak.folder}", flush=True)
    try:
        soak.run()
    finally:
        soak.remove()
    text = table(soak)
    print(text)
    if told.table:
        told.table.write_text(text)
    for complaint in soak.complaints[:COMPLAINTS_SHOWN]:
        print("soak: because:", complaint[:2000])
    print(f"soak: {len(soak.complaints)} complaints")
    sys.exit(1 if soak.complaints else 0)


if __name__ == "__main__":
    main()
