"""Check a database: the file itself, and the tables against the journals."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fleetos.errors import DatabaseUnusable, FleetosError
from fleetos.model.journal.codec import arguments_from_json, event_from_json, experience_from_json
from fleetos.model.journal.requests import RequestKind
from fleetos.model.progress import Progress, replay
from fleetos.store.database.columns import decode_column, time_from
from fleetos.store.database.reader import Readable, Reader, only_row
from fleetos.store.database.sqlite_files import damage_hint
from fleetos.store.process import holder_from
from fleetos.store.queries import load_within
from fleetos.store.rows import Row, decode_body, run_row, target_row

# Problems that one check of the database lists.
PROBLEMS_LISTED = 50
# The body is compared as a value. The database assigns the numbers of passes; no journal has them.
RUN_COLUMNS = ("id", "name", "digest", "state", "created_at")
TARGET_COLUMNS = (
    "server_id",
    "run_id",
    "position",
    "name",
    "state",
    "attempt",
    "job_id",
    "disk",
    "touched_at",
    "doubtful",
)
# In the order of the columns above.
_RUN_ROW = "SELECT id, name, digest, state, created_at FROM runs WHERE id = :run_id"
_TARGET_ROWS = """
    SELECT server_id, run_id, position, name, state, attempt, job_id, disk, touched_at, doubtful
    FROM targets WHERE run_id = :run_id
"""
_JOURNAL = "SELECT seq, at, body FROM records WHERE run_id = :run_id ORDER BY seq"
_CLAIMED = "SELECT server_id FROM claims WHERE run_id = :run_id"
_HOLDERS = "SELECT holder FROM leases WHERE run_id = :run_id AND holder IS NOT NULL"
_REQUESTS = "SELECT DISTINCT kind, arguments FROM requests WHERE run_id = :run_id"


async def find_problems(database: Readable) -> Sequence[str]:
    """Return the problems of the database, one sentence each, at most PROBLEMS_LISTED; empty if there are none.

    Raise DatabaseUnusable if it cannot even be read, RunDriven if another process holds it.
    """
    problems: list[str] = []
    async with database.reading() as reader:
        if database.dialect == "sqlite":
            problems += await _file_problems(reader)
        for (run_id,) in await reader.rows("SELECT id FROM runs ORDER BY id"):
            if len(problems) < PROBLEMS_LISTED:
                problems += await _run_problems(reader, run_id, database)
        problems += await _cloud_problems(reader)
    return problems[:PROBLEMS_LISTED]


async def check_integrity(database: Readable) -> None:
    """Check the structure of an SQLite file. It costs little compared with a replay.

    Raise DatabaseUnusable if the file is damaged, RunDriven if another process holds it.
    """
    if database.location.path is None:
        return
    async with database.reading() as reader:
        ((result,),) = await reader.rows("PRAGMA quick_check(1)")
    if result != "ok":
        place, hint = database.location.shown, damage_hint(database.location.path)
        raise DatabaseUnusable(f"{place} is damaged: {str(result).splitlines()[-1]}", hint)


async def _file_problems(reader: Reader) -> list[str]:
    lines = await reader.rows(f"PRAGMA integrity_check({PROBLEMS_LISTED})")
    problems = [f"the file is damaged: {line}" for (line,) in lines if line != "ok"]
    orphans = await reader.rows("PRAGMA foreign_key_check")
    return problems + [f"table {row[0]} has a row that belongs to no {row[2]}" for row in orphans]


async def _run_problems(reader: Reader, run_id: str, database: Readable) -> list[str]:
    try:
        rows = await reader.rows(_JOURNAL, {"run_id": run_id})
        if [row[0] for row in rows] != list(range(1, len(rows) + 1)):
            return [f"run {run_id}: its journal has gaps"]
        from_journal = replay(
            (decode_column(time_from, at), decode_body(event_from_json, body, database.location))
            for _, at, body in rows
        )
        from_tables = await load_within(reader, run_id, database.location)
    except (FleetosError, ValueError) as error:
        return [f"run {run_id}: its journal cannot be replayed: {error}"]
    try:
        differing = await _differing_rows(reader, run_id, from_journal)
    except FleetosError as error:
        return [f"run {run_id}: {error}"]
    claimed = {server_id for (server_id,) in await reader.rows(_CLAIMED, {"run_id": run_id})}
    return _describe_differences(run_id, from_journal, from_tables, differing, claimed)


async def _differing_rows(reader: Reader, run_id: str, from_journal: Progress) -> set[str | None]:
    """Return the servers whose row differs from the journal; None stands for the row of the run itself.

    Raise DatabaseUnusable for a lease or a request that cannot be decoded.
    """
    of_run = {"run_id": run_id}
    run = await only_row(reader, _RUN_ROW, of_run)
    differing: set[str | None] = set() if _row_matches(RUN_COLUMNS, run, run_row(from_journal.run)) else {None}
    for row in await reader.rows(_TARGET_ROWS, of_run):
        server_id = row[0]
        target = from_journal.targets.get(server_id)
        if target is None or not _row_matches(TARGET_COLUMNS, row, target_row(run_id, target)):
            differing.add(str(server_id))
    for (holder,) in await reader.rows(_HOLDERS, of_run):
        decode_column(holder_from, holder)
    for kind, arguments in await reader.rows(_REQUESTS, of_run):
        decode_column(RequestKind, kind)
        decode_column(arguments_from_json, arguments or "{}")
    return differing


async def _cloud_problems(reader: Reader) -> list[str]:
    problems: list[str] = []
    for scope, body in await reader.rows("SELECT scope, body FROM clouds ORDER BY scope"):
        try:
            decode_column(experience_from_json, body)
        except FleetosError:
            problems.append(f"cloud {scope}: what was learned of it cannot be read back")
    return problems


def _row_matches(columns: Sequence[str], row: Sequence[Any], expected: Row) -> bool:
    return all(
        expected[column] == (decode_column(time_from, value) if isinstance(expected[column], datetime) else value)
        for column, value in zip(columns, row, strict=True)
    )


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
