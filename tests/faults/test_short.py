"""A short run of `python -m tests.faults`."""

from pathlib import Path

import pytest

from tests.faults import plan
from tests.faults.plan import make_plan
from tests.faults.run import run
from tests.support.rabbitmq import PROGRAM


@pytest.mark.skipif(PROGRAM is None, reason="needs the program rabbitmq-server")
@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_twice_while_everything_is_killed_and_restarted(tmp_path: Path) -> None:
    report = run(tmp_path, make_plan(seed=11, files=60, minutes=0.5), files=60, workers=2, two_brokers=False)
    print(report)
    assert report.wrong == []


def test_a_plan_of_five_minutes_has_at_least_the_kills_and_outages_that_it_should() -> None:
    for seed in range(20):
        faults = make_plan(seed, files=1000, minutes=5).faults
        assert sum(fault.what in plan.WORKER_KILLS for fault in faults) >= 20
        assert sum(fault.what == plan.KILL_LISTENER for fault in faults) >= 5
        assert sum(fault.what in plan.BROKER_RESTARTS for fault in faults) >= 3
        for outage in (plan.S3_DOWN, plan.API_DOWN):
            assert any(fault.what == outage and fault.seconds >= 30 for fault in faults)


def test_the_same_seed_makes_the_same_plan_in_which_each_file_is_named() -> None:
    first, second = make_plan(3, 50, 1.0), make_plan(3, 50, 1.0)
    assert first == second
    assert {number for _, number in first.names} == set(range(50))
    assert first != make_plan(4, 50, 1.0)
