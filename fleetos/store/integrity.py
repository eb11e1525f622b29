"""Check a database: the file itself, and the tables against the journals."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, text

from fleetos.errors import DatabaseUnusable, FleetosError
from fleetos.model.journal.codec import arguments_from_json, event_from_json, experience_from_json
from fleetos.model.journal.requests import RequestKind
from fleetos.model.progress import Progress, replay
from fleetos.store.database.columns import decode_column
from fleetos.store.database.connection import Connection
from fleetos.store.database.database import Database
from fleetos.store.database.sqlite_files import damage_hint
from fleetos.store.database.tables import claims, clouds, leases, records, requests, runs, targets
from fleetos.store.process import holder_from
from fleetos.store.queries import load_within
from fleetos.store.rows import decode_body, run_row, target_row

# Problems that one check of the database lists.
PROBLEMS_LISTED = 50
# The body is compared as a value. The database assigns the numbers of passes; no journal has them.
_NOT_COMPARED = ("body", "created_no", "pass_no")
_RUN_COLUMNS = [column for column in runs.c if column.name not in _NOT_COMPARED]
_TARGET_COLUMNS = [column for column in targets.c if column.name not in _NOT_COMPARED]


async def find_problems(database: Database) -> Sequence[str]:
    """Return the problems of the database, one sentence each, at most PROBLEMS_LISTED; empty if there are none.

    Raise DatabaseUnusable if it cannot even be read, RunDriven if another process holds it.
    """
    problems: list[str] = []
    async with database.reading() as connection:
        if database.dialect == "sqlite":
            problems += await _file_problems(connection)
        for run_id in (await connection.scalars(select(runs.c.id).order_by(runs.c.id))).all():
            if len(problems) < PROBLEMS_LISTED:
                problems += await _run_problems(connection, run_id, database)
        problems += await _cloud_problems(connection)
    return problems[:PROBLEMS_LISTED]


async def check_integrity(database: Database) -> None:
    """Check the structure of an SQLite file. It costs little compared with a replay.

    Raise DatabaseUnusable if the file is damaged, RunDriven if another process holds it.
    """
    if database.location.path is None:
        return
    async with database.reading() as connection:
        result = await connection.scalar(text("PRAGMA quick_check(1)"))
    if result != "ok":
        place, hint = database.location.shown, damage_hint(database.location.path)
        raise DatabaseUnusable(f"{place} is damaged: {str(result).splitlines()[-1]}", hint)


async def _file_problems(connection: Connection) -> list[str]:
    lines: Sequence[str] = (await connection.scalars(text(f"PRAGMA integrity_check({PROBLEMS_LISTED})"))).all()
    problems = [f"the file is damaged: {line}" for line in lines if line != "ok"]
    orphans = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
    return problems + [f"table {row[0]} has a row that belongs to no {row[2]}" for row in orphans]


async def _run_problems(connection: Connection, run_id: str, database: Database) -> list[str]:
    columns = (records.c.seq, records.c.at, records.c.body)
    in_order = select(*columns).where(records.c.run_id == run_id).order_by(records.c.seq)
    try:
        rows = (await connection.execute(in_order)).all()
        if [row[0] for row in rows] != list(range(1, len(rows) + 1)):
            return [f"run {run_id}: its journal has gaps"]
        from_journal = replay((at, decode_body(event_from_json, body, database.location)) for _, at, body in rows)
        from_tables = await load_within(connection, run_id, database.location)
    except (FleetosError, ValueError) as error:
        return [f"run {run_id}: its journal cannot be replayed: {error}"]
    try:
        differing = await _differing_rows(connection, run_id, from_journal)
    except FleetosError as error:
        return [f"run {run_id}: {error}"]
    claimed = set((await connection.scalars(select(claims.c.server_id).where(claims.c.run_id == run_id))).all())
    return _describe_differences(run_id, from_journal, from_tables, differing, claimed)


async def _differing_rows(connection: Connection, run_id: str, from_journal: Progress) -> set[str | None]:
    """Return the servers whose row differs from the journal; None stands for the row of the run itself.

    Raise DatabaseUnusable for a lease or a request that cannot be decoded.
    """
    run = (await connection.execute(select(*_RUN_COLUMNS).where(runs.c.id == run_id))).one()
    differing: set[str | None] = set() if _row_matches(run, run_row(from_journal.run)) else {None}
    for row in await connection.execute(select(*_TARGET_COLUMNS).where(targets.c.run_id == run_id)):
        target = from_journal.targets.get(row.server_id)
        if target is None or not _row_matches(row, target_row(run_id, target)):
            differing.add(str(row.server_id))
    has_holder = (leases.c.run_id == run_id, leases.c.holder.is_not(None))
    for holder in await connection.scalars(select(leases.c.holder).where(*has_holder)):
        decode_column(holder_from, holder)
    asked = select(requests.c.kind, requests.c.arguments).where(requests.c.run_id == run_id).distinct()
    for kind, arguments in await connection.execute(asked):
        decode_column(RequestKind, kind)
        decode_column(arguments_from_json, arguments or "{}")
    return differing


async def _cloud_problems(connection: Connection) -> list[str]:
    problems: list[str] = []
    for scope, body in await connection.execute(select(clouds.c.scope, clouds.c.body).order_by(clouds.c.scope)):
        try:
            decode_column(experience_from_json, body)
        except FleetosError:
            problems.append(f"cloud {scope}: what was learned of it cannot be read back")
    return problems


def _row_matches(row: Any, expected: Mapping[str, Any]) -> bool:
    return all(expected[name] == value for name, value in row._asdict().items())


def _describe_differences(
    run_id: str, from_journal: Progress, from_tables: Progress, differing: set[str | None], claimed: set[str]
) -> list[str]:
    problems: list[str] = []
    if from_journal.run != from_tables.run or None in differing:
        problems.append(f"run {run_id}: its row is not what its journal tells")
    of_journal, of_tables = from_journal.targets, from_tables.targets
    servers = sorted(
        of_journal.keys() | of_tables.keys() | {server_id for server_id in differing if server_id is not None}
    )
    unlike = [
        server_id
        for server_id in servers
        if of_journal.get(server_id) != of_tables.get(server_id) or server_id in differing
    ]
    unclaimed = [
        target.server_id for target in of_tables.values() if not target.ended and target.server_id not in claimed
    ]
    problems += [f"run {run_id}, server {server_id}: its row is not what the journal tells" for server_id in unlike]
    problems += [f"run {run_id}, server {server_id}: under way without a claim" for server_id in unclaimed]
    return problems
