"""Results of earlier runs that a later run must know: bad attempts, unanswered sends, claims, experience."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from fleetos.model.drift import LastChange
from fleetos.model.experience import NO_EXPERIENCE, Experience, merge_experience
from fleetos.model.journal.codec import experience_from_json, experience_json, target_from_json
from fleetos.model.run import Outcome
from fleetos.store.database.columns import decode_column, time_from
from fleetos.store.database.reader import Readable, Reader, rows_of_ids
from fleetos.store.rows import decode_body

if TYPE_CHECKING:
    from fleetos.store.database.database import Database

_TOUCHED = "SELECT server_id, pass_no, doubtful FROM targets WHERE server_id IN :ids AND touched_at IS NOT NULL"
_UNANSWERED = "SELECT server_id, unanswered_at FROM claims WHERE server_id IN :ids AND unanswered_at IS NOT NULL"
_HOLDERS = "SELECT server_id, run_id FROM claims WHERE server_id IN :ids AND run_id IS NOT NULL"
_PASSES = "SELECT server_id, run_id, pass_no, touched_at FROM targets WHERE server_id IN :ids"
_EXPERIENCE = "SELECT body FROM clouds WHERE scope = :scope"
_WITH_RUN = "FROM targets JOIN runs ON runs.id = targets.run_id WHERE"
_SERVERS_OF_DIGEST = f"SELECT targets.server_id {_WITH_RUN} runs.digest = :digest"
_NAMES_OF_IDS = f"""
    SELECT targets.server_id, targets.name {_WITH_RUN} targets.server_id IN :ids ORDER BY runs.created_no
"""
_IDS_OF_NAMES = f"""
    SELECT targets.name, targets.server_id {_WITH_RUN} targets.name IN :ids ORDER BY runs.created_no
"""
_CHANGES = f"""
    SELECT targets.run_id, targets.body, targets.pass_no, runs.created_no
    {_WITH_RUN} targets.server_id IN :ids AND targets.touched_at IS NOT NULL
