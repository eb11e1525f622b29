"""Rows of leases, read: which process drives a run, and whether it is probably alive."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio

from fleetos.clock import Clock
from fleetos.limits import LEASE_TERM_S
from fleetos.store.database.columns import decode_column
from fleetos.store.database.reader import Reader, only_row
from fleetos.store.process import Holder, Life, holder_from, life_of

# The last column is the time by the clock of the server; SQLite has none.
_SELECT = {
    "sqlite": "SELECT run_id, epoch, beat, holder, renewed_s, NULL FROM leases",
    "postgresql": (
        "SELECT run_id, epoch, beat, holder, renewed_s,"
        " CAST(extract(epoch FROM clock_timestamp()) AS double precision) FROM leases"
    ),
}


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Row of a lease, as it was read."""

    run_id: str
    epoch: int
    beat: int
    """Heartbeat counter: grows with every renewal."""
    holder: Holder | None
    """None: the lease is free."""
    age_s: float
    """Time since the renewal, by the clock of PostgreSQL; with SQLite by this machine's, and then only for display."""
    renewed_at: datetime
    """Time of the renewal in UTC, for display only."""

    @property
    def version(self) -> tuple[int, int]:
        """Pair that changes whenever the lease is taken or renewed."""
        return self.epoch, self.beat


@dataclass(frozen=True, slots=True)
class LeaseRequester:
    """Process that asks for leases, and how it waits for them."""

    me: Holder
    clock: Clock
    on_wait: Callable[[Holder, float], None] | None = None
    """Called before each wait with the foreign holder and the seconds until its lease expires."""
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep
    term_s: float = LEASE_TERM_S
    """A lease that was not renewed for so long can be taken."""


async def read_lease(reader: Reader, run_id: str, clock: Clock) -> LeaseRow:
    """Read the lease of the run. The run must exist."""
    row = await only_row(reader, f"{_SELECT[reader.dialect]} WHERE run_id = :run_id", {"run_id": run_id})
    return _lease_row(row, clock)


async def read_held_leases(reader: Reader, clock: Clock) -> dict[str, LeaseRow]:
    """Read all leases that have a holder, dead or alive, by run id."""
    rows = await reader.rows(f"{_SELECT[reader.dialect]} WHERE holder IS NOT NULL")
    return {lease.run_id: lease for lease in (_lease_row(row, clock) for row in rows)}


def _lease_row(row: tuple[Any, ...], clock: Clock) -> LeaseRow:
    run_id, epoch, beat, holder, renewed_s, server_s = row
    renewed = decode_column(float, renewed_s)
    return LeaseRow(
        run_id,
        decode_column(int, epoch),
        decode_column(int, beat),
        None if holder is None else decode_column(holder_from, holder),
        (clock.now().timestamp() if server_s is None else server_s) - renewed,
        decode_column(_utc, renewed),
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def probable_life(lease: LeaseRow, me: Holder) -> Life | None:
    """Return whether the holder is probably alive, for messages and lists; None if the run has no driver.

    No decision may rest on it.
    """
    if lease.holder is None:
        return None
    life = life_of(lease.holder, me)
    if life is Life.DEAD or (life is Life.ELSEWHERE and lease.age_s > LEASE_TERM_S):
        return None
    return life
