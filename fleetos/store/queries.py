"""What is read of runs: lists, one run's progress, its records. Nothing here changes anything."""

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.errors import UnknownRun
from fleetos.limits import RECORDS_PER_PAGE, ROWS_AT_ONCE, RUNS_COMPARED, RUNS_LISTED, RUNS_SUGGESTED
from fleetos.model.codec import event_from, run_from, target_from
from fleetos.model.events import Record
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS, TargetState
from fleetos.store import leases
from fleetos.store.database import Database
from fleetos.store.holder import Holder, Life, life_of
from fleetos.store.leases import Seen, Watcher
from fleetos.store.location import Location
from fleetos.store.rows import decoded
from fleetos.store.tables import records, runs, targets
from fleetos.store.values import understood

_OVER = [state.value for state in RUN_ENDS]


@dataclass(frozen=True, slots=True)
class Driver:
    """The process that holds a run's lease, as far as a glance from here tells."""

    holder: Holder
    life: Life
    """STOPPED: a signal holds the process, and it renews nothing."""
    renewed_ago_s: float
    """Seconds since its last renewal: by the database's clock where it has one, else by this machine's."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in a list: itself, how many targets are in each state that occurs, and who drives it, if anybody does."""

    run: Run
    counts: Mapping[TargetState, int]
    driver: Driver | None


async def find_run(database: Database, given: str) -> str:
    """The id of the run that the given id, or the beginning of one, names.

    Raises UnknownRun when none or several begin so; the hint names near ones.
    """
    async with database.reading() as connection:
        begins = runs.c.id.startswith(given, autoescape=True)
        newest = runs.c.created_no.desc()
        statement = select(runs.c.id).where(begins).order_by(newest).limit(RUNS_SUGGESTED + 1)
        # An id is in ASCII, and a database cannot even be asked for bytes of a command line that are no UTF-8.
        asked = given != "" and given.isascii()
        found: Sequence[str] = (await connection.scalars(statement)).all() if asked else ()
        if given in found:
            return given
        if len(found) == 1:
            return found[0]
        if found:
            shown = ", ".join(found[:RUNS_SUGGESTED])
            raise UnknownRun(f"several runs begin with {given}", f"give more letters: {shown}")
        known = (await connection.scalars(select(runs.c.id).order_by(newest).limit(RUNS_COMPARED))).all()
    near = difflib.get_close_matches(given, known, n=RUNS_SUGGESTED) or known[:1]
    hint = f"did you mean {' or '.join(map(str, near))}?" if near else "this database holds no runs yet"
    raise UnknownRun(f"there is no run {given[:32]!r} in {database.location.shown}", hint)


async def has_runs(database: Database) -> bool:
    """Return whether the database holds any run."""
    async with database.reading() as connection:
        return await connection.scalar(select(runs.c.id).limit(1)) is not None


async def newest_runs(database: Database, watcher: Watcher, limit: int = RUNS_LISTED) -> Sequence[RunSummary]:
    """The newest runs, ended or not, the newest first."""
    return await _summaries(database, watcher, select(runs.c.body).limit(limit))


async def unfinished_runs(database: Database, watcher: Watcher) -> Sequence[RunSummary]:
    """The runs that have not ended, the newest first."""
    return await _summaries(database, watcher, select(runs.c.body).where(runs.c.state.not_in(_OVER)))


async def runs_of_digest(database: Database, digest: str, watcher: Watcher) -> Sequence[RunSummary]:
    """The runs that were frozen from a plan of that digest, the newest first."""
    return await _summaries(database, watcher, select(runs.c.body).where(runs.c.digest == digest))


async def summary(database: Database, run_id: str, watcher: Watcher) -> RunSummary:
    """One run in short. Raises UnknownRun."""
    found = await _summaries(database, watcher, select(runs.c.body).where(runs.c.id == run_id))
    if not found:
        raise UnknownRun(f"there is no run {run_id!r} in {database.location.shown}")
    return found[0]


