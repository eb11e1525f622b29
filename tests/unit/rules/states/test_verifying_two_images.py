"""A server that shows two images, `image.id` and `metering.image_id`: which of them proves what."""

from dataclasses import replace

import pytest

from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.journal.events import NotDelivered
from fleetos.model.run import Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.model.traces import NO_TRACES
from fleetos.rules.decide import decide
from tests.support.builders import (
    NEW_DISK,
    NEW_IMAGE,
    OLD_IMAGE,
    OTHER_IMAGE,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    a_target,
    an_attempt,
)
from tests.unit.rules.contexts import context, only_event, outcome_of, steady, undecided

S = TargetState
SETTLE, BEAT = SETTINGS.settle_s, SETTINGS.poll_max_s
T, A, C = NEW_IMAGE, OLD_IMAGE, OTHER_IMAGE
X = "image-of-all"
Ids = tuple[str | None, str | None]
DONE = (S.DONE, None, Outcome.SUCCEEDED)
UNCLEAR = (S.HELD, Reason.OUTCOME_UNKNOWN, Outcome.FOREIGN)
STRANGER = (S.HELD, Reason.FOREIGN_CHANGE, Outcome.FOREIGN)


def showing(picture: ServerSnapshot, ids: Ids) -> ServerSnapshot:
    """The picture with these two ids, as it is read: the second is told only where it contradicts the first."""
    image, metered = ids
    return replace(picture, image=image or metered, metered=metered if image and metered != image else None)


def changed(before: Ids, state: TargetState, status: JobStatus | None = None) -> Target:
    """A target of a server that showed these ids before its attempt, whose answer was lost if it has no job."""
    attempt = an_attempt(before=showing(STOPPED, before), unanswered=int(status is None))
    if status is not None:
        attempt = replace(attempt, accepted_at=START, job_id="job-1", job_status=status)
    return a_target(state=state, baseline=showing(RUNNING, before), attempts=(attempt,))


