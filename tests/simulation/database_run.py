"""A play whose run lives in a real SQLite file: the witnesses see what the database holds, and nothing else.

The tables, the transactions and the leases are the ones that run for real. Only the thread of the driver is missing:
what it would do happens at once, since in virtual time nobody waits for a thread.
"""

import sqlite3
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiosqlite
import anyio
from sqlalchemy import create_engine

from fleetos.errors import JournalUnwritable
from fleetos.model.journal.codec import event_from_json, run_from_json, target_from_json
from fleetos.model.journal.events import Enlisted, Event, Record
from fleetos.model.journal.requests import RequestArguments, RequestKind
from fleetos.model.progress import Progress, replay
from fleetos.model.run import Run, Target
from fleetos.planning.freeze import History
from fleetos.store import history, queries, runs
from fleetos.store.database.connection import Connection
from fleetos.store.database.database import Database
from fleetos.store.database.location import locate
from fleetos.store.database.tables import metadata
from fleetos.store.journal import SqlJournal
from fleetos.store.lease_rows import LeaseRequester
from fleetos.store.memory_journal import Claim, CommitFault, MemoryRun
from fleetos.store.process import this_process
from tests.simulation.process import Process
from tests.simulation.run_context import RunContext

# Where files are memory: what a disk does is not what is tested here.
_MEMORY = Path("/dev/shm")
# The operator's own process, and from which on those are numbered that drive.
_OPERATOR = 10**6


class _AtOnce:
    """What stands in for the queue and the thread of a connection."""

    daemon = True

    def put_nowait(self, item: tuple[Any, Any]) -> None:
        future, function = item
        # Whatever it raises is raised where the future would have been waited for.
        future.set_result(function())

    def start(self) -> None:
        """There is nothing to start."""


@contextmanager
def at_once() -> Generator[None]:
    """Let connections that are made meanwhile do everything at once, in the thread that asks for it."""
    original = aiosqlite.connect

    def connect(*args: Any, **options: Any) -> Any:
        connection: Any = original(*args, **options)
        connection._tx = connection._thread = _AtOnce()
        return connection

    aiosqlite.connect = connect
    try:
        yield
    finally:
        aiosqlite.connect = original


