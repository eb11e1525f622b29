"""One open database: a single writer, some readers beside it, and errors in words that an operator understands."""

import sqlite3
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    DatabaseUnusable,
    JournalUnwritable,
    RunDriven,
    StoreError,
    UsageError,
)
from fleetos.store.database import sqlite_files
from fleetos.store.database.dialects import Fault, Role, engine_for, fault_of
from fleetos.store.database.location import Location
from fleetos.store.database.open_file import OpenFile
from fleetos.store.database.tables import claims

# What is raised of faults of a database server, and what to do.
_AT_SERVER: Mapping[Fault, tuple[type[StoreError], str]] = {
    Fault.UNAVAILABLE: (
        DatabaseUnavailable,
        "see to it that its server runs and takes connections, then call fleetos again",
    ),
    Fault.REFUSED: (DatabaseRefused, "check user and password in the URL, and what that user may do in this database"),
    Fault.MISSING: (DatabaseUnusable, "create it (CREATE DATABASE), or check the name in the URL"),
}
# Marks a connection whose logs were noted.
_NOTED = "fleetos_logs_noted"


class Database:
    """A database, connected on first use. Nothing is checked here: `opening.open_database` does that.

    The file of SQLite is the one that is there now: when another one takes its place, nothing is read or written.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._file = None if location.path is None else OpenFile(location.path)
        self._writer = engine_for(location, Role.WRITER)
        self._readers = engine_for(location, Role.READER)
        self._turn = anyio.Lock()

    def __repr__(self) -> str:
        return f"Database({self.location.shown})"

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._writer.dialect.name

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """The writer's connection in a transaction of its own, committed at the end, durably.

        Raises RunDriven when another process holds the database, DatabaseUnusable when it is damaged,
        DatabaseReplaced when it is not the file any more that was opened, DatabaseUnavailable or DatabaseRefused where
        its server says so, and JournalUnwritable for everything else:
        nothing was written, or, if the commit itself failed, nobody knows.
        """
        async with self._turn:
            with self.faults(JournalUnwritable, "cannot be written"):
                self._check_file()
                async with self._writer.begin() as connection:
                    self._note_logs(connection)
                    yield connection
                    self._check_file()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A reader's connection that sees one moment of the database in all its statements.

        Raises RunDriven, DatabaseUnusable, DatabaseUnavailable, DatabaseRefused or DatabaseReplaced.
        """
        with self.faults(DatabaseUnusable, "cannot be read"):
            self._check_file()
            async with self._readers.connect() as connection:
                yield connection
            self._check_file()

    async def _holds_no_server(self) -> bool:
        """Return whether no run holds a server and no unanswered send is remembered; False in doubt."""
        try:
            async with self.reading() as connection:
                return await connection.scalar(select(claims.c.server_id).limit(1)) is None
        except StoreError:
            return False

    @property
    def in_place(self) -> bool:
        """Whether the database is still the one that was opened, so that its leases and claims hold."""
        return self._file is None or self._file.lost() is None

    def _note_logs(self, connection: AsyncConnection) -> None:
        about = connection.sync_connection.info if connection.sync_connection is not None else {}
        if self._file is not None and _NOTED not in about:
            self._file.note_logs()
            about[_NOTED] = True

    def _check_file(self) -> None:
        if self._file is not None:
            self._file.check()

    @contextmanager
    def faults(self, otherwise: type[StoreError], what: str) -> Generator[None]:
        """Turns an error of a driver into one of ours: `otherwise`, unless its code says something more exact."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self._in_words(error, otherwise, what) from error

    def _in_words(self, error: Exception, otherwise: type[StoreError], what: str) -> StoreError:
        place, path = self.location.shown, self.location.path
        match fault_of(error):
            case Fault.BUSY:
                holder = (path and sqlite_files.locked_by(path)) or "another process"
                hint = "let it end or end it, then call fleetos again"
                return RunDriven(f"the database {place} is locked by {holder}", hint)
            case Fault.DAMAGED:
                return DatabaseUnusable(
                    f"{place} is damaged, or is not a database of fleetos", sqlite_files.damage_hint(path)
                )
            case fault:
                told = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
                kind, hint = _AT_SERVER.get(fault, (otherwise, None))
                return kind(f"the database {place} {what}: {self.location.scrubbed(told[0])}", hint)

    async def backup(self, to: Path) -> None:
        """Nothing, once a durable copy of the last committed database is at `to`.

        Raises UsageError for PostgreSQL or if `to` exists, JournalUnwritable when it cannot be written.
        """
        path = self.location.path
        if path is None:
            raise UsageError("fleetos copies SQLite databases only", "use pg_dump for this one")
        if sqlite_files.is_kept_beside(to):
            raise UsageError(f"{to} is the name of a log or lock of a database, not of a copy", "give another name")
        try:
            with self.faults(JournalUnwritable, f"cannot be copied to {to}"):
                # Readers in this thread are separate connections, so the copy may be taken while others write.
                await anyio.to_thread.run_sync(sqlite_files.copy_database, path, to)
        except JournalUnwritable as error:
            if isinstance(error.__cause__, FileExistsError):
                raise UsageError(f"{to} exists already", "give a name that is free") from None
            raise

    async def close(self) -> None:
        """Nothing, once every connection is closed."""
        if self._file is not None:
            idle = False
            try:
                idle = self._file.locked and await self._holds_no_server()
            finally:
                # Before the last connection removes the logs: while the lock is held they are there.
                self._file.release(idle=idle)
        await self._readers.dispose()
        await self._writer.dispose()
