"""The judges of steering find plays that break it: real ones, judged by a plan that asked for more."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fleetos.model.steering.match import ANY_SERVER, Match
from fleetos.model.steering.rollout import BetweenWaves, GroupRule, OfLast, SteeringPlan, WaveEntry
from fleetos.model.steering.share import Share
from fleetos.model.steering.windows import CalendarFile, CronTimes, DateTimes, Fit, Nights, WindowRule, Windows
from tests.simulation.checkers import broken, check
from tests.simulation.edited_runs import failing, plain, small
from tests.simulation.run_trace import RunTrace
from tests.simulation.scenario_run import run_scenario
from tests.simulation.spec_steering import BORN, CALENDAR, SteeringSpec

_ALL = Share(100.0, percent=True)
_DAILY = tuple(range(7))
_Events = tuple[tuple[datetime, datetime], ...]
_Seconds = tuple[tuple[float, float], ...]


def _in_waves() -> RunTrace:
    """Return a play in which the second server is the second wave, and nobody watches the first."""
    entry = WaveEntry(None, ANY_SERVER, (Share(1.0), _ALL), BetweenWaves())
    return run_scenario(replace(small(concurrency=1), steering=SteeringSpec(SteeringPlan(waves=(entry,)))))


def _judged(trace: RunTrace, plan: SteeringPlan, *, denied: _Events = (), unreadable: _Seconds = ()) -> set[str]:
    """Return what the play breaks of this plan."""
    trace.spec = replace(trace.spec, steering=replace(SteeringSpec(plan), denied=denied, unreadable=unreadable))
    return {violation.invariant for violation in check(trace)}


def _windows(windows: Windows) -> SteeringPlan:
    return SteeringPlan(windows=windows)


def _dates(since: str, until: str) -> WindowRule:
    return WindowRule(DateTimes(since, until), None)


# Plays of this clock begin at 03:04:05 UTC and end within some minutes.
_BEFORE, _AROUND = _dates("2026-01-02T02:00Z", "2026-01-02T03:04Z"), _dates("2026-01-02T02:00Z", "2026-01-02T06:00Z")
_SOON_OVER = _dates("2026-01-02T02:00Z", "2026-01-02T03:05Z")


@pytest.mark.parametrize(
    "windows",
    [
        pytest.param(Windows((_BEFORE,)), id="closed"),
        pytest.param(Windows(()), id="never"),
        pytest.param(Windows((_AROUND,), (_AROUND,)), id="denied"),
        pytest.param(Windows((replace(_AROUND, match=Match(az=("elsewhere",))),)), id="of-others"),
        pytest.param(Windows((_SOON_OVER,), fit=Fit(None, 300.0)), id="does-not-fit"),
        pytest.param(Windows((WindowRule(CronTimes("0 4 * * *", 600.0), "UTC"),)), id="cron"),
        pytest.param(Windows((WindowRule(Nights(_DAILY, 120, 180), "UTC"),)), id="night"),
    ],
)
def test_what_begins_outside_of_its_window_is_found(windows: Windows) -> None:
    assert _judged(plain(), _windows(windows)) == {"I17"}


@pytest.mark.parametrize(
    "windows",
    [
        pytest.param(Windows(), id="always"),
        pytest.param(Windows((_AROUND,), (_BEFORE,), Fit(None, 300.0)), id="open"),
        pytest.param(Windows((WindowRule(Nights(_DAILY, 120, 300), "UTC"),)), id="night"),
    ],
)
def test_what_begins_in_its_window_is_left_alone(windows: Windows) -> None:
    assert _judged(plain(), _windows(windows)) == set()


def test_what_begins_though_a_calendar_cannot_be_read_is_found() -> None:
    windows = Windows(None, (WindowRule(CalendarFile(CALENDAR), "UTC"),))
    assert _judged(plain(), _windows(windows)) == set()
    assert _judged(plain(), _windows(windows), unreadable=((-100.0, 1e6),)) == {"I17"}
    event = (datetime(2026, 1, 2, 3, tzinfo=UTC), datetime(2026, 1, 2, 4, tzinfo=UTC))
    assert _judged(plain(), _windows(windows), denied=(event,)) == {"I17"}


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        pytest.param(SteeringPlan(max_failed=Share(0.0)), {"I18"}, id="of-the-run"),
        pytest.param(SteeringPlan(max_failed=Share(49.0, percent=True)), {"I18"}, id="rounded-down"),
        pytest.param(SteeringPlan(of_last=OfLast(0, 1)), {"I18"}, id="of-the-last"),
        pytest.param(SteeringPlan(max_failed=Share(2.0), of_last=OfLast(2, 3)), set[str](), id="enough"),
    ],
)
def test_an_admission_over_a_budget_is_found(plan: SteeringPlan, found: set[str]) -> None:
    trace = run_scenario(replace(failing().spec, rollout=replace(failing().spec.rollout, concurrency=Share(1.0))))
    assert _judged(trace, plan) == found


def test_a_wave_that_opens_before_its_time_is_found() -> None:
    entry = WaveEntry(None, ANY_SERVER, (Share(1.0), _ALL), BetweenWaves())
    baking = replace(entry, between=BetweenWaves(bake_s=86400.0))
    assert _judged(_in_waves(), SteeringPlan(waves=(baking,))) == {"I19"}


def test_a_server_that_is_in_no_wave_is_found() -> None:
    entry = WaveEntry(None, ANY_SERVER, (_ALL,), BetweenWaves())
    assert _judged(plain(), SteeringPlan(waves=(entry,))) == {"I19"}


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        pytest.param(GroupRule("all", Share(1.0)), {"I20"}, id="all"),
        pytest.param(GroupRule("all", Share(74.0, percent=True)), {"I20"}, id="rounded-down"),
        pytest.param(GroupRule("all", Share(75.0, percent=True)), set[str](), id="three-of-four"),
        pytest.param(GroupRule("az", Share(1.0)), {"I20"}, id="zone"),
        pytest.param(GroupRule("label:pair", Share(1.0)), set[str](), id="label-of-nobody"),
    ],
)
def test_a_group_above_its_limit_is_found(rule: GroupRule, found: set[str]) -> None:
    assert _judged(plain(), SteeringPlan(groups=(rule,))) == found


def _long_after(trace: RunTrace) -> RunTrace:
    """Let nobody be admitted for a day after the driver has begun."""
    first, *others = trace.written
    trace.written = [first, *(replace(written, at_s=written.at_s + 86400.0) for written in others)]
    trace.sessions = [replace(session, ended_s=session.ended_s + 86400.0) for session in trace.sessions]
    trace.ended_s += 86400.0
    return trace


@pytest.mark.parametrize(
    ("make", "plan", "found"),
    [
        pytest.param(plain, SteeringPlan(max_failed=Share(9.0)), True, id="nothing-keeps-it"),
        pytest.param(plain, SteeringPlan(groups=(GroupRule("all", Share(2.0)),)), True, id="room-in-its-group"),
        pytest.param(plain, _windows(Windows((_BEFORE,))), False, id="closed"),
    ],
)
def test_who_waits_for_nothing_is_found(make: Callable[[], RunTrace], plan: SteeringPlan, found: bool) -> None:
    trace = _long_after(make())
    trace.spec = replace(trace.spec, steering=SteeringSpec(plan, BORN))
    assert bool(list(broken("I21", trace))) is found
