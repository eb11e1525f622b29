"""Cases in which less is known than it seems: no second change may rest on them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.limits import NO_STOP_AFTER_UNANSWERED_S
from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.journal.events import AttemptEnded, ChangeAnswered, Settled
from fleetos.model.journal.fold import fold_target
from fleetos.model.plan import PowerAfter
from fleetos.model.run import End, Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.model.traces import NO_TRACES
from fleetos.rules.decide import decide
from fleetos.rules.needs import Context, Decision, ReadJobNeed, ReadServerNeed, Wait
from tests.support.builders import (
    CHANGED,
    CHANGED_DOWN,
    CHANGED_ERROR,
    ERROR,
    NEW_DISK,
    NEW_IMAGE,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    a_target,
    an_attempt,
)
from tests.unit.rules.contexts import context, decided, moment, needs, only_event, outcome_of, steady, undecided

S = TargetState
ID = "server-0001"
SETTLE, BEAT, TIMEOUT = SETTINGS.settle_s, SETTINGS.poll_max_s, SETTINGS.change_timeout_s
AS_BEFORE = replace(SETTINGS, power_after=PowerAfter.AS_BEFORE)
# The ordered image was there before the change, or none was shown: it is no witness.
SILENT = [NEW_IMAGE, None]


def on(picture: ServerSnapshot, image: str | None) -> ServerSnapshot:
    return replace(picture, image=image)


def silent(image: str | None, state: TargetState, **changes: object) -> Target:
    """A target whose attempt began on that image."""
    attempt = replace(an_attempt(before=on(STOPPED, image)), **changes)
    return replace(a_target(state=state, baseline=on(RUNNING, image)), attempts=(attempt,))


def asked(decision: Decision) -> list[ReadJobNeed]:
    return [need for need in needs(decision) if isinstance(need, ReadJobNeed)]


def denied(from_s: float, until_s: float) -> dict[str, object]:
    """What is known of a job when all answers between these times did not know it."""
    return {"job_read_at": moment(until_s), "job_not_running_at": moment(from_s)}


# --- an image that is no witness -------------------------------------------------------------------------------


@pytest.mark.parametrize("image", SILENT)
@pytest.mark.parametrize("picture", [RUNNING, STOPPED])
def test_a_success_on_the_same_disk_is_not_tried_again(image: str | None, picture: ServerSnapshot) -> None:
    """A cloud that keeps the ids of disks shows just this after all was done."""
    target = silent(image, S.VERIFYING, accepted_at=START, job_id="job-1", job_status=JobStatus.SUCCESS)
    decision = decide(target, context(steady(on(picture, image), SETTLE)))
    assert outcome_of(decision) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


@pytest.mark.parametrize("image", SILENT)
@pytest.mark.parametrize("picture", [CHANGED_DOWN, CHANGED_ERROR, CHANGED])
def test_a_failure_that_left_a_new_disk_is_held(image: str | None, picture: ServerSnapshot) -> None:
    target = silent(image, S.CHANGING, accepted_at=START, job_id="job-1", job_status=JobStatus.FAIL)
    decision = decide(target, context(steady(on(picture, image), BEAT)))
    assert outcome_of(decision) == (S.HELD, Reason.OUTCOME_UNKNOWN, Outcome.FAILED)


@pytest.mark.parametrize("image", SILENT)
def test_a_failure_that_left_another_image_is_told_so(image: str | None) -> None:
    target = silent(image, S.CHANGING, accepted_at=START, job_id="job-1", job_status=JobStatus.FAIL)
    decision = decide(target, context(steady(on(CHANGED_DOWN, "image-third"), BEAT)))
    assert outcome_of(decision) == (S.HELD, Reason.FOREIGN_CHANGE, Outcome.FAILED)


@pytest.mark.parametrize("image", SILENT)
@pytest.mark.parametrize("picture", [CHANGED_DOWN, CHANGED_ERROR])
def test_a_new_disk_that_is_down_after_a_lost_answer_is_held(image: str | None, picture: ServerSnapshot) -> None:
    decision = decide(silent(image, S.INSPECTING, unanswered=1), context(steady(on(picture, image), SETTLE)))
    assert outcome_of(decision) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


@pytest.mark.parametrize("image", SILENT)
def test_a_new_disk_that_runs_is_proof_all_the_same(image: str | None) -> None:
    assert decided(silent(image, S.INSPECTING, unanswered=1), context([(0, on(CHANGED, image))])).state is S.VERIFYING


def test_an_accepted_change_whose_server_runs_the_image_on_its_old_disk_is_not_tried_again() -> None:
    target = silent("image-old", S.INSPECTING, accepted_at=START, adopted=True)
    decision = decide(target, context(steady(on(RUNNING, NEW_IMAGE), SETTLE)))
    assert outcome_of(decision) == (S.HELD, Reason.OUTCOME_UNKNOWN, None)


# --- somebody else's work ------------------------------------------------------------------------------------


BROKEN = replace(ERROR, disk="disk-broken")
LATE = SETTLE + TIMEOUT


@pytest.mark.parametrize("image", ["image-third", "image-old", None])
def test_an_error_on_a_new_disk_is_not_ours_to_wipe_unless_the_job_says_so(image: str | None) -> None:
    """A colleague's change that failed looks like ours."""
    rule_context = replace(context(steady(on(BROKEN, image), LATE)), **denied(0, LATE))
    for unproven in ({"unanswered": 1}, {"adopted": True}, {"accepted_at": START, "job_id": "job-1"}):
        decision = decide(silent("image-old", S.INSPECTING, **unproven), rule_context)
        assert outcome_of(decision) == (S.HELD, Reason.FOREIGN_CHANGE, Outcome.FOREIGN)


