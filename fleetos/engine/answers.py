"""Answer one request of an operator in a commit of its own, which is refused if another run has one of its servers."""

from collections.abc import Sequence
from datetime import datetime

from fleetos.engine.protocols import Journal
from fleetos.engine.turn import Turn
from fleetos.errors import ServerClaimed
from fleetos.model.journal.events import Record, RunWaveFinished
from fleetos.model.journal.requests import OperatorRequest, RequestOutcome
from fleetos.model.progress import Progress
from fleetos.rules.budgets import Failures, stop_by_budget
from fleetos.rules.requests.answer import Answer
from fleetos.rules.requests.run_requests import answer
from fleetos.rules.waves import ends_wave


async def answer_alone(
    journal: Journal, progress: Progress, request: OperatorRequest, at: datetime
) -> tuple[Turn, Sequence[Record]]:
    """Answer the request; return the turn, which is durable and not in the progress yet, and its records.

    Raise LeaseLost or JournalUnwritable.
    """
    turn = Turn(progress, at)
    _write(turn, request, answer(request, turn))
    # A resume does not end the pause of a run whose servers failed meanwhile.
    stop = stop_by_budget(turn.run, Failures.of(turn.run, map(turn.target, progress.targets)), turn.spared)
    if stop is not None:
        turn.write_event(stop)
    if ends_wave(turn.run, turn.ended_by_wave(), again=turn.ends_member_of(turn.run.waves_opened)):
        turn.write_event(RunWaveFinished(turn.run.waves_opened))
    try:
        return turn, await _append(journal, turn)
    except ServerClaimed as error:
        turn = Turn(progress, at)
        _write(turn, request, Answer(RequestOutcome.REFUSED, error.message))
        return turn, await _append(journal, turn)


def _write(turn: Turn, request: OperatorRequest, ours: Answer) -> None:
    for event in (*ours.events, ours.record(request)):
        turn.write_event(event)
    turn.answer_request(request.id)


async def _append(journal: Journal, turn: Turn) -> Sequence[Record]:
    return await journal.append(turn.run, turn.events, list(turn.changed.values()), turn.at, turn.answered)
