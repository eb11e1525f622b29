"""Differences between SQLite and PostgreSQL: how a connection is set up, a few phrases, and what errors mean."""

import os
import re
import sqlite3
from collections.abc import Sequence
from enum import StrEnum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
from sqlalchemy import URL, ColumnElement, Engine, Float, Insert, Table, cast, create_engine, event, func, literal, text
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool

from fleetos.store.database.connection import BlockingReaders, Connection
from fleetos.store.database.location import Location

if TYPE_CHECKING:
    # Imported by what makes an engine of it: see fleetos.store.database.connection.
    from sqlalchemy.ext.asyncio import AsyncEngine

# A suspended process holds a database that stays locked for this long: a commit of fleetos takes milliseconds, and the
# freeze of 100,000 targets some 7 s. Together with one LEASE_BEAT_S it is below the lease term, so that a writer that
# waits still has its lease.
DATABASE_BUSY_S = 15.0
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
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class Role(StrEnum):
    """Purpose of a connection."""

    WRITER = auto()
    READER = auto()


class Fault(StrEnum):
    """Meaning of an error of the database."""

    BUSY = auto()  # another process holds it
    DAMAGED = auto()  # it is corrupt, or no database
    UNAVAILABLE = auto()  # its server cannot be reached, or takes no connections now
    REFUSED = auto()  # its server refuses the login or a permission
    MISSING = auto()  # its server has no such database
    OTHER = auto()


def engine_for(location: Location, role: Role) -> "AsyncEngine":
    """Create a pool of connections for the role: one for the writer, a few for readers. Connect nothing yet."""
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
        location.url if location.path is None else _existing_file_url(location.path, "sqlite+aiosqlite"),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args=connect_args,
        hide_parameters=True,
        **options,
    )
    _set_up_connections(engine.sync_engine, role)
    if location.path is not None:
        engine.dialect.do_terminate = partial(_stop_connection, engine.sync_engine)
    return engine


def blocking_readers(path: Path) -> BlockingReaders:
    """Create readers of the file for a command that only looks. Connect nothing yet."""
    engine = create_engine(
        _existing_file_url(path, "sqlite"),
        poolclass=QueuePool,
        pool_size=DATABASE_READERS,
        # To wait for a connection would block the task that is to give one back.
        max_overflow=-1,
        connect_args={"timeout": DATABASE_BUSY_S},
        hide_parameters=True,
    )
    _set_up_connections(engine, Role.READER)
    return BlockingReaders(engine)


def _existing_file_url(path: Path, driver: str) -> URL:
    """Return the URL of an existing file: with it SQLite does not create a file where the path leads nowhere."""
    return URL.create(driver, database=f"file://{quote(os.fsencode(path))}?mode=rw", query={"uri": "true"})


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


def _stop_connection(engine: Engine, dbapi_connection: DBAPIConnection) -> None:
    """End a connection whose statement was cancelled: its thread closes it after that statement. Wait for nothing.

    SQLAlchemy waits for the close in a task, and stops the thread if that wait is cancelled too. The task may then wait
    for a thread that has ended, and a process that leaves waits for all of its tasks: it would never end.
    """
    engine.dialect.get_driver_connection(dbapi_connection).stop()


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


def upsert(
    dialect: str,
    table: Table,
    *,
    keys: Sequence[str],
    replaced: Sequence[str],
    only_if: ColumnElement[bool] | None = None,
) -> Insert:
    """Return an insert that, where a row of those keys exists, updates the `replaced` columns instead.

    With `only_if` an existing row is updated only where that holds for it.
    """
    if dialect == "postgresql":
        # Imported here: every command would pay for it, and most databases are files of SQLite.
        from sqlalchemy.dialects import postgresql

        insert = postgresql.insert(table)
    else:
        insert = sqlite.insert(table)
    updates = {name: insert.excluded[name] for name in replaced}
    return insert.on_conflict_do_update(index_elements=list(keys), set_=updates, where=only_if)


