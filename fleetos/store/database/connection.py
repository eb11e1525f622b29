"""Connection of a driver: SQLAlchemy's own, which also reads by SQL text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from fleetos.store.database.reader import NO_PARAMETERS, Parameters, expand_lists

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class Connection:
    """Reader whose transaction also runs the statements of SQLAlchemy."""

    def __init__(self, connection: "AsyncConnection") -> None:
        self.dialect = connection.dialect.name
        self.execute = connection.execute
        self.run_sync = connection.run_sync

    async def rows(self, sql: str, parameters: Parameters = NO_PARAMETERS) -> Sequence[tuple[Any, ...]]:
        """Return all rows of the query."""
        statement, values = expand_lists(sql, parameters)
        return (await self.execute(text(statement), values)).all()