def test_a_server_that_ran_and_was_stopped_again_gets_no_second_send() -> None:
    target = replace(silent("image-old", S.CHECKING, unanswered=1), last_unanswered_at=START)
    after = decided(target, context([(0, on(STOPPED, "image-old"))]))
    assert (after.state, after.reason) == (S.HELD, Reason.OUTCOME_UNKNOWN)


# --- a job that the cloud does not know now ------------------------------------------------------------------


def accepted(**changes: object) -> Target:
    return silent("image-old", S.INSPECTING, accepted_at=START, job_id="job-1", **changes)


def test_a_job_that_was_unknown_is_asked_again() -> None:
    rule_context = context(steady(STOPPED, 60), job_read_at=moment(50))
    assert asked(decide(accepted(), rule_context)) == [ReadJobNeed("job-1", moment(50).elapsed_s + BEAT)]


def test_a_job_counts_as_lost_when_it_was_denied_for_a_settle_and_of_late() -> None:
    rule_context = context(steady(STOPPED, 2 * SETTLE), traces=NO_TRACES)
    used_up = (S.BACKOFF, None, Outcome.FAILED)
    assert outcome_of(decide(accepted(), replace(rule_context, **denied(SETTLE - 10, 2 * SETTLE - 10)))) == used_up
    for from_s, until_s in [(SETTLE, 2 * SETTLE - 10), (0, 2 * SETTLE - BEAT - 1), (0, SETTLE)]:
        assert undecided(decide(accepted(), replace(rule_context, **denied(from_s, until_s)))), (from_s, until_s)


def test_answers_about_the_job_do_not_put_the_next_look_off() -> None:
    rule_context = replace(context(steady(STOPPED, 60)), now=moment(70), **denied(0, 70))
    looks = [need for need in needs(decide(accepted(), rule_context)) if isinstance(need, ReadServerNeed)]
    assert looks == [ReadServerNeed(moment(90).elapsed_s, single=True)]
    gone = replace(context([(60, None)]), now=moment(80), **denied(0, 80))
    looks = [need for need in needs(decide(accepted(), gone)) if isinstance(need, ReadServerNeed)]
    assert looks == [ReadServerNeed(moment(90).elapsed_s, single=True)]


def test_a_job_that_is_known_again_and_runs_forbids_every_verdict() -> None:
    rule_context = context(steady(STOPPED, SETTLE), job_read_at=moment(SETTLE), job_running_at=moment(SETTLE))
    for target in (accepted(), accepted(adopted=True)):
        assert undecided(decide(target, rule_context))


def test_what_the_operator_let_rest_is_watched_for_a_settle_and_its_job_is_asked() -> None:
    rested = fold_target(replace(accepted(), state=S.HELD), Settled(ID), START)
    retried = replace(rested, state=S.INSPECTING, attempts_allowed=2)
    early = replace(context(steady(STOPPED, SETTLE - 1)), **denied(0, 10))
    assert asked(decide(retried, early)) == [ReadJobNeed("job-1", moment(10).elapsed_s + BEAT)]
    late = replace(context(steady(STOPPED, SETTLE)), **denied(0, SETTLE))
    assert decided(retried, late).state is S.CHECKING
    assert undecided(decide(retried, replace(late, job_running_at=moment(SETTLE), job_not_running_at=None)))


# --- a request that comes late, or twice ----------------------------------------------------------------------


