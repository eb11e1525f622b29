"""Opening a database: made if it is missing, refused if it is not ours or too new, migrated if it is old."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from fleetos.errors import DatabaseUnusable, JournalUnwritable, RunDriven
from fleetos.store import leases
from fleetos.store.database import sqlite_files
from fleetos.store.database.database import Database
from fleetos.store.database.dialects import lock_for_upgrade
from fleetos.store.database.location import Location
from fleetos.store.database.migration import REVISION, known_revisions, migrate, revision_of, table_names
from fleetos.store.database.tables import metadata
from fleetos.store.leases import LeaseRequester, LeaseRow


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did. `before` None: the tables were made. `copy` None: there was nothing to copy."""

    before: str | None
    after: str
    copy: Path | None


def at(location: Location) -> Database:
    """The database whose file is there, made private or new, and whose tables nobody has looked at yet.

    Raises DatabaseUnusable.
    """
    if location.path is not None:
        sqlite_files.make_private(location.path)
    return Database(location)


async def open_database(
    location: Location, watcher: LeaseRequester, on_upgrade: Callable[[Upgraded], None] | None = None
) -> Database:
    """The database, ready for use, with the tables that this program needs.

    An old SQLite database is migrated after a copy was made, and `on_upgrade` told; PostgreSQL waits for an explicit
    `upgrade`, since only its operator can copy it. Raises DatabaseUnusable, or RunDriven when an upgrade is needed
    while a run is driven, or when another process holds the database.
    """
    database = at(location)
    try:
        await _make_current(database, watcher, on_upgrade)
    except BaseException:
        await database.close()
        raise
    return database


async def open_to_read(location: Location) -> Database | None:
    """Return the database for a command that only reads, or None if there is none yet: no file, or no tables in it.

    Make nothing, migrate nothing, change no mode. Raise DatabaseUnusable, RunDriven if another process holds it, and
    UsageError for a file with a second name.
    """
    if location.path is not None and not sqlite_files.exists(location.path):
        return None
    database = Database(location)
    try:
        if await _is_current(database):
            return database
    except BaseException:
        await database.close()
        raise
    await database.close()
    return None


async def _is_current(database: Database) -> bool:
    found = await revision(database)
    if found is None or found == REVISION:
        return found is not None
    shown, hint = database.location.shown, "upgrade it: fleetos db upgrade"
    raise DatabaseUnusable(f"{shown} has revision {found}, this program needs {REVISION}", hint)


async def _make_current(
    database: Database, watcher: LeaseRequester, on_upgrade: Callable[[Upgraded], None] | None
) -> None:
    before = await revision(database)
    if before == REVISION:
        return
    if before is not None and database.location.path is None:
        hint = "copy it with pg_dump, then call `fleetos db upgrade`"
        raise DatabaseUnusable(f"{database.location.shown} has revision {before}, this program needs {REVISION}", hint)
    done = await upgrade(database, watcher)
    if done.before is not None and on_upgrade is not None:
        on_upgrade(done)


async def upgrade(database: Database, watcher: LeaseRequester) -> Upgraded:
    """What was done to bring the tables to REVISION; `before` equals `after` when nothing was to do.

    Everything happens in one exclusive transaction, and only while nobody drives a run. Raises DatabaseUnusable,
    RunDriven, or JournalUnwritable when the copy or the migration cannot be written.
    """
    before = await revision(database)
    if before == REVISION:
        return Upgraded(before, REVISION, None)
    takeable = {} if before is None else await _takeable(database, watcher)
    async with database.writing() as connection:
        await lock_for_upgrade(connection)
        before = await revision_of(connection)
        if before == REVISION:
            return Upgraded(before, REVISION, None)
        if before is not None:
            for run_id, seen in (await leases.held(connection, watcher.clock)).items():
                if run_id not in takeable or takeable[run_id].marks != seen.marks:
                    raise RunDriven(f"run {run_id} is driven by {seen.holder}, so the database cannot be upgraded now")
        copy = await _copy(database, before, watcher) if before is not None else None
        await migrate(connection)
    return Upgraded(before, REVISION, copy)


async def _takeable(database: Database, watcher: LeaseRequester) -> dict[str, LeaseRow]:
    async with database.reading() as connection:
        found = await leases.held(connection, watcher.clock)
    return {run_id: await leases.may_take(database, run_id, watcher) for run_id in found}


async def _copy(database: Database, before: str, watcher: LeaseRequester) -> Path | None:
    path = database.location.path
    if path is None:
        return None
    to = sqlite_files.backup_name(path, before, watcher.clock.now())
    with database.faults(JournalUnwritable, f"cannot be copied to {to}"):
        await anyio.to_thread.run_sync(sqlite_files.copy_database, path, to)
    return to


async def revision(database: Database, *, newer: bool = False) -> str | None:
    """The revision of the tables; None if the database is still empty.

    Raises DatabaseUnusable if it is not ours, or, unless `newer` ones are asked for too, of a later program.
    """
    shown = database.location.shown
    async with database.reading() as connection:
        found = await revision_of(connection)
        present = await table_names(connection) if found is None else frozenset[str]()
    if found is None:
        # A PostgreSQL database may be shared with others, as long as the names of the tables are free.
        taken = present & metadata.tables.keys() if database.dialect == "postgresql" else present
        if taken:
            raise DatabaseUnusable(f"{shown} belongs to another program", "give another place with --db")
        return None
    if found != REVISION and not newer and found not in known_revisions():
        raise DatabaseUnusable(
            f"{shown} has revision {found}, newer than this program, which knows up to {REVISION}",
            "use the fleetos that wrote it, or a newer one",
        )
    return found
