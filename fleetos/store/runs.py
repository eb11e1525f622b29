"""What changes a run besides the journal of its driver: freezing it, taking it over, a next pass, requests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.errors import IllegalMove, ServerClaimed, ServerTouched, UnknownRun, UsageError
from fleetos.limits import NO_STOP_AFTER_UNANSWERED_S
from fleetos.model.journal.events import Enlisted, Event, Record, RunCreated, RunEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import RequestKind
from fleetos.model.progress import Progress, replay
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS
from fleetos.store import claims, history, leases
from fleetos.store.database.database import Database
from fleetos.store.database.tables import requests, runs
from fleetos.store.database.tables import targets as targets_table
from fleetos.store.journal import newest_seq, update_run, write
from fleetos.store.leases import Lease, LeaseRequester
from fleetos.store.queries import load_within
from fleetos.store.rows import AppendRows, in_pieces, run_row


async def create_run(
    database: Database,
    run: Run,
    targets: Sequence[Target],
    more: Sequence[Event],
    at: datetime,
    watcher: LeaseRequester,
) -> Lease:
    """The lease of the new run, once all of it is durable, in one transaction: the run, its targets, their claims,
    and the records RunCreated, Enlisted for each target, and `more`.

    What the database remembers of unanswered sends to the servers is entered into the targets. Raises RunDriven or
    ServerClaimed if another run holds one of the servers, IllegalMove, and JournalUnwritable.
    """
    proven = watcher.clock.moment()
    run = replace(run, created_by=watcher.me.person)
    frozen = _Frozen(run, targets, more, at)
    claiming = [one for one in frozen.progress.targets.values() if one.keeps_claim]
    async with database.writing() as connection:
        number = await _next_pass(connection)
        row = {**run_row(frozen.progress.run), "created_no": number, "pass_no": number}
        await connection.execute(insert(runs), [row])
        memory = await claims.take(connection, run.id, claiming, watcher)
        if memory:
            frozen = _Frozen(run, [_remembering(one, memory) for one in targets], more, at)
        await write(connection, frozen.rows())
        await connection.execute(update(targets_table).where(targets_table.c.run_id == run.id).values(pass_no=number))
        # A target that ended as it was enlisted has no claim; one that remembers a send passes it on to its claim.
        await claims.follow(connection, run.id, [frozen.progress.targets[server_id] for server_id in memory])
        epoch = await leases.create(connection, run.id, watcher)
    return Lease(run.id, epoch, len(frozen.records), proven)


class _Frozen:
    """A run at its freeze: its first records, what they lead to, and the rows that say so."""

    def __init__(self, run: Run, targets: Sequence[Target], more: Sequence[Event], at: datetime) -> None:
        events = [RunCreated(run), *(Enlisted(target) for target in targets), *more]
        self.progress = replay((at, event) for event in events)
        self.records = [Record(seq, at, event) for seq, event in enumerate(events, 1)]

    def rows(self) -> Iterator[AppendRows]:
        """Yield its records and targets as rows, some at a time."""
        return in_pieces(self.progress.run.id, self.records, list(self.progress.targets.values()))


def _remembering(target: Target, memory: Mapping[str, datetime]) -> Target:
    found = memory.get(target.server_id)
    if found is None or (target.last_unanswered_at is not None and target.last_unanswered_at >= found):
        return target
    return replace(target, last_unanswered_at=found, remembered_at=found)


async def take_run(database: Database, run_id: str, watcher: LeaseRequester) -> Lease:
    """The lease of a run that nobody drives any more. Waits for up to its term if only renewals can tell.

    Raises RunDriven, UnknownRun, and JournalUnwritable.
    """
    await _known(database, run_id)
    seen = await leases.may_take(database, run_id, watcher)
    proven = watcher.clock.moment()
    async with database.writing() as connection:
        epoch = await leases.take(connection, seen, watcher)
        return Lease(run_id, epoch, await newest_seq(connection, run_id), proven)


async def begin_pass(
    database: Database, run_id: str, events: Sequence[Event], at: datetime, watcher: LeaseRequester
) -> Lease:
    """The lease of the run for a next pass: the events are folded and recorded, and the claims of the targets that
    they move are taken, in the transaction that takes the lease.

    Raises RunDriven, ServerClaimed, ServerTouched if another run has changed one of the servers since, UnknownRun,
    UsageError if the run or a target is not there any more where the events expect it, and JournalUnwritable.
    """
    await _known(database, run_id)
    seen = await leases.may_take(database, run_id, watcher)
    proven = watcher.clock.moment()
    async with database.writing() as connection:
        epoch = await leases.take(connection, seen, watcher)
        progress = await load_within(connection, run_id, database.location)
        if progress.run.state in RUN_ENDS:
            # Whoever asked to abort the run was too late for that pass, and did not mean the next.
            undone = (requests.c.run_id == run_id, requests.c.done_at.is_(None))
            await connection.execute(update(requests).where(*undone).values(done_at=at))
        try:
            run, changed = _folded(progress, events, at)
        except IllegalMove as error:
            raise UsageError(
                f"run {run_id} has changed since this command read it, so nothing was done",
                f"fleetos status {run_id} says how it is now",
            ) from error
        memory = await claims.take(connection, run_id, [one for one in changed if one.keeps_claim], watcher)
        _refuse_foreign_sends(changed, memory, at)
        await _refuse_touched_since(connection, run_id, changed)
        last_seq = await newest_seq(connection, run_id)
        new = [Record(seq, at, event) for seq, event in enumerate(events, last_seq + 1)]
        await write(connection, in_pieces(run_id, new, changed))
        await claims.follow(connection, run_id, changed)
        await update_run(connection, run)
        await _number_pass(connection, run_id, [one.server_id for one in changed if one.keeps_claim])
    return Lease(run_id, epoch, last_seq + len(events), proven)


async def _next_pass(connection: AsyncConnection) -> int:
    """Return the number of a pass that begins in this transaction. Two that begin at once share no server."""
    return await connection.scalar(select(func.coalesce(func.max(runs.c.pass_no), 0) + 1)) or 1


async def _number_pass(connection: AsyncConnection, run_id: str, server_ids: Sequence[str]) -> None:
    """Number a next pass of the run, and the servers that it takes up again."""
    number = await _next_pass(connection)
    await connection.execute(update(runs).where(runs.c.id == run_id).values(pass_no=number))
    for part in claims.slices(server_ids):
        taken_up = (targets_table.c.run_id == run_id, targets_table.c.server_id.in_(part))
        await connection.execute(update(targets_table).where(*taken_up).values(pass_no=number))


def _folded(progress: Progress, events: Sequence[Event], at: datetime) -> tuple[Run, list[Target]]:
    run = progress.run
    changed: dict[str, Target] = {}
    for event in events:
        if isinstance(event, RunEvent):
            run = fold_run(run, event, at)
        else:
            before = changed.get(event.server_id) or progress.targets.get(event.server_id)
            changed[event.server_id] = fold_target(before, event, at)
    return run, list(changed.values())


def _refuse_foreign_sends(changed: Sequence[Target], memory: Mapping[str, datetime], at: datetime) -> None:
    """Nothing, unless another run left an unanswered send to one of the servers that this run cannot know of."""
    for target in changed:
        sent_at = memory.get(target.server_id)
        if sent_at is None or (target.last_unanswered_at is not None and target.last_unanswered_at >= sent_at):
            continue
        if (at - sent_at).total_seconds() < NO_STOP_AFTER_UNANSWERED_S:
            message = f"another run left a send to server {target.server_id} unanswered at {sent_at:%Y-%m-%d %H:%M} UTC"
            raise ServerClaimed(message, "make a new run of the plan instead: it takes that into account")


async def _refuse_touched_since(connection: AsyncConnection, run_id: str, changed: Sequence[Target]) -> None:
    """Raise ServerTouched if a server that is to be tried again was sent a change by another run since."""
    again = {target.server_id: target for target in changed if not target.ended}
    touched = await history.touched_since_within(connection, run_id, again)
    if touched:
        server_id, other = next(iter(touched.items()))
        raise ServerTouched(
            f"run {other} has changed {again[server_id].name} ({server_id}) after run {run_id}",
            f"call `fleetos retry {run_id}` again: it leaves such servers out; a new plan can change them",
        )


async def add_request(database: Database, run_id: str, kind: RequestKind, by: str, at: datetime) -> None:
    """Nothing, once the run's driver, this one or the next, will find the request. Raises UnknownRun."""
    await _known(database, run_id)
    async with database.writing() as connection:
        row = {"run_id": run_id, "kind": kind.value, "asked_by": by, "at": at}
        await connection.execute(insert(requests), [row])


async def _known(database: Database, run_id: str) -> None:
    async with database.reading() as connection:
        if await connection.scalar(select(runs.c.id).where(runs.c.id == run_id)) is None:
            raise UnknownRun(f"there is no run {run_id!r} in {database.location.shown}")
