"""Parts of a machine that the soak breaks: a network, a disk, a clock. The first two need root."""

import os
import re
import subprocess
import sys
from pathlib import Path

from support import RELAY_BIN, wait_for

IS_ROOT = sys.platform == "linux" and os.geteuid() == 0
IS_SANITIZED = Path(RELAY_BIN).exists() and bool(re.search(rb"__[at]san_init", Path(RELAY_BIN).read_bytes()))


def run(*words):
    subprocess.run(words, check=True, capture_output=True)


def if_possible(make):
    """What needs rights that this process may lack; None without them."""
    try:
        return make()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"soak: left out: {getattr(error, 'stderr', None) or error}", flush=True)
        return None


class Network:
    """A namespace with one link to this machine."""

    def __init__(self):
        n = os.getpid() % 250
        self.name = f"relay-soak-{os.getpid()}"
        self.outer, self.inner = f"rs{n}o", f"rs{n}i"
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
    """A file system of its own, in memory. It is made full by making it as small as what it holds."""

    def __init__(self, folder, size_bytes):
        self.folder, self.size_bytes = folder, size_bytes
        folder.mkdir(parents=True, mode=0o700)
        run("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "soak", str(folder))

    def _resize(self, size_bytes):
        run("mount", "-o", f"remount,size={size_bytes}", str(self.folder))

    def _shrink(self):
        told = os.statvfs(self.folder)
        try:
            self._resize((told.f_blocks - told.f_bfree) * told.f_frsize)
        except subprocess.CalledProcessError:  # it has grown meanwhile
            return False
        return True

    def fill(self):
        wait_for(self._shrink, why="the file system does not become smaller")

    def empty(self):
        self._resize(self.size_bytes)

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
        return {"LD_PRELOAD": str(self.library), "SOAK_CLOCK": str(self.path)}

    def set(self, seconds):
        with open(self.path, "r+b") as f:
            f.write(seconds.to_bytes(8, sys.byteorder, signed=True))
