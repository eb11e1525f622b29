"""Check of a database before it is read: refuse a foreign, newer or old one. Create, migrate and change nothing."""

from fleetos.errors import DatabaseUnusable
from fleetos.store.database import sqlite_files
from fleetos.store.database.database_file import DatabaseFile
from fleetos.store.database.location import Location
from fleetos.store.database.migration import REVISION, known_revisions, revision_of, table_names
from fleetos.store.database.reader import Readable


def is_there(location: Location) -> bool:
    """Return whether the file exists; True for a server. Raise as `sqlite_files.exists` does."""
    return location.path is None or sqlite_files.exists(location.path)


async def open_to_read(location: Location) -> Readable | None:
    """Return the database for a command that only reads, or None if there is none yet: no file, or no tables in it.

    Raise DatabaseUnusable, RunDriven if another process holds it, and UsageError for a file with a second name.
    """
    if not is_there(location):
        return None
    database = _connect(location)
    found_revision = None
    try:
        found_revision = await revision(database)
        if found_revision not in (None, REVISION):
            shown, hint = location.shown, "upgrade it: fleetos db upgrade"
            raise DatabaseUnusable(f"{shown} has revision {found_revision}, this program needs {REVISION}", hint)
    finally:
        if found_revision != REVISION:
            await database.close()
    return database if found_revision == REVISION else None


def _connect(location: Location) -> Readable:
    if location.path is not None:
        return DatabaseFile(location, location.path)
    from fleetos.store.database.database import Database

    return Database(location)


async def revision(database: Readable, *, newer: bool = False) -> str | None:
    """Return the revision of the tables; None if the database is still empty.

    Raise DatabaseUnusable if another program owns the database, or if its revision is unknown here and `newer` is
    False.
    """
    place = database.location.shown
    async with database.reading() as reader:
        found_revision = await revision_of(reader)
        present_tables = await table_names(reader) if found_revision is None else frozenset[str]()
    if found_revision is None:
        if database.dialect == "postgresql":
            from fleetos.store.database.tables import metadata

            # A PostgreSQL database may be shared with other programs, as long as the names of our tables are free.
            present_tables &= metadata.tables.keys()
        if present_tables:
            raise DatabaseUnusable(f"{place} belongs to another program", "give another place with --db")
        return None
    if found_revision != REVISION and not newer and found_revision not in known_revisions():
        raise DatabaseUnusable(
            f"{place} has revision {found_revision}, newer than this program, which knows up to {REVISION}",
            "use the fleetos that wrote it, or a newer one",
        )
    return found_revision