def end(target: Target, picture: ServerSnapshot, seconds: float, **more: object) -> tuple[object, ...] | None:
    """What is decided when the picture has been the same for so long; None: nothing yet."""
    decision = decide(target, replace(context(steady(picture, seconds)), **more))
    return None if undecided(decision) else outcome_of(decision)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        pytest.param((X, A), (X, T), DONE, id="one-id-for-all-servers"),
        pytest.param((A, A), (A, T), DONE, id="image-id-is-late"),
        pytest.param((A, A), (T, A), DONE, id="metering-is-late"),
        pytest.param((A, None), (T, A), DONE, id="metering-appears"),
        pytest.param((T, A), (T, T), DONE, id="one-id-for-all-is-the-ordered-one"),
        pytest.param((T, A), (T, A), DONE, id="and-metering-is-late"),
        pytest.param((X, A), (X, A), UNCLEAR, id="neither-moves"),
        pytest.param((X, A), (X, C), UNCLEAR, id="a-third-image"),
        pytest.param((A, A), (C, C), UNCLEAR, id="both-a-third-image"),
    ],
)
def test_beside_the_success_of_our_job_either_id_will_do(before: Ids, after: Ids, verdict: object) -> None:
    new = showing(replace(RUNNING, disk=NEW_DISK), after)
    assert end(changed(before, S.VERIFYING, JobStatus.SUCCESS), new, SETTLE) == verdict


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        pytest.param((X, A), (X, T), S.VERIFYING, id="one-id-for-all-servers"),
        pytest.param((A, A), (A, T), S.VERIFYING, id="image-id-is-late"),
        pytest.param((A, A), (T, A), S.VERIFYING, id="metering-is-late"),
        pytest.param((T, A), (T, T), S.VERIFYING, id="both-agree"),
        pytest.param((T, A), (T, A), UNCLEAR, id="the-id-was-the-ordered-one-before"),
        pytest.param((T, A), (T, C), UNCLEAR, id="somebody-else-where-one-id-is-the-ordered-one"),
        pytest.param((X, T), (X, T), UNCLEAR, id="forced-and-nothing-moves"),
        pytest.param((X, A), (X, C), STRANGER, id="somebody-else"),
        pytest.param((A, A), (C, A), STRANGER, id="somebody-else-and-late"),
    ],
)
def test_without_a_job_only_an_id_that_became_the_ordered_one_counts(before: Ids, after: Ids, state: object) -> None:
    target = changed(before, S.INSPECTING)
    new = showing(replace(RUNNING, disk=NEW_DISK), after)
    wanted = (state, None, None) if isinstance(state, TargetState) else state
    assert end(target, new, 0) == (wanted if isinstance(state, TargetState) else None)
    assert end(target, new, SETTLE * 2 + SETTINGS.change_timeout_s) == wanted


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        pytest.param((X, A), (X, A), Outcome.NO_EFFECT, id="nothing-moved"),
        pytest.param((X, A), (X, T), Reason.OUTCOME_UNKNOWN, id="metering-became-the-ordered-one"),
        pytest.param((A, A), (T, A), Reason.OUTCOME_UNKNOWN, id="image-id-became-the-ordered-one"),
        pytest.param((T, A), (T, A), Reason.OUTCOME_UNKNOWN, id="the-ordered-one-all-along"),
        pytest.param((X, A), (X, None), Reason.OUTCOME_UNKNOWN, id="metering-is-not-told"),
        pytest.param((X, A), (X, C), Reason.OUTCOME_UNKNOWN, id="a-third-image"),
    ],
)
def test_an_attempt_is_without_effect_only_if_nothing_moved(before: Ids, after: Ids, verdict: object) -> None:
    target = changed(before, S.VERIFYING, JobStatus.SUCCESS)
    same = showing(STOPPED, after)
    told = end(target, same, SETTINGS.change_timeout_s + 2 * SETTLE)
    assert told is not None
    assert verdict in told


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        pytest.param((X, A), (X, T), (S.STARTING, None, None), id="ours-and-down"),
        pytest.param((X, A), (X, C), (S.HELD, Reason.FOREIGN_CHANGE, Outcome.FAILED), id="a-third-image"),
        pytest.param((T, A), (T, T), (S.HELD, Reason.OUTCOME_UNKNOWN, Outcome.FAILED), id="the-image-says-nothing"),
    ],
)
def test_a_failure_on_a_new_disk(before: Ids, after: Ids, verdict: object) -> None:
    down = showing(replace(STOPPED, disk=NEW_DISK), after)
    assert end(changed(before, S.CHANGING, JobStatus.FAIL), down, BEAT) == verdict


@pytest.mark.parametrize("metered", [T, C, None])
def test_a_lost_send_is_repeated_only_where_both_ids_are_as_before(metered: str | None) -> None:
    target = changed((X, A), S.INSPECTING)
    rule_context = context(steady(showing(STOPPED, (X, A)), SETTLE), traces=NO_TRACES)
    assert isinstance(only_event(decide(target, rule_context)), NotDelivered)
    assert end(target, showing(STOPPED, (X, metered)), SETTLE, traces=NO_TRACES) is None


@pytest.mark.parametrize(
    ("before", "now", "goes_on"),
    [
        ((X, A), (X, A), True),
        ((X, A), (X, None), True),
        ((None, A), (X, A), True),
        ((A, None), (A, C), True),
        ((X, A), (X, C), False),
        ((X, A), (C, C), False),
        ((A, A), (C, C), False),
    ],
)
def test_an_image_that_is_surely_another_holds_a_server_before_any_effect(before: Ids, now: Ids, goes_on: bool) -> None:
    target = a_target(state=S.CHECKING, baseline=showing(STOPPED, before))
    told = end(target, showing(STOPPED, now), 0)
    assert told == ((S.READY, None, None) if goes_on else (S.HELD, Reason.FOREIGN_CHANGE, None))
