"""Convert model values to rows and back."""

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

# Outcomes that prove that the attempt has done nothing to its server.
_DID_NOTHING = frozenset({Outcome.REFUSED, Outcome.NOT_DELIVERED})

TARGET_KEYS = ("run_id", "server_id")
TARGET_VALUES = ("state", "attempt", "job_id", "disk", "touched_at", "doubtful", "body")
RUN_VALUES = ("name", "digest", "state", "body")


def run_row(run: Run) -> Row:
    """Convert the run to a row."""
    return {
        "id": run.id,
        "name": run.name,
        "digest": run.digest,
        "state": run.state.value,
        "created_at": run.created_at,
        "body": run_json(run),
    }


def target_row(run_id: str, target: Target) -> Row:
    """Convert the target to a row. Later runs read `touched_at` and `doubtful` of its server."""
    last = target.attempts[-1] if target.attempts else None
    last_touching = next(
        (attempt for attempt in reversed(target.attempts) if attempt.outcome not in _DID_NOTHING), None
    )
    return {
        "run_id": run_id,
        "server_id": target.server_id,
        "position": target.position,
        "name": target.name,
        "state": target.state.value,
        "attempt": last.number if last else 0,
        "job_id": last.job_id if last else None,
        "disk": target.disk,
        "touched_at": last_touching.sent_at if last_touching else None,
        "doubtful": target.unsettled or (last_touching is not None and last_touching.outcome is not Outcome.SUCCEEDED),
        "body": target_json(target),
    }


def record_row(run_id: str, record: Record) -> Row:
    """Convert the record to a row."""
    event = record.event
    is_run_event = isinstance(event, RunEvent)
    return {
        "run_id": run_id,
        "seq": record.seq,
        "at": record.at,
        "server_id": None if is_run_event else event.server_id,
        "kind": event.kind,
        "body": event_json(event),
    }


@dataclass(frozen=True, slots=True)
class AppendRows:
    """Rows of records and of the values of targets that they led to."""

    records: list[Row]
    targets: list[Row]


def append_rows(run_id: str, records: Iterable[Record], targets: Iterable[Target]) -> AppendRows:
    """Convert records and targets to rows.

    Call it before the transaction begins, so that the transaction holds the database no longer than it must.
    """
    return AppendRows(
        [record_row(run_id, record) for record in records], [target_row(run_id, target) for target in targets]
    )


def append_row_batches(run_id: str, records: Sequence[Record], targets: Sequence[Target]) -> Iterator[AppendRows]:
    """Yield the rows of records and targets in batches of ROWS_AT_ONCE.

    For a run that is written whole: its rows take more memory than the run itself.
    """
    for start in range(0, len(records), ROWS_AT_ONCE):
        yield append_rows(run_id, records[start : start + ROWS_AT_ONCE], ())
    for start in range(0, len(targets), ROWS_AT_ONCE):
        yield append_rows(run_id, (), targets[start : start + ROWS_AT_ONCE])


def claim_row(run_id: str, target: Target) -> Row:
    """Convert the claim of the run on the target's server to a row."""
    return {"server_id": target.server_id, "run_id": run_id, "unanswered_at": target.last_unanswered_at}


def latest_by_server(targets: Iterable[Target]) -> list[Target]:
    """Return the last value of each target: earlier ones of the same server are left out."""
    return list({target.server_id: target for target in targets}.values())


def decode_body(read: Callable[[str], Value], body: str, location: Location) -> Value:
    """Decode the body of a row with `read`. Raise DatabaseUnusable if it is not valid."""
    try:
        return read(body)
    except ValueError as error:
        raise DatabaseUnusable(
            f"{location.shown} holds a value that cannot be read back ({type(error).__name__})",
            f"check it with `fleetos db check`; {damage_hint(location.path)}",
        ) from error
