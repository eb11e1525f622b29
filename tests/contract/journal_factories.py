"""The three places where a run's journal can live, behind one face, so that one suite of tests holds them all."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from fleetos.engine.protocols import Journal
from fleetos.model.journal.events import Event, Record, RunDriverEnded
from fleetos.model.journal.requests import RequestKind
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.store import memory_journal, queries, runs
from fleetos.store.connect import open_database
from fleetos.store.database.columns import time_from
from fleetos.store.database.database import Database
from fleetos.store.database.location import locate
from fleetos.store.journal import SqlJournal
from fleetos.store.lease_rows import LeaseRequester, read_lease
from fleetos.store.memory_journal import CommitFault, CommitFaults, MemoryRun
from tests.support.builders import START, a_run
from tests.support.clocks import ManualClock
from tests.support.databases import postgres_url, sqlite_file
from tests.unit.store.stored_runs import dead_process, watcher

OTHER = a_run(2)
# Whether the server is held, and the time of an unanswered send that is remembered.
ClaimSeen = tuple[bool, datetime | None]


class ReleasableJournal(Journal, Protocol):
    async def release(self, last: RunDriverEnded | None = None) -> Sequence[Record]: ...


class JournalFactory(Protocol):
    """A place for the journal of one run."""

    clock: ManualClock

    async def create(self, run: Run, targets: Sequence[Target], more: Sequence[Event] = ()) -> ReleasableJournal:
        """The journal of the first driver of a new run."""
        ...

    async def take(self) -> ReleasableJournal:
        """The journal of the next driver, who has taken the run over."""
        ...

    async def reopen(self) -> None:
        """Forgets all that is not durable."""
        ...

    async def records(self) -> Sequence[Record]: ...

    async def progress(self) -> Progress: ...

    async def claims(self) -> Mapping[str, ClaimSeen]: ...

    async def ask(self, kind: RequestKind) -> None: ...

    async def claim_elsewhere(self, target: Target) -> str:
        """Let another run claim the server. Return its id."""
        ...

    async def commits(self) -> int:
        """How many commits there were, as far as only differences count."""
        ...

    async def break_commits(self) -> None:
        """Makes every commit of records fail, with nothing written."""
        ...

    async def mend_commits(self) -> None: ...

    async def close(self) -> None: ...


class MemoryJournalFactory:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self._commits = 0
        self._fault: CommitFault | None = None
        self._run: MemoryRun | None = None
        self._weather = CommitFaults(fault=self._next_fault, commit_s=lambda: 0.002)

    def _next_fault(self) -> CommitFault | None:
        self._commits += 1
        return self._fault

    @property
    def run(self) -> MemoryRun:
        assert self._run is not None
        return self._run

    async def create(self, run: Run, targets: Sequence[Target], more: Sequence[Event] = ()) -> ReleasableJournal:
        self._run = memory_journal.freeze(run, targets, more, START)
        return await self.take()

    async def take(self) -> ReleasableJournal:
        return self.run.open_journal(self.clock, self._weather)

    async def reopen(self) -> None:
        """Nothing is kept anywhere but in the run."""

    async def records(self) -> Sequence[Record]:
        return self.run.records

    async def progress(self) -> Progress:
        return self.run.progress()

    async def claims(self) -> Mapping[str, ClaimSeen]:
        return {server_id: (claim.held, claim.unanswered_at) for server_id, claim in self.run.claims.items()}

    async def ask(self, kind: RequestKind) -> None:
        self.run.add_request(kind, "operator", START)

    async def claim_elsewhere(self, target: Target) -> str:
        self.run.taken[target.server_id] = OTHER.id
        return OTHER.id

    async def commits(self) -> int:
        return self._commits

    async def break_commits(self) -> None:
        self._fault = CommitFault.LOST

    async def mend_commits(self) -> None:
        self._fault = None

    async def close(self) -> None:
        """Nothing is open."""


BREAK = {
    "sqlite": ("CREATE TRIGGER broken BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'broken'); END",),
    "postgresql": ("ALTER TABLE records ADD CONSTRAINT broken CHECK (seq < 0) NOT VALID",),
}
MEND = {"sqlite": "DROP TRIGGER broken", "postgresql": "ALTER TABLE records DROP CONSTRAINT broken"}


class SqlJournalFactory:
    """A database in SQL. Each driver is another process of this machine that has ended when the next one comes."""

    def __init__(self, where: str) -> None:
        self.clock = ManualClock()
        self.location = locate(where)
        self._database: Database | None = None
        self._run_id = ""
        self._drivers = count(1)

    @property
    def database(self) -> Database:
        assert self._database is not None
        return self._database

    async def open(self) -> None:
        self._database = await open_database(self.location, self._next_driver())

    def _next_driver(self) -> LeaseRequester:
        return watcher(self.clock, dead_process(next(self._drivers)))

    async def create(self, run: Run, targets: Sequence[Target], more: Sequence[Event] = ()) -> ReleasableJournal:
        self._run_id = run.id
        lease = await runs.create_run(self.database, run, targets, more, START, self._next_driver())
        return SqlJournal(self.database, lease, self.clock)

    async def take(self) -> ReleasableJournal:
        lease = await runs.take_run(self.database, self._run_id, self._next_driver())
        return SqlJournal(self.database, lease, self.clock)

    async def reopen(self) -> None:
        await self.database.close()
        await self.open()

    async def records(self) -> Sequence[Record]:
        return await queries.events(self.database, self._run_id)

    async def progress(self) -> Progress:
        return await queries.load(self.database, self._run_id)

    async def claims(self) -> Mapping[str, ClaimSeen]:
        async with self.database.reading() as connection:
            found = await connection.rows("SELECT server_id, run_id, unanswered_at FROM claims")
        return {server_id: (run_id == self._run_id, at and time_from(at)) for server_id, run_id, at in found}

    async def ask(self, kind: RequestKind) -> None:
        await runs.add_request(self.database, self._run_id, kind, "operator", START)

    async def claim_elsewhere(self, target: Target) -> str:
        await runs.create_run(self.database, OTHER, [target], [], START, self._next_driver())
        return OTHER.id

    async def commits(self) -> int:
        async with self.database.reading() as connection:
            return (await read_lease(connection, self._run_id, self.clock)).beat

    async def break_commits(self) -> None:
        await self._alter(*BREAK[self.database.dialect])

    async def mend_commits(self) -> None:
        await self._alter(MEND[self.database.dialect])

    async def _alter(self, *statements: str) -> None:
        engine = create_async_engine(self.location.url or f"sqlite+aiosqlite:///{self.location.path}")
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))
        await engine.dispose()

    async def rows_of_targets(self) -> Sequence[tuple[str, str, int, str | None]]:
        """Server, state, attempt and job of every target, as the columns say."""
        query = "SELECT server_id, state, attempt, job_id FROM targets ORDER BY position"
        async with self.database.reading() as connection:
            return [(row[0], row[1], row[2], row[3]) for row in await connection.rows(query)]

    async def close(self) -> None:
        await self.database.close()


async def build_house(kind: str, folder: Path) -> JournalFactory:
    """A new, empty house: `memory`, `sqlite` or `postgresql`."""
    if kind == "memory":
        return MemoryJournalFactory()
    factory = SqlJournalFactory(str(sqlite_file(folder / "fleetos.db")) if kind == "sqlite" else postgres_url())
    await factory.open()
    return factory
