"""Later passes: what the operator's `retry` does with a target.

Safety protocol, section 8: docs/safety-protocol.md#8-leases-claims-and-passes
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.inventory import Job, JobStatus, ServerSnapshot
from fleetos.model.journal.events import JobEnded, Retried
from fleetos.model.journal.fold import fold_target
from fleetos.model.run import Outcome, Target
from fleetos.model.states import Reason, TargetState
from fleetos.model.traces import NO_TRACES
from fleetos.rules.admission.why_not import choose_first_state
from fleetos.rules.decide import decide
from fleetos.rules.needs import ReadJobNeed
from fleetos.rules.replies import judge_job
from tests.support.builders import (
    CHANGED,
    ERROR,
    NEW_DISK,
    OLD_DISK,
    REBUILD,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    a_target,
    an_attempt,
)
from tests.unit.rules.contexts import aborting, context, decided, moment, needs, steady, undecided

S = TargetState
SETTLE, BEAT = SETTINGS.settle_s, SETTINGS.poll_max_s
FAILED = an_attempt(accepted_at=START, job_id="job-1", outcome=Outcome.FAILED)


def retried(*attempts: object, disk: str | None = OLD_DISK, **changes: object) -> Target:
    held = replace(a_target(state=S.HELD), attempts=attempts, attempts_allowed=1, **changes)
    return fold_target(held, Retried(held.server_id, disk), START)


def inspected(target: Target) -> Target:
    return replace(target, state=choose_first_state(target))


def test_a_target_without_a_send_is_checked_the_others_are_inspected() -> None:
    assert choose_first_state(retried()) is S.CHECKING
    assert choose_first_state(retried(FAILED)) is S.INSPECTING
    assert choose_first_state(retried(an_attempt(unanswered=1))) is S.INSPECTING
    assert choose_first_state(a_target(state=S.BACKOFF, attempts=(FAILED,))) is S.CHECKING


def test_exactly_one_more_attempt() -> None:
    target = retried(FAILED, replace(FAILED, number=2))
    assert target.attempts_allowed - len(target.attempts) == 1


@pytest.mark.parametrize("picture", [STOPPED, RUNNING, ERROR])
def test_known_outcomes_need_two_equal_reads_before_it_is_checked(picture: ServerSnapshot) -> None:
    target = inspected(retried(FAILED))
    assert undecided(decide(target, context(steady(picture, BEAT - 1))))
    assert decided(target, context(steady(picture, BEAT))).state is S.CHECKING


def test_unanswered_sends_need_a_whole_settle_before_it_is_checked() -> None:
    target = inspected(retried(replace(FAILED, unanswered=1)))
    assert undecided(decide(target, context(steady(STOPPED, SETTLE - 1))))
    assert undecided(decide(target, context([*steady(STOPPED, 300), *steady(STOPPED, SETTLE + 100, from_s=361)])))
    assert decided(target, context(steady(STOPPED, SETTLE))).state is S.CHECKING


def test_a_server_that_is_changing_is_watched_and_then_held() -> None:
    target = inspected(retried(FAILED))
    assert undecided(decide(target, context(steady(REBUILD, 3599))))
    held = decided(target, context(steady(REBUILD, 3600)))
    assert (held.state, held.reason) == (S.HELD, Reason.STILL_CHANGING)


def test_the_disk_must_be_the_last_that_the_run_knows() -> None:
    named = inspected(retried(FAILED, disk="disk-half"))
    half = replace(ERROR, disk="disk-half")
    checking = decided(named, context(steady(half, BEAT)))
    assert decided(checking, context([(0, half)])).state is S.READY
    held = decided(checking, context([(0, replace(half, disk="disk-foreign"))]))
    assert (held.state, held.reason) == (S.HELD, Reason.FOREIGN_CHANGE)


def test_a_retried_unknown_outcome_is_found_out() -> None:
    attempt = an_attempt(unanswered=1, deadline=START - timedelta(hours=3))
    target = inspected(retried(attempt))
    assert decided(target, context([(0, CHANGED)])).state is S.VERIFYING
    assert decided(target, context([(0, REBUILD)])).state is S.CHANGING
    assert decided(target, context(steady(STOPPED, SETTLE), traces=NO_TRACES)).state is S.READY


def test_a_server_that_was_changed_after_all_is_not_wiped_unless_its_disk_is_named() -> None:
    """The attempt was judged as failed, yet the change came later: the retry must not wipe its disk."""
    target = inspected(retried(FAILED))
    checking = decided(target, context(steady(CHANGED, BEAT)))
    held = decided(checking, context([(0, CHANGED)]))
    assert (held.state, held.reason, held.disk_after) == (S.HELD, Reason.FOREIGN_CHANGE, NEW_DISK)


def test_a_server_that_is_gone_fails_again() -> None:
    looks = [(0.0, None), (30.0, None)]
    assert decided(inspected(retried(FAILED)), context(looks)).reason is Reason.GONE


GOES_ON = an_attempt(accepted_at=START - timedelta(hours=3), job_id="job-1", deadline=START - timedelta(hours=2))


def test_a_retried_change_asks_its_job_before_any_look_counts() -> None:
    """A cloud may show a change that goes on as a stopped, idle server."""
    target = inspected(retried(GOES_ON))
    unasked = context(steady(STOPPED, SETTLE))
    assert ReadJobNeed("job-1", unasked.now.elapsed_s) in needs(decide(target, unasked))
    assert undecided(decide(target, context(steady(REBUILD, 30))))


def test_a_retried_change_whose_job_goes_on_is_asked_again_and_then_held() -> None:
    target = inspected(retried(GOES_ON))
    ran = moment(SETTLE - BEAT)
    rule_context = context(steady(STOPPED, SETTLE - 1), job_read_at=ran, job_running_at=ran)
    assert ReadJobNeed("job-1", ran.elapsed_s + BEAT) in needs(decide(target, rule_context))
    held = decided(target, context(steady(STOPPED, SETTLE), job_read_at=ran, job_running_at=ran))
    assert (held.state, held.reason, held.attempts[-1].outcome) == (S.HELD, Reason.STILL_CHANGING, None)


def test_a_retried_change_whose_job_is_forgotten_is_told_by_the_looks() -> None:
    target = inspected(retried(GOES_ON))
    rule_context = context(
        steady(STOPPED, SETTLE), traces=NO_TRACES, job_read_at=moment(SETTLE), job_not_running_at=moment(0)
    )
    after = decided(target, rule_context)
    assert after.attempts[-1].outcome is Outcome.FAILED


@pytest.mark.parametrize(("status", "state"), [(JobStatus.SUCCESS, S.VERIFYING), (JobStatus.FAIL, S.CHANGING)])
def test_a_retried_change_whose_job_has_ended_is_judged_by_it(status: JobStatus, state: TargetState) -> None:
    target = inspected(retried(GOES_ON))
    (ended,) = judge_job(target, "job-1", Job("job-1", status, error_code="Ecs.0202"), context(steady(STOPPED, 30)))
    assert isinstance(ended, JobEnded)
    after = fold_target(target, ended, START)
    assert (after.state, after.attempts[-1].job_status) == (state, status)


def test_a_retried_target_whose_disk_is_another_is_not_called_as_it_was_by_an_abort() -> None:
    """A send that was never answered may have changed it; nobody could tell whose disk it was."""
    foreign = an_attempt(unanswered=1, outcome=Outcome.FOREIGN)
    checking = replace(inspected(retried(foreign, disk=NEW_DISK)), state=S.CHECKING)
    held = decided(checking, aborting([(0, CHANGED)]))
    assert (held.state, held.reason) == (S.HELD, Reason.ABORTED)
    same = replace(inspected(retried(foreign)), state=S.CHECKING)
    assert decided(same, aborting([(0, STOPPED)])).state is S.CANCELLED
