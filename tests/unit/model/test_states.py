"""The law of states, pair by pair: what no table names is refused, and the named sets agree with the tables."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from fleetos.errors import IllegalMove
from fleetos.model.journal.events import Moved, RunMoved
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.states import (
    AHEAD,
    ENDS,
    HOLDS_SLOT,
    IN_FLIGHT,
    MOVES,
    QUEUED,
    RETRIABLE,
    RUN_ENDS,
    RUN_MOVES,
    STABLE,
    Command,
    Reason,
    RunState,
    TargetState,
    check_move,
    check_run_move,
    ends_pause,
)
from tests.support.builders import START, a_run, a_target

S, R = TargetState, RunState
LATER = START + timedelta(seconds=1)

# Written down by hand from the design, so that a slip in the law itself is seen.
LEGAL = {
    S.WAITING: {S.CHECKING, S.INSPECTING, S.SKIPPED, S.HELD, S.CANCELLED},
    S.CHECKING: {S.DRAINING, S.STOPPING, S.READY, S.SKIPPED, S.FAILED, S.HELD, S.CANCELLED, S.RESTORING, S.WAITING},
    S.DRAINING: {S.STOPPING, S.FAILED, S.HELD, S.CANCELLED},
    S.STOPPING: {S.READY, S.CHECKING, S.FAILED, S.HELD, S.CANCELLED, S.RESTORING, S.SKIPPED, S.WAITING},
    S.READY: {S.SUBMITTING, S.CHECKING, S.FAILED, S.HELD, S.CANCELLED, S.RESTORING, S.SKIPPED, S.WAITING},
    S.SUBMITTING: {S.CHANGING, S.READY, S.INSPECTING, S.FAILED, S.HELD, S.RESTORING},
    S.CHANGING: {S.VERIFYING, S.BACKOFF, S.INSPECTING, S.STARTING, S.FAILED, S.HELD},
    S.VERIFYING: {S.DONE, S.RESTORING, S.STARTING, S.BACKOFF, S.FAILED, S.HELD},
    S.STARTING: {S.VERIFYING, S.FAILED, S.HELD},
    S.RESTORING: {S.DONE, S.SKIPPED, S.FAILED, S.HELD, S.CANCELLED, S.WAITING},
    S.BACKOFF: {S.CHECKING, S.HELD, S.CANCELLED, S.RESTORING, S.SKIPPED},
    S.INSPECTING: {
        S.VERIFYING,
        S.CHANGING,
        S.READY,
        S.CHECKING,
        S.BACKOFF,
        S.STARTING,
        S.FAILED,
        S.HELD,
        S.RESTORING,
        S.CANCELLED,
    },
    S.DONE: set[TargetState](),
    S.SKIPPED: set[TargetState](),
    S.CANCELLED: set[TargetState](),
    S.FAILED: {S.WAITING, S.SKIPPED},
    S.HELD: {S.WAITING, S.SKIPPED},
}
RUN_LEGAL = {
    R.RUNNING: {R.PAUSED, R.FINISHING, R.DONE, R.FAILED, R.ABORTED},
    R.PAUSED: {R.RUNNING, R.FINISHING},
    R.FINISHING: {R.ABORTED, R.FAILED},
    R.DONE: {R.RUNNING},
    R.FAILED: {R.RUNNING},
    R.ABORTED: {R.RUNNING},
}


@pytest.mark.parametrize("before", TargetState)
def test_every_pair_of_target_states(before: TargetState) -> None:
    for after in LEGAL[before]:
        check_move("server-1", before, after)
    for after in set(TargetState) - set(LEGAL[before]):
        with pytest.raises(IllegalMove, match=f"no move from {before} to {after}"):
            check_move("server-1", before, after)


@pytest.mark.parametrize("after", RunState)
@pytest.mark.parametrize("before", RunState)
def test_every_pair_of_run_states(before: RunState, after: RunState) -> None:
    run = a_run(state=before)
    if after in RUN_LEGAL[before]:
        check_run_move(run.id, before, after)
        moved = fold_run(run, RunMoved(after, detail="said so"), LATER)
        assert (moved.state, moved.detail) == (after, "said so")
        assert moved.ended_at == (LATER if after in RUN_ENDS else None)
        return
    with pytest.raises(IllegalMove):
        check_run_move(run.id, before, after)
    with pytest.raises(IllegalMove):
        fold_run(run, RunMoved(after), LATER)
    assert run == a_run(state=before)


@pytest.mark.parametrize("before", TargetState)
def test_every_pair_through_the_fold(before: TargetState) -> None:
    target = a_target(state=before)
    # What a send moves is told by its intent and its answer, never by a plain move.
    legal = set[TargetState]() if before is S.SUBMITTING else set(LEGAL[before]) - {S.SUBMITTING}
    for after in legal:
        assert fold_target(target, Moved(target.server_id, after), LATER).state is after
    for after in set(TargetState) - legal:
        with pytest.raises(IllegalMove):
            fold_target(target, Moved(target.server_id, after), LATER)
        assert target == a_target(state=before), after


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(TargetState)
    assert set(RUN_MOVES) == set(RunState)


@pytest.mark.parametrize("table", [MOVES, RUN_MOVES], ids=["target", "run"])
def test_every_move_says_why(table: Mapping[str, Mapping[str, str]]) -> None:
    assert all(why and why[0].islower() and not why.endswith(".") for row in table.values() for why in row.values())


def test_the_sets_agree() -> None:
    assert ENDS | QUEUED == STABLE
    assert not ENDS & QUEUED
    assert not STABLE & IN_FLIGHT
    assert set(TargetState) == STABLE | IN_FLIGHT
    assert HOLDS_SLOT <= IN_FLIGHT
    assert AHEAD <= IN_FLIGHT - HOLDS_SLOT
    assert RETRIABLE <= ENDS


def test_an_end_is_left_by_an_operator_alone_and_a_wait_comes_back_by_a_recall() -> None:
    for end in ENDS:
        assert set(MOVES[end]) == ({S.WAITING, S.SKIPPED} if end in RETRIABLE else set())
    recalled = (AHEAD - {S.DRAINING}) | {S.RESTORING}
    assert {state for state, row in MOVES.items() if S.WAITING in row} == RETRIABLE | recalled


def test_a_change_in_flight_is_left_by_a_verdict_only() -> None:
    """From `changing` nothing leads back to a send but a used up attempt (backoff) or a look."""
    assert not {S.READY, S.SUBMITTING, S.CHECKING, S.STOPPING, S.CANCELLED} & set(MOVES[S.CHANGING])
    assert not {S.READY, S.SUBMITTING, S.CHECKING, S.STOPPING} & set(MOVES[S.VERIFYING])
    assert {state for state, row in MOVES.items() if S.SUBMITTING in row} == {S.READY}


def _reached(start: TargetState) -> set[TargetState]:
    reached, rest = {start}, [start]
    while rest:
        for after in MOVES[rest.pop()]:
            if after not in reached:
                reached.add(after)
                rest.append(after)
    return reached


@pytest.mark.parametrize("state", sorted(IN_FLIGHT))
def test_an_in_flight_state_is_reachable_and_reaches_an_end(state: TargetState) -> None:
    assert state in _reached(S.WAITING)
    assert _reached(state) & ENDS


def test_every_run_state_reaches_an_end() -> None:
    for state in RunState:
        reached, rest = {state}, [state]
        while rest:
            for after in RUN_MOVES[rest.pop()]:
                if after not in reached:
                    reached.add(after)
                    rest.append(after)
        assert reached & RUN_ENDS


@pytest.mark.parametrize("reason", [None, *Reason])
def test_a_pause_is_ended_by_a_person_or_by_a_cause_that_may_have_been_repaired(reason: Reason | None) -> None:
    assert ends_pause(Command.RESUME, reason) is (reason not in {Reason.BUDGET, Reason.OPERATOR})
    outside = {Reason.AUTHENTICATION, Reason.PERMISSION, Reason.UNREACHABLE}
    assert ends_pause(Command.APPLY, reason) is (reason in outside)
    assert not ends_pause(Command.RETRY, reason)
    assert not ends_pause(Command.ABORT, reason)
    assert not ends_pause(Command.REQUEST, reason)
