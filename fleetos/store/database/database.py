"""Open database: one writer, several readers, errors in words that an operator understands."""

import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from fleetos.errors import (
    DatabaseRefused,
    DatabaseReplaced,
    DatabaseUnavailable,
    DatabaseUnusable,
    JournalUnwritable,
    RunDriven,
    StoreError,
    UsageError,
)
from fleetos.store.database import sqlite_files
from fleetos.store.database.connection import Connection
from fleetos.store.database.dialects import Fault, Role, blocking_readers, classify_error, engine_for
from fleetos.store.database.location import Location
from fleetos.store.database.open_file import OpenFile
from fleetos.store.database.tables import claims

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

# Error and hint for each fault of a database server.
_AT_SERVER: Mapping[Fault, tuple[type[StoreError], str]] = {
    Fault.UNAVAILABLE: (
        DatabaseUnavailable,
        "check that its server runs and takes connections, then call fleetos again",
    ),
    Fault.REFUSED: (DatabaseRefused, "check user and password in the URL, and what that user may do in this database"),
    Fault.MISSING: (DatabaseUnusable, "create it (CREATE DATABASE), or check the name in the URL"),
}
_LET_IT_END = "let it end or end it, then call fleetos again"


class Database:
    """Database that connects on first use. It checks nothing: `connect.open_database` does that.

    The file of SQLite is the one that exists now: when another file takes its place, nothing is read or written.
    `read_only` is for a command that does nothing else meanwhile: what it reads of a file holds up its event loop.
    """

    def __init__(self, location: Location, *, read_only: bool = False) -> None:
        path = location.path
        self.location = location
        self._file = None if path is None else OpenFile(path)
        self._writer = None if read_only else engine_for(location, Role.WRITER)
        self._readers = blocking_readers(path) if read_only and path is not None else engine_for(location, Role.READER)
        self._writer_lock = anyio.Lock()

    def __repr__(self) -> str:
        return f"Database({self.location.shown})"

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return "postgresql" if self.location.path is None else "sqlite"

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[Connection]:
        """Yield the writer's connection in a transaction of its own, committed durably at the end.

        Raise RunDriven when another process holds the database, DatabaseUnusable when it is damaged, DatabaseReplaced
        when it is no longer the file that was opened, DatabaseUnavailable or DatabaseRefused when its server says so,
        and JournalUnwritable for everything else: nothing was written or, if the commit itself failed, the outcome is
        unknown.
        """
        if self._writer is None:
            raise RuntimeError(f"{self} was opened to be read only")
        async with self._writer_lock:
            with self.translate_errors(JournalUnwritable, "cannot be written"):
                self._check_file()
                await self._connect_writer(self._writer)
                async with self._writer.begin() as connection:
                    yield connection
                    self._check_file()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Connection]:
        """Yield a reader's connection that sees one moment of the database in all its statements.

        Raise RunDriven, DatabaseUnusable, DatabaseUnavailable, DatabaseRefused or DatabaseReplaced.
        """
        with self.translate_errors(DatabaseUnusable, "cannot be read"):
            self._check_file()
            connection = await self._readers.connect()
            try:
                yield connection
            finally:
                # Even a reader that is cancelled gives its connection back before the database is closed.
                with anyio.CancelScope(shield=True):
                    await connection.close()
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
        """True while the database is still the one that was opened, so that its leases and claims hold."""
        return self._file is None or self._file.describe_loss() is None

    async def _connect_writer(self, writer: "AsyncEngine") -> None:
        """Connect the writer of a file unless it is connected: only then is it known whose logs it uses."""
        if self._file is None or _is_connected(writer):
            return
        async with self._file.connect_lock() as held:
            if not held:
                raise RunDriven(f"another process keeps {self.location.shown} from being opened", _LET_IT_END)
            self._file.share()
            try:
                async with writer.connect():
                    self._file.note_logs()
            except DatabaseReplaced:
                await writer.dispose()
                raise

    def _check_file(self) -> None:
        if self._file is not None:
            self._file.check()

    @contextmanager
    def translate_errors(self, otherwise: type[StoreError], problem: str) -> Generator[None]:
        """Translate an error of a driver into one of fleetos.

        It is `otherwise`, unless the code of the error says something more exact.
        """
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self._translate_error(error, otherwise, problem) from error

    def _translate_error(self, error: Exception, otherwise: type[StoreError], problem: str) -> StoreError:
        place, path = self.location.shown, self.location.path
        match classify_error(error):
            case Fault.BUSY:
                holder = (path and sqlite_files.find_lock_holder(path)) or "another process"
                return RunDriven(f"the database {place} is locked by {holder}", _LET_IT_END)
            case Fault.DAMAGED:
                return DatabaseUnusable(
                    f"{place} is damaged, or is not a database of fleetos", sqlite_files.damage_hint(path)
                )
            case fault:
                lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
                kind, hint = _AT_SERVER.get(fault, (otherwise, None))
                return kind(f"the database {place} {problem}: {self.location.redact(lines[0])}", hint)

    async def backup(self, to: Path) -> None:
        """Write a durable copy of the last committed database to `to`.

        Raise UsageError for PostgreSQL or if `to` exists, JournalUnwritable when it cannot be written.
        """
        path = self.location.path
        if path is None:
            raise UsageError("fleetos copies SQLite databases only", "use pg_dump for this one")
        if sqlite_files.is_companion_name(to):
            raise UsageError(f"{to} is the name of a log or lock of a database, not of a copy", "give another name")
        try:
            with self.translate_errors(JournalUnwritable, f"cannot be copied to {to}"):
                # The copy uses connections of its own, so the writer may go on meanwhile.
                await anyio.to_thread.run_sync(sqlite_files.copy_database, path, to)
        except JournalUnwritable as error:
            if isinstance(error.__cause__, FileExistsError):
                raise UsageError(f"{to} exists already", "give a name that is free") from None
            raise

    async def close(self) -> None:
        """Close every connection. Only then is a file released: whoever opens it next finds every commit in it."""
        with anyio.CancelScope(shield=True):
            if self._file is None or not self._file.locked:
                await self._disconnect()
                return
            # If another process does not give the connect lock back, this one closes all the same.
            async with self._file.connect_lock():
                idle = False
                try:
                    idle = await self._holds_no_server()
                    await self._disconnect()
                finally:
                    self._file.release(idle=idle)

    async def _disconnect(self) -> None:
        await self._readers.dispose()
        if self._writer is not None:
            if not self.in_place and _is_connected(self._writer):
                async with self._writer.connect() as connection:
                    await connection.run_sync(_save_log)
            await self._writer.dispose()


def _save_log(connection: SyncConnection) -> None:
    """Write the commits of a deleted log into the file: SQLite would lose them if others look into the file now."""
    cursor = connection.connection.cursor()
    with contextlib.suppress(sqlite3.Error, SQLAlchemyError):
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
    cursor.close()


def _is_connected(engine: "AsyncEngine") -> bool:
    pool = engine.pool
    return isinstance(pool, QueuePool) and pool.checkedin() > 0
