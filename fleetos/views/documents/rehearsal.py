"""JSON of `rehearse`. Its fields are documented in docs/reference/outputs.md."""

from fleetos.model.steering.rehearsal import (
    CallFigures,
    CaseFigures,
    EndFigures,
    PlayStop,
    Rehearsal,
)
from fleetos.views.documents.document import VERSION, Document
from fleetos.views.documents.run import scope_fields
from fleetos.views.text.format import timestamp, timestamp_or_none


def rehearsal_document(rehearsal: Rehearsal) -> Document:
    """Return the whole rehearsal: what was played, and the figures of each case."""
    run, windows = rehearsal.run, rehearsal.run.steering.windows
    return {
        "v": VERSION,
        "plan": {"name": run.name, "path": run.plan_path, "digest": run.digest, **scope_fields(run.scope)},
        "servers": rehearsal.servers,
        "seeds": rehearsal.seeds,
        "begin": timestamp(rehearsal.begin),
        "not_before": timestamp_or_none(run.steering.not_before),
        "zone": None if windows is None else windows.zone,
        "deadline": timestamp_or_none(rehearsal.deadline),
        "durations": {"source": "remembered" if rehearsal.learned else "documented", "remembered": rehearsal.learned},
        "cases": [_case(case) for case in rehearsal.cases],
    }


def _case(case: CaseFigures) -> Document:
    supposition = case.supposition
    return {
        "name": supposition.name,
        "concurrency": case.concurrency,
        "failure_rate": supposition.failure_rate,
        "approve_after_s": supposition.approve_after_s,
        "end": _end(case.end),
        "misses_deadline": case.misses,
        "stops": {stop.value: case.stops.get(stop, 0) for stop in PlayStop},
        "failed": {"p50": case.failed_p50, "p95": case.failed_p95},
        "waves": [
            {
                "number": wave.number,
                "name": wave.name,
                "members": wave.members,
                "reached": wave.reached,
                "end": _end(wave.end),
            }
            for wave in case.waves
        ],
        "windows": [
            {
                "begin": timestamp(window.interval[0]),
                "end": timestamp(window.interval[1]),
                "changed": {"p50": window.p50, "most": window.most},
            }
            for window in case.windows
        ],
        "groups": [
            {"per": group.per, "value": group.value or None, "most_out": group.most, "limit": group.limit}
            for group in case.groups
        ],
        "reads": _calls(case.reads),
        "writes": _calls(case.writes),
        "never_fit": [{"server": name, "plays": plays} for name, plays in sorted(case.never_fit.items())],
    }


def _end(end: EndFigures) -> Document:
    return {"p50": timestamp_or_none(end.p50), "p95": timestamp_or_none(end.p95)}


def _calls(calls: CallFigures) -> Document:
    return {
        "p50": calls.p50,
        "p95": calls.p95,
        "most_per_minute": calls.most_per_min,
        "limit_per_minute": calls.limit_per_min,
    }
