"""JSON of the rollout of a run: waves, budgets, window and groups."""

from collections import Counter
from datetime import MAXYEAR, datetime, timedelta

from fleetos.model.progress import Progress
from fleetos.model.run import Run
from fleetos.model.steering.rollout import Wave
from fleetos.rules.admission.pass_facts import Standing
from fleetos.rules.budgets import Failures, budgets
from fleetos.rules.waves import find_bake_end
from fleetos.views.documents.document import Document
from fleetos.views.text.format import timestamp, timestamp_or_none


def rollout_fields(progress: Progress, standing: Standing) -> Document:
    """Return the fields of a run about its waves, budgets, window and groups."""
    run, targets = progress.run, progress.targets.values()
    failures = Failures.of(run, targets)
    ended = Counter(target.wave for target in targets if target.ended)
    return {
        "waves": [_wave_fields(run, wave, ended[wave.number], failures, standing) for wave in run.steering.waves],
        "budgets": [
            {"scope": budget.scope, "failed": budget.failed, "allowed": budget.allowed}
            for budget in budgets(run, failures)
        ],
        "window": None if run.steering.windows is None else _window_fields(standing),
        "groups": [
            {"per": group.key[0], "value": group.key[1] or None, "out": len(group.out), "limit": group.limit}
            for group in sorted(standing.groups, key=lambda group: group.key)
        ],
    }


def _window_fields(standing: Standing) -> Document:
    """Return whether any window is open, until when the last of them is, and else when the first one opens."""
    now = standing.now
    readable = [window for window in standing.windows if window.unreadable is None]
    ends = [end for window in readable if (end := window.opened.end_at(now)) is not None]
    begins = [begin for window in readable if (begin := window.opened.first_fit(now, timedelta())) is not None]
    return {
        "open": bool(ends),
        "until": _moment(max(ends, default=None)),
        "next": None if ends else timestamp_or_none(min(begins, default=None)),
    }


def _moment(moment: datetime | None) -> str | None:
    """Return the moment; None also for one that never comes."""
    return None if moment is None or moment.year == MAXYEAR else timestamp(moment)


def _wave_fields(run: Run, wave: Wave, ended: int, failures: Failures, standing: Standing) -> Document:
    # A member that was taken up again unfinishes its wave, which bakes anew.
    is_finished = wave.number == run.waves_opened and ended >= wave.members
    bake_until = find_bake_end(run) if is_finished else None
    if wave.number > run.waves_opened:
        state = "waiting"
    elif bake_until is not None and bake_until > standing.now:
        state = "baking"
    else:
        state = "finished" if ended >= wave.members else "open"
    return {
        "number": wave.number,
        "name": wave.name,
        "members": wave.members,
        "ended": ended,
        "failed": failures.failed_in(wave.number),
        "state": state,
        "bake_until": timestamp_or_none(bake_until) if state == "baking" else None,
        "approvals": [
            {"by": approval.by, "at": timestamp(approval.at)}
            for approval in run.approvals
            if approval.wave == wave.number
        ],
    }
