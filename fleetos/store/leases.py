"""The lease: the numbered, expiring right of one process to drive a run.

The row of a lease stays for ever, so that its epoch only grows: whoever holds an older one is shut out by the count of
rows that his UPDATE meets. A heartbeat counter, not a time, tells that a holder lives; clocks of two machines are
never compared.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import anyio
from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.clock import Clock, Moment
from fleetos.errors import LeaseLost, RunDriven
from fleetos.limits import LEASE_LOOK_EVERY_S, LEASE_TERM_S
from fleetos.store.database.database import Database
from fleetos.store.database.dialects import now_s
from fleetos.store.database.tables import decode_column, leases
from fleetos.store.process import Holder, Life, holder_from, holder_json, life_of


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive a run. `last_seq` is the newest record when it was taken, `proven` a moment before that."""

    run_id: str
    epoch: int
    last_seq: int
    proven: Moment


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """What the row of a lease looked like. `age_s`: since its renewal, by the database's clock where it has one,
    else by this machine's, which only serves to show it. `renewed_at` is that renewal, in UTC, to show as well.
    """

    run_id: str
    epoch: int
    beat: int
    holder: Holder | None
    age_s: float
    renewed_at: datetime

    @property
    def marks(self) -> tuple[int, int]:
        """What changes with every taking and every renewal."""
        return self.epoch, self.beat


@dataclass(frozen=True, slots=True)
class LeaseRequester:
    """Who asks for leases, and how he waits. `on_wait` hears of a foreign holder and the seconds that may be left."""

    me: Holder
    clock: Clock
    on_wait: Callable[[Holder, float], None] | None = None
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep
    term_s: float = LEASE_TERM_S


async def look(connection: AsyncConnection, run_id: str, clock: Clock) -> LeaseRow:
    """The lease of the run as it is now. The run must exist."""
    row = (await connection.execute(_rows(connection, clock).where(leases.c.run_id == run_id))).one()
    return _seen(row)


async def held(connection: AsyncConnection, clock: Clock) -> dict[str, LeaseRow]:
    """All leases that somebody holds, dead or alive, by run id."""
    rows = (await connection.execute(_rows(connection, clock).where(leases.c.holder.is_not(None)))).all()
    return {seen.run_id: seen for seen in map(_seen, rows)}


def _rows(connection: AsyncConnection, clock: Clock) -> Select[str, int, int, str | None, float, float]:
    age_s = now_s(connection.dialect.name, clock.now().timestamp()) - leases.c.renewed_s
    return select(leases.c.run_id, leases.c.epoch, leases.c.beat, leases.c.holder, age_s, leases.c.renewed_s)


