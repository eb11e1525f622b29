"""Connection that is awaited, and readers that block instead, for commands that only look into a file.

SQLAlchemy's package for asyncio imports its ORM as well, which nobody here uses: such a command would pay for both.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, TypeVarTuple, overload

import anyio.lowlevel
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import CursorResult, Dialect, Engine, Executable, ScalarResult
from sqlalchemy.sql.selectable import TypedReturnsRows

T = TypeVar("T")
Columns = TypeVarTuple("Columns")
# Values for one statement, or for each of several.
Parameters = Any


class Connection(Protocol):
    """Connection that is awaited: SQLAlchemy's own for asyncio, or a BlockingConnection."""

    @property
    def dialect(self) -> Dialect:
        """Dialect of the database."""
        ...

    @overload
    async def execute(
        self, statement: TypedReturnsRows[*Columns], parameters: Parameters = None
    ) -> CursorResult[*Columns]: ...

    @overload
    async def execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[*tuple[Any, ...]]: ...

    @overload
    async def scalar(self, statement: TypedReturnsRows[T], parameters: Parameters = None) -> T | None: ...

    @overload
    async def scalar(self, statement: Executable, parameters: Parameters = None) -> Any: ...

    @overload
    async def scalars(self, statement: TypedReturnsRows[T], parameters: Parameters = None) -> ScalarResult[T]: ...

    @overload
    async def scalars(self, statement: Executable, parameters: Parameters = None) -> ScalarResult[Any]: ...

    async def run_sync(self, fn: Callable[[SyncConnection], T]) -> T:
        """Return what the function returns for the connection beneath."""
        ...


class BlockingConnection:
    """Connection whose statements run at once, in the thread that asks for them. Before each, Ctrl-C is noticed."""

    def __init__(self, connection: SyncConnection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> Dialect:
        """Dialect of the database."""
        return self._connection.dialect

    async def execute(self, statement: Any, parameters: Parameters = None) -> Any:
        """Run the statement."""
        await anyio.lowlevel.checkpoint()
        return self._connection.execute(statement, parameters)

    async def scalar(self, statement: Any, parameters: Parameters = None) -> Any:
        """Run the statement, and return the first column of its first row."""
        return (await self.execute(statement, parameters)).scalar()

    async def scalars(self, statement: Any, parameters: Parameters = None) -> Any:
        """Run the statement, and return the first column of its rows."""
        return (await self.execute(statement, parameters)).scalars()

    async def run_sync(self, fn: Callable[[SyncConnection], T]) -> T:
        """Return what the function returns for the connection beneath."""
        await anyio.lowlevel.checkpoint()
        return fn(self._connection)

    async def close(self) -> None:
        """Give the connection back to its pool."""
        self._connection.close()


class BlockingReaders:
    """Connections of a synchronous engine, offered as its asynchronous one offers them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def connect(self) -> BlockingConnection:
        """Return a connection, which its user closes."""
        return BlockingConnection(self._engine.connect())

    async def dispose(self) -> None:
        """Close the connections."""
        self._engine.dispose()
