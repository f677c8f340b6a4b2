"""A round of the soak: load, every fault at least once, and the books. How fast it recovers and how much memory it
takes is not asked here, where other tests have the machine too: scripts/soak.sh asks that."""

import pytest

from postgres_server import needs_postgres
from redis_server import needs_redis
from soak import Soak
from soak_machine import IS_SANITIZED
from soak_table import table
from support import ROOT

pytestmark = [needs_postgres, needs_redis]

SECONDS = 0 if IS_SANITIZED else 120  # at least each fault once


@pytest.fixture
def soak(tmp_path):
    made = Soak(tmp_path, SECONDS, seed=1, clients=2, is_judge_of_time=False)
    yield made
    made.remove()


def test_books_agree_whatever_breaks(soak):
    soak.run()
    text = table(soak)
    (ROOT / "build/soak.md").write_text(text)
    assert soak.complaints == [], text
