"""Reader of a database by SQL text: the standard library's driver for a file, SQLAlchemy for drivers and servers.

SQLAlchemy takes longer to import than a command that only looks takes for everything else. Both implementations run
the same statements, with parameters as `:name`.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from fleetos.errors import DatabaseUnusable
from fleetos.store.database.location import Location

Value = str | int | float | None
# Values of a statement by name. A collection stands for the list of an IN.
Parameters = Mapping[str, Value | Collection[str]]
NO_PARAMETERS: Parameters = {}
# Ids in one IN list: well under SQLite's 32,766 and PostgreSQL's 65,535 bound values.
IDS_PER_STATEMENT = 500


class Reader(Protocol):
    """Connection that sees one moment of the database in all its statements."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    async def rows(self, sql: str, parameters: Parameters = NO_PARAMETERS) -> Sequence[tuple[Any, ...]]:
        """Return all rows of the query. A parameter that is a collection stands behind IN, without brackets."""
        ...


class Readable(Protocol):
    """Database that can be read."""

    @property
    def location(self) -> Location:
        """Location of the database."""
        ...

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Reader]:
        """Yield a reader.

        Raise RunDriven, DatabaseUnusable, DatabaseUnavailable, DatabaseRefused or DatabaseReplaced.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


def expand_lists(sql: str, parameters: Parameters) -> tuple[str, dict[str, Value]]:
    """Replace the name of each collection by those of its values, in brackets. Return the parameters one by one."""
    values: dict[str, Value] = {}
    for name, value in parameters.items():
        if value is None or isinstance(value, str | int | float):
            values[name] = value
            continue
        items = {f"{name}_{number}": item for number, item in enumerate(value)}
        # No value is equal to NULL: the list is empty in both dialects.
        sql = re.sub(rf":{name}\b", f"({', '.join(f':{item}' for item in items) or 'NULL'})", sql)
        values |= items
    return sql, values


def id_batches(ids: Iterable[str]) -> list[Sequence[str]]:
    """Return the ids in order, in batches that fit into one statement."""
    ordered = sorted(ids)
    return [ordered[start : start + IDS_PER_STATEMENT] for start in range(0, len(ordered), IDS_PER_STATEMENT)]


async def only_row(reader: Reader, sql: str, parameters: Parameters) -> tuple[Any, ...]:
    """Return the row of a query that finds exactly one in a sound database. Raise DatabaseUnusable."""
    rows = await reader.rows(sql, parameters)
    if len(rows) != 1:
        raise DatabaseUnusable("the database lacks a row that others refer to", "check it with `fleetos db check`")
    return rows[0]


async def rows_of_ids(reader: Reader, sql: str, ids: Iterable[str]) -> AsyncIterator[tuple[Any, ...]]:
    """Yield the rows of the query for all the ids. It names some of them as `:ids`."""
    for batch in id_batches(ids):
        for row in await reader.rows(sql, {"ids": batch}):
            yield row
