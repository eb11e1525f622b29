"""Release and retry: of which server each is done, of which it has no effect, and of which it is refused."""

from dataclasses import replace

import pytest

from fleetos.errors import IllegalMove
from fleetos.model.journal.events import Moved, Released, RequestAnswered, Retried
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.requests import OperatorRequest, RequestArguments, RequestKind, RequestOutcome
from fleetos.model.run import Attempt, End, Outcome, Target
from fleetos.model.states import AHEAD, ENDS, NEVER_RETRIED, QUEUED, RETRIABLE, Reason, RunState, TargetState
from fleetos.rules.requests.answer import Answer
from fleetos.rules.requests.run_requests import answer
from tests.support.builders import RUNNING, START, STOPPED, a_run, a_target
from tests.unit.rules.requests.drafts import Draft

K, R, S = RequestKind, RequestOutcome, TargetState
RUN = a_run(passes=2)
HOLD = End(S.HELD, Reason.OPERATOR, "anna: in use")
FAILED = Attempt(1, STOPPED, START, START, START, accepted_at=START, outcome=Outcome.FAILED)
OPEN = Attempt(1, STOPPED, START, START, START, unanswered=1)
DONE = replace(FAILED, outcome=Outcome.SUCCEEDED)


def ask(kind: RequestKind, *targets: Target, state: RunState = RunState.RUNNING, **disks: str) -> Answer:
    """The answer; the disks that were agreed to are the last ones of the targets, but for those that are given."""
    named = {target.server_id: disks.get(f"disk_{target.position}", target.last_disk) for target in targets}
    servers = tuple(target.server_id for target in targets)
    request = OperatorRequest(1, kind, "anna", START, "because", RequestArguments(servers, disks=named))
    return answer(request, Draft(replace(RUN, state=state), targets))


def after(target: Target, ours: Answer) -> Target:
    for event in ours.events:
        assert isinstance(event, Released | Retried)
        target = fold_target(target, event, START)
    return target


@pytest.mark.parametrize("state", TargetState)
def test_only_what_an_operator_holds_is_released(state: TargetState) -> None:
    for reason in (None, Reason.LOCKED, Reason.OPERATOR):
        target = a_target(state=state, reason=reason)
        ours = ask(K.RELEASE, target)
        held = state is S.HELD and reason is Reason.OPERATOR
        expected = R.DONE if held else R.REFUSED if state in ENDS else R.NO_EFFECT
        assert ours.outcome is expected, (state, reason)
        if expected is R.REFUSED:
            assert f"{target.name} is {state}" in ours.detail


def test_a_server_that_is_released_waits_as_it_did_and_its_failure_counts() -> None:
    held = fold_target(a_target(), Moved(a_target().server_id, S.HELD, Reason.OPERATOR, detail="anna: in use"), START)
    assert held.excused
    released = after(held, ask(K.RELEASE, held))
    assert released == replace(a_target(), since=START, pass_no=2)
    failed = replace(released, state=S.FAILED, reason=Reason.REFUSED)
    assert failed.failed_in(2)


@pytest.mark.parametrize("state", sorted(AHEAD))
def test_a_hold_that_is_only_asked_for_is_taken_back(state: TargetState) -> None:
    target = a_target(state=state, asked_end=HOLD)
    assert after(target, ask(K.RELEASE, target)) == replace(target, asked_end=None)
    skipped = a_target(state=state, asked_end=replace(HOLD, state=S.SKIPPED))
    assert ask(K.RELEASE, skipped).outcome is R.REFUSED


def test_a_server_whose_power_is_put_back_before_it_is_held_waits_after_it() -> None:
    restoring = a_target(state=S.RESTORING, reason=Reason.OPERATOR, then=HOLD, stopped_at=START)
    released = after(restoring, ask(K.RELEASE, restoring))
    assert (released.state, released.then) == (S.RESTORING, End(S.WAITING, None, ""))
    ends = a_target(state=S.RESTORING, then=replace(HOLD, state=S.FAILED, reason=Reason.REFUSED))
    assert ask(K.RELEASE, ends).outcome is R.REFUSED


def test_a_release_gives_no_attempt_more_than_there_was() -> None:
    held = a_target(state=S.HELD, reason=Reason.OPERATOR, attempts=(FAILED,), attempts_allowed=3)
    assert after(held, ask(K.RELEASE, held)).attempts_allowed == 3
    # The hold ended an attempt that had not been delivered, which is made up for.
    undelivered = replace(held, attempts=(replace(OPEN, unanswered=0, outcome=Outcome.NOT_DELIVERED),))
    assert after(replace(undelivered, attempts_allowed=1), ask(K.RELEASE, undelivered)).attempts_allowed == 2


