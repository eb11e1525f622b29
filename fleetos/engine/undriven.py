"""Answer the requests to a run that no process drives, as a driver would in its first turn. Nothing is sent."""

from datetime import datetime

from fleetos.engine.protocols import Journal
from fleetos.engine.turn import Turn
from fleetos.model.journal.events import RunWaveFinished
from fleetos.model.progress import Progress
from fleetos.rules.budgets import Failures, stop_by_budget
from fleetos.rules.requests.run_requests import answer, in_order
from fleetos.rules.waves import ends_wave


async def answer_requests(journal: Journal, progress: Progress, at: datetime) -> int:
    """Answer all open requests in one commit, and return the number of records written.

    Raise LeaseLost or JournalUnwritable.
    """
    turn = Turn(progress, at)
    for request in in_order(await journal.requests()):
        ours = answer(request, turn)
        for event in ours.events:
            turn.write_event(event)
        # A resume does not end the pause of a run whose servers failed meanwhile.
        failures = Failures.of(turn.run, map(turn.target, progress.targets))
        stop = stop_by_budget(turn.run, failures, turn.spared)
        for event in (*([] if stop is None else [stop]), ours.record(request)):
            turn.write_event(event)
        turn.answer_request(request.id)
    if turn.answered:
        if ends_wave(turn.run, turn.ended_by_wave()):
            turn.write_event(RunWaveFinished(turn.run.waves_opened))
        changed = list(turn.changed.values())
        await journal.append(turn.run, turn.events, changed, turn.at, turn.answered)
        progress.update_targets(turn.run, changed)
    return len(turn.events)
