"""Read runs, progress and records. Nothing here changes anything.

The statements are SQL text, so that a command that only looks needs no SQLAlchemy (ADR 26).
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleetos.errors import UnknownRun
from fleetos.limits import ANSWERS_SEARCHED, RECORDS_PER_PAGE, ROWS_AT_ONCE, RUNS_COMPARED, RUNS_SUGGESTED
from fleetos.model.journal.codec import event_from_json, run_from_json, target_from_json
from fleetos.model.journal.events import Record, RequestAnswered
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS, TargetState
from fleetos.store.database.columns import decode_column, time_from, time_text
from fleetos.store.database.location import Location
from fleetos.store.database.reader import Parameters, Readable, Reader, rows_of_ids
from fleetos.store.lease_rows import LeaseRequester, LeaseRow, probable_life, read_held_leases
from fleetos.store.process import Holder, Life
from fleetos.store.rows import decode_body
from fleetos.text import did_you_mean

# Runs in one list: a screen shows far fewer, and each costs a decoded body.
RUNS_LISTED = 1_000
_ENDED = [state.value for state in RUN_ENDS]
# Kind of RequestAnswered.
_ANSWERED = "run-request"

_RUNS_OF_NAME = "SELECT id, state FROM runs WHERE name = :name ORDER BY created_no DESC LIMIT :limit"
_RUNS_OF_PREFIX = "SELECT id FROM runs WHERE id LIKE :prefix ESCAPE '/' ORDER BY created_no DESC LIMIT :limit"
_NEWEST_NAMES = "SELECT id, name FROM runs ORDER BY created_no DESC LIMIT :limit"
_ANY_RUN = "SELECT id FROM runs LIMIT 1"
_NEWEST_RUNS = "SELECT id, body FROM runs ORDER BY created_no DESC, id DESC LIMIT :limit"
_UNFINISHED_RUNS = "SELECT id, body FROM runs WHERE state NOT IN :ended ORDER BY created_no DESC, id DESC"
_RUNS_OF_DIGEST = "SELECT id, body FROM runs WHERE digest = :digest ORDER BY created_no DESC, id DESC"
_RUN = "SELECT id, body FROM runs WHERE id = :id"
_COUNTS = "SELECT run_id, state, count(*) FROM targets WHERE run_id IN :ids GROUP BY run_id, state"
_TARGETS = """
    SELECT server_id, body FROM targets WHERE run_id = :run_id AND server_id > :after ORDER BY server_id LIMIT :limit
"""
_RECORDS = """
    SELECT seq, at, body FROM records WHERE run_id = :run_id AND seq > :after AND at >= :since
    ORDER BY seq LIMIT :limit
"""
_RECORDS_OF_KINDS = """
    SELECT seq, at, body FROM records WHERE run_id = :run_id AND seq > :after AND seq <= :last AND kind IN :kinds
    ORDER BY seq LIMIT :limit
"""
_NEWEST_OF_SERVER = """
    SELECT seq, at, body FROM records WHERE run_id = :run_id AND server_id = :server_id ORDER BY seq DESC LIMIT :limit
"""
_NEWEST_OF_KIND = "SELECT body FROM records WHERE run_id = :run_id AND kind = :kind ORDER BY seq DESC LIMIT :limit"
_RECORDS_OF_SERVERS = """
    SELECT seq, at, body FROM records WHERE run_id = :run_id AND seq > :after AND at >= :since AND server_id IN :servers
    ORDER BY seq LIMIT :limit
