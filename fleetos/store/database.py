"""One open database: a single writer, some readers beside it, and errors in words that an operator understands."""

import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.errors import DatabaseUnusable, JournalUnwritable, RunDriven, StoreError, UsageError
from fleetos.store import files
from fleetos.store.dialects import Fault, Role, engine_for, fault_of
from fleetos.store.location import Location


class Database:
    """A database, connected on first use. Nothing is checked here: `opening.open_database` does that."""

    def __init__(self, location: Location) -> None:
        self.location = location
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

        Raises RunDriven when another process holds the database, DatabaseUnusable when it is damaged, and
        JournalUnwritable for everything else: nothing was written, or, if the commit itself failed, nobody knows.
        """
        async with self._turn:
            with self.faults(JournalUnwritable, "cannot be written"):
                async with self._writer.begin() as connection:
                    yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A reader's connection that sees one moment of the database in all its statements.

        Raises RunDriven or DatabaseUnusable.
        """
        with self.faults(DatabaseUnusable, "cannot be read"):
            async with self._readers.connect() as connection:
                yield connection

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
                holder = (path and files.locked_by(path)) or "another process"
                hint = "let it end or end it, then call fleetos again"
                return RunDriven(f"the database {place} is locked by {holder}", hint)
            case Fault.DAMAGED:
                return DatabaseUnusable(f"{place} is damaged, or is not a database of fleetos", files.damage_hint(path))
            case Fault.OTHER:
                told = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
                return otherwise(f"the database {place} {what}: {self.location.scrubbed(told[0])}")

    async def backup(self, to: Path) -> None:
        """Nothing, once a durable copy of the last committed database is at `to`.

        Raises UsageError for PostgreSQL or if `to` exists, JournalUnwritable when it cannot be written.
        """
        path = self.location.path
        if path is None:
            raise UsageError("fleetos copies SQLite databases only", "use pg_dump for this one")
        try:
            with self.faults(JournalUnwritable, f"cannot be copied to {to}"):
                # Readers in this thread are separate connections, so the copy may be taken while others write.
                await anyio.to_thread.run_sync(files.copy_database, path, to)
        except JournalUnwritable as error:
            if isinstance(error.__cause__, FileExistsError):
                raise UsageError(f"{to} exists already", "give a name that is free") from None
            raise

    async def close(self) -> None:
        """Nothing, once every connection is closed."""
        await self._readers.dispose()
        await self._writer.dispose()
