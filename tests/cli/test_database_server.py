"""A database server that is not there, not ready, or refuses: each has its exit code and says what to do."""

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url
from typer.testing import CliRunner

from fleetos.cli.main import app
from tests.support.postgres import fresh_database, server_ends

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)

UNAVAILABLE = (69, "check that its server runs and takes connections")
REFUSED = (77, "check user and password in the URL")
MISSING = (65, "create it (CREATE DATABASE), or check the name in the URL")
PASSWORD = "right-horse-1"
SSL_REQUEST = 80877103


def shown(url: URL | str) -> tuple[int, str]:
    """Exit code and standard error of `fleetos status` on that database."""
    text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, ["status", "--db", text], env={"COLUMNS": "200"})
    return done.exit_code, " ".join(done.stderr.split())


def expect(url: URL | str, expected: tuple[int, str]) -> None:
    code, told = shown(url)
    assert (code, expected[1] in told) == (expected[0], True), told
    assert "password" not in told.replace("password authentication", "").replace("user and password", "")


def sql(database: URL, *statements: str) -> None:
    with psycopg.connect(database.render_as_string(hide_password=False), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture(scope="module")
def database() -> URL:
    return make_url(fresh_database())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://fleet@127.0.0.1:1/runs",
        "postgresql://fleet@[::1]:1/runs",
        "postgresql://fleet@nowhere.invalid/runs",
        "postgresql://fleet@/runs?host=/nonexistent",
    ],
)
def test_a_server_that_is_not_there_is_unavailable(url: str) -> None:
    expect(url, UNAVAILABLE)


@contextmanager
def answering(severity: str, state: str, message: str) -> Generator[str]:
    """The URL of a server that answers every login with that error, in the protocol of PostgreSQL."""
    fields = b"".join(f"{kind}{text}\0".encode() for kind, text in (("S", severity), ("C", state), ("M", message)))
    error = b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0"

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                while len(head := connection.recv(8)) == 8 and struct.unpack("!II", head)[1] == SSL_REQUEST:
                    connection.sendall(b"N")
                connection.recv(4096)
                connection.sendall(error)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=[listening], daemon=True).start()
        yield f"postgresql://fleet@127.0.0.1:{listening.getsockname()[1]}/runs?gssencmode=disable"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("state", "message", "expected"),
    [
        ("57P03", "the database system is starting up", UNAVAILABLE),
        ("57P03", "the database system is shutting down", UNAVAILABLE),
        ("57P03", "the database system is in recovery mode", UNAVAILABLE),
        ("53300", "sorry, too many clients already", UNAVAILABLE),
        ("53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute", UNAVAILABLE),
        ("28000", 'no pg_hba.conf entry for host "192.0.2.7", user "fleet", database "runs"', REFUSED),
        ("XX000", "something that nobody foresaw", (65, "something that nobody foresaw")),
    ],
)
def test_a_server_that_answers_with_an_error(state: str, message: str, expected: tuple[int, str]) -> None:
    with answering("FATAL", state, message) as url:
        expect(url, expected)


def test_a_real_server_that_refuses_a_login_or_a_permission(database: URL) -> None:
    sql(
        database,
        f"CREATE ROLE barred LOGIN PASSWORD '{PASSWORD}'",
        "CREATE ROLE sleeping NOLOGIN",
        "CREATE ROLE single LOGIN CONNECTION LIMIT 0",
    )
    with _asks_for_a_password(database, "barred"):
        expect(database.set(username="barred", password="wrong-horse-2"), REFUSED)
        # It may log in, and make no tables: the empty database is read.
        assert shown(database.set(username="barred", password=PASSWORD))[0] == 0
    expect(database.set(username="sleeping"), REFUSED)
    expect(database.set(username="nobody-of-that-name"), REFUSED)
    expect(database.set(username="single"), UNAVAILABLE)
    expect(database.set(database="nowhere"), MISSING)


def test_tables_that_one_may_not_read_are_refused(database: URL) -> None:
    done = CliRunner().invoke(app, ["db", "upgrade", "--db", database.render_as_string(hide_password=False)])
    assert done.exit_code == 0, done.stderr
    sql(database, "CREATE ROLE guest LOGIN")
    expect(database.set(username="guest"), REFUSED)


def test_doctor_exits_with_the_same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETOS_DB", "postgresql://fleet@127.0.0.1:1/runs")
    done = CliRunner().invoke(app, ["doctor", "--cloud", "nowhere"])
    assert done.exit_code == 69
    assert UNAVAILABLE[1] in " ".join((done.stdout + done.stderr).split())


@contextmanager
def _asks_for_a_password(database: URL, user: str) -> Generator[None]:
    """Let the server ask that user for a password, as it asks nobody else."""
    with psycopg.connect(database.render_as_string(hide_password=False), autocommit=True) as connection:
        row = connection.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        before = rules.read_text()
        try:
            rules.write_text(f"local all {user} scram-sha-256\nhost all {user} all scram-sha-256\n{before}")
            _reload(connection)
            yield
        finally:
            rules.write_text(before)
            _reload(connection)


def _reload(connection: psycopg.Connection) -> None:
    loaded = connection.execute("SELECT pg_conf_load_time()").fetchone()
    connection.execute("SELECT pg_reload_conf()")
    while connection.execute("SELECT pg_conf_load_time()").fetchone() == loaded:
        connection.execute("SELECT pg_sleep(0.01)")
