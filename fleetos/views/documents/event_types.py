"""Catalogue of event types that programs read."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event: its meaning, and the fields that it may have besides `COMMON_FIELDS`."""

    what: str
    fields: tuple[str, ...]


_WAIT = ("reason", "detail", "not_before", "then")
_MOVE = ("system_disk", *_WAIT)
_ANSWER = ("attempt", "answer", "job_id", "error_code", "http_status", "request_id")
_VERDICT = ("attempt", "outcome", "system_disk_after", "image_after")
_REFUSED = (*_ANSWER, *_VERDICT[1:], *_MOVE)

COMMON_FIELDS = ("v", "seq", "at", "run", "type", "kind")

EVENT_TYPES: Mapping[str, EventType] = {
    "run.created": EventType(
        "a plan was frozen into the run",
        (
            "name",
            "plan_digest",
            "plan_path",
            "cloud",
            "region",
            "project_id",
            "project",
            "domain",
            "user",
            "access_key",
            "created_by",
            "images",
            "concurrency",
            "attempts_allowed",
        ),
    ),
    "run.driver-started": EventType("a process began to drive the run", ("driver",)),
    "run.driver-ended": EventType("a process stopped driving the run before its end", ("driver", "why", "detail")),
    "run.wave-opened": EventType("the first server of the wave is admitted", ("wave",)),
    "run.wave-finished": EventType("the last server of the wave has ended", ("wave",)),
    "run.wave-reopened": EventType(
        "members of the wave that had ended are taken up again: it is unfinished, and baked anew", ("wave",)
    ),
    "run.wave-promoted": EventType(
        "an operator ended the bake of the wave, or let the next one open although members are unfinished",
        ("wave", "by", "unfinished"),
    ),
    "run.approved": EventType("an operator approved the opening of the wave", ("wave", "by")),
    "run.pass-started": EventType("the operator asked for one more attempt for some targets", ("pass", "by", "reason")),
    "run.request": EventType(
        "an operator's request was answered, in the commit of its effect",
        ("request", "verb", "outcome", "by", "reason", "detail"),
    ),
    "run.setting": EventType("an operator changed a setting of the run", ("concurrency",)),
    "run.notified": EventType(
        "a notification was sent, or its tries are over",
        ("entry", "service", "occasion", "subject", "about", "outcome", "tries", "detail"),
    ),
    "run.running": EventType("somebody resumed the run", ("reason", "detail", "by")),
    "run.paused": EventType("the run admits nothing until it is resumed", ("reason", "detail", "by")),
    "run.finishing": EventType(
        "the run was aborted, or a budget ends it; changes in flight end", ("reason", "detail", "by")
    ),
    "run.done": EventType("every target has ended", ("reason", "detail", "by")),
    "run.failed": EventType("the failure budget is used up and every target has ended", ("reason", "detail", "by")),
    "run.aborted": EventType("every target has ended; an abort left some unchanged", ("reason", "detail", "by")),
    "target.enlisted": EventType(
        "a server became a target", ("name", "state", "image", "image_name", "reinstall", "image_before", "system_disk")
    ),
    "target.waiting": EventType("it is in the queue again: retried, released or recalled", _MOVE),
    "target.checking": EventType("it was admitted, and the server is read before its first effect", _MOVE),
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
        "the cloud accepted the change; without a job id, the server was seen changing", (*_ANSWER, "deadline", *_MOVE)
    ),
    "target.verifying": EventType(
        "the job succeeded, or the new disk was seen; the new OS is being proven",
        ("attempt", "job_id", "job_status", *_MOVE),
    ),
    "target.starting": EventType("a start that the cloud owed is made up for", _MOVE),
    "target.restoring": EventType("power is put back as it was", _REFUSED),
    "target.backoff": EventType("an attempt failed and the next waits", (*_VERDICT, *_MOVE)),
    "target.inspecting": EventType("an outcome is unknown; the server is looked at", (*_ANSWER, *_MOVE)),
    "target.done": EventType("the new OS is proven", (*_VERDICT, *_MOVE)),
    "target.skipped": EventType("nothing was to be done", (*_VERDICT, *_MOVE)),
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
    "target.end-asked": EventType(
        "an operator asked that it ends so before its change, once nothing of it is on its way",
        ("then", "reason", "detail"),
    ),
    "target.released": EventType("an operator took back that it is to be held, before it was", ()),
    "target.forgiven": EventType("its failure counts towards no budget any more: the operator resumed the run", ()),
    "target.settled": EventType("the operator declared its unknown outcomes settled", ()),
}