"""


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


async def find_run(database: Readable, given: str) -> str:
    """Return the id of the run that `given` names: an id, a name, or the beginning of an id, in this order.

    A name stands for its only unfinished run, else for its newest. Raise UnknownRun if no run matches, or several do;
    the hint names candidates.
    """
    # Ids and names are in ASCII, and a query cannot hold bytes of a command line that are not UTF-8.
    asked = given if given.isascii() else ""
    prefix = re.sub(r"([/%_])", r"/\1", asked) + "%"
    async with database.reading() as reader:
        ids_of_name = await reader.rows(_RUNS_OF_NAME, {"name": asked, "limit": RUNS_COMPARED})
        rows = await reader.rows(_RUNS_OF_PREFIX, {"prefix": prefix, "limit": RUNS_SUGGESTED + 1}) if asked else ()
        newest_rows = await reader.rows(_NEWEST_NAMES, {"limit": RUNS_COMPARED})
    ids_of_prefix: Sequence[str] = [row[0] for row in rows]
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
        newest = f"the newest run is {newest_rows[0][0]}; `fleetos runs` lists them"
        hint = did_you_mean(given, candidates, RUNS_SUGGESTED) or newest
    else:
        hint = "this database holds no runs yet"
    raise UnknownRun(f"there is no run {given[:32]!r} in {database.location.shown}", hint)


async def answer_to(database: Readable, run_id: str, request_id: int) -> RequestAnswered | None:
    """Return the answer to an operator's request; None while there is none."""
    parameters: Parameters = {"run_id": run_id, "kind": _ANSWERED, "limit": ANSWERS_SEARCHED}
    async with database.reading() as reader:
        rows = await reader.rows(_NEWEST_OF_KIND, parameters)
    events = (decode_body(event_from_json, body, database.location) for (body,) in rows)
    answers = (event for event in events if isinstance(event, RequestAnswered))
    return next((event for event in answers if event.request == request_id), None)


async def has_runs(database: Readable) -> bool:
    """Return whether the database holds any run."""
    async with database.reading() as reader:
        return bool(await reader.rows(_ANY_RUN))


def _choose_by_name(name: str, runs_of_name: Sequence[tuple[str, bool]]) -> str:
    """Return the only unfinished run, else the newest. Raise UnknownRun if several are unfinished.

    `runs_of_name` are the ids of the runs of that name, the newest first, each with True if it is unfinished.
    """
    unfinished = [run_id for run_id, is_unfinished in runs_of_name if is_unfinished]
    if len(unfinished) > 1:
        shown = ", ".join(unfinished[:RUNS_SUGGESTED])
        raise UnknownRun(f"{len(unfinished)} unfinished runs are named {name}", f"give the id of one: {shown}")
    return unfinished[0] if unfinished else runs_of_name[0][0]


async def newest_runs(database: Readable, requester: LeaseRequester, limit: int = RUNS_LISTED) -> Sequence[RunSummary]:
    """Return the newest runs, ended or not, the newest first."""
    return await _load_summaries(database, requester, _NEWEST_RUNS, {"limit": limit})


async def unfinished_runs(database: Readable, requester: LeaseRequester) -> Sequence[RunSummary]:
    """Return the runs that have not ended, the newest first."""
    return await _load_summaries(database, requester, _UNFINISHED_RUNS, {"ended": _ENDED})


async def runs_of_digest(database: Readable, digest: str, requester: LeaseRequester) -> Sequence[RunSummary]:
    """Return the runs that were frozen from a plan of that digest, the newest first."""
    return await _load_summaries(database, requester, _RUNS_OF_DIGEST, {"digest": digest})


async def summary(database: Readable, run_id: str, requester: LeaseRequester) -> RunSummary:
    """Return the summary of one run. Raise UnknownRun."""
    summaries = await _load_summaries(database, requester, _RUN, {"id": run_id})
    if not summaries:
        raise UnknownRun(f"there is no run {run_id!r} in {database.location.shown}")
    return summaries[0]


async def _load_summaries(
    database: Readable, requester: LeaseRequester, sql: str, parameters: Parameters
) -> Sequence[RunSummary]:
    async with database.reading() as reader:
        found_runs = {
            run_id: decode_body(run_from_json, body, database.location)
            for run_id, body in await reader.rows(sql, parameters)
        }
        counts = await _count_targets(reader, found_runs)
        held = await read_held_leases(reader, requester.clock)
    summaries: list[RunSummary] = []
    for run_id, run in found_runs.items():
        driver, lost = _driver_and_lost(held.get(run_id), requester)
        summaries.append(RunSummary(run, counts[run_id], driver, lost))
    return summaries


