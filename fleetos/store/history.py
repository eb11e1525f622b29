"""What other runs left behind that a later one must know of: bad attempts, unanswered sends, claims, experience."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.model.drift import LastChange
from fleetos.model.experience import NONE, Experience, merged
from fleetos.model.journal.codec import experience_from, experience_json, target_from
from fleetos.model.run import Outcome
from fleetos.store.claims import slices
from fleetos.store.database.database import Database
from fleetos.store.database.dialects import upsert
from fleetos.store.database.tables import claims, clouds, decode_column, runs, targets
from fleetos.store.rows import decoded


async def bad_attempts(database: Database, server_ids: Collection[str]) -> frozenset[str]:
    """Those of the servers whose latest attempt in any run failed, is open, or has no known outcome.

    Attempts that were proven to have done nothing (refused, not delivered) do not count, so an earlier one speaks.
    The latest is that of the latest pass: a server is held by one run at a time, from the begin of a pass on.
    """
    latest: dict[str, tuple[int, bool]] = {}
    columns = (targets.c.server_id, targets.c.pass_no, targets.c.doubtful)
    async with database.reading() as connection:
        for part in slices(server_ids):
            touched = (targets.c.server_id.in_(part), targets.c.touched_at.is_not(None))
            for server_id, number, doubtful in await connection.execute(select(*columns).where(*touched)):
                # Of two in passes of one number the doubtful one counts.
                latest[server_id] = max(latest.get(server_id, (number, False)), (number, doubtful))
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


async def holders(database: Database, server_ids: Collection[str]) -> Mapping[str, str]:
    """The run that holds each of the servers; servers that none holds are left out."""
    found: dict[str, str] = {}
    columns = (claims.c.server_id, claims.c.run_id)
    async with database.reading() as connection:
        for part in slices(server_ids):
            held = (claims.c.server_id.in_(part), claims.c.run_id.is_not(None))
            found.update((await connection.execute(select(*columns).where(*held))).all())
    return found


async def former_servers(database: Database, ids: Collection[str], names: Collection[str]) -> Mapping[str, str]:
    """The servers that runs had under these ids or names: names by id; of several with one name only the latest."""
    found: dict[str, str] = {}
    latest: dict[str, str] = {}
    chosen = select(targets.c.server_id, targets.c.name).join(runs, runs.c.id == targets.c.run_id)
    in_time = chosen.order_by(runs.c.created_no)
    async with database.reading() as connection:
        for part in slices(ids):
            rows = await connection.execute(in_time.where(targets.c.server_id.in_(part)))
            found.update((server_id, name) for server_id, name in rows)
        for part in slices(names):
            rows = await connection.execute(in_time.where(targets.c.name.in_(part)))
            latest.update((name, server_id) for server_id, name in rows)
    return found | {server_id: name for name, server_id in latest.items()}


async def members_of(database: Database, digest: str) -> frozenset[str]:
    """The ids of the servers that runs of that digest had."""
    chosen = select(targets.c.server_id).join(runs, runs.c.id == targets.c.run_id).where(runs.c.digest == digest)
    async with database.reading() as connection:
        return frozenset(await connection.scalars(chosen))


async def last_changes(database: Database, server_ids: Collection[str]) -> Mapping[str, LastChange]:
    """The latest change of each server that is known to have succeeded, by any run; servers without are left out.

    Raises DatabaseUnusable for a row that tells nothing.
    """
    found: dict[str, LastChange] = {}
    latest: dict[str, int] = {}
    chosen = select(targets.c.run_id, targets.c.body, targets.c.pass_no, runs.c.created_no).join(runs)
    async with database.reading() as connection:
        for part in slices(server_ids):
            touched = (targets.c.server_id.in_(part), targets.c.touched_at.is_not(None))
            for run_id, body, pass_no, created_no in await connection.execute(chosen.where(*touched)):
                target = decoded(target_from, body, database.location)
                for attempt in target.attempts:
                    # An attempt before the last one was made in that pass or in an earlier one.
                    number = pass_no if attempt is target.attempts[-1] else created_no
                    if attempt.outcome is Outcome.SUCCEEDED and number >= latest.get(target.server_id, 0):
                        image_id = attempt.image_after or target.order.image_id
                        latest[target.server_id] = number
                        found[target.server_id] = LastChange(run_id, attempt.ended_at or attempt.sent_at, image_id)
    return found


async def touched_since(database: Database, run_id: str, server_ids: Collection[str]) -> Mapping[str, str]:
    """Return, by server, the run that sent it a change after this run did; servers without such are left out."""
    async with database.reading() as connection:
        return await touched_since_within(connection, run_id, server_ids)


async def touched_since_within(
    connection: AsyncConnection, run_id: str, server_ids: Collection[str]
) -> Mapping[str, str]:
    """Return what `touched_since` does, as the transaction sees it.

    A later pass counts whatever the times say, which may come from machines whose clocks differ. No two passes have a
    server at the same time: claims see to that.
    """
    columns = (targets.c.server_id, targets.c.run_id, targets.c.pass_no, targets.c.touched_at)
    ours: dict[str, int] = {}
    others: list[tuple[int, str, str]] = []
    for part in slices(server_ids):
        found = select(*columns).where(targets.c.server_id.in_(part))
        for server_id, other, pass_no, touched_at in await connection.execute(found):
            if other == run_id:
                ours[server_id] = pass_no
            elif touched_at is not None:
                others.append((pass_no, server_id, other))
    return {server_id: other for pass_no, server_id, other in sorted(others) if pass_no > ours.get(server_id, 0)}


async def experience(database: Database, scope: str) -> Experience:
    """What earlier runs have learned of that part of a cloud. Raises DatabaseUnusable for a row that tells nothing."""
    async with database.reading() as connection:
        return await _experience(connection, scope)


async def remember(database: Database, scope: str, now: Experience, since: Experience = NONE) -> None:
    """Nothing, once all is remembered that a run has learned beyond `since`, which it began with.

    It is added within one transaction to what is remembered by then, so that of two runs that end at once neither
    loses what the other has learned. Raises JournalUnwritable, or DatabaseUnusable like `experience`.
    """
    row = {"scope": scope, "body": experience_json(NONE)}
    async with database.writing() as connection:
        # The row is there and ours from here on, also where two would make it at once.
        held = upsert(connection.dialect.name, clouds, keys=["scope"], replaced=["scope"])
        await connection.execute(held, [row])
        kept = await _experience(connection, scope)
        body = experience_json(merged(kept, now, since))
        await connection.execute(update(clouds).where(clouds.c.scope == scope).values(body=body))


async def _experience(connection: AsyncConnection, scope: str) -> Experience:
    body = await connection.scalar(select(clouds.c.body).where(clouds.c.scope == scope))
    return NONE if body is None else decode_column(experience_from, body)
