"""A commit whose outcome nobody knows: the connection goes while PostgreSQL commits, or the commit itself fails."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text

from fleetos.errors import JournalUnwritable
from fleetos.model.journal.events import Moved
from fleetos.model.journal.fold import fold_target
from fleetos.model.states import TargetState
from tests.contract.journal_factories import SqlJournalFactory
from tests.support.builders import START, a_run, a_target
from tests.support.databases import postgres_url
from tests.support.postgres import server_ends

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)
RUN = a_run()
TARGET = a_target(1)
EVENT = Moved(TARGET.server_id, TargetState.CHECKING)

# A constraint that is only looked at when the transaction commits.
FAIL_AT_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused at commit'; END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON records DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION refuse();
"""
# The server ends the session in the middle of the commit.
DIE_AT_COMMIT = FAIL_AT_COMMIT.replace(
    "RAISE EXCEPTION 'refused at commit'", "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10)"
)


@pytest.fixture
async def factory() -> AsyncIterator[SqlJournalFactory]:
    built = SqlJournalFactory(postgres_url())
    await built.open()
    yield built
    await built.close()


def url_of(factory: SqlJournalFactory) -> str:
    url = factory.location.url
    assert url is not None
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def alter(factory: SqlJournalFactory, statements: str) -> None:
    with psycopg.connect(url_of(factory), autocommit=True) as connection:
        connection.execute(statements.encode())


@pytest.mark.parametrize("fault", [FAIL_AT_COMMIT, DIE_AT_COMMIT])
async def test_it_ends_the_journal_and_the_next_driver_reads_what_is_true(
    factory: SqlJournalFactory, fault: str
) -> None:
    journal = await factory.create(RUN, [TARGET])
    alter(factory, fault)
    moved = fold_target(TARGET, EVENT, START)
    with pytest.raises(JournalUnwritable):
        await journal.append(RUN, [EVENT], [moved], START)
    alter(factory, "DROP TRIGGER at_commit ON records")
    with pytest.raises(JournalUnwritable):
        await journal.append(RUN, [EVENT], [moved], START)
    assert not journal.lease_valid(factory.clock.moment())
    await factory.reopen()
    (record,) = await (await factory.take()).append(RUN, [EVENT], [moved], START)
    assert record.seq == 3


async def test_a_session_that_sleeps_in_a_transaction_is_ended(factory: SqlJournalFactory) -> None:
    await factory.create(RUN, [TARGET])
    with pytest.raises(JournalUnwritable):
        await sleep_in_a_transaction(factory)
    async with factory.database.reading() as connection:
        assert await connection.rows("SELECT name FROM runs") == [(RUN.name,)]


async def sleep_in_a_transaction(factory: SqlJournalFactory) -> None:
    async with factory.database.writing() as connection:
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '20ms'"))
        await connection.execute(text("UPDATE runs SET name = 'changed'"))
        waited = (
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"
        )
        with psycopg.connect(url_of(factory), autocommit=True) as other:
            while other.execute(waited.encode()).fetchone() != (0,):
                pass
