"""What a target waits for, whoever drives the run, or nobody."""

from datetime import datetime

from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import RunState
from fleetos.rules.schedule import NOT_DRIVEN, PAUSED, Waiting, why_waiting
from fleetos.views.condition import Driver, driven


def waits_for(progress: Progress, target: Target, lease: Driver | None, now: datetime) -> Waiting | None:
    """Return what keeps the target from moving on, None where it moves, or has ended."""
    if target.ended:
        return None
    if driven(progress.run, lease):
        return why_waiting(progress, target, now)
    return PAUSED if progress.run.state is RunState.PAUSED else NOT_DRIVEN
