"""Events as flat JSON documents. `event_types` lists their types, and the fields that each shows."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import (
    AttemptEnded,
    ChangeAdopted,
    ChangeAnswered,
    ChangeIntended,
    EndAsked,
    Enlisted,
    Event,
    Forgiven,
    JobEnded,
    Moved,
    NotDelivered,
    PowerAnswered,
    PowerIntended,
    Record,
    Released,
    Retried,
    RunApproved,
    RunCreated,
    RunEvent,
    RunMoved,
    RunWaveFinished,
    RunWaveOpened,
    RunWavePromoted,
    RunWaveReopened,
    Settled,
)
from fleetos.model.run import End, Run, Target
from fleetos.model.states import TargetState
from fleetos.views.documents.document import VERSION, Document
from fleetos.views.documents.event_types import EVENT_TYPES
from fleetos.views.documents.run import scope_fields
from fleetos.views.text.format import timestamp

# Public names of fields that the journal calls otherwise.
_NAMES = {"code": "error_code", "disk": "system_disk", "number": "pass", "size": "servers"}
_NAMES_OF: Mapping[type, dict[str, str]] = {
    AttemptEnded: {"disk": "system_disk_after", "image": "image_after"},
    ChangeAnswered: {"status": "http_status"},
    JobEnded: {"status": "job_status"},
    RunApproved: {"number": "wave"},
    RunWaveFinished: {"number": "wave"},
    RunWaveOpened: {"number": "wave"},
    RunWavePromoted: {"number": "wave"},
    RunWaveReopened: {"number": "wave"},
}


def event_document(record: Record, run_id: str, server: str | None = None) -> Document:
    """Return the record as one flat JSON object. It has no field without a value, and never a secret.

    `server`: name of the server that the record is about, if it is known. The field `kind` is the event's own name,
    which tells apart the causes that lead to one state.
    """
    event = record.event
    head: Document = {
        "v": VERSION,
        "seq": record.seq,
        "at": timestamp(record.at),
        "run": run_id,
        "type": type_of(event),
        "kind": event.kind,
    }
    if not isinstance(event, RunEvent):
        head["server_id"] = event.server_id
        if name := server or (event.target.name if isinstance(event, Enlisted) else None):
            head["server"] = name
    values = _fields(event)
    shown = {name: values.get(name) for name in EVENT_TYPES[head["type"]].fields}
    return head | {name: _value(value) for name, value in shown.items() if value is not None and value != ""}


def type_of(event: Event) -> str:
    """Return the event's type: `target.<state>` or `run.<state>` if it moves one, its own name otherwise."""
    if isinstance(event, RunEvent):
        return f"run.{event.to if isinstance(event, RunMoved) else event.kind.removeprefix('run-')}"
    match event:
        case PowerIntended():
            return f"target.{event.verb}-sent"
        case Enlisted() | PowerAnswered() | EndAsked() | Forgiven() | Settled():
            return f"target.{event.kind}"
        case JobEnded() if event.status is not JobStatus.SUCCESS:
            return "target.job-ended"
        case Released() if event.to is None:
            return "target.released"
        case _:
            return f"target.{state_of(event)}"


def state_of(event: Event) -> TargetState | None:
    """Return the state that the event moves its target to, or None if it moves none."""
    match event:
        case Moved() | ChangeAnswered() | AttemptEnded() | Released():
            return event.to
        case ChangeIntended():
            return TargetState.SUBMITTING
        case ChangeAdopted():
            return TargetState.CHANGING
        case JobEnded():
            return TargetState.VERIFYING if event.status is JobStatus.SUCCESS else None
        case NotDelivered():
            return TargetState.READY
        case Retried():
            return TargetState.WAITING
        case _:
            return None


def _fields(event: Event) -> Document:
    """Return the fields of the event by their public names, and what the event does not hold under any."""
    match event:
        case RunCreated():
            return _created_fields(event.run)
        case Enlisted():
            return _enlisted_fields(event.target)
        case ChangeIntended():
            more = {"image_before": event.before.likely_image, "system_disk": event.before.disk}
        case NotDelivered():
            more = {"outcome": "not_delivered"}
        case EndAsked():
            more = {"then": event.end, "reason": event.end.reason, "detail": event.end.detail}
        case _:
            more = {}
    names = _NAMES | _NAMES_OF.get(type(event), {})
    return {names.get(field.name, field.name): getattr(event, field.name) for field in fields(event)} | more


def _created_fields(run: Run) -> Document:
    return {
        "name": run.name,
        "plan_digest": run.digest,
        "plan_path": run.plan_path,
        **scope_fields(run.scope),
        "created_by": run.created_by,
        "images": dict(run.images),
        "concurrency": run.settings.concurrency,
        "attempts_allowed": run.settings.attempts,
    }


def _enlisted_fields(target: Target) -> Document:
    return {
        "name": target.name,
        "state": target.state,
        "image": target.order.image_id,
        "image_name": target.order.image_name,
        "reinstall": target.order.reinstall,
        "image_before": target.baseline.likely_image,
        "system_disk": target.disk,
    }


def _value(value: object) -> Any:
    match value:
        case datetime():
            return timestamp(value)
        case End():
            return value.state.value
        case str():
            return str(value)
        case _:
            return value
