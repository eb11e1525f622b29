"""Ended jobs, row by row: what the end means together with disk, image and picture.

Safety protocol, section 5: docs/safety-protocol.md#5-ended-jobs
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.limits import NO_STOP_AFTER_UNANSWERED_S
from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.journal.events import AttemptEnded
from fleetos.model.plan import PowerAfter
from fleetos.model.run import Attempt, Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.rules.decide import decide
from fleetos.rules.needs import Decision
from tests.support.builders import (
    CHANGED,
    CHANGED_DOWN,
    CHANGED_ERROR,
    ERROR,
    NEW_DISK,
    NEW_IMAGE,
    NO_DISK,
    OTHER_IMAGE,
    REBUILD,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    a_target,
    an_attempt,
)
from tests.unit.rules.contexts import context, decided, only_event, outcome_of, steady, undecided

S = TargetState
SETTLE, BEAT = SETTINGS.settle_s, SETTINGS.poll_max_s
OTHER = replace(CHANGED, image=OTHER_IMAGE)
OTHER_DOWN = replace(CHANGED_DOWN, image=OTHER_IMAGE)
AS_BEFORE = replace(SETTINGS, power_after=PowerAfter.AS_BEFORE)
BOTH = [JobStatus.SUCCESS, JobStatus.FAIL]


def ended(status: JobStatus, **changes: object) -> Target:
    """A target whose job has ended so: in `verifying` after a success, still `changing` after a failure."""
    job = "Ecs.0219" if status is JobStatus.FAIL else None
    attempt = an_attempt(accepted_at=START, job_id="job-1", job_status=status, error_code=job)
    state = S.VERIFYING if status is JobStatus.SUCCESS else S.CHANGING
    return replace(a_target(state=state, attempts=(attempt,)), **changes)


SUCCESS, FAIL = ended(JobStatus.SUCCESS), ended(JobStatus.FAIL)


def at(target: Target, picture: ServerSnapshot, seconds: float, **changes: object) -> tuple[object, ...] | None:
    """What is decided when the picture has been the same so long; None: nothing yet."""
    decision = decide(target, replace(context(steady(picture, seconds)), **changes))
    return None if undecided(decision) else outcome_of(decision)


# --- row 1: SUCCESS, new disk, target image, ACTIVE and idle -------------------------------------------------


def test_row_success_new_target_active_is_done_by_one_read() -> None:
    assert at(SUCCESS, CHANGED, 0) == (S.DONE, None, Outcome.SUCCEEDED)
    after = decided(SUCCESS, context([(0, CHANGED)]))
    assert (after.disk_after, after.image_after) == (NEW_DISK, NEW_IMAGE)


def test_row_success_unverifiable_image_is_done_by_the_disk() -> None:
    blind = replace(SUCCESS, baseline=replace(RUNNING, image=None))
    assert at(blind, replace(CHANGED, image=None), 0) == (S.DONE, None, Outcome.SUCCEEDED)


def test_row_success_with_a_task_is_not_yet_proven() -> None:
    assert at(SUCCESS, replace(CHANGED, task="powering-on"), 0) is None


def test_row_success_as_before_is_stopped_again() -> None:
    was_down = replace(SUCCESS, baseline=STOPPED)
    rule_context = context([(0, CHANGED)], settings=AS_BEFORE)
    after = decided(was_down, rule_context)
    assert (after.state, after.not_before) == (S.RESTORING, None)
    assert after.then is not None
    assert after.then.state is S.DONE
    assert decided(SUCCESS, rule_context).state is S.DONE
    assert decided(was_down, context([(0, CHANGED)])).state is S.DONE


@pytest.mark.parametrize(
    ("attempts", "last_s", "waits"),
    [
        pytest.param((an_attempt(accepted_at=START),), None, False, id="nothing-unanswered"),
        pytest.param((an_attempt(unanswered=1),), 0, False, id="the-one-that-worked"),
        pytest.param((an_attempt(unanswered=2),), 0, True, id="two-unanswered"),
        pytest.param((an_attempt(unanswered=1, accepted_at=START),), 0, True, id="resend-was-accepted"),
        pytest.param(
            (an_attempt(1, unanswered=1, outcome=Outcome.FAILED), an_attempt(2, accepted_at=START)),
            0,
            True,
            id="of-an-earlier-attempt",
        ),
        pytest.param((an_attempt(accepted_at=START),), -3600, True, id="of-an-earlier-run"),
    ],
)
def test_row_success_as_before_waits_a_day_for_an_unanswered_send(
    attempts: tuple[Attempt, ...], last_s: float | None, waits: bool
) -> None:
    last = None if last_s is None else START + timedelta(seconds=last_s)
    target = a_target(state=S.VERIFYING, baseline=STOPPED, attempts=attempts, last_unanswered_at=last)
    if last is not None and last < START:
        target = replace(target, remembered_at=last)
    event = only_event(decide(target, context([(0, CHANGED)], settings=AS_BEFORE)))
    assert isinstance(event, AttemptEnded)
    assert (event.not_before is not None) == waits
    if last is not None and waits:
        assert event.not_before == last + timedelta(seconds=NO_STOP_AFTER_UNANSWERED_S)
        assert "never answered" in event.detail


# --- row 2: new disk, target image, down ---------------------------------------------------------------------


@pytest.mark.parametrize("picture", [CHANGED_DOWN, CHANGED_ERROR])
@pytest.mark.parametrize("status", BOTH)
def test_row_any_new_target_down_is_started_once(status: JobStatus, picture: ServerSnapshot) -> None:
    assert at(ended(status), picture, BEAT - 1) is None
    assert at(ended(status), picture, BEAT) == (S.STARTING, None, None)
    assert at(ended(status, started=True), picture, BEAT) == (S.HELD, Reason.START_FAILED, None)


# --- row 3: SUCCESS, new disk, another image -----------------------------------------------------------------


@pytest.mark.parametrize("picture", [OTHER, OTHER_DOWN, replace(CHANGED, image=None), replace(OTHER, task="x")])
def test_row_success_new_another_is_held_after_a_settle(picture: ServerSnapshot) -> None:
    assert at(SUCCESS, picture, SETTLE - 1) is None
    assert at(SUCCESS, picture, SETTLE) == (S.HELD, Reason.OUTCOME_UNKNOWN, Outcome.FOREIGN)


# --- row 4: SUCCESS, same disk, same image -------------------------------------------------------------------


@pytest.mark.parametrize("picture", [STOPPED, RUNNING, ERROR])
def test_row_success_same_same_uses_the_attempt_up_after_a_settle(picture: ServerSnapshot) -> None:
    assert at(SUCCESS, picture, SETTLE - 1) is None
    assert at(SUCCESS, picture, SETTLE) == (S.BACKOFF, None, Outcome.NO_EFFECT)
    assert at(replace(SUCCESS, attempts_allowed=1), picture, SETTLE) == (
        S.HELD,
        Reason.ATTEMPTS_USED_UP,
        Outcome.NO_EFFECT,
    )


def test_row_success_same_same_settles_without_a_gap() -> None:
    gap = [*steady(STOPPED, 300), *steady(STOPPED, SETTLE + 60, from_s=361)]
    assert undecided(decide(SUCCESS, context(gap)))
    whole = [*steady(STOPPED, 300), *steady(STOPPED, SETTLE + 361, from_s=361)]
    assert outcome_of(decide(SUCCESS, context(whole)))[2] is Outcome.NO_EFFECT


# --- row 5: SUCCESS, same disk, the image became the target --------------------------------------------------


@pytest.mark.parametrize("picture", [replace(RUNNING, image=NEW_IMAGE), replace(STOPPED, image=NEW_IMAGE)])
def test_row_success_same_became_target_is_held(picture: ServerSnapshot) -> None:
    assert at(SUCCESS, picture, 0) is None
    assert at(SUCCESS, picture, SETTLE) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


# --- row 6: FAIL, same disk or ERROR, idle -------------------------------------------------------------------


@pytest.mark.parametrize("picture", [STOPPED, RUNNING, ERROR, replace(STOPPED, image=NEW_IMAGE)])
def test_row_fail_same_or_error_uses_the_attempt_up(picture: ServerSnapshot) -> None:
    assert at(FAIL, picture, BEAT - 1) is None
    assert at(FAIL, picture, BEAT) == (S.BACKOFF, None, Outcome.FAILED)
    assert at(replace(FAIL, attempts_allowed=1), picture, BEAT) == (S.HELD, Reason.ATTEMPTS_USED_UP, Outcome.FAILED)


def test_row_fail_error_is_submitted_again_from_its_failed_state() -> None:
    after = decided(FAIL, context(steady(ERROR, BEAT)))
    assert (after.state, after.disk) == (S.BACKOFF, ERROR.disk)
    checking = replace(after, state=S.CHECKING)
    assert decided(checking, context([(0, ERROR)])).state is S.READY


@pytest.mark.parametrize("image", [OTHER_IMAGE, ERROR.image, None])
def test_row_fail_error_on_a_new_disk_may_be_the_work_of_somebody_else(image: str | None) -> None:
    half = replace(ERROR, disk="disk-half", image=image)
    assert at(FAIL, half, BEAT) == (S.HELD, Reason.FOREIGN_CHANGE, Outcome.FAILED)


# --- row 7: FAIL, no disk ------------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", [NO_DISK, replace(NO_DISK, image=None), replace(REBUILD, disk=None)])
def test_row_fail_none_is_held(picture: ServerSnapshot) -> None:
    assert at(FAIL, picture, BEAT - 1) is None
    assert at(FAIL, picture, BEAT) == (S.HELD, Reason.NO_SYSTEM_DISK, Outcome.FAILED)


# --- row 8: FAIL, new disk, another image --------------------------------------------------------------------


@pytest.mark.parametrize("picture", [OTHER, OTHER_DOWN, replace(OTHER, task="x")])
def test_row_fail_new_another_is_held_and_names_the_disk(picture: ServerSnapshot) -> None:
    assert at(FAIL, picture, BEAT - 1) is None
    assert at(FAIL, picture, BEAT) == (S.HELD, Reason.FOREIGN_CHANGE, Outcome.FAILED)
    after = decided(FAIL, context(steady(picture, BEAT)))
    assert (after.disk, after.disk_after) == ("disk-old", NEW_DISK)


# --- beyond the table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "picture"),
    [
        pytest.param(FAIL, CHANGED, id="fail-but-changed-and-running"),
        pytest.param(FAIL, REBUILD, id="fail-but-still-rebuilding"),
        pytest.param(FAIL, replace(CHANGED, status="PAUSED"), id="fail-new-paused"),
        pytest.param(SUCCESS, NO_DISK, id="success-without-disk"),
        pytest.param(SUCCESS, replace(CHANGED, status="PAUSED"), id="success-paused"),
        pytest.param(SUCCESS, replace(CHANGED, task="powering-on"), id="success-never-idle"),
        pytest.param(SUCCESS, replace(STOPPED, image=OTHER_IMAGE), id="success-same-disk-third-image"),
    ],
)
def test_a_case_beyond_the_table_is_looked_at_again_and_then_held(target: Target, picture: ServerSnapshot) -> None:
    assert at(target, picture, SETTLE - 1) is None
    reason = Reason.STILL_CHANGING if picture.changing else Reason.OUTCOME_UNKNOWN
    assert at(target, picture, SETTLE) == (S.HELD, reason, None)
    held = decided(target, context(steady(picture, SETTLE)))
    assert held.keeps_claim


def test_a_picture_that_never_stays_is_held_in_the_end() -> None:
    def flapping(until_s: float) -> Decision:
        faces = [(float(second), (STOPPED, RUNNING)[second // 30 % 2]) for second in range(0, int(until_s) + 1, 30)]
        return decide(SUCCESS, context(faces))

    assert undecided(flapping(3600))
    assert outcome_of(flapping(3600 + SETTLE))[:2] == (S.HELD, Reason.OUTCOME_UNKNOWN)


def test_there_is_no_other_way_back_from_verifying() -> None:
    """Whatever is seen, a target leaves `verifying` for a next attempt by the no-effect row only."""
    pictures = [CHANGED, CHANGED_DOWN, CHANGED_ERROR, OTHER, OTHER_DOWN, NO_DISK, ERROR, REBUILD, STOPPED, RUNNING]
    for picture in pictures:
        for seconds in (0.0, BEAT, SETTLE, 5000.0):
            told = at(SUCCESS, picture, seconds)
            if told is not None and told[0] is S.BACKOFF:
                assert told[2] is Outcome.NO_EFFECT
                assert (picture.disk, picture.image) == (STOPPED.disk, STOPPED.image)
