"""Read runs, progress and records. Nothing here changes anything."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select

from fleetos.errors import UnknownRun
from fleetos.limits import ANSWERS_SEARCHED, RECORDS_PER_PAGE, ROWS_AT_ONCE, RUNS_COMPARED, RUNS_SUGGESTED
from fleetos.model.journal.codec import event_from_json, run_from_json, target_from_json
from fleetos.model.journal.events import Record, RequestAnswered
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS, TargetState
from fleetos.store import leases
from fleetos.store.database.connection import Connection
from fleetos.store.database.database import Database
from fleetos.store.database.location import Location
from fleetos.store.database.tables import decode_column, records, runs, targets
from fleetos.store.leases import LeaseRequester, LeaseRow
from fleetos.store.process import Holder, Life
from fleetos.store.rows import decode_body
from fleetos.text import did_you_mean

# Runs in one list: a screen shows far fewer, and each costs a decoded body.
RUNS_LISTED = 1_000
_ENDED = [state.value for state in RUN_ENDS]
# Kind of RequestAnswered.
_ANSWERED = "run-request"


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Process that has the lease of a run, its liveness as seen from here, and its last renewal."""

    holder: Holder
    life: Life
    renewed_at: datetime


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Run in a list, with the number of targets in each state that occurs.

    `driver` is the process that drives it. `lost` is the process that drove it until it vanished without giving the
    lease back.
    """

    run: Run
    counts: Mapping[TargetState, int]
    driver: LeaseHolder | None
    lost: LeaseHolder | None = None


async def find_run(database: Database, given: str) -> str:
    """Return the id of the run that `given` names: an id, a name, or the beginning of an id, in this order.

    A name stands for its only unfinished run, else for its newest. Raise UnknownRun if no run matches, or several do;
    the hint names candidates.
    """
    # Ids and names are in ASCII, and a query cannot hold bytes of a command line that are not UTF-8.
    asked = given if given.isascii() else ""
    newest = runs.c.created_no.desc()
    has_prefix = runs.c.id.startswith(asked, autoescape=True)
    async with database.reading() as connection:
        by_name = select(runs.c.id, runs.c.state).where(runs.c.name == asked).order_by(newest).limit(RUNS_COMPARED)
        ids_of_name = (await connection.execute(by_name)).all()
        statement = select(runs.c.id).where(has_prefix).order_by(newest).limit(RUNS_SUGGESTED + 1)
        ids_of_prefix: Sequence[str] = (await connection.scalars(statement)).all() if asked else ()
        newest_rows = (
            await connection.execute(select(runs.c.id, runs.c.name).order_by(newest).limit(RUNS_COMPARED))
        ).all()
    if asked in ids_of_prefix:
        return asked
    if ids_of_name:
        return _choose_by_name(given, [(run_id, state not in _ENDED) for run_id, state in ids_of_name])
    if len(ids_of_prefix) == 1:
        return ids_of_prefix[0]
    if ids_of_prefix:
        shown = ", ".join(ids_of_prefix[:RUNS_SUGGESTED])
        raise UnknownRun(f"several runs begin with {given}", f"give more letters: {shown}")
    if newest_rows:
        candidates = dict.fromkeys(word for row in newest_rows for word in row)
        hint = did_you_mean(given, candidates, RUNS_SUGGESTED) or f"did you mean {newest_rows[0].id}?"
    else:
        hint = "this database holds no runs yet"
    raise UnknownRun(f"there is no run {given[:32]!r} in {database.location.shown}", hint)


async def answer_to(database: Database, run_id: str, request_id: int) -> RequestAnswered | None:
    """Return the answer to an operator's request; None while there is none."""
    columns = select(records.c.body).where(records.c.run_id == run_id, records.c.kind == _ANSWERED)
    async with database.reading() as connection:
        bodies = (await connection.scalars(columns.order_by(records.c.seq.desc()).limit(ANSWERS_SEARCHED))).all()
    events = (decode_body(event_from_json, body, database.location) for body in bodies)
    answers = (event for event in events if isinstance(event, RequestAnswered))
    return next((event for event in answers if event.request == request_id), None)


async def has_runs(database: Database) -> bool:
    """Return whether the database holds any run."""
    async with database.reading() as connection:
        return await connection.scalar(select(runs.c.id).limit(1)) is not None


def _choose_by_name(name: str, runs_of_name: Sequence[tuple[str, bool]]) -> str:
    """Return the only unfinished run, else the newest. Raise UnknownRun if several are unfinished.

    `runs_of_name` are the ids of the runs of that name, the newest first, each with True if it is unfinished.
    """
    unfinished = [run_id for run_id, is_unfinished in runs_of_name if is_unfinished]
    if len(unfinished) > 1:
        shown = ", ".join(unfinished[:RUNS_SUGGESTED])
        raise UnknownRun(f"{len(unfinished)} unfinished runs are named {name}", f"give the id of one: {shown}")
    return unfinished[0] if unfinished else runs_of_name[0][0]


async def newest_runs(database: Database, requester: LeaseRequester, limit: int = RUNS_LISTED) -> Sequence[RunSummary]:
    """Return the newest runs, ended or not, the newest first."""
    return await _load_summaries(database, requester, select(runs.c.body).limit(limit))


