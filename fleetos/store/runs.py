"""Create runs, take them over, begin a next pass, add operator requests.

The journal of its driver is the only other way to change a run.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import insert, update

from fleetos.errors import IllegalMove, UnknownRun, UsageError
from fleetos.logs import fields
from fleetos.model.journal.codec import arguments_json
from fleetos.model.journal.events import Enlisted, Event, Record, RequestAnswered, RunCreated, RunEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import NO_ARGUMENTS, OperatorRequest, RequestArguments, RequestKind, RequestOutcome
from fleetos.model.progress import Progress, replay
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS
from fleetos.store import claims, leases
from fleetos.store.database.database import Database
from fleetos.store.database.tables import requests, runs
from fleetos.store.database.tables import targets as targets_table
from fleetos.store.journal import newest_seq, open_requests, update_run, write_rows
from fleetos.store.lease_rows import LeaseRequester
from fleetos.store.leases import Lease
from fleetos.store.queries import load_within
from fleetos.store.rows import AppendRows, append_row_batches, run_row

_log = logging.getLogger(__name__)


async def create_run(
    database: Database,
    run: Run,
    targets: Sequence[Target],
    further_events: Sequence[Event],
    at: datetime,
    requester: LeaseRequester,
) -> Lease:
    """Create the run in one transaction and return its lease.

    Written are the run, its targets and their claims, and the records RunCreated, Enlisted for each target, and
    `further_events`. Unanswered sends to the servers that the database remembers are entered into the targets. Raise
    RunDriven or ServerClaimed if another run holds one of the servers, IllegalMove, and JournalUnwritable.
    """
    proven = requester.clock.moment()
    run = replace(run, created_by=requester.me.person)
    initial = _InitialRecords(run, targets, further_events, at)
    claimants = [target for target in initial.progress.targets.values() if target.keeps_claim]
    async with database.writing() as connection:
        number = await claims.next_pass_no(connection)
        row = {**run_row(initial.progress.run), "created_no": number, "pass_no": number}
        await connection.execute(insert(runs), [row])
        unanswered = await claims.take(connection, run.id, claimants, requester)
        if unanswered:
            initial = _InitialRecords(
                run, [_with_remembered_send(target, unanswered) for target in targets], further_events, at
            )
        await write_rows(connection, initial.rows())
        await connection.execute(update(targets_table).where(targets_table.c.run_id == run.id).values(pass_no=number))
        # A target that ended as it was enlisted has no claim; a target that remembers a send passes it on to its claim.
        await claims.update_claims(
            connection, run.id, [initial.progress.targets[server_id] for server_id in unanswered]
        )
        epoch = await leases.create(connection, run.id, requester)
    return _log_taken(Lease(run.id, epoch, len(initial.records), proven))


class _InitialRecords:
    """Run at its freeze: its first records, the progress that they lead to, and their rows."""

    def __init__(self, run: Run, targets: Sequence[Target], further_events: Sequence[Event], at: datetime) -> None:
        events = [RunCreated(run), *(Enlisted(target) for target in targets), *further_events]
        self.progress = replay((at, event) for event in events)
        self.records = [Record(seq, at, event) for seq, event in enumerate(events, 1)]

    def rows(self) -> Iterator[AppendRows]:
        """Yield its records and targets as rows, in batches."""
        return append_row_batches(self.progress.run.id, self.records, list(self.progress.targets.values()))


def _with_remembered_send(target: Target, unanswered: Mapping[str, datetime]) -> Target:
    sent_at = unanswered.get(target.server_id)
    if sent_at is None or (target.last_unanswered_at is not None and target.last_unanswered_at >= sent_at):
        return target
    return replace(target, last_unanswered_at=sent_at, remembered_at=sent_at)


async def take_run(database: Database, run_id: str, requester: LeaseRequester) -> Lease:
    """Take the lease of a run that has no driver any more. Wait for up to its term if only renewals can tell.

    Raise RunDriven, UnknownRun, and JournalUnwritable.
    """
    await _require_run(database, run_id)
    lease = await leases.wait_until_takeable(database, run_id, requester)
    proven = requester.clock.moment()
    async with database.writing() as connection:
        epoch = await leases.take(connection, lease, requester)
        last_seq = await newest_seq(connection, run_id)
    return _log_taken(Lease(run_id, epoch, last_seq, proven))


async def begin_pass(
    database: Database, run_id: str, events: Sequence[Event], at: datetime, requester: LeaseRequester
) -> Lease:
    """Begin a next pass of the run: take its lease, fold and record the events, take the claims of moved targets.

    All of it happens in one transaction. Raise RunDriven, ServerClaimed, ServerTouched if another run has changed one
    of the servers since, UnknownRun, UsageError if the run or a target is no longer in the state that the events
    expect, and JournalUnwritable.
    """
    await _require_run(database, run_id)
    lease = await leases.wait_until_takeable(database, run_id, requester)
    proven = requester.clock.moment()
    async with database.writing() as connection:
        epoch = await leases.take(connection, lease, requester)
        progress = await load_within(connection, run_id, database.location)
        if progress.run.state in RUN_ENDS:
            # What was asked too late for the last pass was not meant for the next.
            late = await open_requests(connection, run_id)
            events = [*(_too_late(request) for request in late), *events]
            was_open = (requests.c.run_id == run_id, requests.c.done_at.is_(None))
            await connection.execute(update(requests).where(*was_open).values(done_at=at))
        try:
            run, changed = _fold_events(progress, events, at)
        except IllegalMove as error:
            raise UsageError(
                f"run {run_id} has changed since this command read it, so nothing was done",
                f"fleetos status {run_id} says how it is now",
            ) from error
        again = [target for target in changed if not target.ended]
        await claims.take_up(connection, run_id, again, at, requester)
        last_seq = await newest_seq(connection, run_id)
        new_records = [Record(seq, at, event) for seq, event in enumerate(events, last_seq + 1)]
        await write_rows(connection, append_row_batches(run_id, new_records, changed))
        await claims.update_claims(connection, run_id, changed)
        await update_run(connection, run)
    return _log_taken(Lease(run_id, epoch, last_seq + len(events), proven))


def _log_taken(lease: Lease) -> Lease:
    _log.info("lease taken", extra=fields(run=lease.run_id, epoch=lease.epoch))
    return lease


def _fold_events(progress: Progress, events: Sequence[Event], at: datetime) -> tuple[Run, list[Target]]:
    run = progress.run
    changed: dict[str, Target] = {}
    for event in events:
        if isinstance(event, RunEvent):
            run = fold_run(run, event, at)
        else:
            before = changed.get(event.server_id) or progress.targets.get(event.server_id)
            changed[event.server_id] = fold_target(before, event, at)
    return run, list(changed.values())


async def add_request(
    database: Database,
    run_id: str,
    kind: RequestKind,
    by: str,
    at: datetime,
    reason: str = "",
    arguments: RequestArguments = NO_ARGUMENTS,
) -> int:
    """Store a request for the run's driver, this one or the next. Return its id. Raise UnknownRun."""
    await _require_run(database, run_id)
    row = {"run_id": run_id, "kind": kind.value, "asked_by": by, "at": at}
    async with database.writing() as connection:
        more = {"reason": reason, "arguments": arguments_json(arguments)}
        made = await connection.execute(insert(requests).values({**row, **more}).returning(requests.c.id))
        return made.scalar_one()


def _too_late(request: OperatorRequest) -> RequestAnswered:
    outcome, detail = RequestOutcome.REFUSED, "the run had ended"
    return RequestAnswered(request.id, request.kind, outcome, request.by, request.reason, detail)


async def _require_run(database: Database, run_id: str) -> None:
    async with database.reading() as connection:
        if not await connection.rows("SELECT id FROM runs WHERE id = :id", {"id": run_id}):
            raise UnknownRun(f"there is no run {run_id!r} in {database.location.shown}")
