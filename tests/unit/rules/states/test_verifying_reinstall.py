"""A reinstall: the image is the same before and after, so that the disk alone proves it, and doubt is held (ADR 11)."""

from dataclasses import replace

import pytest

from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.journal.events import NotDelivered
from fleetos.model.plan import StopMode
from fleetos.model.run import Attempt, Order, Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.model.traces import NO_TRACES
from fleetos.rules.decide import decide
from fleetos.rules.needs import SubmitNeed
from tests.support.builders import (
    ERROR,
    NEW_DISK,
    OLD_IMAGE,
    OTHER_IMAGE,
    REBUILD,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    a_target,
    an_attempt,
)
from tests.unit.rules.contexts import context, decided, needs, only_event, outcome_of, steady, undecided

S = TargetState
SETTLE, BEAT = SETTINGS.settle_s, SETTINGS.poll_max_s
ORDER = Order(OLD_IMAGE, "Debian 11", "v2", reinstall=True)
ANEW, DOWN, BROKEN = (replace(picture, disk=NEW_DISK) for picture in (RUNNING, STOPPED, ERROR))


def target(state: TargetState, attempt: Attempt | None = None, **changes: object) -> Target:
    attempts = () if attempt is None else (attempt,)
    return replace(a_target(state=state, order=ORDER, attempts=attempts), **changes)


def ended(status: JobStatus) -> Target:
    attempt = an_attempt(accepted_at=START, job_id="job-1", job_status=status)
    return target(S.VERIFYING if status is JobStatus.SUCCESS else S.CHANGING, attempt)


SUCCESS, FAIL = ended(JobStatus.SUCCESS), ended(JobStatus.FAIL)
LOST = target(S.INSPECTING, an_attempt(unanswered=1))
ACCEPTED = target(S.INSPECTING, an_attempt(accepted_at=START, adopted=True))


def at(judged: Target, picture: ServerSnapshot, seconds: float, **changes: object) -> tuple[object, ...] | None:
    """What is decided when the picture has been the same so long; None: nothing yet."""
    decision = decide(judged, replace(context(steady(picture, seconds)), **changes))
    return None if undecided(decision) else outcome_of(decision)


def test_a_new_disk_with_the_same_image_is_the_proof() -> None:
    assert at(SUCCESS, ANEW, 0) == (S.DONE, None, Outcome.SUCCEEDED)
    after = decided(SUCCESS, context([(0, ANEW)]))
    assert (after.disk_after, after.image_after) == (NEW_DISK, OLD_IMAGE)
    assert at(SUCCESS, DOWN, BEAT) == (S.STARTING, None, None)
    assert at(LOST, ANEW, 0) == (S.VERIFYING, None, None)


@pytest.mark.parametrize("image", [OTHER_IMAGE, None])
def test_another_image_or_none_is_no_reinstall(image: str | None) -> None:
    assert at(SUCCESS, replace(ANEW, image=image), SETTLE) == (S.HELD, Reason.OUTCOME_UNKNOWN, Outcome.FOREIGN)


@pytest.mark.parametrize("picture", [RUNNING, STOPPED, ERROR])
def test_a_success_on_the_same_disk_is_never_tried_again(picture: ServerSnapshot) -> None:
    """A cloud that keeps the ids of disks would show just this after all was done: a second try would wipe that."""
    assert at(SUCCESS, picture, SETTLE - 1) is None
    assert at(SUCCESS, picture, SETTLE) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


def test_a_lost_answer_and_a_new_disk_that_is_down_is_held() -> None:
    assert at(LOST, DOWN, SETTLE) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


@pytest.mark.parametrize("picture", [ANEW, DOWN, BROKEN])
def test_a_failure_that_left_a_new_disk_is_held(picture: ServerSnapshot) -> None:
    assert at(FAIL, picture, BEAT - 1) is None
    assert at(FAIL, picture, BEAT) == (S.HELD, Reason.OUTCOME_UNKNOWN, Outcome.FAILED)
    after = decided(FAIL, context(steady(picture, BEAT)))
    assert (after.disk, after.disk_after) == (RUNNING.disk, NEW_DISK)
    assert at(FAIL, replace(REBUILD, disk=NEW_DISK), BEAT) is None


@pytest.mark.parametrize("picture", [STOPPED, RUNNING, ERROR])
def test_a_failure_on_the_same_disk_is_tried_again(picture: ServerSnapshot) -> None:
    assert at(FAIL, picture, BEAT) == (S.BACKOFF, None, Outcome.FAILED)


@pytest.mark.parametrize("inspected", [LOST, ACCEPTED])
def test_a_server_that_runs_on_its_old_disk_proves_nothing(inspected: Target) -> None:
    assert at(inspected, RUNNING, SETTLE - 1) is None
    assert at(inspected, RUNNING, SETTLE) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


def test_under_stop_api_that_is_so_before_an_attempt_is_used_up() -> None:
    ran = replace(an_attempt(accepted_at=START, adopted=True), before=RUNNING)
    by_api = replace(SETTINGS, stop=StopMode.API)
    assert at(target(S.INSPECTING, ran), RUNNING, SETTLE, settings=by_api) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


def test_a_server_that_stayed_stopped_was_not_reinstalled() -> None:
    """After a reinstall the cloud starts a server by itself."""
    sent_again = decide(LOST, context(steady(STOPPED, SETTLE), traces=NO_TRACES))
    assert isinstance(only_event(sent_again), NotDelivered)
    assert at(ACCEPTED, STOPPED, SETTLE, traces=NO_TRACES) == (S.BACKOFF, None, Outcome.FAILED)


@pytest.mark.parametrize("state", [S.CHECKING, S.READY])
@pytest.mark.parametrize("attempts", [(), (an_attempt(outcome=Outcome.FAILED),)])
@pytest.mark.parametrize("image", [OTHER_IMAGE, None])
def test_only_the_frozen_image_may_be_on_record_when_it_is_sent(
    state: TargetState, attempts: tuple[Attempt, ...], image: str | None
) -> None:
    """What the cloud has on record is what it installs."""
    waiting = target(state, attempts=attempts)
    held = at(waiting, replace(STOPPED, image=image), 0)
    assert held == (S.HELD, Reason.FOREIGN_CHANGE, None)
    if state is S.READY:
        assert SubmitNeed() in needs(decide(waiting, context([(0, STOPPED)])))
