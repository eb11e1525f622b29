"""Model values as rows of the tables."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fleetos.errors import DatabaseUnusable
from fleetos.limits import ROWS_AT_ONCE
from fleetos.model.journal.codec import event_json, run_json, target_json
from fleetos.model.journal.events import Record, RunEvent
from fleetos.model.run import Outcome, Run, Target
from fleetos.store.database.location import Location
from fleetos.store.database.sqlite_files import damage_hint

Row = dict[str, Any]
Value = TypeVar("Value")

# Attempts that ended so are proven to have done nothing to their server.
_DID_NOTHING = frozenset({Outcome.REFUSED, Outcome.NOT_DELIVERED})

TARGET_KEYS = ("run_id", "server_id")
TARGET_VALUES = ("state", "attempt", "job_id", "disk", "touched_at", "doubtful", "body")
RUN_VALUES = ("name", "digest", "state", "body")


def run_row(run: Run) -> Row:
    """The run as a row."""
    return {
        "id": run.id,
        "name": run.name,
        "digest": run.digest,
        "state": run.state.value,
        "created_at": run.created_at,
        "body": run_json(run),
    }


def target_row(run_id: str, target: Target) -> Row:
    """The target as a row. `touched_at` and `doubtful` are what later runs ask about its server."""
    last = target.attempts[-1] if target.attempts else None
    touching = next((one for one in reversed(target.attempts) if one.outcome not in _DID_NOTHING), None)
    return {
        "run_id": run_id,
        "server_id": target.server_id,
        "position": target.position,
        "name": target.name,
        "state": target.state.value,
        "attempt": last.number if last else 0,
        "job_id": last.job_id if last else None,
        "disk": target.disk,
        "touched_at": touching.sent_at if touching else None,
        "doubtful": target.unsettled or (touching is not None and touching.outcome is not Outcome.SUCCEEDED),
        "body": target_json(target),
    }


def record_row(run_id: str, record: Record) -> Row:
    """The record as a row."""
    event = record.event
    of_run = isinstance(event, RunEvent)
    return {
        "run_id": run_id,
        "seq": record.seq,
        "at": record.at,
        "server_id": None if of_run else event.server_id,
        "kind": event.kind,
        "body": event_json(event),
    }


@dataclass(frozen=True, slots=True)
class AppendRows:
    """Records and the values of targets that they led to, ready to be written."""

    records: list[Row]
    targets: list[Row]


def rows_of(run_id: str, records: Iterable[Record], targets: Iterable[Target]) -> AppendRows:
    """The values as rows. Made before a transaction begins, so that it holds the database no longer than it must."""
    return AppendRows([record_row(run_id, one) for one in records], [target_row(run_id, one) for one in targets])


def in_pieces(run_id: str, records: Sequence[Record], targets: Sequence[Target]) -> Iterator[AppendRows]:
    """Yield the values as rows, some at a time, for a run that is written whole: its rows are larger than itself."""
    for start in range(0, len(records), ROWS_AT_ONCE):
        yield rows_of(run_id, records[start : start + ROWS_AT_ONCE], ())
    for start in range(0, len(targets), ROWS_AT_ONCE):
        yield rows_of(run_id, (), targets[start : start + ROWS_AT_ONCE])


def claim_row(run_id: str, target: Target) -> Row:
    """The claim of the run on the target's server as a row."""
    return {"server_id": target.server_id, "run_id": run_id, "unanswered_at": target.last_unanswered_at}


def last_of_each(targets: Iterable[Target]) -> list[Target]:
    """The targets without those that a later value of the same server replaces."""
    return list({target.server_id: target for target in targets}.values())


def decoded(read: Callable[[str], Value], body: str, location: Location) -> Value:
    """The value that a body tells. Raises DatabaseUnusable if it tells none."""
    try:
        return read(body)
    except ValueError as error:
        raise DatabaseUnusable(
            f"{location.shown} holds a value that cannot be read back ({type(error).__name__})",
            f"check it with `fleetos db check`; {damage_hint(location.path)}",
        ) from error