def proven_again(**changes: object) -> Target:
    done = an_attempt(outcome=Outcome.SUCCEEDED, accepted_at=START)
    target = a_target(state=S.RESTORING, baseline=STOPPED, disk_after=NEW_DISK, attempts=(done,))
    return replace(target, then=End(S.DONE, None, ""), **changes)


def restored(at_s: float) -> Context:
    return replace(context([(at_s, CHANGED)], settings=AS_BEFORE))


def test_a_changed_server_runs_on_for_a_settle_before_it_is_stopped_as_it_was() -> None:
    """A gateway may deliver the answered request once more: a running server refuses it."""
    assert decide(proven_again(), restored(SETTLE - 1)) == (Wait(moment(SETTLE).elapsed_s),)
    assert not isinstance(needs(decide(proven_again(), restored(SETTLE)))[0], Wait)


def test_a_send_that_the_operator_let_rest_is_remembered_when_a_later_one_is_answered() -> None:
    lost = replace(silent("image-old", S.HELD, unanswered=1), last_unanswered_at=START)
    rested = fold_target(lost, Settled(ID), START + timedelta(hours=1))
    again = replace(rested, state=S.SUBMITTING, attempts=(*rested.attempts, an_attempt(2)))
    answered = ChangeAnswered(ID, 2, S.CHANGING, answer="accepted", job_id="job-2")
    after = fold_target(again, answered, START + timedelta(hours=2))
    assert (after.last_unanswered_at, after.remembered_at) == (START, START)


def test_an_earlier_run_s_send_is_remembered_when_one_of_this_run_was_lost_and_found() -> None:
    earlier = START - timedelta(hours=3)
    known = a_target(state=S.SUBMITTING, baseline=STOPPED, last_unanswered_at=earlier, remembered_at=earlier)
    sent = replace(known, attempts=(an_attempt(),))
    lost = fold_target(sent, ChangeAnswered(ID, 1, S.INSPECTING, answer="ambiguous"), START)
    assert (lost.last_unanswered_at, lost.remembered_at) == (START, earlier)
    verified = replace(lost, state=S.VERIFYING)
    event = only_event(decide(verified, context([(0, CHANGED)], settings=AS_BEFORE)))
    assert isinstance(event, AttemptEnded)
    assert event.not_before == earlier + timedelta(seconds=NO_STOP_AFTER_UNANSWERED_S)
    assert fold_target(verified, event, START).last_unanswered_at == earlier


# --- each word of the above ----------------------------------------------------------------------------------


def test_the_job_is_asked_twice_in_a_settle_however_seldom_the_plan_polls() -> None:
    seldom = replace(SETTINGS, poll_max_s=4 * SETTLE)
    rule_context = replace(context(steady(STOPPED, 60), settings=seldom), **denied(50, 50))
    assert asked(decide(accepted(), rule_context)) == [ReadJobNeed("job-1", moment(50).elapsed_s + SETTLE / 2)]


def test_a_job_that_ran_once_and_was_denied_for_a_settle_since_is_lost() -> None:
    rule_context = replace(
        context(steady(STOPPED, 2 * SETTLE), traces=NO_TRACES),
        **denied(SETTLE - 10, 2 * SETTLE),
        job_running_at=moment(0),
    )
    assert outcome_of(decide(accepted(), rule_context)) == (S.BACKOFF, None, Outcome.FAILED)


def test_what_the_operator_let_rest_without_a_job_is_watched_for_a_settle_too() -> None:
    rested = silent("image-old", S.INSPECTING, outcome=Outcome.UNKNOWN, ended_at=START)
    assert undecided(decide(rested, context(steady(STOPPED, SETTLE - 1))))
    assert decided(rested, context(steady(STOPPED, SETTLE))).state is S.CHECKING


def test_a_job_that_the_operator_let_rest_is_waited_for_while_it_goes_on() -> None:
    rested = accepted(outcome=Outcome.UNKNOWN, ended_at=START)
    rule_context = context(steady(STOPPED, LATE), job_read_at=moment(LATE), job_running_at=moment(LATE))
    lasting = replace(rule_context, job_not_running_at=moment(0))
    assert decided(rested, lasting).state is S.CHECKING
    assert undecided(decide(rested, rule_context))


def test_a_clock_that_was_set_back_does_not_make_a_remembered_send_older() -> None:
    later = START + timedelta(hours=3)
    sent = replace(
        a_target(state=S.SUBMITTING, last_unanswered_at=later, remembered_at=later), attempts=(an_attempt(),)
    )
    lost = fold_target(sent, ChangeAnswered(ID, 1, S.INSPECTING, answer="ambiguous"), START)
    assert lost.last_unanswered_at == later
