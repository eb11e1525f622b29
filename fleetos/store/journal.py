"""Journal of the run that this process drives, in an SQL database."""

import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import anyio
from sqlalchemy import bindparam, insert, update

from fleetos.clock import Clock, Moment
from fleetos.errors import (
    DatabaseHeld,
    JournalUnwritable,
    LeaseLost,
    RunDriven,
    ServerClaimed,
    ServerTouched,
    StoreError,
)
from fleetos.limits import LEASE_BEAT_S, LEASE_TERM_S
from fleetos.logs import fields
from fleetos.model.journal.codec import arguments_from_json, run_from_json
from fleetos.model.journal.events import Event, Record, RunDriverEnded, RunNotified
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import OperatorRequest, RequestKind
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS
from fleetos.store import claims, leases
from fleetos.store.database.columns import decode_column, time_from
from fleetos.store.database.connection import Connection
from fleetos.store.database.database import Database
from fleetos.store.database.dialects import upsert
from fleetos.store.database.reader import Reader
from fleetos.store.database.tables import records, requests, runs, targets
from fleetos.store.group_commit import GroupCommit, PendingAppend
from fleetos.store.leases import Lease, LeaseRequester
from fleetos.store.process import this_process
from fleetos.store.rows import (
    RUN_VALUES,
    TARGET_KEYS,
    TARGET_VALUES,
    AppendRows,
    append_rows,
    decode_body,
    latest_by_server,
    run_row,
)

_log = logging.getLogger(__name__)

# Statements that many commits run are built once.
_RUN_UPDATE = update(runs).where(runs.c.id == bindparam("run"))
_REQUEST_UPDATE = update(requests).where(
    requests.c.id == bindparam("request"), requests.c.run_id == bindparam("run"), requests.c.done_at.is_(None)
)
_RECORD_INSERT = insert(records)
_OPEN_REQUESTS = """
    SELECT id, kind, asked_by, at, reason, arguments FROM requests WHERE run_id = :run_id AND done_at IS NULL
    ORDER BY id
"""


class _AppendRefusedError(Exception):
    """Refusal of one append, noted there: it undoes the transaction of all that wait with it."""


