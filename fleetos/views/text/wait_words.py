"""Wait of a target, in a run with or without a driver."""

from fleetos.model.run import LeftBy, Target
from fleetos.model.states import RunState, TargetState
from fleetos.rules.admission.pass_facts import Standing
from fleetos.rules.admission.wait_reasons import ENDED_BY_TIME_OR_PEOPLE, NOT_DRIVEN, PAUSED, Waiting, WaitReason
from fleetos.rules.admission.why_not import find_wait
from fleetos.views.text.run_condition import Driver, driven
from fleetos.views.text.target_notes import watched_words


def waits_for(standing: Standing, target: Target, lease: Driver | None) -> Waiting | None:
    """Return what the target waits for; None if it moves or has ended."""
    run, now = standing.run, standing.now
    if target.ended:
        return None
    if not driven(run, lease):
        return _undriven_wait(standing, target)
    if target.state is TargetState.INSPECTING and target.unsettled:
        settings = run.settings
        until = target.watched_until(settings)
        # After that time the inspection lasts one settle time more, from a moment that only the driver knows.
        ends_at = until if until is not None and until > now else None
        return Waiting(WaitReason.OUTCOME, watched_words(target, settings, now), ends_at)
    return find_wait(target, standing)


def _undriven_wait(standing: Standing, target: Target) -> Waiting:
    """Return what a target waits for in a run without a driver: for one, unless that had nothing to do yet."""
    run = standing.run
    if run.state is not RunState.PAUSED and (run.left is None or run.left.why is not LeftBy.WAIT):
        return NOT_DRIVEN
    waiting = find_wait(target, standing)
    if run.state is RunState.PAUSED:
        return waiting or PAUSED
    return NOT_DRIVEN if waiting is None or waiting.reason not in ENDED_BY_TIME_OR_PEOPLE else waiting
