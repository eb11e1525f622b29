"""Events as flat JSON documents, and the catalogue of all their types."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleetos.model.events import (
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
    RunDriverStarted,
    RunEvent,
    RunMoved,
    RunPassStarted,
    Settled,
    TargetEvent,
)
from fleetos.model.inventory import JobStatus
from fleetos.model.run import End, Run, Target
from fleetos.model.states import RunState, TargetState
from fleetos.views.documents import VERSION, Document
from fleetos.views.wording import stamp


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event: what it says, and the fields that it may have besides those that all events have."""

    what: str
    fields: tuple[str, ...]


_WAIT = ("reason", "detail", "not_before", "deadline", "then")
_MOVE = ("system_disk", *_WAIT)
_ANSWER = ("attempt", "answer", "job_id", "error_code", "http_status", "request_id")
_VERDICT = ("attempt", "outcome", "system_disk_after", "image_after")
_REFUSED = (*_ANSWER, *_VERDICT[1:], *_MOVE)

COMMON_FIELDS = ("v", "seq", "at", "run", "type", "kind")

EVENT_TYPES: Mapping[str, EventType] = {
    "run.created": EventType(
        "a plan was frozen into the run",
        ("name", "plan_digest", "cloud", "region", "images", "concurrency", "attempts_allowed"),
    ),
    "run.driver-started": EventType("a process began to drive the run", ("driver",)),
    "run.pass-started": EventType("the operator asked for one more attempt for some targets", ("pass",)),
    "run.running": EventType("somebody resumed the run", ("reason", "detail")),
    "run.paused": EventType("the run admits nothing until it is resumed", ("reason", "detail")),
    "run.finishing": EventType("the run was aborted; changes in flight end", ("reason", "detail")),
    "run.done": EventType("every target has ended", ("reason", "detail")),
    "run.failed": EventType("the failure budget is used up and every target has ended", ("reason", "detail")),
    "run.aborted": EventType("the run was aborted and every target has ended", ("reason", "detail")),
    "target.enlisted": EventType(
        "a server became a target", ("name", "state", "image", "image_name", "image_before", "system_disk")
    ),
    "target.waiting": EventType("it is in the queue again, for one more attempt", _MOVE),
    "target.checking": EventType("a slot is taken and the server is read before its first effect", _MOVE),
    "target.draining": EventType("load is being moved away", _MOVE),
    "target.stopping": EventType("it is to be stopped", _MOVE),
    "target.ready": EventType(
        "it may be sent its change; with an attempt, the request before was proven not done",
        (*_ANSWER, "outcome", *_MOVE),
    ),
    "target.submitting": EventType(
        "the intent is durable and the request is about to be sent",
        ("attempt", "image_before", "system_disk", "deadline"),
    ),
    "target.changing": EventType(
        "the cloud accepted the change; without a job id, the server was seen changing", (*_ANSWER, *_MOVE)
    ),
    "target.verifying": EventType(
        "the job succeeded, or the new disk was seen; the new OS is being proven",
        ("attempt", "job_id", "job_status", "outcome", "system_disk_after", "image_after", *_MOVE),
    ),
    "target.starting": EventType("a start that the cloud owed is made up for", (*_VERDICT, *_MOVE)),
    "target.restoring": EventType("power is put back as it was", _REFUSED),
    "target.backoff": EventType("an attempt failed and the next waits", (*_VERDICT, *_MOVE)),
    "target.inspecting": EventType("an outcome is unknown; the server is looked at", (*_ANSWER, *_MOVE)),
    "target.done": EventType("the new OS is proven", (*_VERDICT, *_MOVE)),
    "target.skipped": EventType("nothing was to be done", _MOVE),
    "target.failed": EventType("it will not be changed in this run", _REFUSED),
    "target.held": EventType("it waits for a human", _REFUSED),
    "target.cancelled": EventType("the run was aborted before it was changed", (*_VERDICT, *_MOVE)),
    "target.stop-sent": EventType("a stop that names it is about to be sent", ("call_id", "hard", "servers")),
    "target.start-sent": EventType("a start that names it is about to be sent", ("call_id", "hard", "servers")),
    "target.power-answered": EventType(
        "what came of a stop or start; `call_id` is that of its `target.stop-sent` or `target.start-sent`",
        ("call_id", "outcome", "job_id", "error_code", "request_id", "detail", "not_before"),
    ),
    "target.job-ended": EventType(
        "the job of a change ended badly; the verdict on the attempt follows",
        ("attempt", "job_id", "job_status", "error_code", "fail_reason"),
    ),
    "target.settled": EventType("the operator declared its unknown outcomes settled", ()),
}


def event_document(record: Record, run_id: str) -> Document:
    """The record as one flat JSON object. A field without a value is left out; no value is ever a secret.

    `kind` is the event's own name, which tells apart the causes that lead to one state.
    """
    event = record.event
    head: Document = {
        "v": VERSION,
        "seq": record.seq,
        "at": stamp(record.at),
        "run": run_id,
        "type": type_of(event),
        "kind": event.kind,
    }
    if not isinstance(event, RunEvent):
        head["server_id"] = event.server_id
        return head | _plain(_target_fields(event))
    return head | _plain(_run_fields(event))


def type_of(event: Event) -> str:
    """The event's type: `target.<state>` or `run.<state>` if it moves one, its own name otherwise."""
    match event:
        case RunMoved():
            return f"run.{event.to}"
        case RunCreated() | RunDriverStarted() | RunPassStarted():
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
    """The state that the event moves its target to, or None if it moves none."""
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
        case RunMoved():
            return {"reason": event.reason, "detail": event.detail}
        case RunPassStarted():
            return {"pass": event.number}


def _created_fields(run: Run) -> Document:
    return {
        "name": run.name,
        "plan_digest": run.digest,
        "cloud": run.scope.cloud,
        "region": run.scope.region,
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
        "image_before": target.baseline.image,
        "system_disk": target.disk,
    }


def _target_fields(event: TargetEvent) -> Document:
    match event:
        case Enlisted():
            return _enlisted_fields(event.target)
        case Moved():
            return {"system_disk": event.disk, **_wait_fields(event), "deadline": event.deadline}
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
            return {"image_before": before.image, "system_disk": before.disk, "deadline": event.deadline}
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


def _plain(fields: Document) -> Document:
    """The fields as JSON values, without those that say nothing."""
    return {name: _value(value) for name, value in fields.items() if value is not None and value != ""}


def _value(value: object) -> Any:
    match value:
        case datetime():
            return stamp(value)
        case TargetState() | RunState():
            return value.value
        case End():
            return value.state.value
        case str():
            return str(value)
        case _:
            return value
