"""Notifications of a run: check the receivers of a plan, and open the notifier of a run that is driven."""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import anyio

from fleetos.app.context import AppContext
from fleetos.errors import Problem, RunDriven
from fleetos.limits import RECORDS_PER_PAGE
from fleetos.model.journal.events import Record
from fleetos.model.plan import NotifyEntry, Plan
from fleetos.model.progress import Progress
from fleetos.notify.destination import UnusableReceiver, resolve
from fleetos.notify.notifier import NotificationJournal, Notifier, Outbox
from fleetos.notify.occasions import RUN_KINDS
from fleetos.planning.freeze import notify_entries
from fleetos.store import queries, runs
from fleetos.store.database.database import Database
from fleetos.store.journal import SqlJournal


@dataclass(frozen=True, slots=True)
class CheckedReceivers:
    """Receivers of a plan as this environment has them."""

    services: tuple[str, ...]
    """Kind of each of them; not all, if there are problems."""
    problems: tuple[Problem, ...]


def check_receivers(plan: Plan) -> CheckedReceivers:
    """Resolve all receivers of the plan, and return what cannot be used with its place and a hint."""
    services: list[str] = []
    problems: list[Problem] = []
    for number, entry in enumerate(notify_entries(plan), 1):
        try:
            services.append(resolve(number, entry, os.environ).service)
        except UnusableReceiver as error:
            place = plan.place(f"notify[{number - 1}].{error.key}")
            problems.append(place.problem(error.expected, error.hint))
    return CheckedReceivers(tuple(services), tuple(problems))


def open_notifier(
    context: AppContext,
    progress: Progress,
    journal: NotificationJournal,
    on_record: Callable[[Progress, Record], None],
) -> Notifier:
    """Return the notifier of the run. A receiver that cannot be used now is warned of, and gets nothing."""
    outboxes: list[Outbox] = []
    for number, entry in enumerate(progress.run.notify, 1):
        try:
            outboxes.append(_outbox(number, entry))
        except UnusableReceiver as error:
            hint = f" ({error.hint})" if error.hint else ""
            context.say(f"warning: nobody is notified by entry {number} of `notify`: expected {error.expected}{hint}")
    return Notifier(progress, outboxes, journal, context.clock, on_record)


def _outbox(number: int, entry: NotifyEntry) -> Outbox:
    return Outbox(resolve(number, entry, os.environ), entry.on)


async def send_owed(context: AppContext, database: Database, progress: Progress) -> None:
    """Send what the last driver of a run that has ended was killed before it could send."""
    run = progress.run
    if not run.notify:
        return
    try:
        lease = await runs.take_run(database, run.id, context.watcher())
    except RunDriven:
        # Another process is sending them.
        return
    journal = SqlJournal(database, lease, context.clock)
    try:
        notifier = open_notifier(context, progress, journal, lambda _progress, _record: None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(notifier.run, earlier_records(database, run.id, lease.last_seq))
            await notifier.drain(ended=True)
    finally:
        with anyio.CancelScope(shield=True):
            await journal.release()


async def earlier_records(database: Database, run_id: str, last: int) -> AsyncIterator[Sequence[Record]]:
    """Yield the records about the whole run up to the number `last`, page by page."""
    after = 0
    while page := await _page(database, run_id, after, last):
        yield page
        if len(page) < RECORDS_PER_PAGE:
            return
        after = page[-1].seq


async def _page(database: Database, run_id: str, after: int, last: int) -> Sequence[Record]:
    # A statement that is cancelled costs its connection.
    with anyio.CancelScope(shield=True):
        return await queries.events_of_kinds(database, run_id, RUN_KINDS, after, last)
    return ()
