"""What a target waits for, whoever drives the run, or nobody."""

from datetime import datetime

from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import RunState, TargetState
from fleetos.rules.admission.wait_reasons import NOT_DRIVEN, PAUSED, WaitNote, WaitReason, why_waiting
from fleetos.views.text.run_condition import Driver, driven
from fleetos.views.text.target_notes import watched_words


def waits_for(progress: Progress, target: Target, lease: Driver | None, now: datetime) -> WaitNote | None:
    """Return what keeps the target from moving on, None where it moves, or has ended."""
    if target.ended:
        return None
    if not driven(progress.run, lease):
        return PAUSED if progress.run.state is RunState.PAUSED else NOT_DRIVEN
    if target.state is TargetState.INSPECTING and target.unsettled:
        settings = progress.run.settings
        until = target.watched_until(settings)
        # Once that time is over, the look takes one settle time more from a moment that only its driver knows.
        ends_at = until if until is not None and until > now else None
        return WaitNote(WaitReason.OUTCOME, watched_words(target, settings, now), ends_at)
    return why_waiting(progress, target, now)
