"""The JSON documents that programs read: a run's status, the list of runs, errors. All have `"v": 1`.

Every value is plain JSON, every time RFC 3339 in UTC. What a document has is documented in
docs/reference/outputs.md; a change to it is a change to the public contract.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetos.errors import CloudError, FleetosError, InputError, Problem
from fleetos.model.progress import Progress
from fleetos.model.run import Attempt, Outcome, Run, Target
from fleetos.model.states import TargetState
from fleetos.views.wording import stamp, stamp_or_none

VERSION = 1

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run as a list of runs shows it. `driver` names host and process that drive it; None: nobody does."""

    run: Run
    counts: Mapping[TargetState, int]
    driver: str | None = None


def status_document(progress: Progress, *, driver: str | None = None) -> Document:
    """The status of a run: the run, how many targets are in each state, and every target with its attempts."""
    return {
        "v": VERSION,
        "run": _run_fields(progress.run, driver),
        "counts": _count_fields(progress.counts),
        "targets": [_target_fields(target) for target in progress.targets.values()],
    }


def runs_document(lines: Iterable[RunLine]) -> Document:
    """The list of runs, each with its counts."""
    return {
        "v": VERSION,
        "runs": [{**_run_fields(line.run, line.driver), "counts": _count_fields(line.counts)} for line in lines],
    }


def error_document(error: FleetosError) -> Document:
    """What went wrong. Fields that only some errors have are null in the others."""
    cloud = error if isinstance(error, CloudError) else None
    problems = error.problems if isinstance(error, InputError) else ()
    return {
        "v": VERSION,
        "error": {
            "message": error.message,
            "hint": error.hint,
            "code": cloud.code if cloud else None,
            "status": cloud.status if cloud else None,
            "request_id": cloud.request_id if cloud else None,
            "exit_code": error.exit_code,
            "problems": [_problem_fields(problem) for problem in problems],
        },
    }


def validate_document(problems: Sequence[Problem], doubts: Sequence[Problem] = ()) -> Document:
    """What is wrong with a plan, an empty list of errors if nothing is, and what is doubtful."""
    return {
        "v": VERSION,
        "errors": [_problem_fields(problem) for problem in problems],
        "warnings": [_problem_fields(doubt) for doubt in doubts],
    }


def _run_fields(run: Run, driver: str | None) -> Document:
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state.value,
        "plan_digest": run.digest,
        "created_at": stamp(run.created_at),
        "started_at": stamp_or_none(run.started_at),
        "ended_at": stamp_or_none(run.ended_at),
        "passes": run.passes,
        "resumed": max(0, run.sessions - 1),
        "driver": driver,
    }


def _count_fields(counts: Mapping[TargetState, int]) -> dict[str, int]:
    occurring = {state.value: counts[state] for state in TargetState if counts.get(state)}
    return {"total": sum(occurring.values()), **occurring}


def _target_fields(target: Target) -> Document:
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
    }


def _attempt_fields(target: Target, attempt: Attempt) -> Document:
    outcome = outcome_of(target, attempt)
    return {
        "number": attempt.number,
        "job_id": attempt.job_id,
        "outcome": outcome.value if outcome else None,
        "error_code": attempt.error_code,
        "fail_reason": attempt.fail_reason,
        "submitted_at": stamp(attempt.sent_at),
        "ended_at": stamp_or_none(attempt.ended_at),
    }


def outcome_of(target: Target, attempt: Attempt) -> Outcome | None:
    """How the attempt ended: None while it is in flight, unknown when its target has ended without a verdict."""
    if attempt.outcome is None and target.ended:
        return Outcome.UNKNOWN
    return attempt.outcome


def _problem_fields(problem: Problem) -> Document:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "expected": problem.expected,
        "hint": problem.hint,
    }
