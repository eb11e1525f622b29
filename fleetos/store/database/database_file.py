"""SQLite file for a command that only looks into it: the driver of the standard library, and no SQLAlchemy."""

import os
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio.lowlevel
import anyio.to_thread

from fleetos.errors import DatabaseUnusable, JournalUnwritable, UsageError
from fleetos.store.database import sqlite_files
from fleetos.store.database.faults import translate_errors
from fleetos.store.database.location import Location
from fleetos.store.database.open_file import OpenFile
from fleetos.store.database.reader import NO_PARAMETERS, Parameters, expand_lists

# A suspended process holds a database that stays locked for this long: a commit of fleetos takes milliseconds, and the
# freeze of 100,000 targets some 7 s. Together with one LEASE_BEAT_S it is below the lease term, so that a writer that
# waits still has its lease.
DATABASE_BUSY_S = 15.0


def existing_file_uri(path: Path) -> str:
    """Return the URI of an existing file: with it SQLite does not create a file where the path leads nowhere."""
    return f"file://{quote(os.fsencode(path))}?mode=rw"


class _FileReader:
    """Reader whose statements run at once, in the thread that asks for them. Before each, Ctrl-C is noticed."""

    dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, parameters: Parameters = NO_PARAMETERS) -> Sequence[tuple[Any, ...]]:
        """Return all rows of the query."""
        await anyio.lowlevel.checkpoint()
        return self._connection.execute(*expand_lists(sql, parameters)).fetchall()


class DatabaseFile:
    """File as it exists now: when another file takes its place, nothing is read.

    What is read holds up the event loop: it is for a command that does nothing else meanwhile.
    """

    dialect = "sqlite"

    def __init__(self, location: Location, path: Path) -> None:
        self.location = location
        self._path = path
        self._file = OpenFile(path)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[_FileReader]:
        """Yield a reader of its own. Raise RunDriven, DatabaseUnusable or DatabaseReplaced."""
        with translate_errors(self.location, DatabaseUnusable, "cannot be read"):
            self._file.check()
            with closing(self._connect()) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")
                yield _FileReader(connection)
            self._file.check()

    def _connect(self) -> sqlite3.Connection:
        # Without a level of its own the driver begins no transaction by itself.
        return sqlite3.connect(existing_file_uri(self._path), DATABASE_BUSY_S, isolation_level=None, uri=True)

    async def close(self) -> None:
        """Close nothing: each reader has closed its connection."""


async def back_up(location: Location, to: Path) -> None:
    """Write a durable copy of the last committed database to `to`.

    Raise UsageError for PostgreSQL or if `to` exists, JournalUnwritable when it cannot be written.
    """
    if location.path is None:
        raise UsageError("fleetos copies SQLite databases only", "use pg_dump for this one")
    if sqlite_files.is_companion_name(to):
        raise UsageError(f"{to} is the name of a log or lock of a database, not of a copy", "give another name")
    try:
        with translate_errors(location, JournalUnwritable, f"cannot be copied to {to}"):
            # The copy uses connections of its own, so the writer may go on meanwhile.
            await anyio.to_thread.run_sync(sqlite_files.copy_database, location.path, to)
    except JournalUnwritable as error:
        if isinstance(error.__cause__, FileExistsError):
            raise UsageError(f"{to} exists already", "give a name that is free") from None
        raise
