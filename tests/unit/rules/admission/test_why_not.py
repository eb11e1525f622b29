"""Why a target does not go on: each reason, in its order, at its points."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.run import Outcome, Target
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.steering.rollout import GroupRule, Steering
from fleetos.model.steering.share import Share
from fleetos.model.steering.times import Times
from fleetos.model.steering.windows import Windows
from fleetos.rules.admission.pass_facts import Point, Standing
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason
from fleetos.rules.admission.why_not import why_not
from fleetos.rules.groups import LOOK_EXPIRES, Groups, Look
from fleetos.rules.windows import Window
from tests.support.builders import RUNNING, SETTINGS, START, STOPPED, a_run, a_target, an_attempt

S, R = TargetState, WaitReason
HOUR = timedelta(hours=1)
A, E, SUBMIT = Point.ADMIT, Point.EFFECT, Point.SUBMIT
FAILED = an_attempt(outcome=Outcome.FAILED, accepted_at=START)
TARGET = a_target(1, az="eu-de-01", wave=2)


def window(begin_h: float = -1, end_h: float = 1, denied_h: float = 0.0, unreadable: str | None = None) -> Window:
    """Window from and to so many hours from START; denied for so many hours from START on."""
    allowed = Times.of([(START + begin_h * HOUR, START + end_h * HOUR)])
    return Window.of([allowed], [Times.of([(START, START + denied_h * HOUR)])], unreadable)


def needs(seconds: float) -> Callable[[str, Point], float]:
    """A change that still needs so many seconds."""

    def need_s(_: str, __: Point) -> float:
        return seconds

    return need_s


def crowd(limit: int = 1, *, out: bool = True, seen: timedelta = timedelta()) -> Groups:
    """Groups of a zone with a second server, which is out or not, and was seen so long ago."""
    other = a_target(2, az="eu-de-01")
    groups = Groups.of([GroupRule("az", Share(limit))], [TARGET, other])
    groups.update(TARGET, Look(RUNNING, START))
    groups.update(other, Look(STOPPED if out else RUNNING, START - seen))
    return groups


def standing(**changes: object) -> Standing:
    """A standing in which nothing keeps a target from going on."""
    run = a_run(settings=replace(SETTINGS, concurrency=2))
    steering = Steering(windows=Windows())
    return replace(Standing(run, START, steering, opened=2, places=2, free=2), **changes)


# Each standing has one more reason than the next; the rows are in the order of the reasons.
ROWS: tuple[tuple[WaitReason, dict[str, object], str, tuple[Point, ...]], ...] = (
    (R.ABORTED, {"run": a_run(state=RunState.FINISHING)}, "being ended", (A, E, SUBMIT)),
    (
        R.PAUSED,
        {"run": a_run(state=RunState.PAUSED, reason=Reason.UNREACHABLE, by="anna")},
        r"paused \(unreachable\) by anna",
        (A, E, SUBMIT),
    ),
    (
        R.SCHEDULED,
        {"steering": Steering(windows=Windows(), not_before=START + HOUR)},
        "scheduled for 2026-03-01 13:00Z",
        (A,),
    ),
    (R.WAVE, {"opened": 1, "next_wave": Waiting(R.WAVE, "wave 2 bakes")}, "wave 2 bakes", (A,)),
    (R.CLOCK, {"clock_off": "7m"}, "differ by 7m", (A, E, SUBMIT)),
    (R.CALENDAR, {"windows": (window(unreadable="a.ics"),)}, "a.ics cannot be read", (A, E, SUBMIT)),
    (R.BLACKOUT, {"windows": (window(denied_h=0.5),)}, "denied until 2026-03-01 12:30Z", (A, E, SUBMIT)),
    (R.WINDOW, {"windows": (window(2, 3),)}, "closed until 2026-03-01 14:00Z", (A, E, SUBMIT)),
    (R.FIT, {"need_s": needs(3601.0)}, "needs 1h1m, 1h0m left: no window that long", (A, SUBMIT)),
    (R.UNAVAILABLE, {"groups": crowd()}, "az eu-de-01: 1 of 1 out: web-0002 down", (A, E)),
    (R.UNSEEN, {"groups": crowd(out=False, seen=2 * LOOK_EXPIRES)}, "az eu-de-01: not all", (A, E)),
    (R.CONCURRENCY, {"places": 0, "free": 0}, "2 of 2 slots", (A, SUBMIT)),
    (R.PACE, {"places": 0, "may_send": False}, "queued", (A, SUBMIT)),
)


@pytest.mark.parametrize("row", ROWS, ids=[str(reason) for reason, *_ in ROWS])
def test_each_reason_holds_at_its_points(row: tuple[WaitReason, dict[str, object], str, tuple[Point, ...]]) -> None:
    reason, changes, _, points = row
    facts = {"windows": (window(),)} | changes
    for point in Point:
        waiting = why_not(TARGET, standing(**facts), point)
        assert (waiting.reason if waiting else None) == (reason if point in points else None), point


@pytest.mark.parametrize("row", ROWS, ids=[str(reason) for reason, *_ in ROWS])
def test_each_reason_says_what_ends_it(row: tuple[WaitReason, dict[str, object], str, tuple[Point, ...]]) -> None:
    _, changes, words, _ = row
    waiting = why_not(TARGET, standing(**({"windows": (window(),)} | changes)), A)
    assert waiting is not None
    assert re.search(words, waiting.words), waiting.words


@pytest.mark.parametrize("index", range(len(ROWS) - 1))
def test_of_two_reasons_the_first_is_said(index: int) -> None:
    """Rows that change the same fact of a standing cannot hold together."""
    reason, changes, *_ = ROWS[index]
    for _, others, *_ in ROWS[index + 1 :]:
        waiting = why_not(TARGET, standing(**({"windows": (window(),)} | others | changes)), A)
        assert waiting is not None
        assert waiting.reason is reason


def test_nothing_keeps_a_target_from_going_on() -> None:
    assert [why_not(TARGET, standing(), point) for point in Point] == [None] * 3


def test_a_backoff_counts_only_in_the_queue() -> None:
    later = replace(TARGET, state=S.BACKOFF, not_before=START + HOUR)
    waiting = why_not(later, standing(), A)
    assert waiting == Waiting(R.BACKOFF, "retry at 13:00:00Z", START + HOUR)
    assert why_not(later, standing(), E) is None
    assert why_not(replace(later, not_before=START), standing(), A) is None


@pytest.mark.parametrize(
    ("retries", "shut", "reason"),
    [
        ("finish", window(2, 3), None),
        ("wait", window(2, 3), R.WINDOW),
        ("finish", window(end_h=0.001), None),
        ("wait", window(end_h=0.001), R.FIT),
        ("finish", window(denied_h=0.5), R.BLACKOUT),
        ("finish", window(unreadable="a.ics"), R.CALENDAR),
    ],
)
def test_a_broken_server_gets_its_next_attempt_but_never_in_a_deny(
    retries: str, shut: Window, reason: WaitReason | None
) -> None:
    steering = Steering(windows=Windows(retries="finish" if retries == "finish" else "wait"))
    facts = standing(steering=steering, windows=(shut,), need_s=needs(60.0))
    broken = replace(TARGET, state=S.BACKOFF, attempts=(FAILED,))
    for point in (A, SUBMIT):
        waiting = why_not(broken, facts, point)
        assert (waiting.reason if waiting else None) is reason
    untried = why_not(TARGET, facts, A)
    assert untried is not None


def test_a_change_may_end_when_its_window_does() -> None:
    assert why_not(TARGET, standing(windows=(window(),), need_s=needs(3600.0)), A) is None


def test_a_wave_further_on_waits_for_the_one_before() -> None:
    waiting = why_not(replace(TARGET, wave=4), standing(opened=2), A)
    assert waiting is not None
    assert waiting.words == "wave 4 waits for wave 3"


def test_the_first_admission_opens_a_wave_and_closes_the_next() -> None:
    facts = standing(opened=1, free=9, places=9)
    assert why_not(TARGET, facts, A) is None
    facts.admit(TARGET, takes_slot=False)
    assert (facts.opened, facts.places, facts.ahead, facts.free) == (2, 8, 1, 9)
    assert why_not(replace(TARGET, server_id="other"), facts, A) is None
    waiting = why_not(replace(TARGET, wave=3), facts, A)
    assert waiting is not None
    assert waiting.words == "wave 2 is not finished"


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        (TARGET, False),
        (replace(TARGET, stopped_at=START), True),
        (replace(TARGET, state=S.BACKOFF, attempts=(FAILED,), since=START + HOUR), True),
    ],
)
def test_who_is_out_already_is_free(target: Target, allowed: bool) -> None:
    groups = crowd()
    groups.update(target, Look(RUNNING, START))
    assert (why_not(target, standing(groups=groups), A) is None) is allowed


def test_an_admitted_target_is_recalled_only_when_its_group_is_above_its_limit() -> None:
    admitted = replace(TARGET, state=S.CHECKING)
    for out, reason in ((False, None), (True, R.UNAVAILABLE)):
        groups = crowd(out=out)
        groups.update(admitted, Look(RUNNING, START))
        waiting = why_not(admitted, standing(groups=groups), E)
        assert (waiting.reason if waiting else None) is reason
        assert why_not(admitted, standing(groups=groups), SUBMIT) is None


def test_a_target_with_an_unknown_outcome_needs_a_slot_at_once() -> None:
    inspected = replace(TARGET, attempts=(an_attempt(),))
    waiting = why_not(inspected, standing(free=0, places=3), A)
    assert waiting is not None
    assert waiting.reason is R.CONCURRENCY
    assert why_not(TARGET, standing(free=0, places=3), A) is None


def test_a_run_without_windows_asks_no_clock() -> None:
    assert why_not(TARGET, standing(steering=Steering(), clock_off="7m"), A) is None