class SqlJournal:
    """Journal of a run whose lease this process has taken and renews every `beat_s`."""

    def __init__(self, database: Database, lease: Lease, clock: Clock, beat_s: float = LEASE_BEAT_S) -> None:
        self._database = database
        self._lease = lease
        self._clock = clock
        self._last_seq = lease.last_seq
        self._proven = lease.proven
        self._beat_s = beat_s
        self._released = False
        self._group = GroupCommit()

    async def append(
        self, run: Run, events: Sequence[Event], changed: Sequence[Target], at: datetime, answered: Sequence[int] = ()
    ) -> Sequence[Record]:
        """Write records and the new values of run and targets in one transaction. Return the records.

        The claims of targets that the events queue again are taken in the same transaction. Raise ServerClaimed if
        another run has one of them by now: then nothing of this append was written, and the next one may succeed.
        Raise LeaseLost, and JournalUnwritable when nothing was written or the outcome is unknown. After either of them
        no further append succeeds.
        """
        if run.id != self._lease.run_id:
            raise ValueError(f"run {run.id} is not the one of this journal, {self._lease.run_id}")
        pending = PendingAppend(run, events, changed, at, answered)
        async with self._group.commit(pending) as group:
            await self._write_group(group)
        if pending.refused is not None:
            raise pending.refused
        return pending.records

    async def note(self, events: Sequence[RunNotified]) -> Sequence[Record]:
        """Write events that change neither the run nor a target, beside what the engine appends. Return the records.

        Raise LeaseLost or JournalUnwritable, as `append` does.
        """
        pending = PendingAppend(None, events, (), self._clock.now(), ())
        async with self._group.commit(pending) as group:
            await self._write_group(group)
        return pending.records

    async def requests(self) -> Sequence[OperatorRequest]:
        """Return the operator's requests that are not done yet, oldest first. Raise JournalUnwritable."""
        asked: Sequence[OperatorRequest] = ()
        try:
            # The engine cancels its tasks when a run has ended. A statement that is cancelled costs its connection.
            with anyio.CancelScope(shield=True):
                async with self._database.reading() as connection:
                    asked = await open_requests(connection, self._lease.run_id)
        except LeaseLost:
            raise
        except StoreError as error:
            raise JournalUnwritable(error.message, error.hint) from error
        return asked

    def lease_valid(self, moment: Moment) -> bool:
        """Return whether the lease was renewed within its term, and the database is still the file that was opened.

        Read no database: the last check before a send does not wait.
        """
        return not self._group.closed and moment.age_s(self._proven) < LEASE_TERM_S and self._database.in_place

    async def keep_lease(self) -> None:
        """Renew the lease until cancelled. Raise LeaseLost or JournalUnwritable."""
        while True:
            await anyio.sleep(self._beat_s)
            async with self._group.commit(PendingAppend(None, (), (), self._clock.now(), ())) as group:
                await self._write_group(group)

    async def release(self, last: RunDriverEnded | None = None) -> Sequence[Record]:
        """Give the lease back, if this process still holds it. Nothing can be appended afterwards.

        `last` is recorded in the same transaction unless the run has ended: it tells readers why the run has no driver.
        Return its record, if there is one. Raise JournalUnwritable, and LeaseLost if there is a `last`.
        """
        self._group.close(LeaseLost(f"run {self._lease.run_id} was given back by this process"))
        if self._released:
            return ()
        async with self._database.writing() as connection:
            records_of_end = () if last is None else await self._record_end(connection, last)
            await leases.release(connection, self._lease.run_id, self._lease.epoch)
        self._released = True
        _log.info("lease released", extra=fields(run=self._lease.run_id, epoch=self._lease.epoch))
        return records_of_end

    async def _record_end(self, connection: Connection, last: RunDriverEnded) -> Sequence[Record]:
        run_id, now = self._lease.run_id, self._clock.now()
        await leases.renew(connection, run_id, self._lease.epoch, self._clock)
        # A commit that was cancelled may be durable without the memory of this process knowing it: read the run again.
        rows = await connection.rows("SELECT body FROM runs WHERE id = :id", {"id": run_id})
        run = decode_body(run_from_json, rows[0][0] if rows else "", self._database.location)
        if run.state in RUN_ENDS:
            return ()
        record = Record(await newest_seq(connection, run_id) + 1, now, last)
        await write_rows(connection, [append_rows(run_id, [record], ())])
        await update_run(connection, fold_run(run, last, now))
        return (record,)

    async def _write_group(self, group: Sequence[PendingAppend]) -> None:
        """Write all that waits in one transaction. One that is refused undoes it: the others are written without it."""
        while accepted := [entry for entry in group if entry.refused is None]:
            # Read before the transaction: other processes see the renewal at this moment or later, never earlier.
            proven, seq = self._clock.moment(), self._number_records(accepted)
            changed = latest_by_server(target for entry in accepted for target in entry.changed)
            rows = append_rows(self._lease.run_id, [record for entry in accepted for record in entry.records], changed)
            with contextlib.suppress(_AppendRefusedError):
                async with self._writing() as connection:
                    await leases.renew(connection, self._lease.run_id, self._lease.epoch, self._clock)
                    for entry in accepted:
                        await self._take_up(connection, entry)
                    await write_rows(connection, [rows])
                    await claims.update_claims(connection, self._lease.run_id, changed)
                    await self._write_run_and_requests(connection, accepted)
                self._last_seq, self._proven = seq, proven
                return

    def _number_records(self, group: Sequence[PendingAppend]) -> int:
        """Give each append its records. Return the number of the last one."""
        seq = self._last_seq
        for entry in group:
            entry.records = [Record(seq + offset, entry.at, event) for offset, event in enumerate(entry.events, 1)]
            seq += len(entry.events)
        return seq

    async def _take_up(self, connection: Connection, entry: PendingAppend) -> None:
        """Take the claims of the targets that an append queues again. If that is refused, note it at the append."""
        again = entry.queued_again
        if not again:
            return
        requester = LeaseRequester(this_process(), self._clock)
        try:
            await claims.take_up(connection, self._lease.run_id, again, entry.at, requester)
        except (RunDriven, ServerClaimed, ServerTouched) as error:
            entry.refused = ServerClaimed(error.message, error.hint)
            raise _AppendRefusedError from error

    @asynccontextmanager
    async def _writing(self) -> AsyncGenerator[Connection]:
        """Yield the writer's connection in a transaction. Raise LeaseLost or JournalUnwritable."""
        try:
            async with self._database.writing() as connection:
                yield connection
        except (LeaseLost, JournalUnwritable):
            raise
        except RunDriven as error:
            raise DatabaseHeld(error.message, error.hint) from error
        except StoreError as error:
            raise JournalUnwritable(error.message, error.hint) from error

    async def _write_run_and_requests(self, connection: Connection, group: Sequence[PendingAppend]) -> None:
        """Write the run's row, and mark the answered requests as done, within the transaction."""
        run_id = self._lease.run_id
        newest = next((entry.run for entry in reversed(group) if entry.run is not None), None)
        if newest is not None:
            await update_run(connection, newest)
        answered = [
            {"request": request_id, "run": run_id, "done_at": entry.at}
            for entry in group
            for request_id in entry.answered
        ]
        if answered:
            await connection.execute(_REQUEST_UPDATE, answered)


async def open_requests(reader: Reader, run_id: str) -> Sequence[OperatorRequest]:
    """Return the run's requests that are not done yet, oldest first."""
    return [
        OperatorRequest(
            request_id,
            decode_column(RequestKind, kind),
            by,
            decode_column(time_from, at),
            reason,
            decode_column(arguments_from_json, arguments),
        )
        for request_id, kind, by, at, reason, arguments in await reader.rows(_OPEN_REQUESTS, {"run_id": run_id})
    ]


async def newest_seq(reader: Reader, run_id: str) -> int:
    """Return the number of the run's newest record, 0 where it has none."""
    ((seq,),) = await reader.rows("SELECT max(seq) FROM records WHERE run_id = :run_id", {"run_id": run_id})
    return seq or 0


async def update_run(connection: Connection, run: Run) -> None:
    """Update the run's row to the values of `run`, within the transaction."""
    row = run_row(run)
    await connection.execute(_RUN_UPDATE, {"run": run.id} | {name: row[name] for name in RUN_VALUES})


async def write_rows(connection: Connection, pieces: Iterable[AppendRows]) -> None:
    """Write records and the values of targets that they led to, within the transaction.

    The only place that writes either of them.
    """
    for rows in pieces:
        if rows.records:
            await connection.execute(_RECORD_INSERT, rows.records)
        if rows.targets:
            statement = upsert(connection.dialect, targets, keys=TARGET_KEYS, replaced=TARGET_VALUES)
            await connection.execute(statement, rows.targets)
