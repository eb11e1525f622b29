"""JSON of a run's status, and of the list of runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from fleetos.model.journal.events import RequestAnswered
from fleetos.model.progress import Progress
from fleetos.model.run import Attempt, Left, Outcome, Run, Scope, Target
from fleetos.model.states import RETRIABLE, RunState, TargetState
from fleetos.rules.admission.journal_facts import standing_of
from fleetos.rules.admission.pass_facts import Standing
from fleetos.views.documents.document import VERSION, Document
from fleetos.views.documents.rollout import rollout_fields
from fleetos.views.text.format import timestamp, timestamp_or_none
from fleetos.views.text.reasons import run_todo_of, todo_of
from fleetos.views.text.run_condition import Driver, condition, driven, powered_off
from fleetos.views.text.wait_words import waits_for


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a list of runs. `lease` None: no process has it."""

    run: Run
    counts: Mapping[TargetState, int]
    lease: Driver | None = None


def status_document(
    progress: Progress,
    now: datetime,
    lease: Driver | None = None,
    *,
    exit_code: int | None = None,
    targets: Iterable[Target] | None = None,
    standing: Standing | None = None,
) -> Document:
    """Return the status of a run: the run, the number of targets in each state, and each target with its attempts.

    `exit_code`: exit code of a command that finds the run in this state. `targets` None: all targets of the run.
    `standing`: that of the run, if more of it is known than its journal says.
    """
    line = RunLine(progress.run, progress.counts, lease)
    shown = progress.targets.values() if targets is None else targets
    standing = standing or standing_of(progress, now)
    return {
        "v": VERSION,
        "run": {
            **_run_fields(line),
            **rollout_fields(progress, standing),
            "exit_code": None if driven(progress.run, lease) else exit_code,
        },
        "counts": _count_fields(progress.counts),
        "powered_off": [{"server_id": target.server_id, "name": target.name} for target in powered_off(progress)],
        "targets": [target_document(standing, target, lease) for target in shown],
    }


def runs_document(lines: Iterable[RunLine]) -> Document:
    """Return the list of runs, each with its counts."""
    return {
        "v": VERSION,
        "runs": [{**_run_fields(line), "counts": _count_fields(line.counts)} for line in lines],
    }


def request_document(run: Run, answer: RequestAnswered | None) -> Document:
    """Return what became of an operator's request; `request` is null while the driver has not answered."""
    fields = ("request", "verb", "outcome", "by", "reason", "detail")
    told = None if answer is None else {name: getattr(answer, name) or None for name in fields}
    return {"v": VERSION, "run": {"id": run.id, "state": run.state.value}, "request": told}


def scope_fields(scope: Scope) -> Document:
    """Return the cloud, region and project, and the user or access key that was logged in."""
    return {
        "cloud": scope.cloud,
        "region": scope.region,
        "project_id": scope.project_id,
        "project": scope.project,
        "domain": scope.domain,
        "user": scope.user,
        "access_key": scope.access_key,
    }


def _run_fields(line: RunLine) -> Document:
    run, lease = line.run, line.lease
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state.value,
        "plan_digest": run.digest,
        "created_at": timestamp(run.created_at),
        "started_at": timestamp_or_none(run.started_at),
        "ended_at": timestamp_or_none(run.ended_at),
        "passes": run.passes,
        "resumed": max(0, run.sessions - 1),
        "driver": lease.present if lease else None,
        "condition": condition(run, line.counts, lease).value,
        **scope_fields(run.scope),
        "created_by": run.created_by or None,
        "owner": run.owner or None,
        "plan_path": run.plan_path,
        "images": dict(run.images),
        "since": timestamp(run.since or run.created_at),
        "pause": _request_fields(run, RunState.PAUSED),
        "abort": _request_fields(run, RunState.FINISHING, RunState.ABORTED),
        "lease": _lease_fields(lease),
        "left": _left_fields(run.left),
        "not_before": timestamp_or_none(run.steering.not_before),
    }


def _request_fields(run: Run, *states: RunState) -> Document | None:
    """Return why the run is in one of `states`, who asked for it, and what to do; None if it is in another state."""
    if run.state not in states:
        return None
    return {
        "reason": run.reason.value if run.reason else None,
        "detail": run.detail or None,
        "by": run.by or None,
        "at": timestamp_or_none(run.since),
        "todo": run_todo_of(run) if run.reason and run.state is RunState.PAUSED else None,
    }


def _lease_fields(lease: Driver | None) -> Document | None:
    if lease is None:
        return None
    return {"holder": lease.holder, "last_renewed_at": timestamp(lease.renewed_at), "life": lease.life}


def _left_fields(left: Left | None) -> Document | None:
    if left is None:
        return None
    return {"at": timestamp(left.at), "driver": left.driver, "why": left.why.value, "detail": left.detail or None}


def _count_fields(counts: Mapping[TargetState, int]) -> dict[str, int]:
    occurring = {state.value: counts[state] for state in TargetState if counts.get(state)}
    return {"total": sum(occurring.values()), **occurring}


def target_document(standing: Standing, target: Target, lease: Driver | None) -> Document:
    """Return one target: its state and the reason for it, what it waits for, and every attempt."""
    waiting, reason, run = waits_for(standing, target, lease), target.reason, standing.run
    return {
        "server_id": target.server_id,
        "name": target.name,
        "state": target.state.value,
        "reason": target.reason.value if target.reason else None,
        "image_before": target.baseline.likely_image,
        "image_after": target.image_after,
        "system_disk_before": target.baseline.disk,
        "system_disk_after": target.disk_after,
        "attempts": [_attempt_fields(target, attempt) for attempt in target.attempts],
        "labels": dict(target.labels),
        "flavor": target.flavor,
        "az": target.az,
        "wave": target.wave or None,
        "image": target.order.image_id,
        "image_name": target.order.image_name,
        "since": timestamp_or_none(target.since),
        "detail": target.detail or None,
        "todo": todo_of(reason, run, [target]) if reason and target.state in RETRIABLE else None,
        "not_before": timestamp_or_none(target.not_before),
        "waits_for": None
        if waiting is None
        else {"reason": waiting.reason.value, "detail": waiting.words, "ends_at": timestamp_or_none(waiting.ends_at)},
        "powered_off": target.stopped_at is not None,
    }


def _attempt_fields(target: Target, attempt: Attempt) -> Document:
    outcome = outcome_of(target, attempt)
    return {
        "number": attempt.number,
        "job_id": attempt.job_id,
        "outcome": outcome.value if outcome else None,
        "error_code": attempt.error_code,
        "fail_reason": attempt.fail_reason,
        "submitted_at": timestamp(attempt.sent_at),
        "ended_at": timestamp_or_none(attempt.ended_at),
    }


def outcome_of(target: Target, attempt: Attempt) -> Outcome | None:
    """Return the outcome of the attempt: None while it is in flight, UNKNOWN if its target ended without a verdict."""
    if attempt.outcome is None and target.ended:
        return Outcome.UNKNOWN
    return attempt.outcome
