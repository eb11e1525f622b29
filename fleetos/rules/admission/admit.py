"""Admit targets to free slots. Pure."""

from collections.abc import Callable
from datetime import datetime

from fleetos.model.journal.events import Moved
from fleetos.model.run import Run, Target
from fleetos.model.states import QUEUED, RunState, TargetState
from fleetos.rules.admission.queue import Queue
from fleetos.rules.admission.slots import Slots


def admit(queue: Queue, run: Run, target: Callable[[str], Target], slots: Slots, now: datetime) -> list[Moved]:
    """Return the moves of the targets that may start now, in the queue's order, at most `slots.available` of them."""
    moves: list[Moved] = []
    if run.state is not RunState.RUNNING:
        return moves
    concurrency = run.settings.concurrency
    places, free = slots.available(concurrency), concurrency - slots.taken
    while len(moves) < places:
        server_id = queue.pop_due(now)
        if server_id is None:
            break
        candidate = target(server_id)
        if candidate.state not in QUEUED:
            continue
        state = choose_first_state(candidate)
        if state is TargetState.INSPECTING:
            # The outcome of an earlier send is unknown: the server may be changing now, and takes a slot at once.
            if free <= 0:
                queue.add_target(candidate)
                break
            free -= 1
        moves.append(Moved(server_id, state))
    return moves


def choose_first_state(target: Target) -> TargetState:
    """Return the state of an admitted target: one that is retried after a send is inspected first."""
    if target.state is TargetState.WAITING and target.attempts:
        return TargetState.INSPECTING
    return TargetState.CHECKING
