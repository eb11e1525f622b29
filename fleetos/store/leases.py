"""Lease: the numbered, expiring right of one process to drive a run. Its epoch is a fencing token.

The row of a lease is never deleted, so that its epoch only grows. An older holder is fenced out: its UPDATE matches no
row. A heartbeat counter, not a time, shows that a holder is alive, since clocks of two machines are never compared.
"""

from dataclasses import dataclass, replace

from sqlalchemy import update

from fleetos.clock import Clock, Moment
from fleetos.errors import LeaseLost, RunDriven
from fleetos.store.database.connection import Connection
from fleetos.store.database.database import Database
from fleetos.store.database.dialects import timed_statement
from fleetos.store.database.tables import leases
from fleetos.store.lease_rows import LeaseRequester, LeaseRow, read_lease
from fleetos.store.process import Life, holder_json, life_of

_CREATE = "INSERT INTO leases (run_id, epoch, beat, holder, renewed_s) VALUES (:run_id, 1, 0, :holder, :here_s)"
_TAKE = """
    UPDATE leases SET epoch = epoch + 1, beat = beat + 1, holder = :holder, renewed_s = :here_s
    WHERE run_id = :run_id AND epoch = :epoch AND beat = :beat
"""
_RENEW = "UPDATE leases SET beat = beat + 1, renewed_s = :here_s WHERE run_id = :run_id AND epoch = :epoch"
# Interval at which another process reads the lease, so that it notices a live holder soon after a renewal.
LEASE_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Right to drive a run.

    `last_seq` is the number of the newest record when the lease was taken, `proven` a moment before that.
    """

    run_id: str
    epoch: int
    last_seq: int
    proven: Moment


async def wait_until_takeable(database: Database, run_id: str, requester: LeaseRequester) -> LeaseRow:
    """Wait until the lease can be taken: free, its holder dead, or not renewed for a whole term. Return its row.

    A holder of another machine can only be judged by its renewals: that takes up to the term. Raise RunDriven as soon
    as the holder is known to be alive.
    """
    async with database.reading() as connection:
        first = await read_lease(connection, run_id, requester.clock)
    began = requester.clock.moment()
    lease = first
    while lease.holder is not None:
        life = life_of(lease.holder, requester.me)
        if life is Life.DEAD:
            break
        if life is not Life.ELSEWHERE or lease.version != first.version:
            raise driven_error(lease, life)
        watched_s = requester.clock.moment().since_s(began)
        # The clock of PostgreSQL measures since the renewal; with SQLite only the time that we have watched counts.
        unrenewed_s = max(lease.age_s, watched_s) if database.dialect == "postgresql" else watched_s
        if unrenewed_s > requester.term_s:
            break
        left_s = requester.term_s - unrenewed_s
        if requester.on_wait is not None:
            requester.on_wait(lease.holder, left_s)
        await requester.sleep(min(LEASE_LOOK_EVERY_S, left_s + 0.001))
        async with database.reading() as connection:
            lease = await read_lease(connection, run_id, requester.clock)
    return lease


def driven_error(lease: LeaseRow, life: Life) -> RunDriven:
    """Return the error that names the driver of the run, and tells whether that process is stopped."""
    renewed = f"renewed {max(0.0, lease.age_s):.0f} s ago"
    if lease.holder is not None and lease.holder.since is not None:
        renewed = f"since {lease.holder.since:%Y-%m-%d %H:%M:%S} UTC, {renewed}"
    if life is Life.STOPPED:
        hint = "it goes on when it is continued (kill -CONT) and can be ended (kill); then resume the run"
        return RunDriven(
            f"run {lease.run_id} is driven by {lease.holder}, which is stopped by a signal ({renewed})", hint
        )
    return RunDriven(
        f"run {lease.run_id} is driven by {lease.holder} ({renewed})",
        f"wait for it to end, or ask it to: fleetos abort {lease.run_id}",
    )


def _holder_column(requester: LeaseRequester) -> str:
    return holder_json(replace(requester.me, since=requester.clock.now()))


async def create(connection: Connection, run_id: str, requester: LeaseRequester) -> int:
    """Create the lease of a new run, held by the requester. Return its first epoch."""
    values = {"run_id": run_id, "holder": _holder_column(requester), "here_s": requester.clock.now().timestamp()}
    await connection.execute(timed_statement(connection.dialect, _CREATE), values)
    return 1


async def take(connection: Connection, lease: LeaseRow, requester: LeaseRequester) -> int:
    """Take the lease within this transaction. Return the new epoch.

    Raise RunDriven if the lease is not as it was read: another process was faster, or its holder woke up.
    """
    values = {
        "run_id": lease.run_id,
        "epoch": lease.epoch,
        "beat": lease.beat,
        "holder": _holder_column(requester),
        "here_s": requester.clock.now().timestamp(),
    }
    result = await connection.execute(timed_statement(connection.dialect, _TAKE), values)
    if result.rowcount != 1:
        current = await read_lease(connection, lease.run_id, requester.clock)
        raise driven_error(current, Life.ALIVE)
    return lease.epoch + 1


async def renew(connection: Connection, run_id: str, epoch: int, clock: Clock) -> None:
    """Renew the lease of that epoch within this transaction. Raise LeaseLost if another epoch has replaced it."""
    values = {"run_id": run_id, "epoch": epoch, "here_s": clock.now().timestamp()}
    result = await connection.execute(timed_statement(connection.dialect, _RENEW), values)
    if result.rowcount != 1:
        current = await read_lease(connection, run_id, clock)
        what_happened = f"is driven by {current.holder} now" if current.holder else "was taken over"
        raise LeaseLost(f"run {run_id} {what_happened}", "this process has stopped sending; follow the other one")


async def release(connection: Connection, run_id: str, epoch: int) -> None:
    """Release the lease of that epoch."""
    own_lease = (leases.c.run_id == run_id, leases.c.epoch == epoch)
    await connection.execute(update(leases).where(*own_lease).values(beat=leases.c.beat + 1, holder=None))
