"""Open a database for drivers: create it, migrate an old one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from fleetos.errors import DatabaseUnusable, JournalUnwritable, RunDriven
from fleetos.store import lease_rows, leases
from fleetos.store.database import sqlite_files
from fleetos.store.database.database import Database
from fleetos.store.database.dialects import lock_for_upgrade
from fleetos.store.database.location import Location
from fleetos.store.database.migration import REVISION, migrate, revision_of
from fleetos.store.database.schema_check import revision
from fleetos.store.lease_rows import LeaseRequester, LeaseRow


@dataclass(frozen=True, slots=True)
class Upgraded:
    """Result of an upgrade. `before` None: the tables were created. `copy` None: there was nothing to copy."""

    before: str | None
    after: str
    copy: Path | None


def prepare_database(location: Location) -> Database:
    """Create the file or make it private, and return the database. Its tables are not checked yet.

    Raise DatabaseUnusable.
    """
    if location.path is not None:
        sqlite_files.make_private(location.path)
    return Database(location)


async def open_database(
    location: Location, requester: LeaseRequester, on_upgrade: Callable[[Upgraded], None] | None = None
) -> Database:
    """Return the database, ready for use, with the tables that this program needs.

    Migrate an old SQLite database after a copy was made, and report it to `on_upgrade`. An old PostgreSQL database
    waits for an explicit `upgrade`, since only its operator can copy it. Raise DatabaseUnusable; RunDriven when an
    upgrade is needed while a run has a driver, or when another process holds the database.
    """
    database = prepare_database(location)
    try:
        await _make_current(database, requester, on_upgrade)
    except BaseException:
        await database.close()
        raise
    return database


async def _make_current(
    database: Database, requester: LeaseRequester, on_upgrade: Callable[[Upgraded], None] | None
) -> None:
    before = await revision(database)
    if before == REVISION:
        return
    if before is not None and database.location.path is None:
        hint = "copy it with pg_dump, then call `fleetos db upgrade`"
        raise DatabaseUnusable(f"{database.location.shown} has revision {before}, this program needs {REVISION}", hint)
    result = await upgrade(database, requester)
    if result.before is not None and on_upgrade is not None:
        on_upgrade(result)


async def upgrade(database: Database, requester: LeaseRequester) -> Upgraded:
    """Bring the tables to REVISION. In the result, `before` equals `after` if they had it already.

    Everything happens in one exclusive transaction, and only while no run has a driver. Raise DatabaseUnusable,
    RunDriven, or JournalUnwritable when the copy or the migration cannot be written.
    """
    before = await revision(database)
    if before == REVISION:
        return Upgraded(before, REVISION, None)
    takeable = {} if before is None else await _wait_for_leases(database, requester)
    async with database.writing() as connection:
        await lock_for_upgrade(connection)
        before = await revision_of(connection)
        if before == REVISION:
            return Upgraded(before, REVISION, None)
        if before is not None:
            for run_id, lease in (await lease_rows.read_held_leases(connection, requester.clock)).items():
                if run_id not in takeable or takeable[run_id].version != lease.version:
                    raise RunDriven(f"run {run_id} is driven by {lease.holder}, so the database cannot be upgraded now")
        copy = await _copy_before_upgrade(database, before, requester) if before is not None else None
        await migrate(connection)
    return Upgraded(before, REVISION, copy)


async def _wait_for_leases(database: Database, requester: LeaseRequester) -> dict[str, LeaseRow]:
    async with database.reading() as connection:
        held = await lease_rows.read_held_leases(connection, requester.clock)
    return {run_id: await leases.wait_until_takeable(database, run_id, requester) for run_id in held}


async def _copy_before_upgrade(database: Database, before: str, requester: LeaseRequester) -> Path | None:
    path = database.location.path
    if path is None:
        return None
    copy = sqlite_files.backup_name(path, before, requester.clock.now())
    with database.translate_errors(JournalUnwritable, f"cannot be copied to {copy}"):
        await anyio.to_thread.run_sync(sqlite_files.copy_database, path, copy)
    return copy