class DatabaseRun:
    """The database of a play. `view` is the present run as it stands there."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._folder = TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
        self.path = Path(self._folder.name) / "fleetos.db"
        self.path.write_bytes(_template())
        self.path.chmod(0o600)
        self._opened: list[Database] = []
        self._witness = sqlite3.connect(self.path, isolation_level=None)

    async def close(self) -> None:
        """Nothing, once all is closed and the file is gone."""
        self._witness.close()
        for one in self._opened:
            await one.close()
        self._folder.cleanup()

    def database(self, process: Process, *, weather: bool) -> Database:
        """The database as a process has it open; with `weather`, its commits may go wrong."""
        opened = _Watched(self, self._context if weather else None)
        self._opened.append(opened)
        return opened

    # --- what the commands do ---

    async def freeze(self, process: Process, run: Run, targets: Sequence[Target], more: Sequence[Event]) -> MemoryRun:
        """Return the view of a new run. Nobody drives it."""
        at = process.now()
        self._context.run = MemoryRun(run, {}, [])
        await runs.create_run(self.database(process, weather=False), run, targets, more, at, _watcher(process, 0))
        return self._context.run

    async def history(self, process: Process, server_ids: Sequence[str]) -> History:
        """Return what earlier runs say of the servers."""
        opened = self.database(process, weather=False)
        bad = await history.bad_attempts(opened, server_ids)
        return History(bad, await history.unanswered_sends(opened, server_ids))

    async def take(self, process: Process, beat_s: float, *, weather: bool = True) -> tuple[SqlJournal, Progress]:
        """Return the journal of a new driver, and how far the run has come by what is stored."""
        opened = self.database(process, weather=weather)
        run_id = self._context.store.run.id
        lease = await runs.take_run(opened, run_id, _watcher(process, process.number))
        return SqlJournal(opened, lease, process, beat_s), await queries.load(opened, run_id)

    async def next_pass(self, process: Process, events: Sequence[Event]) -> None:
        """Begin a next pass of the run, as `retry` does, and `abort --release` as far as it writes."""
        opened, run_id = self.database(process, weather=False), self._context.store.run.id
        await runs.begin_pass(opened, run_id, events, process.now(), _watcher(process, _OPERATOR + process.number))

    async def ask(self, process: Process, kind: RequestKind, by: str, reason: str, arguments: RequestArguments) -> int:
        """Ask for something that the driver is to find. Return the id of the request."""
        opened, run_id = self.database(process, weather=False), self._context.store.run.id
        return await runs.add_request(opened, run_id, kind, by, process.now(), reason, arguments)

    # --- what the witnesses see ---

    def refresh(self) -> None:
        """Take over what the last commit has written."""
        view = self._context.store
        new = self._records(view.run.id, len(view.records))
        changed = dict.fromkeys(filter(None, map(_server_of, new)))
        view.run = self._run(view.run.id)
        view.targets.update({one: self._target(view.run.id, one) for one in changed})
        held = self._witness.execute("SELECT server_id, run_id, unanswered_at FROM claims")
        view.claims = {
            server_id: Claim(run_id == view.run.id, None if at is None else datetime.fromisoformat(at))
            for server_id, run_id, at in held
        }
        epochs = self._witness.execute("SELECT epoch FROM leases WHERE run_id = ?", (view.run.id,)).fetchall()
        view.epoch = epochs[0][0] if epochs else 0
        view.records.extend(new)

    def reread(self) -> None:
        """Take everything over as it stands in the tables now, whatever was told of it."""
        view = self._context.store
        rows = self._witness.execute("SELECT body FROM targets WHERE run_id = ? ORDER BY position", (view.run.id,))
        found = [target_from_json(body) for (body,) in rows]
        view.targets = {target.server_id: target for target in found}
        view.run = self._run(view.run.id)
        view.records = self._records(view.run.id, 0)

    def torn(self) -> str:
        """Return how what is stored differs from a replay of the stored records, empty if it does not."""
        view = self._context.store
        records = self._records(view.run.id, 0)
        rows = self._witness.execute("SELECT server_id, body FROM targets WHERE run_id = ?", (view.run.id,))
        progress = replay((record.at, record.event) for record in records)
        if progress.run != self._run(view.run.id):
            return f"the run is stored otherwise than its records say: {progress.run.state}"
        wrong = [one for one, body in rows if progress.targets.get(one) != target_from_json(body)]
        return f"stored otherwise than the records say: {', '.join(wrong)}" if wrong else ""

    def _records(self, run_id: str, after: int) -> list[Record]:
        rows = self._witness.execute(
            "SELECT seq, at, body FROM records WHERE run_id = ? AND seq > ? ORDER BY seq", (run_id, after)
        )
        return [Record(seq, datetime.fromisoformat(at), event_from_json(body)) for seq, at, body in rows]

    def _run(self, run_id: str) -> Run:
        return run_from_json(self._witness.execute("SELECT body FROM runs WHERE id = ?", (run_id,)).fetchone()[0])

    def _target(self, run_id: str, server_id: str) -> Target:
        place = (run_id, server_id)
        found = self._witness.execute("SELECT body FROM targets WHERE run_id = ? AND server_id = ?", place).fetchone()
        return target_from_json(found[0])


class _Watched(Database):
    """A database whose commits may go wrong, and after each of which the witnesses look."""

    def __init__(self, filed: DatabaseRun, context: RunContext | None) -> None:
        super().__init__(locate(filed.path))
        self._filed = filed
        self._context = context

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[Connection]:
        """The writer's connection in a transaction. Others run before it begins, as they do for real."""
        fault = None
        if self._context is not None:
            await anyio.sleep(self._context.commit_s())
            fault = self._context.fault()
        if fault is CommitFault.LOST:
            raise JournalUnwritable("the commit failed, and nothing of it was written")
        async with super().writing() as connection:
            yield connection
        self._filed.refresh()
        if fault is CommitFault.UNKNOWN:
            raise JournalUnwritable("the commit failed, and nobody knows what of it was written")


def _server_of(record: Record) -> str | None:
    event = record.event
    return event.target.server_id if isinstance(event, Enlisted) else getattr(event, "server_id", None)


def _watcher(process: Process, number: int) -> LeaseRequester:
    """Whose process has ended when the next one comes: what a lease is worth in time is played by the play."""
    return LeaseRequester(replace(this_process(), started=1 + number), process, sleep=anyio.sleep)


@cache
def _template() -> bytes:
    """Return a database with all its tables and no runs."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        engine = create_engine(f"sqlite:///{path}")
        metadata.create_all(engine)
        engine.dispose()
        return path.read_bytes()
