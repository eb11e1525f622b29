"""What each request does to a run, state by state, and when it is refused."""

from dataclasses import replace

import pytest

from fleetos.errors import IllegalMove
from fleetos.model.journal.events import EndAsked, Event, Forgiven, Moved, RunEvent, RunMoved, SettingChanged
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import OperatorRequest, RequestArguments, RequestKind, RequestOutcome
from fleetos.model.run import Attempt, Outcome, Run, Target
from fleetos.model.states import AHEAD, ENDS, MOVES, QUEUED, RUN_ENDS, Reason, RunState, TargetState
from fleetos.rules.requests.answer import Answer
from fleetos.rules.requests.run_requests import answer, in_order
from tests.support.builders import RUNNING, START, a_run, a_target
from tests.unit.rules.requests.drafts import Draft

K, R, S = RequestKind, RequestOutcome, TargetState
ID = a_target().server_id
BUDGET = a_run(state=RunState.PAUSED, reason=Reason.BUDGET)
OPEN = Attempt(1, RUNNING, START, START, START, unanswered=1)


def ask(kind: RequestKind, run: Run, *targets: Target, number: int | None = None) -> Answer:
    servers = tuple(target.server_id for target in targets)
    request = OperatorRequest(1, kind, "anna", START, "because", RequestArguments(servers, number))
    return answer(request, Draft(run, targets))


def moves(ours: Answer) -> list[tuple[RunState, Reason | None]]:
    return [(event.to, event.reason) for event in ours.events if isinstance(event, RunMoved)]


@pytest.mark.parametrize("kind", RequestKind)
@pytest.mark.parametrize("state", sorted(RUN_ENDS))
def test_an_ended_run_refuses_everything(kind: RequestKind, state: RunState) -> None:
    ours = ask(kind, a_run(state=state), a_target(), number=3)
    assert (ours.outcome, ours.detail, ours.events) == (R.REFUSED, f"the run has ended ({state})", ())


@pytest.mark.parametrize("kind", RequestKind)
@pytest.mark.parametrize("state", sorted(set(RunState) - RUN_ENDS))
def test_the_law_allows_what_any_request_does(kind: RequestKind, state: RunState) -> None:
    for reason in (None, *Reason):
        run = a_run(state=state, reason=reason)
        for event in ask(kind, run, a_target(), number=3).events:
            if isinstance(event, RunMoved | SettingChanged):
                run = fold_run(run, event, START)


def test_a_pause_by_an_operator_says_who_and_why() -> None:
    (event,) = ask(K.PAUSE, a_run()).events
    assert event == RunMoved(RunState.PAUSED, Reason.OPERATOR, "because", "anna")


@pytest.mark.parametrize("reason", [Reason.BUDGET, Reason.OPERATOR, Reason.TOO_MANY_OVERDUE, Reason.INPUT_CHANGED])
def test_a_pause_of_a_run_that_only_a_person_resumes_changes_nothing(reason: Reason) -> None:
    assert ask(K.PAUSE, a_run(state=RunState.PAUSED, reason=reason)).outcome is R.NO_EFFECT


def test_a_pause_that_a_timer_would_end_becomes_one_that_it_does_not() -> None:
    ours = ask(K.PAUSE, a_run(state=RunState.PAUSED, reason=Reason.UNREACHABLE))
    assert moves(ours) == [(RunState.RUNNING, None), (RunState.PAUSED, Reason.OPERATOR)]


def test_a_resume_forgives_the_failures_behind_a_pause_by_the_budget_only() -> None:
    failed = a_target(state=S.HELD, reason=Reason.ATTEMPTS_USED_UP)
    ours = ask(K.RESUME, BUDGET, failed)
    assert ours.events == (Forgiven(failed.server_id), RunMoved(RunState.RUNNING, detail="because", by="anna"))
    by_operator = a_run(state=RunState.PAUSED, reason=Reason.OPERATOR)
    assert len(ask(K.RESUME, by_operator, failed).events) == 1
    assert ask(K.RESUME, a_run(), failed).outcome is R.NO_EFFECT


