"""Answer the requests to a run that no process drives, as a driver would in its first turns. Nothing is sent."""

from datetime import datetime

from fleetos.engine.answers import answer_alone
from fleetos.engine.protocols import Journal
from fleetos.model.progress import Progress
from fleetos.rules.requests.run_requests import in_order


async def answer_requests(journal: Journal, progress: Progress, at: datetime) -> int:
    """Answer all open requests, each in a commit of its own, and return the number of records written.

    Raise LeaseLost or JournalUnwritable.
    """
    written = 0
    for request in in_order(await journal.requests()):
        turn, records = await answer_alone(journal, progress, request, at)
        progress.update_targets(turn.run, turn.changed.values())
        written += len(records)
    return written
