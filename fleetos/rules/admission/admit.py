"""Who may start, and for everybody else why not. Pure."""

from collections.abc import Callable
from datetime import datetime

from fleetos.model.journal.events import Moved
from fleetos.model.run import Run, Target
from fleetos.model.states import QUEUED, RunState, TargetState
from fleetos.rules.admission.queue import Queue
from fleetos.rules.admission.slots import Slots


def admit(queue: Queue, run: Run, target: Callable[[str], Target], room: Slots, now: datetime) -> list[Moved]:
    """The moves of those who may start now: as many as there are slots free, or soon to be."""
    moves: list[Moved] = []
    if run.state is not RunState.RUNNING:
        return moves
    concurrency = run.settings.concurrency
    places, free = room.places(concurrency), concurrency - room.taken
    while len(moves) < places:
        server_id = queue.pop(now)
        if server_id is None:
            break
        one = target(server_id)
        if one.state not in QUEUED:
            continue
        state = first_state(one)
        if state is TargetState.INSPECTING:
            # What an earlier send did is not known: it may change now, and takes a slot at once.
            if free <= 0:
                queue.put(one)
                break
            free -= 1
        moves.append(Moved(server_id, state))
    return moves


def first_state(target: Target) -> TargetState:
    """Where an admitted target goes: one that is retried after a send is inspected first."""
    if target.state is TargetState.WAITING and target.attempts:
        return TargetState.INSPECTING
    return TargetState.CHECKING