def _seen(row: Row[str, int, int, str | None, float, float]) -> LeaseRow:
    run_id, epoch, beat, holder, age_s, renewed_s = row
    return LeaseRow(
        run_id,
        decode_column(int, epoch),
        decode_column(int, beat),
        None if holder is None else decode_column(holder_from, holder),
        decode_column(float, age_s),
        decode_column(_utc, renewed_s),
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def may_take(database: Database, run_id: str, watcher: LeaseRequester) -> LeaseRow:
    """The lease as it was when it could be taken: free, its holder dead, or not renewed for a whole term.

    Waits for up to the term for a holder that only its renewals can speak for. Raises RunDriven as soon as the
    holder is known to live.
    """
    async with database.reading() as connection:
        first = await look(connection, run_id, watcher.clock)
    since = watcher.clock.moment()
    seen = first
    while seen.holder is not None:
        life = life_of(seen.holder, watcher.me)
        if life is Life.DEAD:
            break
        if life is not Life.ELSEWHERE or seen.marks != first.marks:
            raise driven(seen, life)
        watched_s = watcher.clock.moment().since_s(since)
        # Where the server has a clock it has watched for us; else only what we saw ourselves counts.
        unrenewed_s = max(seen.age_s, watched_s) if database.dialect == "postgresql" else watched_s
        if unrenewed_s > watcher.term_s:
            break
        left_s = watcher.term_s - unrenewed_s
        if watcher.on_wait is not None:
            watcher.on_wait(seen.holder, left_s)
        await watcher.sleep(min(LEASE_LOOK_EVERY_S, left_s + 0.001))
        async with database.reading() as connection:
            seen = await look(connection, run_id, watcher.clock)
    return seen


def driven(seen: LeaseRow, life: Life) -> RunDriven:
    """The error that says who drives the run, and whether that process is stopped."""
    ago = f"renewed {max(0.0, seen.age_s):.0f} s ago"
    if seen.holder is not None and seen.holder.since is not None:
        ago = f"since {seen.holder.since:%Y-%m-%d %H:%M:%S} UTC, {ago}"
    if life is Life.STOPPED:
        hint = "it goes on when it is continued (kill -CONT) and can be ended (kill); then resume the run"
        return RunDriven(f"run {seen.run_id} is driven by {seen.holder}, which is stopped by a signal ({ago})", hint)
    return RunDriven(
        f"run {seen.run_id} is driven by {seen.holder} ({ago})",
        f"wait for it to end, or ask it to: fleetos abort {seen.run_id}",
    )


def looks_alive(seen: LeaseRow, me: Holder) -> Life | None:
    """How the holder looks at a glance, for messages and lists; None: nobody drives the run. Decides nothing."""
    if seen.holder is None:
        return None
    life = life_of(seen.holder, me)
    if life is Life.DEAD or (life is Life.ELSEWHERE and seen.age_s > LEASE_TERM_S):
        return None
    return life


def _holding(watcher: LeaseRequester) -> str:
    return holder_json(replace(watcher.me, since=watcher.clock.now()))


async def create(connection: AsyncConnection, run_id: str, watcher: LeaseRequester) -> int:
    """The epoch of the first lease of a new run."""
    renewed = now_s(connection.dialect.name, watcher.clock.now().timestamp())
    values = {"run_id": run_id, "epoch": 1, "beat": 0, "holder": _holding(watcher), "renewed_s": renewed}
    await connection.execute(insert(leases).values(values))
    return 1


async def take(connection: AsyncConnection, seen: LeaseRow, watcher: LeaseRequester) -> int:
    """The new epoch, once the lease is ours within this transaction.

    Raises RunDriven if it is not as it was seen: somebody else was faster, or its holder woke up.
    """
    renewed = now_s(connection.dialect.name, watcher.clock.now().timestamp())
    same = (leases.c.run_id == seen.run_id, leases.c.epoch == seen.epoch, leases.c.beat == seen.beat)
    taken = await connection.execute(
        update(leases)
        .where(*same)
        .values(epoch=seen.epoch + 1, beat=seen.beat + 1, holder=_holding(watcher), renewed_s=renewed)
    )
    if taken.rowcount != 1:
        other = await look(connection, seen.run_id, watcher.clock)
        raise driven(other, Life.ALIVE)
    return seen.epoch + 1


async def prove(connection: AsyncConnection, run_id: str, epoch: int, clock: Clock) -> None:
    """Nothing, once the lease of that epoch is proven and renewed within this transaction. Raises LeaseLost."""
    renewed = now_s(connection.dialect.name, clock.now().timestamp())
    proven = await connection.execute(
        update(leases)
        .where(leases.c.run_id == run_id, leases.c.epoch == epoch)
        .values(beat=leases.c.beat + 1, renewed_s=renewed)
    )
    if proven.rowcount != 1:
        other = await look(connection, run_id, clock)
        by = f"is driven by {other.holder} now" if other.holder else "was taken over"
        raise LeaseLost(f"run {run_id} {by}", "this process has stopped sending; follow the other one")


async def release(connection: AsyncConnection, run_id: str, epoch: int) -> None:
    """Nothing, once nobody holds the lease of that epoch."""
    ours = (leases.c.run_id == run_id, leases.c.epoch == epoch)
    await connection.execute(update(leases).where(*ours).values(beat=leases.c.beat + 1, holder=None))
