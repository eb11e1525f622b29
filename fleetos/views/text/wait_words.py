"""Wait of a target, in a run with or without a driver."""

from datetime import datetime

from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import RunState, TargetState
from fleetos.rules.admission.wait_reasons import NOT_DRIVEN, PAUSED, WaitNote, WaitReason, find_wait
from fleetos.views.text.run_condition import Driver, driven
from fleetos.views.text.target_notes import watched_words


def waits_for(progress: Progress, target: Target, lease: Driver | None, now: datetime) -> WaitNote | None:
    """Return what the target waits for; None if it moves or has ended."""
    if target.ended:
        return None
    if not driven(progress.run, lease):
        return PAUSED if progress.run.state is RunState.PAUSED else NOT_DRIVEN
    if target.state is TargetState.INSPECTING and target.unsettled:
        settings = progress.run.settings
        until = target.watched_until(settings)
        # After that time the inspection lasts one settle time more, from a moment that only the driver knows.
        ends_at = until if until is not None and until > now else None
        return WaitNote(WaitReason.OUTCOME, watched_words(target, settings, now), ends_at)
    return find_wait(progress, target, now)