"""


async def bad_attempts(database: Readable, server_ids: Collection[str]) -> frozenset[str]:
    """Return the servers whose latest attempt in any run failed, is open, or has no known outcome.

    Attempts that were proven to have done nothing (refused, not delivered) do not count: the attempt before them does.
    The latest attempt is the one of the latest pass, since only one run at a time holds a server, from the begin of a
    pass.
    """
    latest: dict[str, tuple[int, bool]] = {}
    async with database.reading() as reader:
        async for server_id, pass_no, doubtful in rows_of_ids(reader, _TOUCHED, server_ids):
            # Two passes may have one number: then the doubtful attempt counts.
            attempt = decode_column(int, pass_no), decode_column(bool, doubtful)
            latest[server_id] = max(latest.get(server_id, attempt), attempt)
    return frozenset(server_id for server_id, (_, doubtful) in latest.items() if doubtful)


async def unanswered_sends(database: Readable, server_ids: Collection[str]) -> Mapping[str, datetime]:
    """Return the time of the last unanswered send to each server, by any run. Servers without one are left out."""
    async with database.reading() as reader:
        rows = rows_of_ids(reader, _UNANSWERED, server_ids)
        return {server_id: decode_column(time_from, sent_at) async for server_id, sent_at in rows}


async def holders(database: Readable, server_ids: Collection[str]) -> Mapping[str, str]:
    """Return the run that holds each of the servers. Servers that no run holds are left out."""
    async with database.reading() as reader:
        return {server_id: run_id async for server_id, run_id in rows_of_ids(reader, _HOLDERS, server_ids)}


async def former_servers(database: Readable, ids: Collection[str], names: Collection[str]) -> Mapping[str, str]:
    """Return the names, by id, of servers that runs had under these ids or names.

    If several servers had one name, only the latest is returned for it.
    """
    async with database.reading() as reader:
        names_by_id = {server_id: name async for server_id, name in rows_of_ids(reader, _NAMES_OF_IDS, ids)}
        ids_by_name = {name: server_id async for name, server_id in rows_of_ids(reader, _IDS_OF_NAMES, names)}
    return names_by_id | {server_id: name for name, server_id in ids_by_name.items()}


async def servers_of_digest(database: Readable, digest: str) -> frozenset[str]:
    """Return the ids of the servers that runs of that digest had."""
    async with database.reading() as reader:
        return frozenset(server_id for (server_id,) in await reader.rows(_SERVERS_OF_DIGEST, {"digest": digest}))


async def last_changes(database: Readable, server_ids: Collection[str]) -> Mapping[str, LastChange]:
    """Return the latest change of each server that is known to have succeeded, by any run.

    Servers without one are left out. Raise DatabaseUnusable for a row that cannot be decoded.
    """
    changes: dict[str, LastChange] = {}
    pass_numbers: dict[str, int] = {}
    async with database.reading() as reader:
        async for run_id, body, pass_no, created_no in rows_of_ids(reader, _CHANGES, server_ids):
            target = decode_body(target_from_json, body, database.location)
            for attempt in target.attempts:
                # Earlier attempts than the last may belong to an earlier pass: count them to the first pass.
                attempt_pass = decode_column(int, pass_no if attempt is target.attempts[-1] else created_no)
                if attempt.outcome is Outcome.SUCCEEDED and attempt_pass >= pass_numbers.get(target.server_id, 0):
                    image_id = attempt.image_after or target.order.image_id
                    pass_numbers[target.server_id] = attempt_pass
                    changes[target.server_id] = LastChange(run_id, attempt.ended_at or attempt.sent_at, image_id)
    return changes


async def touched_since(database: Readable, run_id: str, server_ids: Collection[str]) -> Mapping[str, str]:
    """Return, by server, the run that sent it a change after this run did. Servers without one are left out."""
    async with database.reading() as reader:
        return await touched_since_within(reader, run_id, server_ids)


async def touched_since_within(reader: Reader, run_id: str, server_ids: Collection[str]) -> Mapping[str, str]:
    """Return the result of `touched_since`, as the transaction sees it.

    A later pass counts whatever the times say: they may come from machines whose clocks differ. Claims make sure that
    no two passes have a server at the same time.
    """
    own_pass: dict[str, int] = {}
    foreign: list[tuple[int, str, str]] = []
    async for server_id, other, pass_no, touched_at in rows_of_ids(reader, _PASSES, server_ids):
        if other == run_id:
            own_pass[server_id] = decode_column(int, pass_no)
        elif touched_at is not None:
            foreign.append((decode_column(int, pass_no), server_id, other))
    return {server_id: other for pass_no, server_id, other in sorted(foreign) if pass_no > own_pass.get(server_id, 0)}


async def experience(database: Readable, scope: str) -> Experience:
    """Return what earlier runs have learned of that part of a cloud.

    Raise DatabaseUnusable for a row that cannot be decoded.
    """
    async with database.reading() as reader:
        return await _load_experience(reader, scope)


async def add_experience(
    database: "Database", scope: str, learned: Experience, since: Experience = NO_EXPERIENCE
) -> None:
    """Store what a run has learned beyond `since`, the experience that it began with.

    The new experience is merged within one transaction with the stored one, so that of two runs that end at the same
    time neither loses what the other has learned. Raise JournalUnwritable, or DatabaseUnusable as `experience` does.
    """
    from sqlalchemy import update

    from fleetos.store.database.dialects import upsert
    from fleetos.store.database.tables import clouds

    row = {"scope": scope, "body": experience_json(NO_EXPERIENCE)}
    async with database.writing() as connection:
        # Creates or locks the row, also where two runs would create it at the same time.
        insert_or_lock = upsert(connection.dialect, clouds, keys=("scope",), replaced=("scope",))
        await connection.execute(insert_or_lock, [row])
        stored = await _load_experience(connection, scope)
        body = experience_json(merge_experience(stored, learned, since))
        await connection.execute(update(clouds).where(clouds.c.scope == scope).values(body=body))


async def _load_experience(reader: Reader, scope: str) -> Experience:
    rows = await reader.rows(_EXPERIENCE, {"scope": scope})
    return decode_column(experience_from_json, rows[0][0]) if rows else NO_EXPERIENCE
