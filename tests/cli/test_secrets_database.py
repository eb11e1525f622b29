"""The password in a database URL opens the database, and is shown nowhere."""

import os

import psycopg
import pytest
from sqlalchemy import make_url

from tests.cli.runner import SharedCloudRunner
from tests.support.postgres import fresh_database, server_ends
from tests.support.secrets import leaks

PASSWORD = 'Db9"/uv Wx+%13@z'
KEY_PASSWORD = "Kd4/mN-8+qR"

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)


def rows(url: str) -> str:
    """All that is in the database, in one text."""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        found = [connection.execute(f"SELECT * FROM {name}".encode()).fetchall() for (name,) in names]
    return repr(found)


@pytest.mark.slow
def test_the_password_of_a_database_is_shown_nowhere(runner: SharedCloudRunner) -> None:
    bare = fresh_database()
    secret = make_url(bare).set(password=PASSWORD).update_query_dict({"sslpassword": KEY_PASSWORD})
    url = secret.render_as_string(hide_password=False)
    plan = runner.write_plan(runner.take(1))
    began = runner.begin("apply", plan, "--yes", FLEETOS_DB=url)
    began.until("target.changing")
    began.kill()
    runner.env["FLEETOS_DB"] = url
    run_id = began.run_id
    done = [
        runner.fleetos("resume", run_id, "-o", "json"),
        *(
            runner.invoke(*words)
            for words in (("status", run_id), ("events", "-o", "json"), ("runs",), ("db", "check"), ("doctor",))
        ),
        # Options show their defaults, and this one's is in the environment.
        *(runner.invoke(*words, "--help") for words in (("apply",), ("db", "upgrade"), ("status",))),
        runner.invoke("db", "backup", "copy.db"),
    ]
    assert [one.returncode for one in done] == [0] * 9 + [64]
    wrong = {
        "nobody": secret.set(host="127.0.0.1", port=1, query={}),
        "no database": secret.set(database="nowhere"),
        "option": secret.update_query_dict({"bogus": KEY_PASSWORD}),
        "kind": secret.set(drivername="mysql"),
    }
    for one in wrong.values():
        runner.env["FLEETOS_DB"] = one.render_as_string(hide_password=False)
        refused = runner.invoke("status", "-o", "json")
        assert refused.returncode not in (0, 2)
        done += [refused, runner.invoke("doctor", "-o", "json")]
    for typo in ("postgresql:/al:{}@h/x", " postgresql://al:{}@h/x", "postgresql://al:a@{}@h/x"):
        refused = runner.invoke("status", "--db", typo.format(PASSWORD.replace("/", "")))
        assert refused.returncode == 64
        done.append(refused)
    outputs = [text for one in done for text in (one.stdout, one.stderr)]
    files = {file: file.read_bytes() for file in runner.folder.rglob("*") if file.is_file()}
    names = [os.fsencode(path) for path in runner.folder.rglob("*")]
    secrets = {"password": PASSWORD, "typed": PASSWORD.replace("/", ""), "password of the key": KEY_PASSWORD}
    assert not leaks([*outputs, repr(began.events), rows(bare), *files.values(), *names], secrets)