def test_a_release_leaves_an_open_attempt_and_its_sends_as_they_are() -> None:
    in_doubt = a_target(state=S.HELD, reason=Reason.OPERATOR, attempts=(replace(OPEN, resends=2),))
    assert after(in_doubt, ask(K.RELEASE, in_doubt)).attempts == in_doubt.attempts


@pytest.mark.parametrize("state", TargetState)
def test_what_failed_or_is_held_is_retried(state: TargetState) -> None:
    for reason in (None, *Reason):
        ours = ask(K.RETRY, a_target(state=state, reason=reason))
        if state in RETRIABLE and reason not in NEVER_RETRIED:
            assert ours.events == (Retried(a_target().server_id, a_target().disk, 2),), reason
        else:
            assert ours.outcome is (R.REFUSED if state in ENDS else R.NO_EFFECT), reason
            assert ours.events == (), reason


@pytest.mark.parametrize("attempt", [OPEN, replace(OPEN, outcome=Outcome.UNKNOWN), replace(OPEN, unanswered=0)])
def test_an_unknown_outcome_is_not_retried_in_mid_run(attempt: Attempt) -> None:
    held = a_target(state=S.HELD, reason=Reason.OUTCOME_UNKNOWN, attempts=(attempt,))
    assert (ask(K.RETRY, held).outcome, ask(K.RETRY, held).events) == (R.REFUSED, ())


@pytest.mark.parametrize("state", sorted(RETRIABLE))
def test_a_proven_os_is_retried_by_nothing(state: TargetState) -> None:
    proven = a_target(
        state=state, reason=Reason.GONE, attempts=(FAILED, replace(DONE, number=2)), disk_after="disk-new"
    )
    assert ask(K.RETRY, proven).detail == f"{proven.name} is {state}: its new OS is proven"
    assert not proven.retriable
    with pytest.raises(IllegalMove, match="proven"):
        fold_target(proven, Retried(proven.server_id, "disk-new"), START)


def test_the_disk_is_the_one_that_was_agreed_to() -> None:
    held = a_target(state=S.HELD, reason=Reason.FOREIGN_CHANGE, disk_after="disk-seen")
    assert after(held, ask(K.RETRY, held)).disk == "disk-seen"
    refused = ask(K.RETRY, held, disk_1=str(held.disk))
    assert (refused.outcome, refused.events) == (R.REFUSED, ())
    assert "has system disk disk-seen by now" in refused.detail
    unnamed = OperatorRequest(1, K.RETRY, "anna", START, "", RequestArguments((held.server_id,)))
    assert answer(unnamed, Draft(RUN, (held,))).outcome is R.REFUSED


@pytest.mark.parametrize("kind", [K.RELEASE, K.RETRY])
def test_all_of_the_servers_or_none(kind: RequestKind) -> None:
    held = [a_target(number, state=S.HELD, reason=Reason.OPERATOR) for number in (1, 2)]
    assert len(ask(kind, *held).events) == 2
    waiting, done = a_target(3), a_target(4, state=S.DONE)
    assert len(ask(kind, *held, waiting).events) == 2
    assert ask(kind, waiting).outcome is R.NO_EFFECT
    assert (ask(kind, *held, done).outcome, ask(kind, *held, done).events) == (R.REFUSED, ())


@pytest.mark.parametrize("kind", [K.RELEASE, K.RETRY])
def test_a_run_that_is_aborted_takes_nobody_up(kind: RequestKind) -> None:
    held = a_target(state=S.HELD, reason=Reason.OPERATOR)
    assert ask(kind, held, state=RunState.FINISHING).outcome is R.NO_EFFECT
    assert len(ask(kind, held, state=RunState.PAUSED).events) == 1
    assert isinstance(ask(kind, held).record(OperatorRequest(1, kind, "anna", START)), RequestAnswered)


@pytest.mark.parametrize("state", sorted(set(S) - {S.HELD}))
def test_the_fold_releases_only_what_is_held(state: TargetState) -> None:
    for to in (None, S.WAITING):
        with pytest.raises(IllegalMove):
            fold_target(a_target(state=state, baseline=RUNNING), Released(a_target().server_id, to), START)
    assert QUEUED.isdisjoint(ENDS)
