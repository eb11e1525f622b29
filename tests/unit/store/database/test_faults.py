"""An error means what the code of its driver says, also inside one of SQLAlchemy."""

import sqlite3

import psycopg.errors
import pytest
from sqlalchemy.exc import OperationalError

from fleetos.store.database.faults import Fault, classify_error


def of_sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("any")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (of_sqlite(sqlite3.SQLITE_BUSY), Fault.BUSY),
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), Fault.BUSY),
        (of_sqlite(sqlite3.SQLITE_CORRUPT_INDEX), Fault.DAMAGED),
        (of_sqlite(sqlite3.SQLITE_CANTOPEN), Fault.OTHER),
        (psycopg.errors.LockNotAvailable(), Fault.BUSY),
        (psycopg.errors.InvalidPassword(), Fault.REFUSED),
        (psycopg.errors.ConnectionFailure(), Fault.UNAVAILABLE),
        (psycopg.OperationalError('FATAL:  database "x" does not exist'), Fault.MISSING),
        (OSError(), Fault.OTHER),
    ],
)
def test_the_code_of_an_error_tells_what_is_wrong(error: Exception, fault: Fault) -> None:
    assert classify_error(error) is fault
    assert classify_error(OperationalError("SELECT 1", None, error)) is fault
