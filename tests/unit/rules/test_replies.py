"""Replies, row by row: what each proves, for changes and for power calls.

Safety protocol, section 3: docs/safety-protocol.md#3-replies
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.limits import CONFLICT_WAIT_S, JOB_UNKNOWN_GRACE_S, LATER_WAIT_S, MAX_REFUSALS
from fleetos.model.inventory import Delivered, Job, JobStatus, Reply, SubJob, Unanswered, Undelivered
from fleetos.model.journal.events import ChangeAnswered, JobEnded, Moved, PowerAnswered, RunMoved
from fleetos.model.journal.fold import fold_target
from fleetos.model.run import Outcome, PowerCall, PowerOutcome, Target
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.rules.replies import (
    NOT_SENT_WAIT_S,
    describe,
    end_forgotten_change,
    end_forgotten_power_call,
    judge_change_reply,
    judge_job,
    judge_power_reply,
)
from tests.support.builders import START, a_target, an_attempt
from tests.unit.rules.contexts import context, moment

S = TargetState
ID = "server-0001"
HERE = context()


def sent(unanswered: int = 0, **changes: object) -> Target:
    target = a_target(state=S.SUBMITTING, attempts=(an_attempt(unanswered=unanswered),))
    return replace(target, **changes)


def no(code: str | None, status: int = 400) -> Delivered:
    return Delivered(status, code=code, message="said so", request_id="req-1")


def answered(target: Target, reply: Reply) -> tuple[ChangeAnswered, RunMoved | None]:
    attempt = target.attempt
    assert attempt is not None
    first, *rest = judge_change_reply(target, attempt, reply, HERE)
    assert isinstance(first, ChangeAnswered)
    assert fold_target(target, first, START).state is first.to
    run = rest[0] if rest else None
    assert run is None or isinstance(run, RunMoved)
    return first, run


# --- accepted ------------------------------------------------------------------------------------------------


def test_row_accepted_is_changing_with_job_and_deadline() -> None:
    event, run = answered(sent(), Delivered(200, job_id="job-1", request_id="req-1"))
    assert (event.to, event.job_id, event.answer, run) == (S.CHANGING, "job-1", "accepted", None)
    assert event.deadline == HERE.now.wall + timedelta(seconds=3600)


# --- proven not done -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["Ecs.0005", "Ecs.0031", "Ecs.0314", "Ecs.0105", "Ecs.0120"])
def test_row_proven_fatal_fails_and_uses_the_attempt(code: str) -> None:
    event, run = answered(sent(), no(code))
    assert (event.to, event.reason, event.code, run) == (S.FAILED, Reason.REFUSED, code, None)
    assert fold_target(sent(), event, START).attempts[-1].outcome is Outcome.REFUSED


def test_row_proven_fatal_starts_a_server_that_lies_stopped_by_us() -> None:
    event, _ = answered(sent(stopped_at=START), no("Ecs.0314"))
    assert event.to is S.RESTORING
    assert event.then is not None
    assert (event.then.state, event.then.reason) == (S.FAILED, Reason.REFUSED)


@pytest.mark.parametrize("reply", [no("Ecs.0003", 403), no("Pdp.0001", 403), no(None, 403), no("Ecs.0023")])
def test_row_proven_forbidden_stops_the_run_and_keeps_the_target(reply: Delivered) -> None:
    event, run = answered(sent(), reply)
    assert event.to is S.READY
    assert run is not None
    assert (run.to, run.reason) == (RunState.PAUSED, Reason.PERMISSION)


def test_row_proven_401_needs_a_new_intent_and_is_bounded() -> None:
    """Whether a 401 stops the run is for the client to say, which knows if the token ever worked."""
    event, run = answered(sent(), no("APIGW.0301", 401))
    assert (event.to, event.not_before, run) == (S.READY, None, None)
    assert answered(sent(refusals=MAX_REFUSALS - 1), no(None, 401))[0].to is S.HELD


def test_row_proven_gone_fails() -> None:
    event, _ = answered(sent(stopped_at=START), no("Ecs.0114", 404))
    assert (event.to, event.reason) == (S.FAILED, Reason.GONE)


@pytest.mark.parametrize(
    ("reply", "wait_s"),
    [
        pytest.param(no("Ecs.0001"), LATER_WAIT_S, id="quota"),
        pytest.param(no("Ecs.0073"), 120.0, id="backup-running"),
        pytest.param(no("Common.0024", 202), LATER_WAIT_S, id="flow-limit-without-job"),
        pytest.param(Undelivered("connection refused"), NOT_SENT_WAIT_S, id="not-sent"),
    ],
)
def test_row_proven_later_is_ready_after_its_wait(reply: Reply, wait_s: float) -> None:
    event, run = answered(sent(), reply)
    assert (event.to, run) == (S.READY, None)
    assert event.not_before == HERE.now.wall + timedelta(seconds=wait_s)


@pytest.mark.parametrize("reply", [no("Ecs.0001"), Undelivered("refused"), no("Ecs.0100")])
def test_row_proven_later_is_bounded(reply: Reply) -> None:
    assert answered(sent(refusals=MAX_REFUSALS - 2), reply)[0].to is S.READY
    assert answered(sent(refusals=MAX_REFUSALS - 1), reply)[0].to is S.HELD


def test_row_proven_429_is_without_bound() -> None:
    event, run = answered(sent(refusals=MAX_REFUSALS + 50), no("APIGW.0308", 429))
    assert (event.to, event.not_before, run) == (S.READY, None, None)


# --- state conflict ------------------------------------------------------------------------------------------

CONFLICTS = [no("Ecs.0100"), no("Ecs.0603", 501), no(None, 409)]


@pytest.mark.parametrize("reply", CONFLICTS)
def test_row_conflict_with_an_unanswered_send_is_inspected(reply: Delivered) -> None:
    event, _ = answered(sent(unanswered=1), reply)
    assert event.to is S.INSPECTING
    assert fold_target(sent(unanswered=1), event, START).unanswered == 1


@pytest.mark.parametrize("reply", CONFLICTS)
def test_row_conflict_with_an_unanswered_send_of_an_earlier_attempt_is_inspected(reply: Delivered) -> None:
    attempts = (an_attempt(1, unanswered=1, outcome=Outcome.FAILED), an_attempt(2))
    assert answered(sent(attempts=attempts), reply)[0].to is S.INSPECTING


@pytest.mark.parametrize("reply", CONFLICTS)
def test_row_conflict_otherwise_waits_a_minute(reply: Delivered) -> None:
    event, _ = answered(sent(), reply)
    assert event.to is S.READY
    assert event.not_before == HERE.now.wall + timedelta(seconds=CONFLICT_WAIT_S)


def test_row_conflict_locked_is_held() -> None:
    event, _ = answered(sent(), no("Ecs.0605"))
    assert (event.to, event.reason) == (S.HELD, Reason.LOCKED)


# --- ambiguous -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Unanswered("reset by peer"), id="answer-lost"),
        pytest.param(no(None, 502), id="502"),
        pytest.param(no("APIGW.0201", 504), id="gateway-gave-up"),
        pytest.param(Delivered(200), id="2xx-without-job"),
        pytest.param(no("Ecs.0002"), id="system-exception"),
        pytest.param(no("Ecs.1000"), id="nova"),
        pytest.param(no("Ecs.1001"), id="openstack"),
        pytest.param(no("Ecs.1002"), id="openstack-timeout"),
        pytest.param(no("Ecs.1300"), id="evs"),
        pytest.param(no("Ecs.9999"), id="unknown-code"),
        pytest.param(no("Ecs.0314", 500), id="fatal-code-under-5xx"),
        pytest.param(no("Ecs.0603", 503), id="conflict-under-another-5xx"),
    ],
)
def test_row_ambiguous_is_inspected_and_counts_as_unanswered(reply: Reply) -> None:
    event, run = answered(sent(), reply)
    assert (event.to, run) == (S.INSPECTING, None)
    assert fold_target(sent(), event, START).unanswered == 1


def test_a_process_that_died_in_mid_send_leaves_an_ambiguous_answer() -> None:
    event = end_forgotten_change(sent(), an_attempt())
    after = fold_target(sent(), event, START)
    assert (after.state, after.unanswered) == (S.INSPECTING, 1)


def test_an_answer_is_told_with_code_and_request() -> None:
    assert describe(no("Ecs.0314")) == "Ecs.0314: said so (request req-1)"
    assert describe(Delivered(502)) == "HTTP 502"
    assert describe(Unanswered("reset")) == "reset"


# --- power calls ---------------------------------------------------------------------------------------------


def stop_call(size: int = 1, **changes: object) -> PowerCall:
    return replace(PowerCall("call-1", "stop", hard=False, size=size, intended_at=START), **changes)


def power(reply: Reply, size: int = 1) -> tuple[PowerAnswered, RunMoved | None]:
    call = stop_call(size)
    target = a_target(state=S.STOPPING, calls=(call,))
    first, *rest = judge_power_reply(target, call, reply, HERE)
    assert isinstance(first, PowerAnswered)
    run = rest[0] if rest else None
    assert run is None or isinstance(run, RunMoved)
    return first, run


def test_power_accepted() -> None:
    event, _ = power(Delivered(200, job_id="job-1"))
    assert (event.outcome, event.job_id) == (PowerOutcome.ACCEPTED, "job-1")


@pytest.mark.parametrize("reply", [Unanswered("reset"), no(None, 503), Delivered(204), no("Ecs.1002")])
def test_power_ambiguous(reply: Reply) -> None:
    assert power(reply)[0].outcome is PowerOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("reply", "wait_s"), [(Undelivered("refused"), NOT_SENT_WAIT_S), (no("APIGW.0308", 429), 0.0), (no(None, 401), 0.0)]
)
def test_power_not_done_and_no_verdict(reply: Reply, wait_s: float) -> None:
    event, run = power(reply)
    assert (event.outcome, run) == (PowerOutcome.DROPPED, None)
    assert event.not_before == HERE.now.wall + timedelta(seconds=wait_s)


def test_power_forbidden_stops_the_run() -> None:
    event, run = power(no("Ecs.0003", 403))
    assert event.outcome is PowerOutcome.DROPPED
    assert run is not None
    assert run.reason is Reason.PERMISSION


@pytest.mark.parametrize("code", ["Ecs.0100", "Ecs.0605", "Ecs.0005", "Ecs.0001"])
def test_power_refused_waits_only_when_it_names_one_server(code: str) -> None:
    alone, batch = power(no(code))[0], power(no(code), size=8)[0]
    assert alone.outcome is batch.outcome is PowerOutcome.REFUSED
    assert batch.not_before == HERE.now.wall
    assert alone.not_before is not None


def test_power_forgotten_is_unknown() -> None:
    target = a_target(state=S.STOPPING, calls=(stop_call(),))
    assert end_forgotten_power_call(target, stop_call()).outcome is PowerOutcome.UNKNOWN


# --- jobs ----------------------------------------------------------------------------------------------------


def changing() -> Target:
    return a_target(state=S.CHANGING, attempts=(an_attempt(accepted_at=START, job_id="job-1"),))


@pytest.mark.parametrize("status", [JobStatus.INIT, JobStatus.RUNNING])
def test_a_job_that_goes_on_says_nothing(status: JobStatus) -> None:
    assert judge_job(changing(), "job-1", Job("job-1", status), HERE) == ()


@pytest.mark.parametrize("status", [JobStatus.SUCCESS, JobStatus.FAIL])
def test_a_job_that_ended_is_told(status: JobStatus) -> None:
    (event,) = judge_job(changing(), "job-1", Job("job-1", status, "Ecs.0219", "no host"), HERE)
    assert event == JobEnded(ID, 1, "job-1", status, "Ecs.0219", "no host")


def test_an_unknown_job_is_waited_for_and_then_inspected() -> None:
    young = context(now=moment(JOB_UNKNOWN_GRACE_S - 1))
    assert judge_job(changing(), "job-1", None, young) == ()
    (event,) = judge_job(changing(), "job-1", None, context(now=moment(JOB_UNKNOWN_GRACE_S)))
    assert isinstance(event, Moved)
    assert event.to is S.INSPECTING


def test_a_job_that_is_not_the_target_s_says_nothing() -> None:
    assert judge_job(changing(), "job-9", Job("job-9", JobStatus.FAIL), HERE) == ()
    noted = fold_target(changing(), JobEnded(ID, 1, "job-1", JobStatus.FAIL), START)
    assert judge_job(noted, "job-1", Job("job-1", JobStatus.SUCCESS), HERE) == ()


def stopping() -> Target:
    return a_target(state=S.STOPPING, calls=(stop_call(2, outcome=PowerOutcome.ACCEPTED, job_id="job-1"),))


def power_job(job: Job | None, at_s: float = 0.0, target: Target | None = None) -> PowerAnswered | None:
    events = judge_job(target or stopping(), "job-1", job, context(now=moment(at_s)))
    assert all(isinstance(event, PowerAnswered) for event in events)
    return events[0] if events and isinstance(events[0], PowerAnswered) else None


def part(server_id: str, status: JobStatus) -> SubJob:
    return SubJob(server_id, f"sub-{server_id}", status, "Ecs.0603" if status is JobStatus.FAIL else None)


def test_a_server_is_judged_by_its_sub_job_and_never_by_the_parent() -> None:
    other = part("server-0002", JobStatus.SUCCESS)
    mine = Job("job-1", JobStatus.FAIL, sub_jobs=(part(ID, JobStatus.SUCCESS), part("server-0002", JobStatus.FAIL)))
    ended = power_job(mine)
    assert ended is not None
    assert (ended.outcome, ended.code) == (PowerOutcome.ENDED, None)
    assert power_job(Job("job-1", JobStatus.SUCCESS, sub_jobs=(part(ID, JobStatus.RUNNING), other))) is None
    failed = power_job(Job("job-1", JobStatus.SUCCESS, sub_jobs=(part(ID, JobStatus.FAIL), other)))
    assert failed is not None
    assert (failed.outcome, failed.code) == (PowerOutcome.ENDED, "Ecs.0603")


def test_a_server_that_a_final_parent_does_not_list_is_unknown() -> None:
    other = (part("server-0002", JobStatus.SUCCESS),)
    assert power_job(Job("job-1", JobStatus.RUNNING, sub_jobs=other)) is None
    unlisted = power_job(Job("job-1", JobStatus.SUCCESS, sub_jobs=other))
    assert unlisted is not None
    assert unlisted.outcome is PowerOutcome.UNKNOWN


def test_a_job_without_parts_speaks_for_its_one_server_only() -> None:
    alone = a_target(state=S.STOPPING, calls=(stop_call(1, outcome=PowerOutcome.ACCEPTED, job_id="job-1"),))
    ended = power_job(Job("job-1", JobStatus.SUCCESS), target=alone)
    assert ended is not None
    assert ended.outcome is PowerOutcome.ENDED
    of_two = power_job(Job("job-1", JobStatus.SUCCESS))
    assert of_two is not None
    assert of_two.outcome is PowerOutcome.UNKNOWN


def test_an_unknown_power_job_is_waited_for_and_then_unknown() -> None:
    assert power_job(None, JOB_UNKNOWN_GRACE_S - 1) is None
    lost = power_job(None, JOB_UNKNOWN_GRACE_S)
    assert lost is not None
    assert lost.outcome is PowerOutcome.UNKNOWN
