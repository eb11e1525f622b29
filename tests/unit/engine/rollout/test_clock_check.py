"""The clocks of cloud and machine: when they disagree, and how that is found to be over."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.engine.rollout.clock_check import CLOCK_LOOK_EVERY, CLOCK_OFF_MAX, ClockCheck
from fleetos.rules.observation import Observation
from fleetos.rules.polling import ReadServer
from tests.support.builders import RUNNING, START
from tests.support.clocks import ManualClock

MOMENT = replace(ManualClock(START).moment(), wall=START)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("ahead", [-1, 1])
def test_clocks_that_differ_by_more_than_five_minutes_do_not_agree(ahead: int) -> None:
    check = ClockCheck()
    check.add(Observation(RUNNING, MOMENT, MOMENT, single=True, cloud_time=START + ahead * CLOCK_OFF_MAX))
    assert check.off is None
    check.add(Observation(RUNNING, MOMENT, MOMENT, single=True, cloud_time=START + ahead * (CLOCK_OFF_MAX + SECOND)))
    assert check.off == "5 minutes"
    check.add(Observation(RUNNING, MOMENT, MOMENT, single=True))
    assert check.off == "5 minutes"
    check.add(Observation(RUNNING, MOMENT, MOMENT, single=True, cloud_time=START))
    assert check.off is None


def test_one_server_a_minute_is_read_and_each_time_another_one() -> None:
    check, ids = ClockCheck(), ["a", "b"]
    assert list(check.plan_reads(START, ids)) == [ReadServer("b")]
    assert list(check.plan_reads(START + CLOCK_LOOK_EVERY - SECOND, ids)) == []
    assert list(check.plan_reads(START + CLOCK_LOOK_EVERY, ids)) == [ReadServer("a")]
    # The clock was set back.
    assert list(check.plan_reads(START - CLOCK_LOOK_EVERY, ids)) == [ReadServer("b")]
