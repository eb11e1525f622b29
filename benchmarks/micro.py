"""Two parts of fleetos beside the library that each stands on: the journal and SQLite, the client and aiohttp."""

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.arithmetic import median
from benchmarks.canned import JOB_ID
from benchmarks.report import ROOT, Section, Table, number, percent, say
from fleetos.clock import SystemClock
from fleetos.cloud.auth.credentials import Credentials, Password
from fleetos.cloud.connect import open_cloud
from fleetos.engine.turn import Turn
from fleetos.ids import SystemChance
from fleetos.model.plan import ApiLimits
from fleetos.model.progress import Progress
from fleetos.sim.api.access import DOMAIN, PASSWORD, PROJECT, REGION, USER
from fleetos.store.connect import open_database
from fleetos.store.database.location import locate
from fleetos.store.journal import SqlJournal
from fleetos.store.lease_rows import LeaseRequester
from fleetos.store.process import this_process
from fleetos.store.runs import create_run
from tests.support.builders import a_run, some_targets
from tests.unit.store.stored_runs import path_to_done

# Events in one commit: a lonely one, and what a turn of a busy run has.
GROUPS = (1, 10, 100)
COMMITS, QUICK_COMMITS = 300, 20
REQUESTS, QUICK_REQUESTS, AT_ONCE = 5_000, 200, 16


def micro(runs: int, *, quick: bool) -> Section:
    """The section."""
    commits, requests = (QUICK_COMMITS, QUICK_REQUESTS) if quick else (COMMITS, REQUESTS)
    journal: dict[int, Mapping[str, float]] = {}
    for group in GROUPS:
        say(f"micro: commits of {group} events")
        pairs = [asyncio.run(_journal_and_sqlite(group, commits)) for _ in range(runs)]
        journal[group] = {"fleetos": median(one for one, _ in pairs), "sqlite3": median(one for _, one in pairs)}
    say("micro: requests")
    with _canned() as url:
        pairs = [(asyncio.run(_fleetos(url, requests)), asyncio.run(_aiohttp(url, requests))) for _ in range(runs)]
    client = {"fleetos": median(one for one, _ in pairs), "aiohttp": median(one for _, one in pairs)}
    tables = [
        Table(
            f"Journal, events made durable in a second, medians of {runs}",
            ("events in a commit", "fleetos", "sqlite3", "share"),
            [[f"{group}", *_beside(one["fleetos"], one["sqlite3"])] for group, one in journal.items()],
            (_JOURNAL_NOTE,),
        ),
        Table(
            f"Client, reads of a job in a second, {AT_ONCE} at once, medians of {runs}",
            ("", "fleetos", "aiohttp", "share"),
            [["loopback", *_beside(client["fleetos"], client["aiohttp"])]],
            (_CLIENT_NOTE,),
        ),
    ]
    return Section("micro", tables, {"journal": journal, "client": client, "commits": commits, "requests": requests})


_JOURNAL_NOTE = (
    "sqlite3 inserts the very rows that the journal has written, in as many transactions and as durably (write-ahead "
    "log, synchronous FULL). Besides these rows the journal writes the new values of targets and proves its lease."
)
_CLIENT_NOTE = (
    "fleetos paces, authenticates, keeps secrets out, bounds and reads each answer into a job; aiohttp sends the same "
    "request and decodes the JSON. The server answers at once, from a process of its own."
)


def _beside(ours: float, theirs: float) -> Sequence[str]:
    return [number(ours, 0), number(theirs, 0), percent(ours / theirs)]


# --- the journal ---------------------------------------------------------------------------------------------


async def _journal_and_sqlite(group: int, commits: int) -> tuple[float, float]:
    """Events a second of the journal, and of sqlite3 with the same rows."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        path = Path(folder, "fleetos.db")
        ours = await _journal(path, group, commits)
        return ours, _sqlite(path, Path(folder, "bare.db"), group, commits)


async def _journal(path: Path, group: int, commits: int) -> float:
    """Targets take their way to a successful end, one event after the other, so many events in a commit."""
    clock = SystemClock()
    watcher = LeaseRequester(this_process(), clock)
    database = await open_database(locate(path), watcher, None)
    try:
        now, count = clock.now(), group * commits
        run, targets = a_run(created_at=now), some_targets(count // len(path_to_done("")) + 1)
        lease = await create_run(database, run, targets, (), now, watcher)
        journal, progress = SqlJournal(database, lease, clock), Progress(run, targets)
        # The first event of each target, then the second of each, and so on: a commit is about many targets.
        paths = [path_to_done(target.server_id) for target in targets]
        events = [path[step] for step in range(len(paths[0])) for path in paths]
        began_s = time.perf_counter()
        for first in range(0, count, group):
            turn = Turn(progress, clock.now())
            for event in events[first : first + group]:
                turn.write_event(event)
            changed = list(turn.changed.values())
            await journal.append(turn.run, turn.events, changed, turn.at)
            progress.update_targets(turn.run, changed)
        return count / (time.perf_counter() - began_s)
    finally:
        await database.close()


def _sqlite(source: Path, path: Path, group: int, commits: int) -> float:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(path, isolation_level=None)) as bare:
        ((definition,),) = read.execute("SELECT sql FROM sqlite_master WHERE name = 'records'").fetchall()
        newest = "SELECT * FROM (SELECT * FROM records ORDER BY seq DESC LIMIT ?) ORDER BY seq"
        rows = read.execute(newest, (group * commits,)).fetchall()
        bare.execute("PRAGMA journal_mode = WAL")
        bare.execute("PRAGMA synchronous = FULL")
        bare.execute(definition)
        began_s = time.perf_counter()
        for first in range(0, len(rows), group):
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows[first : first + group])
            bare.execute("COMMIT")
        return len(rows) / (time.perf_counter() - began_s)


# --- the client ----------------------------------------------------------------------------------------------


@contextmanager
def _canned() -> Generator[str]:
    command = [sys.executable, "-m", "benchmarks.canned"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip() if server.stdout is not None else ""
        finally:
            server.kill()


async def _fleetos(url: str, requests: int) -> float:
    credentials = Credentials(
        f"{url}/v3", Password(USER, PASSWORD, DOMAIN), project_name=PROJECT, region=REGION, insecure_http=True
    )
    # Half of the connections are for writes.
    limits = ApiLimits(connections=2 * AT_ONCE)
    async with open_cloud(credentials, clock=SystemClock(), chance=SystemChance(), limits=limits, env={}) as cloud:
        return await _per_s(lambda: cloud.job(JOB_ID), requests)


async def _aiohttp(url: str, requests: int) -> float:
    headers = {"X-Auth-Token": "a-token", "Accept": "application/json"}
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:

        async def job() -> Any:
            async with session.get(f"/v1/project/jobs/{JOB_ID}") as answer:
                return await answer.json()

        return await _per_s(job, requests)


async def _per_s(ask: Callable[[], Awaitable[object]], requests: int) -> float:
    """Requests a second, so many at once."""
    left = iter(range(requests))

    async def some() -> None:
        for _ in left:
            await ask()

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(some())
    return requests / (time.perf_counter() - began_s)
