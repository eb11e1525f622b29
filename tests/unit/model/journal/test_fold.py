"""The fold, one event kind after the other."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from fleetos.errors import IllegalMove
from fleetos.limits import MAX_RESENDS
from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import (
    AttemptEnded,
    ChangeAdopted,
    ChangeAnswered,
    ChangeIntended,
    Enlisted,
    JobEnded,
    Moved,
    NotDelivered,
    PowerAnswered,
    PowerIntended,
    Retried,
    Settled,
    TargetEvent,
)
from fleetos.model.journal.fold import fold_target
from fleetos.model.run import End, Outcome, PowerCall, PowerOutcome, Target
from fleetos.model.states import Reason, TargetState
from tests.support.builders import (
    NEW_DISK,
    NEW_IMAGE,
    OLD_DISK,
    OLD_IMAGE,
    START,
    STOPPED,
    a_target,
    an_attempt,
)

S = TargetState
ID = "server-0001"
AT = START + timedelta(minutes=5)
DEADLINE = AT + timedelta(hours=1)
INTENDED = ChangeIntended(ID, 1, STOPPED, DEADLINE)


def happen(target: Target | None, *events: TargetEvent, at: datetime = AT) -> Target:
    for event in events:
        target = fold_target(target, event, at)
    assert target is not None
    return target


def submitting(**changes: object) -> Target:
    return replace(a_target(state=S.SUBMITTING, attempts=(an_attempt(),)), **changes)


def inspecting(unanswered: int = 1) -> Target:
    attempt = an_attempt(unanswered=unanswered)
    return a_target(state=S.INSPECTING, attempts=(attempt,), last_unanswered_at=START)


# --- targets: moves ------------------------------------------------------------------------------------------


def test_an_enlisted_target_waits_since_then() -> None:
    assert happen(None, Enlisted(a_target())) == a_target(since=AT)


def test_an_unknown_server_has_no_events() -> None:
    with pytest.raises(IllegalMove, match="no target"):
        fold_target(None, Moved(ID, S.CHECKING), AT)


def test_a_move_forgets_waits_calls_and_reasons_of_the_state_before() -> None:
    call = PowerCall("call-1", "stop", hard=False, size=1, intended_at=START, outcome=PowerOutcome.ENDED)
    before = a_target(state=S.STOPPING, calls=(call,), not_before=AT, reason=Reason.LOCKED, detail="x")
    after = happen(before, Moved(ID, S.READY))
    assert after == a_target(state=S.READY, since=AT)


def test_a_move_can_end_the_wait_for_power() -> None:
    end = End(S.HELD, Reason.LOCKED, "locked")
    before = a_target(state=S.RESTORING, stopped_at=START, then=end)
    after = happen(before, Moved(ID, S.HELD, Reason.LOCKED, detail="locked", restored=True))
    assert after.stopped_at is None
    assert (after.state, after.reason, after.detail, after.then) == (end.state, end.reason, end.detail, None)
    assert happen(before, Moved(ID, S.HELD, Reason.LOCKED)).stopped_at == START


def test_a_foreign_disk_is_kept_apart_from_the_one_that_may_be_wiped() -> None:
    held = happen(a_target(state=S.CHECKING), Moved(ID, S.HELD, Reason.FOREIGN_CHANGE, disk="disk-foreign"))
    assert (held.disk, held.disk_after) == (OLD_DISK, "disk-foreign")


# --- targets: sends and their answers ------------------------------------------------------------------------


def test_the_first_intent_opens_an_attempt() -> None:
    after = happen(a_target(state=S.READY), INTENDED)
    assert after.state is S.SUBMITTING
    assert after.attempt == an_attempt(intended_at=AT, sent_at=AT, deadline=DEADLINE)


def test_a_resend_is_the_same_attempt_with_its_first_baseline() -> None:
    before = a_target(state=S.READY, attempts=(an_attempt(unanswered=1, resends=1),))
    other = replace(STOPPED, power=3)
    attempt = happen(before, replace(INTENDED, before=other)).attempt
    assert attempt is not None
    assert (attempt.number, attempt.sends, attempt.before, attempt.intended_at) == (1, 2, STOPPED, START)
    assert (attempt.sent_at, attempt.deadline) == (AT, DEADLINE)


@pytest.mark.parametrize(
    ("target", "event"),
    [
        pytest.param(a_target(state=S.READY), replace(INTENDED, attempt=2), id="out-of-order"),
        pytest.param(a_target(state=S.READY, disk="disk-foreign"), INTENDED, id="another-disk"),
        pytest.param(
            a_target(state=S.READY, disk=None), replace(INTENDED, before=replace(STOPPED, disk=None)), id="no-disk"
        ),
        pytest.param(
            a_target(state=S.READY, attempts_allowed=1, attempts=(an_attempt(outcome=Outcome.FAILED),)),
            replace(INTENDED, attempt=2),
            id="attempts-used-up",
        ),
        pytest.param(a_target(state=S.CHECKING), INTENDED, id="not-ready"),
    ],
)
def test_an_intent_that_the_law_forbids(target: Target, event: ChangeIntended) -> None:
    with pytest.raises(IllegalMove):
        fold_target(target, event, AT)


def test_an_accepted_send_is_changing_with_its_job() -> None:
    answer = ChangeAnswered(ID, 1, S.CHANGING, "accepted", job_id="job-1", deadline=DEADLINE, request_id="req-1")
    attempt = happen(submitting(), answer).attempt
    assert attempt == an_attempt(accepted_at=AT, job_id="job-1", deadline=DEADLINE, request_id="req-1")


def test_an_unanswered_send_is_counted_and_dated() -> None:
    after = happen(submitting(), ChangeAnswered(ID, 1, S.INSPECTING, "ambiguous", detail="reset"))
    assert (after.unanswered, after.last_unanswered_at) == (1, AT)
    assert after.attempt is not None


def test_a_conflict_leaves_the_earlier_send_in_doubt_and_adds_none() -> None:
    before = submitting(last_unanswered_at=START)
    before = replace(before, attempts=(an_attempt(unanswered=1),))
    after = happen(before, ChangeAnswered(ID, 1, S.INSPECTING, "conflict", code="Ecs.0100"))
    assert (after.unanswered, after.last_unanswered_at) == (1, START)


@pytest.mark.parametrize(
    ("answer", "refusals"),
    [
        ("later", 1),
        ("not-sent", 1),
        ("unauthenticated", 1),
        ("conflict", 1),
        ("throttled", 0),
        ("stop-run", 0),
    ],
)
def test_a_proven_non_delivery_counts_towards_its_bound(answer: str, refusals: int) -> None:
    after = happen(submitting(), ChangeAnswered(ID, 1, S.READY, answer, not_before=DEADLINE))
    assert (after.state, after.not_before) == (S.READY, DEADLINE)
    assert after.refusals == refusals
    assert after.attempt is not None


@pytest.mark.parametrize("to", [S.FAILED, S.HELD, S.RESTORING])
def test_a_verdict_ends_the_attempt_as_refused(to: TargetState) -> None:
    answer = ChangeAnswered(ID, 1, to, "fatal", code="Ecs.0314", detail="no key", reason=Reason.REFUSED)
    after = happen(submitting(), answer)
    assert after.attempt is None
    assert (after.attempts[-1].outcome, after.attempts[-1].error_code) == (Outcome.REFUSED, "Ecs.0314")


@pytest.mark.parametrize("state", sorted(set(S) - {S.SUBMITTING}))
def test_an_answer_needs_a_send(state: TargetState) -> None:
    with pytest.raises(IllegalMove):
        fold_target(a_target(state=state, attempts=(an_attempt(),)), ChangeAnswered(ID, 1, S.HELD, "locked"), AT)


def test_an_answer_to_another_attempt_is_refused() -> None:
    with pytest.raises(IllegalMove, match="attempt 2 is not open"):
        fold_target(submitting(), ChangeAnswered(ID, 2, S.READY, "later"), AT)


def test_adopting_a_change_proves_nothing_about_the_send() -> None:
    after = happen(inspecting(), ChangeAdopted(ID, 1))
    assert after.attempt is not None
    assert (after.state, after.attempt.accepted, after.attempt.deadline) == (S.CHANGING, True, an_attempt().deadline)
    assert (after.unanswered, after.last_unanswered_at) == (1, START)


@pytest.mark.parametrize(("ran", "stopped_at"), [(True, AT), (False, None)])
def test_an_adopted_change_has_stopped_a_server_that_was_seen_running(
    *, ran: bool, stopped_at: datetime | None
) -> None:
    assert happen(inspecting(), ChangeAdopted(ID, 1, ran=ran)).stopped_at == stopped_at
    assert happen(replace(inspecting(), stopped_at=START), ChangeAdopted(ID, 1, ran=ran)).stopped_at == START


def test_a_job_that_succeeded_is_verified_and_one_that_failed_is_noted() -> None:
    changing = a_target(state=S.CHANGING, attempts=(an_attempt(accepted_at=START, job_id="job-1"),))
    assert happen(changing, JobEnded(ID, 1, "job-1", JobStatus.SUCCESS)).state is S.VERIFYING
    failed = happen(changing, JobEnded(ID, 1, "job-1", JobStatus.FAIL, "Ecs.0219", "no host"))
    assert failed.state is S.CHANGING
    assert failed.attempt is not None
    assert failed.attempt.job_final
    assert (failed.attempt.error_code, failed.attempt.fail_reason) == ("Ecs.0219", "no host")


@pytest.mark.parametrize(("status", "state"), [(JobStatus.SUCCESS, S.VERIFYING), (JobStatus.FAIL, S.CHANGING)])
def test_a_job_that_ends_tells_an_unknown_outcome(status: JobStatus, state: TargetState) -> None:
    after = happen(inspecting(), JobEnded(ID, 1, "job-1", status))
    assert after.attempt is not None
    assert (after.state, after.attempt.job_status) == (state, status)


@pytest.mark.parametrize("state", sorted(set(S) - {S.CHANGING, S.INSPECTING}))
@pytest.mark.parametrize("status", [JobStatus.SUCCESS, JobStatus.FAIL])
def test_a_job_ends_only_while_its_change_is_under_way_or_unknown(state: TargetState, status: JobStatus) -> None:
    with pytest.raises(IllegalMove):
        fold_target(a_target(state=state, attempts=(an_attempt(),)), JobEnded(ID, 1, "job-1", status), AT)


def test_a_send_that_was_not_delivered_may_be_repeated_and_stays_unanswered() -> None:
    after = happen(inspecting(), NotDelivered(ID, 1))
    assert after.attempt is not None
    assert (after.state, after.attempt.resends, after.attempt.unanswered) == (S.READY, 1, 1)
    assert after.last_unanswered_at == START


@pytest.mark.parametrize("state", sorted(set(S) - {S.INSPECTING}))
def test_only_an_inspected_send_is_found_undelivered(state: TargetState) -> None:
    with pytest.raises(IllegalMove):
        fold_target(a_target(state=state, attempts=(an_attempt(),)), NotDelivered(ID, 1), AT)


# --- targets: the ends of attempts ---------------------------------------------------------------------------


def test_a_success_resolves_the_one_unanswered_send() -> None:
    verifying = replace(inspecting(), state=S.VERIFYING, stopped_at=START)
    after = happen(verifying, AttemptEnded(ID, 1, Outcome.SUCCEEDED, S.DONE, disk=NEW_DISK, image=NEW_IMAGE))
    assert (after.disk_after, after.image_after, after.stopped_at) == (NEW_DISK, NEW_IMAGE, None)
    assert (after.unanswered, after.last_unanswered_at, after.keeps_claim) == (0, None, False)
    assert after.disk == OLD_DISK


def test_a_success_leaves_a_second_unanswered_send_remembered_but_free() -> None:
    verifying = replace(inspecting(unanswered=2), state=S.VERIFYING)
    after = happen(verifying, AttemptEnded(ID, 1, Outcome.SUCCEEDED, S.DONE, disk=NEW_DISK, image=NEW_IMAGE))
    assert (after.unanswered, after.last_unanswered_at, after.keeps_claim) == (1, START, False)


def test_an_unanswered_send_of_an_earlier_run_is_not_forgotten() -> None:
    earlier = START - timedelta(hours=2)
    attempts = (an_attempt(accepted_at=START),)
    changing = a_target(state=S.VERIFYING, attempts=attempts, last_unanswered_at=earlier, remembered_at=earlier)
    after = happen(changing, AttemptEnded(ID, 1, Outcome.SUCCEEDED, S.DONE, disk=NEW_DISK))
    assert after.last_unanswered_at == earlier


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.NO_EFFECT])
def test_what_a_failed_attempt_left_may_be_wiped_by_the_next(outcome: Outcome) -> None:
    changing = a_target(state=S.CHANGING, attempts=(an_attempt(accepted_at=START),), refusals=3, started=True)
    after = happen(changing, AttemptEnded(ID, 1, outcome, S.BACKOFF, disk="disk-half", not_before=DEADLINE))
    assert (after.disk, after.refusals, after.started, after.not_before) == ("disk-half", 0, False, DEADLINE)


def test_what_a_held_attempt_left_may_not_be_wiped() -> None:
    changing = a_target(state=S.CHANGING, attempts=(an_attempt(accepted_at=START),))
    after = happen(changing, AttemptEnded(ID, 1, Outcome.FAILED, S.HELD, disk="disk-half"))
    assert (after.disk, after.disk_after) == (OLD_DISK, "disk-half")


def test_a_failure_on_the_old_disk_leaves_an_adopted_send_unanswered() -> None:
    adopted = happen(inspecting(), ChangeAdopted(ID, 1))
    same = happen(adopted, AttemptEnded(ID, 1, Outcome.FAILED, S.BACKOFF, disk=OLD_DISK, image=OLD_IMAGE))
    assert (same.unanswered, same.last_unanswered_at) == (1, START)
    other = happen(adopted, AttemptEnded(ID, 1, Outcome.FAILED, S.BACKOFF, disk="disk-half", image=None))
    assert (other.unanswered, other.last_unanswered_at) == (0, None)


# --- targets: power, retry, settle ---------------------------------------------------------------------------


def stopping(*outcomes: PowerOutcome) -> Target:
    target = a_target(state=S.STOPPING)
    for number, outcome in enumerate(outcomes):
        target = happen(target, PowerIntended(ID, f"call-{number}", "stop", hard=False, size=2))
        target = happen(target, PowerAnswered(ID, f"call-{number}", outcome, job_id=f"job-{number}"))
    return target


def test_a_stop_is_remembered_from_its_intent_on() -> None:
    after = happen(a_target(state=S.STOPPING), PowerIntended(ID, "call-1", "stop", hard=True, size=7))
    assert after.calls == (PowerCall("call-1", "stop", hard=True, size=7, intended_at=AT),)
    assert after.stopped_at == AT


def test_a_start_stops_nothing() -> None:
    after = happen(a_target(state=S.STARTING), PowerIntended(ID, "call-1", "start", hard=False, size=1))
    assert after.stopped_at is None


@pytest.mark.parametrize("outcome", [PowerOutcome.ACCEPTED, PowerOutcome.ENDED, PowerOutcome.UNKNOWN])
def test_a_stop_that_may_have_worked_leaves_the_server_marked(outcome: PowerOutcome) -> None:
    after = stopping(outcome)
    assert (after.calls[0].outcome, after.calls[0].job_id, after.stopped_at) == (outcome, "job-0", AT)


@pytest.mark.parametrize("outcome", [PowerOutcome.REFUSED, PowerOutcome.DROPPED])
def test_a_stop_that_was_never_done_unmarks_the_server(outcome: PowerOutcome) -> None:
    assert stopping(outcome).stopped_at is None
    assert stopping(PowerOutcome.UNKNOWN, outcome).stopped_at == AT
    earlier = a_target(state=S.STOPPING, stopped_at=START)
    again = happen(earlier, PowerIntended(ID, "c", "stop", hard=False, size=1), PowerAnswered(ID, "c", outcome))
    assert again.stopped_at == START


def test_a_start_that_was_refused_unmarks_nothing_even_after_the_clock_was_set_back() -> None:
    before = a_target(state=S.RESTORING, stopped_at=AT, then=End(S.HELD, Reason.LOCKED, "locked"))
    start = PowerIntended(ID, "call-0", "start", hard=False, size=1)
    intended = happen(before, start, at=AT - timedelta(hours=1))
    answered = PowerAnswered(ID, "call-0", PowerOutcome.REFUSED, code="Ecs.0605")
    assert happen(intended, answered, at=AT - timedelta(hours=1)).stopped_at == AT


def test_a_dropped_call_does_not_count_but_its_bound_does() -> None:
    before = happen(a_target(state=S.STOPPING), PowerIntended(ID, "c", "stop", hard=False, size=1))
    for answer, refusals in (("not-sent", 1), ("unauthenticated", 1), ("throttled", 0)):
        after = happen(before, PowerAnswered(ID, "c", PowerOutcome.DROPPED, answer=answer, not_before=DEADLINE))
        assert (after.calls, after.refusals, after.not_before) == ((), refusals, DEADLINE)


def test_an_answer_to_a_call_that_was_not_made_is_refused() -> None:
    with pytest.raises(IllegalMove, match="no power call"):
        fold_target(a_target(state=S.STOPPING), PowerAnswered(ID, "call-9", PowerOutcome.ENDED), AT)


@pytest.mark.parametrize("state", sorted(set(S) - {S.STOPPING, S.STARTING, S.RESTORING}))
def test_power_is_touched_nowhere_else(state: TargetState) -> None:
    with pytest.raises(IllegalMove):
        fold_target(a_target(state=state), PowerIntended(ID, "call-1", "stop", hard=False, size=1), AT)


def test_a_retry_allows_exactly_one_more_attempt() -> None:
    used = (an_attempt(1, outcome=Outcome.FAILED), an_attempt(2, outcome=Outcome.REFUSED))
    held = a_target(state=S.HELD, attempts=used, refusals=4, started=True, reason=Reason.LOCKED)
    again = happen(held, Retried(ID, "disk-named"))
    assert (again.state, again.attempts_allowed, again.disk) == (S.WAITING, 3, "disk-named")
    assert (again.refusals, again.started, again.reason) == (0, False, None)


def test_a_retry_of_an_unknown_outcome_allows_one_resend() -> None:
    held = replace(inspecting(), state=S.HELD, attempts=(an_attempt(unanswered=3, resends=MAX_RESENDS, sends=3),))
    again = happen(held, Retried(ID, OLD_DISK))
    assert again.attempt is not None
    assert (again.attempt.resends, again.attempts_allowed) == (MAX_RESENDS - 1, 1)


def test_settling_frees_the_server_and_keeps_the_memory() -> None:
    held = replace(inspecting(), state=S.HELD)
    assert held.keeps_claim
    after = happen(held, Settled(ID))
    assert not after.keeps_claim
    assert (after.attempts[0].outcome, after.last_unanswered_at) == (Outcome.UNKNOWN, START)


def test_only_an_ended_target_is_settled() -> None:
    with pytest.raises(IllegalMove):
        fold_target(inspecting(), Settled(ID), AT)


@pytest.mark.parametrize("state", [TargetState.CHECKING, TargetState.READY, TargetState.RESTORING])
def test_a_turn_is_not_taken_back_once_a_change_was_accepted(state: TargetState) -> None:
    untouched = a_target(state=state)
    assert fold_target(untouched, Moved(untouched.server_id, TargetState.WAITING), START).state is TargetState.WAITING
    sent = a_target(state=state, attempts=(an_attempt(accepted_at=START, outcome=Outcome.FAILED),))
    with pytest.raises(IllegalMove):
        fold_target(sent, Moved(sent.server_id, TargetState.WAITING), START)
