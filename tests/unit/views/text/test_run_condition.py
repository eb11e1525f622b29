"""How a run stands is told in the words of who drives it, or why nobody does."""

from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from fleetos.model.journal.events import Event, Moved, RunDriverEnded, RunDriverStarted, RunMoved
from fleetos.model.run import LeftBy, Scope
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.views.text.run_condition import Condition, Driver, condition, condition_words, short_words, where_words
from tests.support.builders import START
from tests.unit.views.run_history import RunHistory, server_id
from tests.unit.views.text.test_format import HOSTILE

Life = Literal["alive", "stopped", "gone"]
WHO = "process 8514 of root on vm"
PAUSED = RunMoved(RunState.PAUSED, Reason.PERMISSION, "no")
ABORTED = RunMoved(RunState.FINISHING, Reason.ABORTED, "aborted by anna", "anna")


def left(why: LeftBy, detail: str = "") -> RunDriverEnded:
    return RunDriverEnded(WHO, why, detail)


@pytest.mark.parametrize(
    ("events", "life", "found", "words", "short"),
    [
        ((), "alive", Condition.RUNNING, f"running, driven by {WHO}", "running"),
        ((ABORTED,), "alive", Condition.ABORTING, f"aborting, driven by {WHO}", "aborting"),
        (
            (),
            "stopped",
            Condition.STOPPED,
            f"its driver is stopped by a signal: {WHO}, last renewed 52m00s ago",
            "driver stopped",
        ),
        ((), "gone", Condition.ABANDONED, f"abandoned, last sign of life 12:00:00Z (52m00s ago), {WHO}", "abandoned"),
        (
            (left(LeftBy.SIGNAL, "SIGTERM"),),
            None,
            Condition.INTERRUPTED,
            f"interrupted (SIGTERM to {WHO}, 12:00:00Z (52m00s ago))",
            "interrupted",
        ),
        (
            (left(LeftBy.ERROR, "the disk is full"),),
            None,
            Condition.INTERRUPTED,
            f"interrupted ({WHO} failed: the disk is full, 12:00:00Z (52m00s ago))",
            "interrupted",
        ),
        (
            (ABORTED, left(LeftBy.SIGNAL, "SIGINT, then SIGINT")),
            None,
            Condition.INTERRUPTED,
            f"interrupted (while aborting, SIGINT, then SIGINT to {WHO}, 12:00:00Z (52m00s ago))",
            "interrupted",
        ),
        (
            (PAUSED, left(LeftBy.PAUSE)),
            None,
            Condition.PAUSED,
            "paused 12:00:00Z (52m00s ago): no permission",
            "paused: no permission",
        ),
        ((), None, Condition.WAITING, "not driven by any process, created 12:00:00Z (52m00s ago)", "not driven"),
    ],
)
def test_an_unfinished_run(
    events: tuple[Event, ...], life: Life | None, found: Condition, words: str, short: str
) -> None:
    history = RunHistory.of(2)
    history.happen(*events)
    run, counts = history.progress.run, history.progress.counts
    lease = None if life is None else Driver(WHO, 8514, START, life)
    now = START + timedelta(minutes=52)
    assert condition(run, counts, lease) is found
    assert condition_words(run, counts, lease, now) == words
    assert short_words(run, counts, lease) == short


def test_a_run_that_is_over_says_what_was_not_changed() -> None:
    history = RunHistory.of(3)
    history.begin()
    history.submit(0)
    history.succeed(0)
    history.happen(Moved(server_id(1), TargetState.CANCELLED))
    held = Moved(server_id(2), TargetState.HELD, reason=Reason.LOCKED)
    history.wait(60).happen(held, RunMoved(RunState.DONE))
    run, counts = history.progress.run, history.progress.counts
    assert condition_words(run, counts, None, history.now) == "ended after 1m00s with 1 held, 1 never changed"
    assert short_words(run, counts, None) == "ended: 1 held, 1 never changed"
    assert condition_words(run, {TargetState.DONE: 3}, None, history.now) == "done after 1m00s"
    aborted = replace(run, state=RunState.ABORTED, by="anna")
    assert condition_words(aborted, {TargetState.CANCELLED: 3}, None, history.now) == (
        "aborted by anna after 1m00s with 3 never changed"
    )


def test_another_day_has_its_date() -> None:
    history = RunHistory.of(1)
    words = condition_words(history.progress.run, history.progress.counts, None, START + timedelta(days=1))
    assert words == "not driven by any process, created 2026-03-01T12:00:00Z (1d00h ago)"


def test_the_next_driver_makes_the_end_of_the_last_one_forgotten() -> None:
    history = RunHistory.of(1)
    history.happen(RunDriverStarted(WHO), left(LeftBy.SIGNAL, "SIGTERM"), RunDriverStarted("process 2"))
    gone = Driver("process 2", 2, START, "gone")
    assert condition(history.progress.run, history.progress.counts, gone) is Condition.ABANDONED


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (
            Scope("otc-prod", "eu-de", "5dd3c0aa11", "x", "eu-de_prod", "OTC0001", "ops-rollout"),
            "cloud otc-prod, region eu-de, project eu-de_prod (5dd3c0a…), user ops-rollout of domain OTC0001",
        ),
        (Scope(None, None, "5dd3c0aa11", "x"), "cloud of the OS_* variables, project 5dd3c0aa11"),
        (
            Scope("hwc", "eu-de", "5dd3c0aa11", "x", "eu-de", access_key="…3F2K"),
            "cloud hwc, region eu-de, project eu-de (5dd3c0a…), access key …3F2K",
        ),
    ],
)
def test_where_a_run_works_and_as_whom(scope: Scope, words: str) -> None:
    assert where_words(scope) == words


def test_hostile_names_stay_in_their_line() -> None:
    assert where_words(Scope(HOSTILE, HOSTILE, HOSTILE, "x", HOSTILE, HOSTILE, HOSTILE)).isprintable()
