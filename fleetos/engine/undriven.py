"""Answer the requests to a run that no process drives, as a driver would in its first turn. Nothing is sent."""

from datetime import datetime

from fleetos.engine.protocols import Journal
from fleetos.engine.turn import Turn
from fleetos.model.progress import Progress
from fleetos.rules.requests import answer, in_order


async def answer_requests(journal: Journal, progress: Progress, at: datetime) -> int:
    """Answer all open requests in one commit, and return the number of records written.

    Raise LeaseLost or JournalUnwritable.
    """
    turn = Turn(progress, at)
    for request in in_order(await journal.requests()):
        ours = answer(request, turn.run, turn.find, turn.failures())
        for event in ours.events:
            turn.write_event(event)
        # A resume does not end the pause of a run whose servers failed meanwhile.
        pause = turn.pause_by_budget()
        for event in (*([] if pause is None else [pause]), ours.record(request)):
            turn.write_event(event)
        turn.answer_request(request.id)
    if turn.answered:
        changed = list(turn.changed.values())
        await journal.append(turn.run, turn.events, changed, turn.at, turn.answered)
        progress.update_targets(turn.run, changed)
    return len(turn.events)
