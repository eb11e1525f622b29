"""What earlier runs left behind that a later one must know of: bad attempts, unanswered sends, slow changes."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select

from fleetos.store.claims import slices
from fleetos.store.database import Database
from fleetos.store.dialects import upsert
from fleetos.store.tables import claims, clouds, targets
from fleetos.store.values import seconds_from, understood


async def bad_attempts(database: Database, server_ids: Collection[str]) -> frozenset[str]:
    """Those of the servers whose latest attempt in any run failed, is open, or has no known outcome.

    Attempts that were proven to have done nothing (refused, not delivered) do not count, so an earlier one speaks.
    """
    latest: dict[str, tuple[datetime, bool]] = {}
    columns = (targets.c.server_id, targets.c.touched_at, targets.c.doubtful)
    async with database.reading() as connection:
        for part in slices(server_ids):
            touched = (targets.c.server_id.in_(part), targets.c.touched_at.is_not(None))
            for server_id, touched_at, doubtful in await connection.execute(select(*columns).where(*touched)):
                # Of two at the same time the doubtful one counts.
                latest[server_id] = max(latest.get(server_id, (touched_at, False)), (touched_at, doubtful))
    return frozenset(server_id for server_id, (_, doubtful) in latest.items() if doubtful)


async def unanswered_sends(database: Database, server_ids: Collection[str]) -> Mapping[str, datetime]:
    """When the last send to each server was left unanswered, by any run; servers without such are left out."""
    found: dict[str, datetime] = {}
    columns = (claims.c.server_id, claims.c.unanswered_at)
    async with database.reading() as connection:
        for part in slices(server_ids):
            remembered = (claims.c.server_id.in_(part), claims.c.unanswered_at.is_not(None))
            found.update((await connection.execute(select(*columns).where(*remembered))).all())
    return found


async def longest_change_s(database: Database, scope: str) -> float | None:
    """The longest OS change seen in that part of a cloud, in seconds; None if none was."""
    async with database.reading() as connection:
        found = await connection.scalar(select(clouds.c.longest_change_s).where(clouds.c.scope == scope))
    return None if found is None else understood(seconds_from, found)


async def remember_change_s(database: Database, scope: str, seconds: float) -> None:
    """Nothing, once a change of that length is remembered, if it is the longest so far. Raises JournalUnwritable."""
    row = {"scope": scope, "longest_change_s": seconds}
    longer = clouds.c.longest_change_s < seconds
    async with database.writing() as connection:
        statement = upsert(
            connection.dialect.name, clouds, keys=["scope"], replaced=["longest_change_s"], only_if=longer
        )
        await connection.execute(statement, [row])
