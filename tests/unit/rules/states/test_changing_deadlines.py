"""Changes that take too long, and adopted ones.

Safety protocol, section 6: docs/safety-protocol.md#6-deadlines
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.journal.events import ChangeIntended
from fleetos.model.journal.fold import fold_target
from fleetos.model.run import Target
from fleetos.model.states import HOLDS_SLOT, Reason, TargetState
from fleetos.rules.decide import decide
from fleetos.rules.needs import ReadJobNeed, ReadServerNeed, Wait
from fleetos.rules.replies import judge_job
from tests.support.builders import (
    CHANGED,
    CHANGED_DOWN,
    NO_DISK,
    REBUILD,
    RUNNING,
    SETTINGS,
    START,
    STOPPED,
    a_target,
    an_attempt,
)
from tests.unit.rules.contexts import context, decided, moment, needs, outcome_of, steady, undecided

S = TargetState
TIMEOUT, SETTLE = SETTINGS.change_timeout_s, SETTINGS.settle_s
JOB = a_target(state=S.CHANGING, attempts=(an_attempt(accepted_at=START, job_id="job-1"),))
ADOPTED = a_target(state=S.CHANGING, attempts=(an_attempt(adopted=True, unanswered=1),))


def test_a_job_is_asked_until_the_deadline() -> None:
    assert needs(decide(JOB, context())) == (ReadJobNeed("job-1", moment(5).elapsed_s), Wait(moment(TIMEOUT).elapsed_s))


@pytest.mark.parametrize("target", [JOB, ADOPTED])
def test_after_the_deadline_the_server_is_read(target: Target) -> None:
    asked = needs(decide(target, replace(context(), now=moment(TIMEOUT))))
    assert any(isinstance(need, ReadServerNeed) and need.due_s <= moment(TIMEOUT).elapsed_s for need in asked)


def test_the_answers_about_the_job_do_not_put_the_next_read_off() -> None:
    rule_context = context([(TIMEOUT, STOPPED)])
    dues: list[float] = []
    for seconds in (0, 20, 40, 59):
        asked = needs(decide(JOB, replace(rule_context, now=moment(TIMEOUT + seconds))))
        dues += [need.due_s for need in asked if isinstance(need, ReadServerNeed)]
    assert dues == [moment(TIMEOUT + SETTINGS.poll_max_s).elapsed_s] * 4


@pytest.mark.parametrize("picture", [STOPPED, REBUILD, RUNNING, NO_DISK])
def test_a_change_that_goes_on_is_watched_for_as_long_again_and_then_held(picture: ServerSnapshot) -> None:
    before = replace(context([(2 * TIMEOUT, picture)]), now=moment(2 * TIMEOUT))
    assert undecided(decide(JOB, before))
    after = decided(JOB, replace(context([(2 * TIMEOUT + 1, picture)]), now=moment(2 * TIMEOUT + 1)))
    assert (after.state, after.reason, after.overdue) == (S.HELD, Reason.STILL_CHANGING, True)


def test_a_held_overdue_target_keeps_its_claim_and_gives_its_slot_back() -> None:
    held = decided(JOB, replace(context([(2 * TIMEOUT + 1, REBUILD)]), now=moment(2 * TIMEOUT + 1)))
    assert held.keeps_claim
    assert held.state not in HOLDS_SLOT
    assert held.attempt is not None
    assert held.attempt.job_id == "job-1"


def test_an_adopted_change_is_overdue_by_the_deadline_of_its_attempt() -> None:
    rule_context = replace(context(steady(REBUILD, 2 * TIMEOUT + 1)), entered_at=moment(TIMEOUT))
    assert outcome_of(decide(ADOPTED, rule_context))[:2] == (S.HELD, Reason.STILL_CHANGING)


def test_a_process_that_takes_over_late_looks_for_one_settle() -> None:
    hours = 10 * TIMEOUT
    rule_context = replace(context(steady(REBUILD, hours + SETTLE - 1, from_s=hours)), entered_at=moment(hours))
    assert undecided(decide(JOB, rule_context))
    assert undecided(decide(ADOPTED, rule_context))
    rule_context = replace(context(steady(REBUILD, hours + SETTLE, from_s=hours)), entered_at=moment(hours))
    assert outcome_of(decide(JOB, rule_context))[:2] == (S.HELD, Reason.STILL_CHANGING)
    assert outcome_of(decide(ADOPTED, rule_context))[:2] == (S.HELD, Reason.STILL_CHANGING)


@pytest.mark.parametrize("target", [JOB, ADOPTED])
def test_an_overdue_change_that_worked_is_verified(target: Target) -> None:
    assert decided(target, context([(TIMEOUT + 60, CHANGED)])).state is S.VERIFYING


@pytest.mark.parametrize("target", [JOB, ADOPTED])
def test_an_overdue_change_of_a_server_that_is_gone_fails(target: Target) -> None:
    looks = [(TIMEOUT + 60, None), (TIMEOUT + 90, None)]
    assert undecided(decide(target, context(looks[:1])))
    assert outcome_of(decide(target, context(looks)))[:2] == (S.FAILED, Reason.GONE)


def test_an_adopted_change_that_shows_no_more_is_inspected_anew() -> None:
    for picture in (STOPPED, RUNNING, CHANGED_DOWN, NO_DISK):
        assert decided(ADOPTED, context([(60, picture)])).state is S.INSPECTING
    assert decided(ADOPTED, context([(60, CHANGED)])).state is S.VERIFYING
    assert undecided(decide(ADOPTED, context([(60, REBUILD)])))


def test_an_adopted_change_is_read_by_itself() -> None:
    (look,) = needs(decide(ADOPTED, context([(60, REBUILD)])))
    assert isinstance(look, ReadServerNeed)
    assert look.single


def test_the_deadline_is_stored_with_the_attempt_and_renewed_by_a_send_only() -> None:
    ready = a_target(state=S.READY, attempts=(an_attempt(resends=1, unanswered=1),))
    later = START + timedelta(hours=5)
    again = fold_target(ready, ChangeIntended(ready.server_id, 1, STOPPED, later), START + timedelta(hours=4))
    assert again.attempt is not None
    assert again.attempt.deadline == later


def test_a_failed_job_past_its_deadline_is_judged_by_its_end() -> None:
    attempt = an_attempt(accepted_at=START, job_id="job-1", job_status=JobStatus.FAIL)
    failed = a_target(state=S.CHANGING, attempts=(attempt,))
    rule_context = context(steady(STOPPED, 2 * TIMEOUT + 120, from_s=2 * TIMEOUT))
    assert decided(failed, rule_context).state is S.BACKOFF


def test_an_adopted_change_is_not_asked_about_by_a_job_that_the_cloud_does_not_know() -> None:
    adopted = a_target(state=S.CHANGING, attempts=(an_attempt(accepted_at=START, job_id="job-1", adopted=True),))
    (look,) = needs(decide(adopted, context([(60, REBUILD)])))
    assert isinstance(look, ReadServerNeed)
    assert judge_job(adopted, "job-1", None, context([(600, REBUILD)])) == ()
