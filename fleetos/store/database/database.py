"""Open database: one writer, several readers, errors in words that an operator understands."""

import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from fleetos.errors import DatabaseReplaced, DatabaseUnusable, JournalUnwritable, RunDriven, StoreError
from fleetos.store.database.connection import Connection
from fleetos.store.database.dialects import Role, engine_for
from fleetos.store.database.faults import LET_IT_END, translate_errors
from fleetos.store.database.location import Location
from fleetos.store.database.open_file import OpenFile

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

# A statement that was cancelled may wait for the file for longer; whoever leaves at once does not wait for that.
STOP_MAX_S = 1.0


class Database:
    """Database that connects on first use. It checks nothing: `connect.open_database` does that.

    The file of SQLite is the one that exists now: when another file takes its place, nothing is read or written.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._file = None if location.path is None else OpenFile(location.path)
        self._stops: list[Awaitable[None]] = []
        self._writer = engine_for(location, Role.WRITER, self._stops)
        self._readers = engine_for(location, Role.READER, self._stops)
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
        async with self._writer_lock:
            with self.translate_errors(JournalUnwritable, "cannot be written"):
                self._check_file()
                await self._connect_writer()
                async with self._writer.begin() as connection:
                    yield Connection(connection)
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
                yield Connection(connection)
            finally:
                # Even a reader that is cancelled gives its connection back before the database is closed.
                with anyio.CancelScope(shield=True):
                    await connection.close()
            self._check_file()

    async def _holds_no_server(self) -> bool:
        """Return whether no run holds a server and no unanswered send is remembered; False in doubt."""
        try:
            async with self.reading() as connection:
                return not await connection.rows("SELECT server_id FROM claims LIMIT 1")
        except StoreError:
            return False

    @property
    def in_place(self) -> bool:
        """True while the database is still the one that was opened, so that its leases and claims hold."""
        return self._file is None or self._file.describe_loss() is None

    async def _connect_writer(self) -> None:
        """Connect the writer of a file unless it is connected: only then is it known whose logs it uses."""
        if self._file is None or _is_connected(self._writer):
            return
        async with self._file.connect_lock() as held:
            if not held:
                raise RunDriven(f"another process keeps {self.location.shown} from being opened", LET_IT_END)
            self._file.share()
            try:
                async with self._writer.connect():
                    self._file.note_logs()
            except DatabaseReplaced:
                await self._writer.dispose()
                raise

    def _check_file(self) -> None:
        if self._file is not None:
            self._file.check()

    def translate_errors(self, otherwise: type[StoreError], problem: str) -> AbstractContextManager[None]:
        """Translate an error of a driver into one of fleetos, as `faults` says."""
        return translate_errors(self.location, otherwise, problem, SQLAlchemyError)

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
        if not self.in_place and _is_connected(self._writer):
            async with self._writer.connect() as connection:
                await connection.run_sync(_save_log)
        await self._writer.dispose()
        # A thread that outlives the event loop cannot tell it how its statement ended, and prints a traceback.
        with anyio.move_on_after(STOP_MAX_S):
            for stop in self._stops:
                with contextlib.suppress(sqlite3.Error):
                    await stop


def _save_log(connection: SyncConnection) -> None:
    """Write the commits of a deleted log into the file: SQLite would lose them if others look into the file now."""
    cursor = connection.connection.cursor()
    with contextlib.suppress(sqlite3.Error, SQLAlchemyError):
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
    cursor.close()


def _is_connected(engine: "AsyncEngine") -> bool:
    pool = engine.pool
    return isinstance(pool, QueuePool) and pool.checkedin() > 0
