"""Fixtures: a simulated provider and a gateway for a module, and makers of more for one test."""

import itertools
import os

import pytest

import support as wire
from support import model, provider

_numbers = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line("markers", "real: needs a real model server, not part of make test")
    config.addinivalue_line("markers", "once: what it tests is outside the C code, and the C code under it has other "
                            "tests: not run again with AddressSanitizer")


# Few tests, each of which takes long: where files are shared out among processes they come first.
LONG = ("test_soak.py", "test_stack.py", "test_postgres_kills.py", "test_shared_redis.py", "test_shared_limits.py",
        "test_postgres.py", "test_semantic.py", "test_at_once.py", "test_gateways.py", "test_node.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture
def word():
    """A word that no other test uses, so that no cache answers."""
    return f"w{next(_numbers)}x{os.getpid()}"


@pytest.fixture(scope="session", autouse=True)
def programs():
    for path in (wire.RELAY_BIN, wire.SIM_BIN):
        assert os.access(path, os.X_OK), f"{path} is missing: build it with make build"


def _stop_all(things):
    """Stops all; sanitizers' and asserts' complaints fail the test that caused them."""
    for thing in reversed(things):
        if thing.process is not None:
            thing.stop()
        if not thing.log_path.exists():
            continue
        log = thing.log()
        for sign in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                     "WARNING: ThreadSanitizer", "Assertion"):
            assert sign not in log, log[log.index(sign) - 200:][:6000]


@pytest.fixture
def start(tmp_path):
    """Makers for one test: start.sim(...), start.relay({...}). All are stopped afterwards."""
    yield from _makers(tmp_path)


@pytest.fixture(scope="module")
def start_once(tmp_path_factory):
    """The same for a module."""
    yield from _makers(tmp_path_factory.mktemp("module"))


def _makers(folder):
    things = []

    class Start:
        path = folder

        @staticmethod
        def sim(*args, **kw):
            things.append(wire.Sim(folder, *args, name=kw.pop("name", f"sim{len(things)}"), **kw))
            return things[-1]

        @staticmethod
        def relay(config=None, **kw):
            name = kw.pop("name", f"relay{len(things)}")
            begin = kw.pop("start", True)
            things.append(wire.Relay(folder / name, config, start=False, **kw))
            if begin:
                things[-1].start()
            return things[-1]

        @staticmethod
        def process(command, name, **kw):
            things.append(wire.Process(command, folder / f"{name}.log", **kw))
            return things[-1]
    yield Start
    _stop_all(things)


@pytest.fixture(scope="module")
def sim(start_once):
    return start_once.sim()


@pytest.fixture(scope="module")
def relay(start_once, sim):
    """The gateway most tests share: one provider `p` with models small (cheap), large (dear) and
    `free/zero`, and an alias."""
    return start_once.relay({
        "providers": {"p": provider(sim)},
        "models": [model("p/small", input=0.5, output=1.5, cached_input=0.05, quality=40),
                   model("p/large", input=5, output=15, quality=80)],
        "aliases": {"fast": ["p/small"], "both": ["p/small", "p/large"]},
    })


@pytest.fixture(scope="module")
def key(relay):
    return relay.make_key("module")


@pytest.fixture(scope="module")
def http(relay, key):
    with relay.http(key) as client:
        yield client


@pytest.fixture
def four(start):
    return wire.make_four(start)
