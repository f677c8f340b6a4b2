"""Each fault of chaos.py once, in a fixed order: two gateways, a real PostgreSQL and a real Redis 8."""

import pytest

from chaos import Chaos
from postgres_server import needs_postgres
from redis_server import needs_redis

pytestmark = [needs_postgres, needs_redis]


@pytest.fixture
def chaos(tmp_path):
    made = Chaos(tmp_path, seed=1)
    yield made
    made.remove()


def test_every_answer_has_one_row_whatever_breaks(chaos):
    chaos.start()
    for fault in chaos.faults():
        chaos.strike(fault)
    chaos.finish()
    assert chaos.complaints == []