def now_s(dialect: str, here_s: float) -> ColumnElement[float]:
    """Return the time in seconds since 1970: the server's own on PostgreSQL, else `here_s`."""
    if dialect == "postgresql":
        return cast(func.extract("epoch", func.clock_timestamp()), Float)
    return literal(here_s)


async def lock_for_upgrade(connection: Connection) -> None:
    """Block all other writers until this transaction ends.

    The writer of SQLite holds the whole file from its BEGIN IMMEDIATE on; PostgreSQL needs explicit locks.
    """
    if connection.dialect.name == "postgresql":
        # Any constant will do; this one spells "fleetos".
        await connection.execute(text("SELECT pg_advisory_xact_lock(28829630374113139)"))
        if await connection.scalar(text("SELECT to_regclass('leases') IS NOT NULL")):
            await connection.execute(text("LOCK TABLE leases, claims IN ACCESS EXCLUSIVE MODE"))


def classify_error(error: BaseException) -> Fault:
    """Classify the error by the driver's own code for it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    while cause is not None:
        if isinstance(cause, sqlite3.Error):
            # The low byte is the code, the rest tells its kind (SQLite manual, "Result and Error Codes").
            code = getattr(cause, "sqlite_errorcode", None)
            if code is None:
                # An error of Python's driver: it could not decode a value that SQLite holds as text.
                return Fault.DAMAGED if type(cause) is sqlite3.OperationalError else Fault.OTHER
            code &= 0xFF
            return Fault.BUSY if code in _BUSY else Fault.DAMAGED if code in _DAMAGED else Fault.OTHER
        if hasattr(cause, "sqlstate"):
            return _classify_postgres(cause)
        cause = cause.__cause__
    return Fault.OTHER


# By SQLSTATE (PostgreSQL manual, appendix A).
_BY_STATE = {
    "55P03": Fault.BUSY,  # lock_not_available
    "40P01": Fault.BUSY,  # deadlock_detected
    "57P01": Fault.UNAVAILABLE,  # admin_shutdown
    "57P02": Fault.UNAVAILABLE,  # crash_shutdown
    "57P03": Fault.UNAVAILABLE,  # cannot_connect_now
    "53300": Fault.UNAVAILABLE,  # too_many_connections
    "28000": Fault.REFUSED,  # invalid_authorization_specification
    "28P01": Fault.REFUSED,  # invalid_password
    "42501": Fault.REFUSED,  # insufficient_privilege
    "3D000": Fault.MISSING,  # invalid_catalog_name
}
_CONNECTION_EXCEPTION = "08"
# libpq gives no SQLSTATE for a connection that cannot be made, so its text is matched: first messages of the server,
# behind their severity (postmaster.c, postinit.c, auth.c), then those of libpq and psycopg about a silent server.
_BY_WORDS = (
    (r'FATAL: .*database "[^"]*" does not exist', Fault.MISSING),
    (r"FATAL: .*(database system is |too many (clients|connections)|connection slots are )", Fault.UNAVAILABLE),
    (r'FATAL: .*(authentication|pg_hba\.conf|permi(ssion|tted)|role "[^"]*" does not exist)', Fault.REFUSED),
    (r"no password supplied", Fault.REFUSED),
    (r"FATAL: ", Fault.OTHER),
    (r"Is the server running|failed to resolve host|could not translate host name", Fault.UNAVAILABLE),
    (r"timeout expired|timed out|unreachable|No route to host|Connection (refused|reset)", Fault.UNAVAILABLE),
    (r"server closed the connection|connection is (closed|lost)", Fault.UNAVAILABLE),
)


def _classify_postgres(error: BaseException) -> Fault:
    """Classify an error of the server, or one of a connection that could not be made."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return next((fault for words, fault in _BY_WORDS if re.search(words, str(error))), Fault.OTHER)
    if state.startswith(_CONNECTION_EXCEPTION):
        return Fault.UNAVAILABLE
    return _BY_STATE.get(state, Fault.OTHER)
