"""Errors of drivers: what they mean, in words that an operator understands."""

import re
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from enum import StrEnum, auto

from fleetos.errors import DatabaseRefused, DatabaseUnavailable, DatabaseUnusable, RunDriven, StoreError
from fleetos.store.database import sqlite_files
from fleetos.store.database.location import Location

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class Fault(StrEnum):
    """Meaning of an error of the database."""

    BUSY = auto()  # another process holds it
    DAMAGED = auto()  # it is corrupt, or no database
    UNAVAILABLE = auto()  # its server cannot be reached, or takes no connections now
    REFUSED = auto()  # its server refuses the login or a permission
    MISSING = auto()  # its server has no such database
    OTHER = auto()


# Hint for a database that another process holds.
LET_IT_END = "let it end or end it, then call fleetos again"
# Error and hint for each fault of a database server.
_AT_SERVER: Mapping[Fault, tuple[type[StoreError], str]] = {
    Fault.UNAVAILABLE: (
        DatabaseUnavailable,
        "check that its server runs and takes connections, then call fleetos again",
    ),
    Fault.REFUSED: (DatabaseRefused, "check user and password in the URL, and what that user may do in this database"),
    Fault.MISSING: (DatabaseUnusable, "create it (CREATE DATABASE), or check the name in the URL"),
}


@contextmanager
def translate_errors(
    location: Location, otherwise: type[StoreError], problem: str, *drivers: type[Exception]
) -> Generator[None]:
    """Translate an error of SQLite, of the system or of one of the drivers into one of fleetos.

    It is `otherwise`, unless the code of the error says something more exact.
    """
    try:
        yield
    except (sqlite3.Error, OSError, *drivers) as error:
        raise _translate_error(error, location, otherwise, problem) from error


def _translate_error(error: Exception, location: Location, otherwise: type[StoreError], problem: str) -> StoreError:
    place, path = location.shown, location.path
    match classify_error(error):
        case Fault.BUSY:
            holder = (path and sqlite_files.find_lock_holder(path)) or "another process"
            return RunDriven(f"the database {place} is locked by {holder}", LET_IT_END)
        case Fault.DAMAGED:
            return DatabaseUnusable(
                f"{place} is damaged, or is not a database of fleetos", sqlite_files.damage_hint(path)
            )
        case fault:
            lines = str(_driver_error(error)).strip().splitlines() or [type(error).__name__]
            kind, hint = _AT_SERVER.get(fault, (otherwise, None))
            return kind(f"the database {place} {problem}: {location.redact(lines[0])}", hint)


def _driver_error(error: BaseException) -> BaseException:
    """Return the error of the driver that SQLAlchemy wraps, else the error itself."""
    return getattr(error, "orig", None) or error


def classify_error(error: BaseException) -> Fault:
    """Classify the error by the driver's own code for it."""
    cause = _driver_error(error)
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
