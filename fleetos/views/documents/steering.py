"""JSON of the steering of a run: waves and budgets."""

from collections import Counter
from datetime import timedelta

from fleetos.model.progress import Progress
from fleetos.model.run import Run
from fleetos.model.steering.rollout import Wave
from fleetos.rules.admission.pass_facts import Standing
from fleetos.rules.budgets import Failures, budgets
from fleetos.views.documents.document import Document
from fleetos.views.text.format import timestamp, timestamp_or_none


def steering_fields(progress: Progress, standing: Standing) -> Document:
    """Return the fields of a run about its waves and budgets."""
    run, targets = progress.run, progress.targets.values()
    failures = Failures.of(run, targets)
    ended = Counter(target.wave for target in targets if target.ended)
    return {
        "waves": [_wave_fields(run, wave, ended[wave.number], failures, standing) for wave in run.steering.waves],
        "budgets": [
            {"scope": budget.scope, "failed": budget.failed, "allowed": budget.allowed}
            for budget in budgets(run, failures)
        ],
    }


def _wave_fields(run: Run, wave: Wave, ended: int, failures: Failures, standing: Standing) -> Document:
    finished_at = run.wave_finished_at if wave.number == run.waves_opened else None
    bake_until = None if finished_at is None else finished_at + timedelta(seconds=wave.between.bake_s)
    if wave.number > run.waves_opened:
        state = "waiting"
    elif wave.number < run.waves_opened or (bake_until is not None and bake_until <= standing.now):
        state = "finished"
    else:
        state = "open" if bake_until is None else "baking"
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
