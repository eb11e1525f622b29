"""Events as flat JSON documents. `event_types` lists their types."""

from datetime import datetime
from typing import Any

from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import (
    AttemptEnded,
    ChangeAdopted,
    ChangeAnswered,
    ChangeIntended,
    Enlisted,
    Event,
    JobEnded,
    Moved,
    NotDelivered,
    PowerAnswered,
    PowerIntended,
    Record,
    Retried,
    RunCreated,
    RunDriverEnded,
    RunDriverStarted,
    RunEvent,
    RunMoved,
    RunPassStarted,
    Settled,
    TargetEvent,
)
from fleetos.model.run import End, Run, Target
from fleetos.model.states import RunState, TargetState
from fleetos.views.documents.document import VERSION, Document
from fleetos.views.documents.run import scope_fields
from fleetos.views.text.format import timestamp


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
        return head | _json_fields(_target_fields(event))
    return head | _json_fields(_run_fields(event))


def type_of(event: Event) -> str:
    """Return the event's type: `target.<state>` or `run.<state>` if it moves one, its own name otherwise."""
    match event:
        case RunMoved():
            return f"run.{event.to}"
        case RunCreated() | RunDriverStarted() | RunDriverEnded() | RunPassStarted():
            return f"run.{event.kind.removeprefix('run-')}"
        case PowerIntended():
            return f"target.{event.verb}-sent"
        case Enlisted() | PowerAnswered() | Settled():
            return f"target.{event.kind}"
        case JobEnded() if event.status is not JobStatus.SUCCESS:
            return "target.job-ended"
        case _:
            return f"target.{state_of(event)}"


def state_of(event: Event) -> TargetState | None:
    """Return the state that the event moves its target to, or None if it moves none."""
    match event:
        case Moved() | ChangeAnswered() | AttemptEnded():
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


def _run_fields(event: RunEvent) -> Document:
    match event:
        case RunCreated():
            return _created_fields(event.run)
        case RunDriverStarted():
            return {"driver": event.driver}
        case RunDriverEnded():
            return {"driver": event.driver, "why": event.why, "detail": event.detail}
        case RunMoved():
            return {"reason": event.reason, "detail": event.detail, "by": event.by}
        case RunPassStarted():
            return {"pass": event.number}


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


def _target_fields(event: TargetEvent) -> Document:
    match event:
        case Enlisted():
            return _enlisted_fields(event.target)
        case Moved():
            return {"system_disk": event.disk, **_wait_fields(event)}
        case PowerIntended():
            return {"call_id": event.call_id, "hard": event.hard, "servers": event.size}
        case PowerAnswered():
            return {
                "call_id": event.call_id,
                "outcome": event.outcome,
                "job_id": event.job_id,
                "error_code": event.code,
                "request_id": event.request_id,
                "detail": event.detail,
                "not_before": event.not_before,
            }
        case Retried():
            return {"system_disk": event.disk}
        case Settled():
            return {}
        case _:
            return {"attempt": event.attempt, **_attempt_fields(event)}


_AttemptEvent = ChangeIntended | ChangeAnswered | ChangeAdopted | JobEnded | NotDelivered | AttemptEnded


def _attempt_fields(event: _AttemptEvent) -> Document:
    match event:
        case ChangeIntended():
            before = event.before
            return {"image_before": before.likely_image, "system_disk": before.disk, "deadline": event.deadline}
        case ChangeAnswered():
            return {
                "answer": event.answer,
                "job_id": event.job_id,
                "error_code": event.code,
                "http_status": event.status,
                "request_id": event.request_id,
                **_wait_fields(event),
                "deadline": event.deadline,
            }
        case ChangeAdopted():
            return {}
        case JobEnded():
            return {
                "job_id": event.job_id,
                "job_status": event.status,
                "error_code": event.error_code,
                "fail_reason": event.fail_reason,
            }
        case NotDelivered():
            return {"outcome": "not_delivered"}
        case AttemptEnded():
            return {
                "outcome": event.outcome,
                "system_disk_after": event.disk,
                "image_after": event.image,
                **_wait_fields(event),
            }


def _wait_fields(event: Moved | ChangeAnswered | AttemptEnded) -> Document:
    return {"reason": event.reason, "detail": event.detail, "not_before": event.not_before, "then": event.then}


def _json_fields(fields: Document) -> Document:
    """Return the fields as JSON values, without those that are None or empty."""
    return {name: _value(value) for name, value in fields.items() if value is not None and value != ""}


def _value(value: object) -> Any:
    match value:
        case datetime():
            return timestamp(value)
        case TargetState() | RunState():
            return value.value
        case End():
            return value.state.value
        case str():
            return str(value)
        case _:
            return value
