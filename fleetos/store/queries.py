"""What is read of runs: lists, one run's progress, its records. Nothing here changes anything."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.errors import UnknownRun
from fleetos.limits import RECORDS_PER_PAGE, ROWS_AT_ONCE, RUNS_COMPARED, RUNS_LISTED, RUNS_SUGGESTED
from fleetos.model.journal.codec import event_from, run_from, target_from
from fleetos.model.journal.events import Record
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS, TargetState
from fleetos.store import leases
from fleetos.store.database.database import Database
from fleetos.store.database.location import Location
from fleetos.store.database.tables import decode_column, records, runs, targets
from fleetos.store.leases import LeaseRequester, LeaseRow
from fleetos.store.process import Holder, Life
from fleetos.store.rows import decoded
from fleetos.text import did_you_mean

_OVER = [state.value for state in RUN_ENDS]


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The process that has the lease of a run, as far as a glance from here tells, and when it last renewed it."""

    holder: Holder
    life: Life
    renewed_at: datetime


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in a list: itself, how many targets are in each state that occurs, and who drives it, if anybody does.

    `lost` is the process that drove it until it vanished without giving the lease back.
    """

    run: Run
    counts: Mapping[TargetState, int]
    driver: LeaseHolder | None
    lost: LeaseHolder | None = None


async def find_run(database: Database, given: str) -> str:
    """Return the id of the run that is meant by an id, a name, or the beginning of an id, in this order.

    A name means its only unfinished run, else its newest. Raises UnknownRun when nothing or too much is meant; the
    hint names candidates.
    """
    # Ids and names are in ASCII, and a database cannot even be asked for bytes of a command line that are no UTF-8.
    asked = given if given.isascii() else ""
    newest = runs.c.created_no.desc()
    begins = runs.c.id.startswith(asked, autoescape=True)
    async with database.reading() as connection:
        named = select(runs.c.id, runs.c.state).where(runs.c.name == asked).order_by(newest).limit(RUNS_COMPARED)
        ids_of_name = (await connection.execute(named)).all()
        statement = select(runs.c.id).where(begins).order_by(newest).limit(RUNS_SUGGESTED + 1)
        found: Sequence[str] = (await connection.scalars(statement)).all() if asked else ()
        known = (await connection.execute(select(runs.c.id, runs.c.name).order_by(newest).limit(RUNS_COMPARED))).all()
    if asked in found:
        return asked
    if ids_of_name:
        return _of_name(given, [(run_id, state not in _OVER) for run_id, state in ids_of_name])
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[:RUNS_SUGGESTED])
        raise UnknownRun(f"several runs begin with {given}", f"give more letters: {shown}")
    if known:
        words = dict.fromkeys(word for row in known for word in row)
        hint = did_you_mean(given, words, RUNS_SUGGESTED) or f"did you mean {known[0].id}?"
    else:
        hint = "this database holds no runs yet"
    raise UnknownRun(f"there is no run {given[:32]!r} in {database.location.shown}", hint)


async def has_runs(database: Database) -> bool:
    """Return whether the database holds any run."""
    async with database.reading() as connection:
        return await connection.scalar(select(runs.c.id).limit(1)) is not None


def _of_name(name: str, found: Sequence[tuple[str, bool]]) -> str:
    """The run of that name that is meant. `found` are the ids, the newest first, each with whether it is unfinished."""
    unfinished = [run_id for run_id, open_ in found if open_]
    if len(unfinished) > 1:
        shown = ", ".join(unfinished[:RUNS_SUGGESTED])
        raise UnknownRun(f"{len(unfinished)} unfinished runs are named {name}", f"give the id of one: {shown}")
    return unfinished[0] if unfinished else found[0][0]


async def newest_runs(database: Database, watcher: LeaseRequester, limit: int = RUNS_LISTED) -> Sequence[RunSummary]:
    """The newest runs, ended or not, the newest first."""
    return await _summaries(database, watcher, select(runs.c.body).limit(limit))


async def unfinished_runs(database: Database, watcher: LeaseRequester) -> Sequence[RunSummary]:
    """The runs that have not ended, the newest first."""
    return await _summaries(database, watcher, select(runs.c.body).where(runs.c.state.not_in(_OVER)))


async def runs_of_digest(database: Database, digest: str, watcher: LeaseRequester) -> Sequence[RunSummary]:
    """The runs that were frozen from a plan of that digest, the newest first."""
    return await _summaries(database, watcher, select(runs.c.body).where(runs.c.digest == digest))


async def summary(database: Database, run_id: str, watcher: LeaseRequester) -> RunSummary:
    """One run in short. Raises UnknownRun."""
    found = await _summaries(database, watcher, select(runs.c.body).where(runs.c.id == run_id))
    if not found:
        raise UnknownRun(f"there is no run {run_id!r} in {database.location.shown}")
    return found[0]


async def _summaries(database: Database, watcher: LeaseRequester, chosen: Select[str]) -> Sequence[RunSummary]:
    async with database.reading() as connection:
        newest_first = chosen.order_by(runs.c.created_no.desc(), runs.c.id.desc())
        bodies = (await connection.scalars(newest_first)).all()
        found = [decoded(run_from, body, database.location) for body in bodies]
        ids = newest_first.with_only_columns(runs.c.id).subquery()
        counts = await _counts(connection, targets.c.run_id.in_(select(ids.c.id)))
        held = await leases.held(connection, watcher.clock)
    summaries: list[RunSummary] = []
    for run in found:
        driver, lost = _drivers(held.get(run.id), watcher)
        summaries.append(RunSummary(run, counts[run.id], driver, lost))
    return summaries


def _drivers(seen: LeaseRow | None, watcher: LeaseRequester) -> tuple[LeaseHolder | None, LeaseHolder | None]:
    """Who drives the run of a lease, and who vanished while it did; at most one of them."""
    if seen is None or seen.holder is None:
        return None, None
    life = leases.looks_alive(seen, watcher.me)
    found = LeaseHolder(seen.holder, life or Life.DEAD, seen.renewed_at)
    return (None, found) if life is None else (found, None)


async def _counts(connection: AsyncConnection, of: ColumnElement[bool]) -> Mapping[str, Mapping[TargetState, int]]:
    columns = (targets.c.run_id, targets.c.state, func.count())
    found = await connection.execute(select(*columns).where(of).group_by(targets.c.run_id, targets.c.state))
    counts: defaultdict[str, dict[TargetState, int]] = defaultdict(dict)
    for run_id, state, number in found:
        counts[run_id][decode_column(TargetState, state)] = number
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
    database: Database,
    run_id: str,
    after_seq: int = 0,
    limit: int = RECORDS_PER_PAGE,
    *,
    since: datetime | None = None,
    servers: Collection[str] | None = None,
) -> Sequence[Record]:
    """The run's records after that number, in order, at most `limit` of them.

    `since` leaves out what is older, `servers` what is of no such server; None leaves out nothing.
    """
    columns = (records.c.seq, records.c.at, records.c.body)
    of_run = select(*columns).where(records.c.run_id == run_id, records.c.seq > after_seq)
    if since is not None:
        of_run = of_run.where(records.c.at >= since)
    if servers is not None:
        of_run = of_run.where(records.c.server_id.in_(servers))
    async with database.reading() as connection:
        page = of_run.order_by(records.c.seq).limit(min(limit, RECORDS_PER_PAGE))
        found = (await connection.execute(page)).all()
    return [Record(seq, at, decoded(event_from, body, database.location)) for seq, at, body in found]
