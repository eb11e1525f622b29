"""Results of earlier runs that a later run must know: bad attempts, unanswered sends, claims, experience."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, select, update

from fleetos.model.drift import LastChange
from fleetos.model.experience import NO_EXPERIENCE, Experience, merge_experience
from fleetos.model.journal.codec import experience_from_json, experience_json, target_from_json
from fleetos.model.run import Outcome
from fleetos.store.database.columns import decode_column
from fleetos.store.database.connection import Connection
from fleetos.store.database.database import Database
from fleetos.store.database.dialects import upsert
from fleetos.store.database.reader import id_batches
from fleetos.store.database.tables import claims, clouds, runs, targets
from fleetos.store.rows import decode_body


async def bad_attempts(database: Database, server_ids: Collection[str]) -> frozenset[str]:
    """Return the servers whose latest attempt in any run failed, is open, or has no known outcome.

    Attempts that were proven to have done nothing (refused, not delivered) do not count: the attempt before them does.
    The latest attempt is the one of the latest pass, since only one run at a time holds a server, from the begin of a
    pass.
    """
    latest: dict[str, tuple[int, bool]] = {}
    columns = (targets.c.server_id, targets.c.pass_no, targets.c.doubtful)
    async with database.reading() as connection:
        for batch in id_batches(server_ids):
            touched = (targets.c.server_id.in_(batch), targets.c.touched_at.is_not(None))
            for server_id, pass_no, doubtful in await connection.execute(select(*columns).where(*touched)):
                # Two passes may have one number: then the doubtful attempt counts.
                latest[server_id] = max(latest.get(server_id, (pass_no, False)), (pass_no, doubtful))
    return frozenset(server_id for server_id, (_, doubtful) in latest.items() if doubtful)


async def unanswered_sends(database: Database, server_ids: Collection[str]) -> Mapping[str, datetime]:
    """Return the time of the last unanswered send to each server, by any run. Servers without one are left out."""
    return await _claim_values(database, claims.c.unanswered_at, server_ids)


async def holders(database: Database, server_ids: Collection[str]) -> Mapping[str, str]:
    """Return the run that holds each of the servers. Servers that no run holds are left out."""
    return await _claim_values(database, claims.c.run_id, server_ids)


async def _claim_values(database: Database, column: Column[Any], server_ids: Collection[str]) -> Mapping[str, Any]:
    """Return the values of the column that are set, by the id of the claimed server."""
    values: dict[str, Any] = {}
    async with database.reading() as connection:
        for batch in id_batches(server_ids):
            claimed = (claims.c.server_id.in_(batch), column.is_not(None))
            values.update((await connection.execute(select(claims.c.server_id, column).where(*claimed))).all())
    return values


async def former_servers(database: Database, ids: Collection[str], names: Collection[str]) -> Mapping[str, str]:
    """Return the names, by id, of servers that runs had under these ids or names.

    If several servers had one name, only the latest is returned for it.
    """
    names_by_id: dict[str, str] = {}
    ids_by_name: dict[str, str] = {}
    joined = select(targets.c.server_id, targets.c.name).join(runs, runs.c.id == targets.c.run_id)
    oldest_first = joined.order_by(runs.c.created_no)
    async with database.reading() as connection:
        for batch in id_batches(ids):
            rows = await connection.execute(oldest_first.where(targets.c.server_id.in_(batch)))
            names_by_id.update((server_id, name) for server_id, name in rows)
        for batch in id_batches(names):
            rows = await connection.execute(oldest_first.where(targets.c.name.in_(batch)))
            ids_by_name.update((name, server_id) for server_id, name in rows)
    return names_by_id | {server_id: name for name, server_id in ids_by_name.items()}


async def servers_of_digest(database: Database, digest: str) -> frozenset[str]:
    """Return the ids of the servers that runs of that digest had."""
    query = select(targets.c.server_id).join(runs, runs.c.id == targets.c.run_id).where(runs.c.digest == digest)
    async with database.reading() as connection:
        return frozenset(await connection.scalars(query))


async def last_changes(database: Database, server_ids: Collection[str]) -> Mapping[str, LastChange]:
    """Return the latest change of each server that is known to have succeeded, by any run.

    Servers without one are left out. Raise DatabaseUnusable for a row that cannot be decoded.
    """
    changes: dict[str, LastChange] = {}
    pass_numbers: dict[str, int] = {}
    query = select(targets.c.run_id, targets.c.body, targets.c.pass_no, runs.c.created_no).join(runs)
    async with database.reading() as connection:
        for batch in id_batches(server_ids):
            touched = (targets.c.server_id.in_(batch), targets.c.touched_at.is_not(None))
            for run_id, body, pass_no, created_no in await connection.execute(query.where(*touched)):
                target = decode_body(target_from_json, body, database.location)
                for attempt in target.attempts:
                    # Earlier attempts than the last may belong to an earlier pass: count them to the first pass.
                    attempt_pass = pass_no if attempt is target.attempts[-1] else created_no
                    if attempt.outcome is Outcome.SUCCEEDED and attempt_pass >= pass_numbers.get(target.server_id, 0):
                        image_id = attempt.image_after or target.order.image_id
                        pass_numbers[target.server_id] = attempt_pass
                        changes[target.server_id] = LastChange(run_id, attempt.ended_at or attempt.sent_at, image_id)
    return changes


async def touched_since(database: Database, run_id: str, server_ids: Collection[str]) -> Mapping[str, str]:
    """Return, by server, the run that sent it a change after this run did. Servers without one are left out."""
    async with database.reading() as connection:
        return await touched_since_within(connection, run_id, server_ids)


async def touched_since_within(connection: Connection, run_id: str, server_ids: Collection[str]) -> Mapping[str, str]:
    """Return the result of `touched_since`, as the transaction sees it.

    A later pass counts whatever the times say: they may come from machines whose clocks differ. Claims make sure that
    no two passes have a server at the same time.
    """
    columns = (targets.c.server_id, targets.c.run_id, targets.c.pass_no, targets.c.touched_at)
    own_pass: dict[str, int] = {}
    foreign: list[tuple[int, str, str]] = []
    for batch in id_batches(server_ids):
        query = select(*columns).where(targets.c.server_id.in_(batch))
        for server_id, other, pass_no, touched_at in await connection.execute(query):
            if other == run_id:
                own_pass[server_id] = pass_no
            elif touched_at is not None:
                foreign.append((pass_no, server_id, other))
    return {server_id: other for pass_no, server_id, other in sorted(foreign) if pass_no > own_pass.get(server_id, 0)}


async def experience(database: Database, scope: str) -> Experience:
    """Return what earlier runs have learned of that part of a cloud.

    Raise DatabaseUnusable for a row that cannot be decoded.
    """
    async with database.reading() as connection:
        return await _load_experience(connection, scope)


async def add_experience(
    database: Database, scope: str, learned: Experience, since: Experience = NO_EXPERIENCE
) -> None:
    """Store what a run has learned beyond `since`, the experience that it began with.

    The new experience is merged within one transaction with the stored one, so that of two runs that end at the same
    time neither loses what the other has learned. Raise JournalUnwritable, or DatabaseUnusable as `experience` does.
    """
    row = {"scope": scope, "body": experience_json(NO_EXPERIENCE)}
    async with database.writing() as connection:
        # Creates or locks the row, also where two runs would create it at the same time.
        insert_or_lock = upsert(connection.dialect, clouds, keys=["scope"], replaced=["scope"])
        await connection.execute(insert_or_lock, [row])
        stored = await _load_experience(connection, scope)
        body = experience_json(merge_experience(stored, learned, since))
        await connection.execute(update(clouds).where(clouds.c.scope == scope).values(body=body))


async def _load_experience(connection: Connection, scope: str) -> Experience:
    body = await connection.scalar(select(clouds.c.body).where(clouds.c.scope == scope))
    return NO_EXPERIENCE if body is None else decode_column(experience_from_json, body)
