"""The scan of minutes: known nights by hand, and the windows of many worlds against those of the product."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from fleetos.model.run import Target
from fleetos.model.steering.rollout import SteeringPlan
from fleetos.model.steering.times import Times
from fleetos.model.steering.windows import CalendarFile, CronTimes, Nights, WindowRule, Windows
from fleetos.planning.calendars import expand
from fleetos.rules.windows import Window, make_window, match_rules
from tests.simulation.checkers.steering.minute_scan import MinuteScan
from tests.simulation.edited_runs import plain, small
from tests.simulation.run_trace import RunTrace
from tests.simulation.spec_steering import SteeringSpec, calendar_text
from tests.simulation.steering_worlds import with_steering

_BERLIN, _DAILY = "Europe/Berlin", tuple(range(7))
_SPRING, _AUTUMN = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
_DAY_S = 86400.0


@cache
def _play() -> RunTrace:
    return plain()


def _steered(steering: SteeringSpec) -> RunTrace:
    """Return a play of a day that begins when the steering says."""
    spec = replace(small(), steering=steering)
    return replace(_play(), spec=spec, born_at=steering.born.timestamp(), ended_s=_DAY_S)


def _open_minutes(windows: Windows, born: datetime) -> list[int]:
    trace = _steered(SteeringSpec(SteeringPlan(windows=windows), born))
    scan, target = MinuteScan(trace), next(iter(trace.targets.values()))
    return [minute for minute in range(24 * 60) if scan.is_open(target, trace.born_at + 60.0 * minute)]


def _night(begin_min: int, end_min: int) -> WindowRule:
    return WindowRule(Nights(_DAILY, begin_min, end_min), _BERLIN)


@pytest.mark.parametrize(
    ("born", "begin_min", "end_min", "hours"),
    [
        pytest.param(_SPRING, 1320, 300, 6.0, id="spring"),
        pytest.param(_AUTUMN, 1320, 300, 8.0, id="autumn"),
        pytest.param(_AUTUMN, 135, 165, 0.0, id="read-twice"),
        pytest.param(_SPRING, 135, 165, 0.0, id="never-read"),
        pytest.param(_AUTUMN, 150, 360, 3.5, id="begins-at-its-last-reading"),
        pytest.param(_AUTUMN, 0, 150, 2.5, id="ends-at-its-first-reading"),
        pytest.param(_SPRING, 150, 360, 3.0, id="begins-after-the-gap"),
    ],
)
def test_a_night_is_as_long_as_its_clock_says(born: datetime, begin_min: int, end_min: int, hours: float) -> None:
    assert len(_open_minutes(Windows((_night(begin_min, end_min),)), born)) == hours * 60


def test_what_is_denied_is_longer_in_doubt() -> None:
    closed = 24 * 60 - len(_open_minutes(Windows(None, (_night(135, 165),)), _AUTUMN))
    assert closed == 90


def test_a_cron_time_lasts_true_seconds() -> None:
    rule = WindowRule(CronTimes("30 1 * * *", 7200.0), _BERLIN)
    assert len(_open_minutes(Windows((rule,)), _SPRING)) == len(_open_minutes(Windows((rule,)), _AUTUMN)) == 120


@pytest.mark.parametrize("seed", range(1, 31))
def test_the_windows_of_a_world_are_those_of_the_product(seed: int) -> None:
    steering = with_steering(replace(small(), seed=seed), 4, 1.0).steering
    assert steering is not None
    windows = steering.plan.windows
    if windows is None:
        return
    trace = _steered(steering)
    scan, targets = MinuteScan(trace), list(trace.targets.values())
    made, index = _product(windows, steering, targets)
    for target in {index[one.server_id]: one for one in targets}.values():
        window = made[index[target.server_id]]
        for minute in range(24 * 60):
            moment = steering.born.replace(second=0) + timedelta(minutes=minute)
            is_open = window.opened.end_at(moment) is not None
            assert scan.is_open(target, moment.timestamp()) is is_open, moment
            assert scan.is_denied(target, moment.timestamp()) is (window.denied.end_at(moment) is not None), moment


def _product(
    windows: Windows, steering: SteeringSpec, targets: Sequence[Target]
) -> tuple[Sequence[Window], dict[str, int]]:
    """Return the windows as the product makes them, and the index of each server's."""
    sets, index = match_rules(windows, targets)
    allow = [_times(rule, steering, deny=False) for rule in windows.allow or ()]
    deny = [_times(rule, steering, deny=True) for rule in windows.deny]
    return [make_window(matched, allow, deny) for matched in sets], index


def _times(rule: WindowRule, steering: SteeringSpec, *, deny: bool) -> Times:
    text = calendar_text(steering.denied) if isinstance(rule.when, CalendarFile) else None
    return expand(rule, steering.born, deny=deny, text=text)