def test_an_abort_ends_a_run_once() -> None:
    assert moves(ask(K.ABORT, BUDGET)) == [(RunState.FINISHING, Reason.ABORTED)]
    assert ask(K.ABORT, a_run(state=RunState.FINISHING)).outcome is R.NO_EFFECT


def test_the_concurrency_is_set_once() -> None:
    run = a_run()
    assert ask(K.SET, run, number=7).events == (SettingChanged(7),)
    assert ask(K.SET, run, number=run.settings.concurrency).outcome is R.NO_EFFECT
    assert ask(K.SET, run).outcome is R.REFUSED


@pytest.mark.parametrize("state", TargetState)
def test_a_server_is_held_until_its_change_is_sent(state: TargetState) -> None:
    target = a_target(state=state)
    ours = ask(K.HOLD, a_run(), target)
    if state in QUEUED | AHEAD:
        assert ours.outcome is R.DONE
        assert folded(target, ours.events).asked_end is not None or folded(target, ours.events).state is S.HELD
    else:
        assert (ours.outcome, ours.events) == (R.REFUSED, ())
        assert target.name in ours.detail


@pytest.mark.parametrize("state", TargetState)
def test_a_server_is_skipped_unless_it_is_changed_or_in_doubt(state: TargetState) -> None:
    ours = ask(K.SKIP, a_run(), a_target(state=state))
    allowed = QUEUED | AHEAD | {S.FAILED, S.HELD, S.SKIPPED}
    assert (ours.outcome is R.DONE) is (state in allowed)
    in_doubt = ask(K.SKIP, a_run(), a_target(state=state, attempts=(OPEN,)))
    assert in_doubt.outcome is R.REFUSED


def test_of_several_servers_all_or_none() -> None:
    waiting, changing = a_target(1), a_target(2, state=S.CHANGING)
    ours = ask(K.HOLD, a_run(), waiting, changing)
    assert (ours.outcome, ours.events) == (R.REFUSED, ())
    assert ours.detail == f"{changing.name} is changing: its change is under way"
    unknown = OperatorRequest(1, K.HOLD, "anna", START, "", RequestArguments((ID,)))
    assert answer(unknown, Draft(a_run())).outcome is R.REFUSED


def test_what_is_held_or_asked_for_already_is_left_as_it_is() -> None:
    held = a_target(state=S.HELD, reason=Reason.OPERATOR)
    assert ask(K.HOLD, a_run(), held).outcome is R.NO_EFFECT
    ready = a_target(state=S.READY)
    asked = folded(ready, ask(K.HOLD, a_run(), ready).events)
    assert ask(K.HOLD, a_run(), asked).outcome is R.NO_EFFECT
    assert isinstance(ask(K.SKIP, a_run(), asked).events[0], EndAsked)


def test_a_server_that_an_operator_holds_counts_towards_no_budget() -> None:
    waiting = a_target(state=S.BACKOFF, attempts=(replace(OPEN, unanswered=0, outcome=Outcome.FAILED),))
    assert not folded(waiting, ask(K.HOLD, a_run(), waiting).events).failed_in(1)


def test_aborts_come_first_and_the_others_as_they_were_made() -> None:
    made = [OperatorRequest(number, kind, "", START) for number, kind in ((3, K.PAUSE), (4, K.ABORT), (1, K.RESUME))]
    assert [request.id for request in in_order(made)] == [4, 1, 3]


def test_the_law_leads_no_way_back_to_the_queue_from_an_accepted_change() -> None:
    recalled = {state for state, after in MOVES.items() if S.WAITING in after} - ENDS
    accepted = replace(OPEN, accepted_at=START, unanswered=0)
    for state in recalled:
        fold_target(a_target(state=state), Moved(ID, S.WAITING), START)
        with pytest.raises(IllegalMove):
            fold_target(a_target(state=state, attempts=(accepted,)), Moved(ID, S.WAITING), START)


def folded(target: Target, events: tuple[Event, ...]) -> Target:
    for event in events:
        assert not isinstance(event, RunEvent)
        target = fold_target(target, event, START)
    return target
