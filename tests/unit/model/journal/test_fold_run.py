"""The fold of runs, and the counts of their progress."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.errors import IllegalMove
from fleetos.model.journal.codec import event_from_json
from fleetos.model.journal.events import (
    Enlisted,
    RunApproved,
    RunCreated,
    RunDriverStarted,
    RunMoved,
    RunPassStarted,
    RunWaveFinished,
    RunWaveOpened,
    RunWavePromoted,
    RunWaveReopened,
)
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.progress import Progress, replay
from fleetos.model.run import Run
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.steering.rollout import ApprovalGiven, BetweenWaves, Steering, Wave
from tests.support.builders import START, a_run, a_target

S = TargetState
AT = START + timedelta(minutes=5)


def test_a_run_is_created() -> None:
    assert fold_run(None, RunCreated(a_run()), AT) == a_run()


def test_a_run_must_be_created_first() -> None:
    with pytest.raises(IllegalMove, match="before the run was created"):
        fold_run(None, RunDriverStarted("host:1"), AT)


def test_each_driver_is_a_session_and_the_first_starts_the_run() -> None:
    first = fold_run(a_run(), RunDriverStarted("host:1"), AT)
    second = fold_run(first, RunDriverStarted("host:2"), AT + timedelta(hours=1))
    assert (second.sessions, second.started_at) == (2, AT)


def test_a_paused_run_says_why_and_a_running_one_forgets_it() -> None:
    paused = fold_run(a_run(), RunMoved(RunState.PAUSED, Reason.AUTHENTICATION, "401"), AT)
    assert (paused.reason, paused.detail) == (Reason.AUTHENTICATION, "401")
    assert fold_run(paused, RunMoved(RunState.RUNNING), AT).reason is None


@pytest.mark.parametrize("state", [RunState.DONE, RunState.FAILED, RunState.ABORTED, RunState.RUNNING])
def test_a_pass_brings_a_run_back(state: RunState) -> None:
    again = fold_run(a_run(state=state, ended_at=AT, reason=Reason.ABORTED), RunPassStarted(2), AT)
    assert (again.state, again.passes, again.ended_at, again.reason) == (RunState.RUNNING, 2, None, None)


@pytest.mark.parametrize("state", [RunState.FINISHING, RunState.PAUSED])
def test_a_pass_does_not_bring_back_a_run_that_ends_or_is_paused(state: RunState) -> None:
    with pytest.raises(IllegalMove):
        fold_run(a_run(state=state), RunPassStarted(2), AT)


def test_a_run_says_since_when_it_is_in_its_state() -> None:
    paused = fold_run(a_run(), RunMoved(RunState.PAUSED, Reason.TOO_MANY_OVERDUE), AT)
    assert (a_run().since, paused.since) == (None, AT)
    driven = fold_run(paused, RunDriverStarted("host:2"), AT + timedelta(hours=1))
    assert driven.since == AT
    over = fold_run(a_run(state=RunState.DONE), RunPassStarted(2), AT + timedelta(hours=2))
    assert over.since == AT + timedelta(hours=2)


def waved(state: RunState = RunState.RUNNING) -> Run:
    waves = tuple(Wave(number, None, 2, BetweenWaves()) for number in (1, 2))
    return a_run(steering=Steering(waves=waves), state=state)


def test_waves_open_in_their_order_and_forget_the_end_of_the_one_before() -> None:
    first = fold_run(waved(), RunWaveOpened(1), AT)
    finished = fold_run(first, RunWaveFinished(1), AT)
    assert (finished.waves_opened, finished.wave_finished_at) == (1, AT)
    second = fold_run(finished, RunWaveOpened(2), AT)
    assert (second.waves_opened, second.wave_finished_at) == (2, None)
    for event in (RunWaveOpened(2), RunWaveOpened(3), RunWaveFinished(1)):
        with pytest.raises(IllegalMove):
            fold_run(second, event, AT)
    with pytest.raises(IllegalMove):
        fold_run(waved(state=RunState.PAUSED), RunWaveOpened(1), AT)


def test_a_promotion_is_that_of_the_wave_that_was_opened_last() -> None:
    first = fold_run(waved(), RunWaveOpened(1), AT)
    incomplete = fold_run(first, RunWavePromoted(1, "anna", 1), AT)
    assert (first.promoted, incomplete.promoted) == (None, 1)
    finished = fold_run(incomplete, RunWaveFinished(1), AT)
    assert finished.promoted == 0
    # What finishes anew bakes anew.
    again = fold_run(finished, RunWaveReopened(1), AT)
    assert (again.promoted, again.wave_finished_at) == (None, None)
    assert fold_run(again, RunWaveFinished(1), AT).promoted is None
    assert fold_run(incomplete, RunWaveOpened(2), AT).promoted is None
    assert fold_run(replace(finished, state=RunState.DONE), RunPassStarted(2), AT).promoted is None
    for number in (0, 2):
        with pytest.raises(IllegalMove):
            fold_run(first, RunWavePromoted(number, "anna"), AT)
        with pytest.raises(IllegalMove):
            fold_run(first, RunWaveReopened(number), AT)


def test_approvals_are_kept_with_their_time() -> None:
    approved = fold_run(waved(), RunApproved(2, "anna"), AT)
    assert approved.approvals == (ApprovalGiven(2, "anna", AT),)


def test_progress_counts_what_it_absorbs() -> None:
    progress = Progress(a_run(), [a_target(1), a_target(2)])
    overdue = a_target(2, state=S.HELD, reason=Reason.STILL_CHANGING)
    progress.update_targets(a_run(), [a_target(1, state=S.INSPECTING), overdue])
    assert (progress.slots_taken, progress.overdue) == (1, 1)
    assert progress.counts[S.WAITING] == 0
    progress.update_targets(a_run(), [a_target(2, state=S.WAITING)])
    assert (progress.overdue, progress.counts[S.WAITING]) == (0, 1)


def test_a_replay_needs_a_run() -> None:
    with pytest.raises(ValueError, match="without a run"):
        replay([(AT, Enlisted(a_target()))])


def test_a_pass_of_an_older_version_names_nobody() -> None:
    assert event_from_json('{"number": 2, "kind": "run-pass-started"}') == RunPassStarted(2)
