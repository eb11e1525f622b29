"""Operator's requests: the wait for the driver's answer, and the answers where no process drives the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from fleetos.app.context import AppContext
from fleetos.app.lookup import driver_of
from fleetos.engine import undriven
from fleetos.limits import ANSWER_LOOK_EVERY_S, ANSWER_WAIT_S
from fleetos.model.journal.events import RequestAnswered
from fleetos.model.journal.requests import RequestKind
from fleetos.model.states import RUN_ENDS
from fleetos.store import queries, runs
from fleetos.store.database.database import Database
from fleetos.store.journal import SqlJournal


@dataclass(frozen=True, slots=True)
class Asked:
    """Request as the command line gives it."""

    by: str
    """The operator."""
    reason: str = ""
    servers: Sequence[str] = ()
    """Names or ids."""
    concurrency: int | None = None
    wave: int | None = None
    """Number of the wave that is approved."""
    incomplete: int | None = None
    """Number of unfinished members in spite of which a wave is promoted."""
    disks: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """System disks that the operator agreed to wipe, by server id."""


async def wait_for_answer(
    context: AppContext, database: Database, run_id: str, request_id: int
) -> RequestAnswered | None:
    """Return the driver's answer; None if the run has no driver any more, or the driver does not answer in time."""
    with anyio.move_on_after(ANSWER_WAIT_S):
        while True:
            found = await queries.answer_to(database, run_id, request_id)
            if found is not None or not await is_driven(context, database, run_id):
                return found or await queries.answer_to(database, run_id, request_id)
            await anyio.sleep(ANSWER_LOOK_EVERY_S)
    return None


async def is_driven(context: AppContext, database: Database, run_id: str) -> bool:
    """Return whether a process drives the run."""
    driver = driver_of(await queries.summary(database, run_id, context.watcher()))
    return driver is not None and driver.present is not None


async def needs_driver(database: Database, run_id: str, kind: RequestKind) -> bool:
    """Return whether the run must be driven for the request to have its effect, not only be told of it."""
    progress = await queries.load(database, run_id)
    if progress.run.state in RUN_ENDS:
        return False
    return kind is RequestKind.RESUME or (kind is RequestKind.PAUSE and not progress.at_rest)


async def answer_requests(context: AppContext, database: Database, run_id: str) -> None:
    """Answer all open requests of a run that no process drives, as a driver would in its first turn.

    Raise RunDriven if a process drives it by now: that one answers.
    """
    lease = await runs.take_run(database, run_id, context.watcher())
    journal = SqlJournal(database, lease, context.clock)
    try:
        await undriven.answer_requests(journal, await queries.load(database, run_id), context.clock.now())
    finally:
        with anyio.CancelScope(shield=True):
            await journal.release()
