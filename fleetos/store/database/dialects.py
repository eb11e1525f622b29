"""Differences between SQLite and PostgreSQL: how a connection is set up, and a few phrases."""

import sqlite3
from collections.abc import Awaitable, Sequence
from enum import StrEnum, auto
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import anyio
from sqlalchemy import URL, Engine, Insert, Table, TextClause, event, or_, text
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from fleetos.store.database.connection import Connection
from fleetos.store.database.database_file import DATABASE_BUSY_S, existing_file_uri
from fleetos.store.database.faults import Fault, classify_error
from fleetos.store.database.location import Location

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

# PostgreSQL ends a session that is idle in a transaction for this long. It is below the lease term, so that a process
# that was suspended inside a commit cannot finish it after another process took over its lease.
IDLE_TRANSACTION_S = 10.0
# Time-out of connecting to PostgreSQL and of unacknowledged data; also below the lease term.
DATABASE_NETWORK_S = 10.0
# Connections for reading beside the one for writing: the engine's poll of requests and one or two views.
DATABASE_READERS = 4
_POSTGRES_SESSION = (
    "SET synchronous_commit = on",
    f"SET lock_timeout = '{DATABASE_BUSY_S * 1000:.0f}ms'",
    f"SET idle_in_transaction_session_timeout = '{IDLE_TRANSACTION_S * 1000:.0f}ms'",
    "SET client_min_messages = warning",
)
# Pause between two tries to set up a file that another process is setting up.
_WAL_RETRY_S = 0.02


class Role(StrEnum):
    """Purpose of a connection."""

    WRITER = auto()
    READER = auto()


def engine_for(location: Location, role: Role, stops: list[Awaitable[None]]) -> "AsyncEngine":
    """Create a pool of connections for the role: one for the writer, a few for readers. Connect nothing yet.

    `stops` gets the end of each connection to a file whose statement is cancelled.
    """
    from sqlalchemy.ext.asyncio import create_async_engine

    size = 1 if role is Role.WRITER else DATABASE_READERS
    connect_args: dict[str, Any] = {"timeout": DATABASE_BUSY_S}
    options: dict[str, Any] = {}
    if location.path is None:
        network_ms = int(DATABASE_NETWORK_S * 1000)
        connect_args = {"connect_timeout": int(DATABASE_NETWORK_S), "tcp_user_timeout": network_ms}
        # A reader sees one moment of the database in all its statements, as SQLite gives it without asking.
        options = {"isolation_level": "REPEATABLE READ"} if role is Role.READER else {}
    engine = create_async_engine(
        _url_of(location),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args=connect_args,
        hide_parameters=True,
        **options,
    )
    _set_up_connections(engine.sync_engine, role)
    if location.path is not None:
        engine.dialect.do_terminate = partial(_stop_connection, engine.sync_engine, stops)
    return engine


def _url_of(location: Location) -> URL:
    if location.path is not None:
        return URL.create("sqlite+aiosqlite", database=existing_file_uri(location.path), query={"uri": "true"})
    if location.url is None:
        raise ValueError(f"{location} has neither a path nor a URL")
    return location.url


def _set_up_connections(engine: Engine, role: Role) -> None:
    is_postgres = engine.dialect.name == "postgresql"

    def on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        if is_postgres:
            _execute_all(connection, _POSTGRES_SESSION)
            connection.commit()
            return
        # Otherwise the driver begins transactions by itself, and never an immediate one.
        connection.isolation_level = None
        if role is Role.READER:
            _execute_all(connection, ("PRAGMA query_only = ON",))
        else:
            _enable_wal(connection)
            # The last one reads the file, which makes its log.
            _execute_all(connection, ("PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON", "PRAGMA user_version"))

    def on_begin(connection: SyncConnection) -> None:
        if not is_postgres:
            connection.exec_driver_sql("BEGIN" if role is Role.READER else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def _stop_connection(engine: Engine, stops: list[Awaitable[None]], dbapi_connection: DBAPIConnection) -> None:
    """End a connection whose statement was cancelled: its thread closes it after that statement. Wait for nothing.

    SQLAlchemy waits for the close in a task, and stops the thread if that wait is cancelled too. The task may then wait
    for a thread that has ended, and a process that leaves waits for all of its tasks: it would never end.
    """
    stop = engine.dialect.get_driver_connection(dbapi_connection).stop()
    if stop is not None:
        stops.append(stop)


def _enable_wal(connection: DBAPIConnection) -> None:
    """Turn on the write-ahead log of the file. Wait while another process sets up a new file.

    SQLite itself does not wait here: of two first commands on one new file the second would fail.
    """
    cursor = connection.cursor()
    deadline_s = anyio.current_time() + DATABASE_BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if classify_error(error) is not Fault.BUSY or anyio.current_time() > deadline_s:
                raise
        connection.run_async(_wait_for_retry)
    mode = cursor.fetchone()
    cursor.close()
    # A file system without shared memory leaves the mode as it was, and readers would then block the writer.
    if mode is None or mode[0] != "wal":
        raise sqlite3.NotSupportedError("its file system offers no write-ahead log")


async def _wait_for_retry(_connection: object) -> None:
    await anyio.sleep(_WAL_RETRY_S)


def _execute_all(connection: DBAPIConnection, statements: Sequence[str]) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


@cache
def upsert(
    dialect: str,
    table: Table,
    *,
    keys: tuple[str, ...],
    replaced: tuple[str, ...],
    owner: str | None = None,
) -> Insert:
    """Return an insert that, where a row of those keys exists, updates the `replaced` columns instead.

    With `owner` a row is updated only if its column of that name is NULL, or as in the new row.
    """
    if dialect == "postgresql":
        # Imported here: every command would pay for it, and most databases are files of SQLite.
        from sqlalchemy.dialects import postgresql

        insert = postgresql.insert(table)
    else:
        insert = sqlite.insert(table)
    updates = {name: insert.excluded[name] for name in replaced}
    is_free = None if owner is None else or_(table.c[owner].is_(None), table.c[owner] == insert.excluded[owner])
    return insert.on_conflict_do_update(index_elements=list(keys), set_=updates, where=is_free)


@cache
def timed_statement(dialect: str, sql: str) -> TextClause:
    """Return the statement. On PostgreSQL the server's clock replaces its parameter `here_s`, seconds since 1970."""
    return text(sql.replace(":here_s", "extract(epoch FROM clock_timestamp())") if dialect == "postgresql" else sql)


async def lock_for_upgrade(connection: Connection) -> None:
    """Block all other writers until this transaction ends.

    The writer of SQLite holds the whole file from its BEGIN IMMEDIATE on; PostgreSQL needs explicit locks.
    """
    if connection.dialect == "postgresql":
        # Any constant will do; this one spells "fleetos".
        await connection.execute(text("SELECT pg_advisory_xact_lock(28829630374113139)"))
        if await connection.rows("SELECT 1 WHERE to_regclass('leases') IS NOT NULL"):
            await connection.execute(text("LOCK TABLE leases, claims IN ACCESS EXCLUSIVE MODE"))