async def unfinished_runs(database: Database, requester: LeaseRequester) -> Sequence[RunSummary]:
    """Return the runs that have not ended, the newest first."""
    return await _load_summaries(database, requester, select(runs.c.body).where(runs.c.state.not_in(_ENDED)))


async def runs_of_digest(database: Database, digest: str, requester: LeaseRequester) -> Sequence[RunSummary]:
    """Return the runs that were frozen from a plan of that digest, the newest first."""
    return await _load_summaries(database, requester, select(runs.c.body).where(runs.c.digest == digest))


async def summary(database: Database, run_id: str, requester: LeaseRequester) -> RunSummary:
    """Return the summary of one run. Raise UnknownRun."""
    summaries = await _load_summaries(database, requester, select(runs.c.body).where(runs.c.id == run_id))
    if not summaries:
        raise UnknownRun(f"there is no run {run_id!r} in {database.location.shown}")
    return summaries[0]


async def _load_summaries(database: Database, requester: LeaseRequester, query: Select[str]) -> Sequence[RunSummary]:
    async with database.reading() as connection:
        newest_first = query.order_by(runs.c.created_no.desc(), runs.c.id.desc())
        bodies = (await connection.scalars(newest_first)).all()
        found_runs = [decode_body(run_from_json, body, database.location) for body in bodies]
        ids = newest_first.with_only_columns(runs.c.id).subquery()
        counts = await _count_targets(connection, targets.c.run_id.in_(select(ids.c.id)))
        held = await leases.read_held_leases(connection, requester.clock)
    summaries: list[RunSummary] = []
    for run in found_runs:
        driver, lost = _driver_and_lost(held.get(run.id), requester)
        summaries.append(RunSummary(run, counts[run.id], driver, lost))
    return summaries


def _driver_and_lost(
    lease: LeaseRow | None, requester: LeaseRequester
) -> tuple[LeaseHolder | None, LeaseHolder | None]:
    """Return the driver of the run, and the driver that vanished; at most one of them is not None."""
    if lease is None or lease.holder is None:
        return None, None
    life = leases.probable_life(lease, requester.me)
    holder = LeaseHolder(lease.holder, life or Life.DEAD, lease.renewed_at)
    return (None, holder) if life is None else (holder, None)


async def _count_targets(
    connection: Connection, condition: ColumnElement[bool]
) -> Mapping[str, Mapping[TargetState, int]]:
    columns = (targets.c.run_id, targets.c.state, func.count())
    rows = await connection.execute(select(*columns).where(condition).group_by(targets.c.run_id, targets.c.state))
    counts: defaultdict[str, dict[TargetState, int]] = defaultdict(dict)
    for run_id, state, number in rows:
        counts[run_id][decode_column(TargetState, state)] = number
    return counts


async def load(database: Database, run_id: str) -> Progress:
    """Load the progress of the run from the tables of runs and targets. Raise UnknownRun."""
    async with database.reading() as connection:
        return await load_within(connection, run_id, database.location)


async def load_within(connection: Connection, run_id: str, location: Location) -> Progress:
    """Load the progress of the run, as the transaction sees it. Raise UnknownRun."""
    body = await connection.scalar(select(runs.c.body).where(runs.c.id == run_id))
    if body is None:
        raise UnknownRun(f"there is no run {run_id!r} in {location.shown}")
    run = decode_body(run_from_json, body, location)
    loaded: list[Target] = []
    after = ""
    while True:
        next_targets = (targets.c.run_id == run_id, targets.c.server_id > after)
        page = select(targets.c.server_id, targets.c.body).where(*next_targets).order_by(targets.c.server_id)
        rows = (await connection.execute(page.limit(ROWS_AT_ONCE))).all()
        loaded += [decode_body(target_from_json, body, location) for _, body in rows]
        if len(rows) < ROWS_AT_ONCE:
            break
        after = rows[-1].server_id
    return Progress(run, sorted(loaded, key=lambda target: target.position))


async def events(
    database: Database,
    run_id: str,
    after_seq: int = 0,
    limit: int = RECORDS_PER_PAGE,
    *,
    since: datetime | None = None,
    servers: Collection[str] | None = None,
) -> Sequence[Record]:
    """Return the records of the run after the number `after_seq`, in order, at most `limit` of them.

    `since` leaves out older records, `servers` the records of other servers; None leaves out nothing.
    """
    columns = (records.c.seq, records.c.at, records.c.body)
    query = select(*columns).where(records.c.run_id == run_id, records.c.seq > after_seq)
    if since is not None:
        query = query.where(records.c.at >= since)
    if servers is not None:
        query = query.where(records.c.server_id.in_(servers))
    async with database.reading() as connection:
        page = query.order_by(records.c.seq).limit(min(limit, RECORDS_PER_PAGE))
        rows = (await connection.execute(page)).all()
    return [Record(seq, at, decode_body(event_from_json, body, database.location)) for seq, at, body in rows]


async def last_events(database: Database, run_id: str, server_id: str, number: int) -> Sequence[Record]:
    """Return the last records of a server in the run, in order."""
    query = select(records.c.seq, records.c.at, records.c.body)
    query = query.where(records.c.run_id == run_id, records.c.server_id == server_id)
    async with database.reading() as connection:
        rows = (await connection.execute(query.order_by(records.c.seq.desc()).limit(number))).all()
    return [Record(seq, at, decode_body(event_from_json, body, database.location)) for seq, at, body in reversed(rows)]
