"""The journal of the one run that this process drives, in an SQL database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio
from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.clock import Clock, Moment
from fleetos.errors import DatabaseHeld, JournalUnwritable, LeaseLost, RunDriven, StoreError
from fleetos.limits import LEASE_BEAT_S, LEASE_TERM_S
from fleetos.model.journal.codec import run_from
from fleetos.model.journal.events import Event, Record, RunDriverEnded
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import OperatorRequest, RequestKind
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS
from fleetos.store import claims, leases
from fleetos.store.database.database import Database
from fleetos.store.database.dialects import upsert
from fleetos.store.database.tables import decode_column, records, requests, runs, targets
from fleetos.store.group_commit import GroupCommit
from fleetos.store.leases import Lease
from fleetos.store.rows import (
    RUN_VALUES,
    TARGET_KEYS,
    TARGET_VALUES,
    AppendRows,
    decoded,
    last_of_each,
    rows_of,
    run_row,
)


@dataclass(frozen=True, slots=True)
class PendingAppend:
    """What one call of `append` wants durable. `run` None: nothing but the lease is renewed."""

    run: Run | None
    events: Sequence[Event]
    changed: Sequence[Target]
    at: datetime
    answered: Sequence[int]


class SqlJournal:
    """The journal of a run whose lease this process has taken, and renews every `beat_s`."""

    def __init__(self, database: Database, lease: Lease, clock: Clock, beat_s: float = LEASE_BEAT_S) -> None:
        self._database = database
        self._lease = lease
        self._clock = clock
        self._last_seq = lease.last_seq
        self._proven = lease.proven
        self._beat_s = beat_s
        self._given_back = False
        self._group = GroupCommit[PendingAppend, Sequence[Record]](self._commit)

    async def append(
        self, run: Run, events: Sequence[Event], changed: Sequence[Target], at: datetime, answered: Sequence[int] = ()
    ) -> Sequence[Record]:
        """The records, once they and the new values of run and targets are durable, in one transaction.

        Raises LeaseLost, and JournalUnwritable when nothing was written or nobody knows; after either of them no
        further append succeeds.
        """
        if run.id != self._lease.run_id:
            raise ValueError(f"run {run.id} is not the one of this journal, {self._lease.run_id}")
        return await self._group.durable(PendingAppend(run, events, changed, at, answered))

    async def requests(self) -> Sequence[OperatorRequest]:
        """The operator's requests that are not done yet, oldest first. Raises JournalUnwritable."""
        undone = (requests.c.run_id == self._lease.run_id, requests.c.done_at.is_(None))
        columns = (requests.c.id, requests.c.kind, requests.c.asked_by, requests.c.at)
        try:
            async with self._database.reading() as connection:
                found = await connection.execute(select(*columns).where(*undone).order_by(requests.c.id))
                return [
                    OperatorRequest(number, decode_column(RequestKind, kind), by, at) for number, kind, by, at in found
                ]
        except LeaseLost:
            raise
        except StoreError as error:
            raise JournalUnwritable(error.message, error.hint) from error

    def lease_valid(self, moment: Moment) -> bool:
        """Whether the lease was renewed within its term, and a name still leads to the file in which it stands.

        Asks no database: the last check before a send waits for nobody.
        """
        return not self._group.ended and moment.age_s(self._proven) < LEASE_TERM_S and self._database.in_place

    async def keep_lease(self) -> None:
        """Renews the lease until cancelled. Raises LeaseLost or JournalUnwritable."""
        while True:
            await anyio.sleep(self._beat_s)
            await self._group.durable(PendingAppend(None, (), (), self._clock.now(), ()))

    async def release(self, last: RunDriverEnded | None = None) -> Sequence[Record]:
        """Give the lease back, if it is still ours. Nothing can be appended afterwards.

        `last` is recorded in the same transaction unless the run has ended, so that whoever looks at it sees why
        nobody drives it. Return its record, if there is one. Raises LeaseLost, with `last`, and JournalUnwritable.
        """
        self._group.end(LeaseLost(f"run {self._lease.run_id} was given back by this process"))
        if self._given_back:
            return ()
        async with self._database.writing() as connection:
            told = () if last is None else await self._record_end(connection, last)
            await leases.release(connection, self._lease.run_id, self._lease.epoch)
        self._given_back = True
        return told

    async def _record_end(self, connection: AsyncConnection, last: RunDriverEnded) -> Sequence[Record]:
        run_id, now = self._lease.run_id, self._clock.now()
        await leases.prove(connection, run_id, self._lease.epoch, self._clock)
        # What this process remembers may be less than what is durable: it may have been cancelled during a commit.
        body = await connection.scalar(select(runs.c.body).where(runs.c.id == run_id))
        run = decoded(run_from, body or "", self._database.location)
        if run.state in RUN_ENDS:
            return ()
        record = Record(await newest_seq(connection, run_id) + 1, now, last)
        await write(connection, [rows_of(run_id, [record], ())])
        await update_run(connection, fold_run(run, last, now))
        return (record,)

    async def _commit(self, group: Sequence[PendingAppend]) -> Sequence[Sequence[Record]]:
        # Taken before the transaction: the others see the renewal later than this, never earlier.
        proven = self._clock.moment()
        seq = self._last_seq
        appended: list[list[Record]] = []
        for entry in group:
            appended.append([Record(seq + place, entry.at, event) for place, event in enumerate(entry.events, 1)])
            seq += len(entry.events)
        changed = last_of_each(target for entry in group for target in entry.changed)
        new = [record for part in appended for record in part]
        rows = rows_of(self._lease.run_id, new, changed)
        try:
            async with self._database.writing() as connection:
                await leases.prove(connection, self._lease.run_id, self._lease.epoch, self._clock)
                await write(connection, [rows])
                await claims.follow(connection, self._lease.run_id, changed)
                await self._settle(connection, group)
        except (LeaseLost, JournalUnwritable):
            raise
        except RunDriven as error:
            raise DatabaseHeld(error.message, error.hint) from error
        except StoreError as error:
            raise JournalUnwritable(error.message, error.hint) from error
        self._last_seq, self._proven = seq, proven
        return appended

    async def _settle(self, connection: AsyncConnection, group: Sequence[PendingAppend]) -> None:
        """Nothing, once the run's own row and the requests that were heeded are in the transaction."""
        run_id = self._lease.run_id
        newest = next((entry.run for entry in reversed(group) if entry.run is not None), None)
        if newest is not None:
            await update_run(connection, newest)
        answered = [{"request": number, "done": entry.at} for entry in group for number in entry.answered]
        if answered:
            ours = (requests.c.id == bindparam("request"), requests.c.run_id == run_id, requests.c.done_at.is_(None))
            await connection.execute(update(requests).where(*ours).values(done_at=bindparam("done")), answered)


async def newest_seq(connection: AsyncConnection, run_id: str) -> int:
    """Return the number of the run's newest record, 0 where it has none."""
    newest = select(func.max(records.c.seq)).where(records.c.run_id == run_id)
    return (await connection.scalar(newest)) or 0


async def update_run(connection: AsyncConnection, run: Run) -> None:
    """Nothing, once the run's row is what the run is, within the transaction."""
    row = run_row(run)
    await connection.execute(update(runs).where(runs.c.id == run.id).values({name: row[name] for name in RUN_VALUES}))


async def write(connection: AsyncConnection, pieces: Iterable[AppendRows]) -> None:
    """Nothing, once the records and the values of targets that they led to are in the transaction.

    The only place that writes either of them.
    """
    for rows in pieces:
        if rows.records:
            await connection.execute(insert(records), rows.records)
        if rows.targets:
            statement = upsert(connection.dialect.name, targets, keys=TARGET_KEYS, replaced=TARGET_VALUES)
            await connection.execute(statement, rows.targets)
