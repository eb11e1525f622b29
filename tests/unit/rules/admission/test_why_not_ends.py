"""A wait is true until the end that it states: nobody is admitted before, whatever windows and starts say."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from fleetos.model.steering.rollout import Steering
from fleetos.model.steering.times import Interval, Times
from fleetos.model.steering.windows import Windows
from fleetos.rules.admission.pass_facts import Point, Standing
from fleetos.rules.admission.why_not import find_wait, why_not
from fleetos.rules.windows import Window
from tests.support.builders import START, a_run, a_target

HOURS = st.integers(0, 48)


def _interval(hours: tuple[int, int]) -> Interval:
    begin, end = sorted(hours)
    return START + timedelta(hours=begin), START + timedelta(hours=end)


TIMES = st.lists(st.tuples(HOURS, HOURS).map(_interval), max_size=4).map(Times.of)


@given(TIMES, TIMES, HOURS, HOURS, st.integers(0, 6), st.integers(1, 99))
def test_nobody_is_admitted_before_the_stated_end(
    allowed: Times, denied: Times, start_h: int, now_h: int, need_h: int, share: int
) -> None:
    def need_s(_: str, __: Point) -> float:
        return need_h * 3600.0

    steering = Steering(windows=Windows(), not_before=START + timedelta(hours=start_h))
    now, target = START + timedelta(hours=now_h), a_target(1)
    window = Window.of([allowed], [denied])
    standing = Standing(a_run(), now, steering, windows=(window,), need_s=need_s, places=1, free=1)
    waiting = find_wait(target, standing)
    if waiting is None or waiting.ends_at is None:
        return
    assert waiting.ends_at > now
    between = now + (waiting.ends_at - now) * share / 100
    assert why_not(target, replace(standing, now=between), Point.ADMIT) is not None
