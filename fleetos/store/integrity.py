"""The check of a whole database: is the file sound, and does each journal tell what the tables say?"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.errors import DatabaseUnusable, FleetosError
from fleetos.limits import PROBLEMS_LISTED
from fleetos.model.journal.codec import event_from, experience_from
from fleetos.model.journal.requests import RequestKind
from fleetos.model.progress import Progress, replay
from fleetos.store.database.database import Database
from fleetos.store.database.sqlite_files import damage_hint
from fleetos.store.database.tables import claims, clouds, decode_column, leases, records, requests, runs, targets
from fleetos.store.process import holder_from
from fleetos.store.queries import load_within
from fleetos.store.rows import decoded, run_row, target_row

# All that a row repeats of its body. Numbers of passes are the database's own, and in no journal.
_OWN = ("body", "created_no", "pass_no")
_RUN_COLUMNS = [column for column in runs.c if column.name not in _OWN]
_TARGET_COLUMNS = [column for column in targets.c if column.name not in _OWN]


async def check(database: Database) -> Sequence[str]:
    """What is wrong with the database, one sentence each, at most PROBLEMS_LISTED; empty when all is well.

    Raises DatabaseUnusable if it cannot even be read, RunDriven if another process holds it.
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
    """Nothing, once the file of an SQLite database is proven to be built as it should be; cheap beside a replay.

    Raises DatabaseUnusable, RunDriven if another process holds it.
    """
    if database.location.path is None:
        return
    async with database.reading() as connection:
        found = await connection.scalar(text("PRAGMA quick_check(1)"))
    if found != "ok":
        where, hint = database.location.shown, damage_hint(database.location.path)
        raise DatabaseUnusable(f"{where} is damaged: {str(found).splitlines()[-1]}", hint)


async def _file_problems(connection: AsyncConnection) -> list[str]:
    found: Sequence[str] = (await connection.scalars(text(f"PRAGMA integrity_check({PROBLEMS_LISTED})"))).all()
    problems = [f"the file is damaged: {line}" for line in found if line != "ok"]
    orphans = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
    return problems + [f"table {row[0]} has a row that belongs to no {row[2]}" for row in orphans]


async def _run_problems(connection: AsyncConnection, run_id: str, database: Database) -> list[str]:
    columns = (records.c.seq, records.c.at, records.c.body)
    in_order = select(*columns).where(records.c.run_id == run_id).order_by(records.c.seq)
    try:
        found = (await connection.execute(in_order)).all()
        if [row[0] for row in found] != list(range(1, len(found) + 1)):
            return [f"run {run_id}: its journal has gaps"]
        told = replay((at, decoded(event_from, body, database.location)) for _, at, body in found)
        kept = await load_within(connection, run_id, database.location)
    except (FleetosError, ValueError) as error:
        return [f"run {run_id}: its journal cannot be replayed: {error}"]
    try:
        strange = await _strange_rows(connection, run_id, told)
    except FleetosError as error:
        return [f"run {run_id}: {error}"]
    held = set((await connection.scalars(select(claims.c.server_id).where(claims.c.run_id == run_id))).all())
    return _differences(run_id, told, kept, strange, held)


async def _strange_rows(connection: AsyncConnection, run_id: str, told: Progress) -> set[str | None]:
    """The servers whose row has columns that are not what the journal tells; None stands for the run's own row.

    Raises DatabaseUnusable for a lease or a request that cannot be understood.
    """
    run = (await connection.execute(select(*_RUN_COLUMNS).where(runs.c.id == run_id))).one()
    strange: set[str | None] = set() if _repeats(run, run_row(told.run)) else {None}
    for row in await connection.execute(select(*_TARGET_COLUMNS).where(targets.c.run_id == run_id)):
        target = told.targets.get(row.server_id)
        if target is None or not _repeats(row, target_row(run_id, target)):
            strange.add(str(row.server_id))
    holding = (leases.c.run_id == run_id, leases.c.holder.is_not(None))
    for holder in await connection.scalars(select(leases.c.holder).where(*holding)):
        decode_column(holder_from, holder)
    for kind in await connection.scalars(select(requests.c.kind).where(requests.c.run_id == run_id).distinct()):
        decode_column(RequestKind, kind)
    return strange


async def _cloud_problems(connection: AsyncConnection) -> list[str]:
    problems: list[str] = []
    for scope, body in await connection.execute(select(clouds.c.scope, clouds.c.body).order_by(clouds.c.scope)):
        try:
            decode_column(experience_from, body)
        except FleetosError:
            problems.append(f"cloud {scope}: what was learned of it cannot be read back")
    return problems


def _repeats(row: Any, expected: Mapping[str, Any]) -> bool:
    return all(expected[name] == value for name, value in row._asdict().items())


def _differences(run_id: str, told: Progress, kept: Progress, strange: set[str | None], held: set[str]) -> list[str]:
    problems: list[str] = []
    if told.run != kept.run or None in strange:
        problems.append(f"run {run_id}: its row is not what its journal tells")
    known = sorted(told.targets.keys() | kept.targets.keys() | {one for one in strange if one is not None})
    differing = (one for one in known if told.targets.get(one) != kept.targets.get(one) or one in strange)
    problems += [f"run {run_id}, server {one}: its row is not what the journal tells" for one in differing]
    unheld = (one.server_id for one in kept.targets.values() if not one.ended and one.server_id not in held)
    problems += [f"run {run_id}, server {server_id}: under way without a claim" for server_id in unheld]
    return problems