def _driver_and_lost(
    lease: LeaseRow | None, requester: LeaseRequester
) -> tuple[LeaseHolder | None, LeaseHolder | None]:
    """Return the driver of the run, and the driver that vanished; at most one of them is not None."""
    if lease is None or lease.holder is None:
        return None, None
    life = probable_life(lease, requester.me)
    holder = LeaseHolder(lease.holder, life or Life.DEAD, lease.renewed_at)
    return (None, holder) if life is None else (holder, None)


async def _count_targets(reader: Reader, run_ids: Collection[str]) -> Mapping[str, Mapping[TargetState, int]]:
    counts: defaultdict[str, dict[TargetState, int]] = defaultdict(dict)
    async for run_id, state, number in rows_of_ids(reader, _COUNTS, run_ids):
        counts[run_id][decode_column(TargetState, state)] = number
    return counts


async def load(database: Readable, run_id: str) -> Progress:
    """Load the progress of the run from the tables of runs and targets. Raise UnknownRun."""
    async with database.reading() as reader:
        return await load_within(reader, run_id, database.location)


async def load_within(reader: Reader, run_id: str, location: Location) -> Progress:
    """Load the progress of the run, as the transaction sees it. Raise UnknownRun."""
    rows = await reader.rows(_RUN, {"id": run_id})
    if not rows:
        raise UnknownRun(f"there is no run {run_id!r} in {location.shown}")
    run = decode_body(run_from_json, rows[0][1], location)
    loaded: list[Target] = []
    after = ""
    while True:
        rows = await reader.rows(_TARGETS, {"run_id": run_id, "after": after, "limit": ROWS_AT_ONCE})
        loaded += [decode_body(target_from_json, body, location) for _, body in rows]
        if len(rows) < ROWS_AT_ONCE:
            break
        after = rows[-1][0]
    return Progress(run, sorted(loaded, key=lambda target: target.position))


async def events(
    database: Readable,
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
    parameters: Parameters = {
        "run_id": run_id,
        "after": after_seq,
        # Any text sorts behind the empty one.
        "since": "" if since is None else time_text(since),
        "limit": min(limit, RECORDS_PER_PAGE),
    }
    async with database.reading() as reader:
        if servers is None:
            rows = await reader.rows(_RECORDS, parameters)
        else:
            rows = await reader.rows(_RECORDS_OF_SERVERS, {**parameters, "servers": servers})
    return [_record(row, database) for row in rows]


async def events_of_kinds(
    database: Readable, run_id: str, kinds: Sequence[str], after_seq: int, last_seq: int
) -> Sequence[Record]:
    """Return a page of the run's records of these kinds, after the number `after_seq` and up to `last_seq`."""
    parameters: Parameters = {
        "run_id": run_id,
        "after": after_seq,
        "last": last_seq,
        "kinds": kinds,
        "limit": RECORDS_PER_PAGE,
    }
    async with database.reading() as reader:
        rows = await reader.rows(_RECORDS_OF_KINDS, parameters)
    return [_record(row, database) for row in rows]


async def last_events(database: Readable, run_id: str, server_id: str, number: int) -> Sequence[Record]:
    """Return the last records of a server in the run, in order."""
    async with database.reading() as reader:
        rows = await reader.rows(_NEWEST_OF_SERVER, {"run_id": run_id, "server_id": server_id, "limit": number})
    return [_record(row, database) for row in reversed(rows)]


def _record(row: tuple[Any, ...], database: Readable) -> Record:
    seq, at, body = row
    return Record(seq, decode_column(time_from, at), decode_body(event_from_json, body, database.location))