async def _summaries(database: Database, watcher: Watcher, chosen: Select[str]) -> Sequence[RunSummary]:
    async with database.reading() as connection:
        newest_first = chosen.order_by(runs.c.created_no.desc(), runs.c.id.desc())
        bodies = (await connection.scalars(newest_first)).all()
        found = [decoded(run_from, body, database.location) for body in bodies]
        ids = newest_first.with_only_columns(runs.c.id).subquery()
        counts = await _counts(connection, targets.c.run_id.in_(select(ids.c.id)))
        held = await leases.held(connection, watcher.clock)
    summaries: list[RunSummary] = []
    for run in found:
        seen = held.get(run.id)
        driver = _driver(seen, watcher) if seen is not None and leases.looks_alive(seen, watcher.me) else None
        summaries.append(RunSummary(run, counts[run.id], driver))
    return summaries


async def last_driver(database: Database, run_id: str, watcher: Watcher) -> Driver | None:
    """Return the process that holds the run's lease, dead or alive; None if the last one gave the lease back.

    A holder that is DEAD, or ELSEWHERE and past the term of the lease, was killed: its last renewal is the last sign
    of its life.
    """
    async with database.reading() as connection:
        held = await leases.held(connection, watcher.clock)
    seen = held.get(run_id)
    return None if seen is None else _driver(seen, watcher)


def _driver(seen: Seen, watcher: Watcher) -> Driver | None:
    if seen.holder is None:
        return None
    return Driver(seen.holder, life_of(seen.holder, watcher.me), max(0.0, seen.age_s))


async def _counts(connection: AsyncConnection, of: ColumnElement[bool]) -> Mapping[str, Mapping[TargetState, int]]:
    columns = (targets.c.run_id, targets.c.state, func.count())
    found = await connection.execute(select(*columns).where(of).group_by(targets.c.run_id, targets.c.state))
    counts: defaultdict[str, dict[TargetState, int]] = defaultdict(dict)
    for run_id, state, number in found:
        counts[run_id][understood(TargetState, state)] = number
    return counts


async def load(database: Database, run_id: str) -> Progress:
    """How far the run has come, from the tables of runs and targets. Raises UnknownRun."""
    async with database.reading() as connection:
        return await load_within(connection, run_id, database.location)


async def load_within(connection: AsyncConnection, run_id: str, location: Location) -> Progress:
    """How far the run has come, as the transaction sees it. Raises UnknownRun."""
    body = await connection.scalar(select(runs.c.body).where(runs.c.id == run_id))
    if body is None:
        raise UnknownRun(f"there is no run {run_id!r} in {location.shown}")
    run = decoded(run_from, body, location)
    found: list[Target] = []
    after = ""
    while True:
        following = (targets.c.run_id == run_id, targets.c.server_id > after)
        page = select(targets.c.server_id, targets.c.body).where(*following).order_by(targets.c.server_id)
        rows = (await connection.execute(page.limit(ROWS_AT_ONCE))).all()
        found += [decoded(target_from, body, location) for _, body in rows]
        if len(rows) < ROWS_AT_ONCE:
            break
        after = rows[-1].server_id
    return Progress(run, sorted(found, key=lambda target: target.position))


async def events(
    database: Database, run_id: str, after_seq: int = 0, limit: int = RECORDS_PER_PAGE
) -> Sequence[Record]:
    """The run's records after that number, in order, at most `limit` of them."""
    columns = (records.c.seq, records.c.at, records.c.body)
    of_run = select(*columns).where(records.c.run_id == run_id, records.c.seq > after_seq)
    async with database.reading() as connection:
        page = of_run.order_by(records.c.seq).limit(min(limit, RECORDS_PER_PAGE))
        found = (await connection.execute(page)).all()
    return [Record(seq, at, decoded(event_from, body, database.location)) for seq, at, body in found]
