"""A real redis-server 8 for a test: on a free loopback port, in the test's folder, always stopped.

RELAY_REDIS_SERVER names the program; else it is the one that scripts/setup.sh unpacked."""

import os
import signal
import socket

import pytest

from support import ROOT, Process, free_port, wait_for

PROGRAM = os.environ.get("RELAY_REDIS_SERVER", str(ROOT / "build/deps/redis/redis-server"))

needs_redis = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK),
                                 reason="there is no redis-server 8 (scripts/setup.sh test)")


# Debian 12's Redis 7 (scripts/setup.sh test) and Valkey (scripts/setup.sh others), where they are.
REDIS7 = str(ROOT / "build/deps/redis7/redis-server")
VALKEY = str(ROOT / "build/deps/valkey/valkey-server")


class Redis(Process):
    def __init__(self, folder, *args, config="", program=PROGRAM):
        self.folder = folder
        self.program = program
        self.args = args
        (folder / "redis.conf").write_text(config)
        self.port = free_port()
        self.process = None
        self.log_path = folder / "redis.log"
        self.start()

    def start(self):
        super().__init__([self.program, str(self.folder / "redis.conf"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                          "--dir", str(self.folder), *self.args], self.log_path)
        wait_for(self._listens, why=lambda: f"redis-server did not start: {self.log()}")

    def _listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def stop(self, seconds=10):
        if self.is_running():
            self.signal(signal.SIGCONT)
        return super().stop(seconds)

    def ask(self, *words):
        """One command; the reply's lines, without their ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(b"*%d\r\n" % len(words) + b"".join(
                b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words))
            s.sendall(b"*1\r\n$4\r\nQUIT\r\n")
            data = b""
            while piece := s.recv(65536):
                data += piece
        assert data.endswith(b"+OK\r\n"), data
        return data[:-len(b"+OK\r\n")].decode(errors="replace").split("\r\n")[:-1]

    def keys(self, pattern="*"):
        return [line for line in self.ask("KEYS", pattern) if line.startswith("rl:")]


def slot_of(key):
    """The hash slot of a cluster that a key of Relay's lies in: CRC-16 of what is between its braces."""
    crc = 0
    for byte in key[key.index("{") + 1:key.index("}")].encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return crc % 16384


class Cluster:
    """Primaries with equal parts of the slots, and perhaps replicas of the first of them."""

    PRIMARIES = 3

    def __init__(self, folder, replicas=0):
        self.servers = []
        try:
            for i in range(self.PRIMARIES + replicas):
                at = folder / f"node{i}"
                at.mkdir()
                self.servers.append(Redis(
                    at, "--cluster-enabled", "yes", "--cluster-port", str(free_port()),
                    "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0", "--cluster-require-full-coverage", "no"))
            self._form()
        except BaseException:
            self.stop()
            raise

    def _form(self):
        first, n = self.servers[0], self.PRIMARIES
        for i, server in enumerate(self.servers[:n]):
            server.ask("CLUSTER", "ADDSLOTSRANGE", str(16384 * i // n), str(16384 * (i + 1) // n - 1))
        for server in self.servers[1:]:
            first.ask("CLUSTER", "MEET", "127.0.0.1", str(server.port), server.args[3])
        wait_for(lambda: self._is_whole(), why=lambda: str(first.ask("CLUSTER", "NODES")))
        id = first.ask("CLUSTER", "MYID")[-1]
        for server in self.servers[n:]:
            server.ask("CLUSTER", "REPLICATE", id)
            wait_for(lambda: "master_link_status:up" in server.ask("INFO", "replication"))

    def _is_whole(self):
        infos = [server.ask("CLUSTER", "INFO") for server in self.servers]
        return all({"cluster_state:ok", "cluster_slots_ok:16384",
                    f"cluster_known_nodes:{len(self.servers)}"} <= set(info) for info in infos)

    def owner(self, key):
        """The place of the primary that has this key, as long as no slot was moved."""
        slot = slot_of(key)
        return next(i for i in range(self.PRIMARIES) if slot < 16384 * (i + 1) // self.PRIMARIES)

    def keys(self, pattern="*"):
        """By primary."""
        return [server.keys(pattern) for server in self.servers[:self.PRIMARIES]]

    def stop(self):
        for server in self.servers:
            server.stop()
