"""Fold events into the run itself. Pure, and the only way in which a run changes."""

from dataclasses import replace
from datetime import datetime

from fleetos.errors import IllegalMove
from fleetos.model.journal.events import (
    RequestAnswered,
    RunApproved,
    RunCreated,
    RunDriverEnded,
    RunDriverStarted,
    RunEvent,
    RunMoved,
    RunNotified,
    RunPassStarted,
    RunWaveFinished,
    RunWaveOpened,
    RunWavePromoted,
    RunWaveReopened,
    SettingChanged,
    WaveEvent,
)
from fleetos.model.run import Left, Run
from fleetos.model.states import RUN_ENDS, RunState, check_run_move
from fleetos.model.steering.rollout import ApprovalGiven


def fold_run(run: Run | None, event: RunEvent, at: datetime) -> Run:
    """Return the run after the event. Raise IllegalMove if the law forbids the event."""
    if isinstance(event, RunCreated):
        return event.run
    if run is None:
        raise IllegalMove(f"the journal has a {event.kind} before the run was created")
    match event:
        case RunDriverStarted():
            return replace(run, sessions=run.sessions + 1, started_at=run.started_at or at, left=None)
        case RunDriverEnded():
            if run.state in RUN_ENDS:
                raise IllegalMove(f"run {run.id}: it has ended, so that it has no driver")
            return replace(run, left=Left(at, event.driver, event.why, event.detail))
        case RunMoved():
            check_run_move(run.id, run.state, event.to)
            after = replace(run, state=event.to, reason=event.reason, detail=event.detail, by=event.by, since=at)
            return replace(after, ended_at=at if event.to in RUN_ENDS else None)
        case RequestAnswered() | RunNotified():
            return run
        case SettingChanged():
            return replace(run, settings=replace(run.settings, concurrency=event.concurrency))
        case RunPassStarted():
            return _fold_pass_started(run, event, at)
        case RunWaveOpened() | RunWaveFinished() | RunWaveReopened() | RunWavePromoted() | RunApproved():
            return _fold_wave(run, event, at)


def _fold_pass_started(run: Run, event: RunPassStarted, at: datetime) -> Run:
    if event.number != run.passes + 1:
        raise IllegalMove(f"run {run.id}: pass {event.number} does not follow pass {run.passes}")
    if run.state is RunState.PAUSED:
        raise IllegalMove(f"run {run.id}: a pass does not end a pause")
    if run.state is not RunState.RUNNING:
        check_run_move(run.id, run.state, RunState.RUNNING)
    again = replace(run, passes=event.number, state=RunState.RUNNING, reason=None, detail="", ended_at=None)
    return replace(again, since=at, by="", left=None, promoted=None)


def _fold_wave(run: Run, event: WaveEvent, at: datetime) -> Run:
    match event:
        case RunWaveOpened():
            if event.number != run.waves_opened + 1 or event.number > len(run.steering.waves):
                raise IllegalMove(f"run {run.id}: wave {event.number} does not follow wave {run.waves_opened}")
            if run.state is not RunState.RUNNING:
                raise IllegalMove(f"run {run.id}: it is {run.state}, so that no wave opens")
            return replace(run, waves_opened=event.number, wave_finished_at=None, promoted=None)
        case RunWaveFinished():
            if event.number != run.waves_opened:
                raise IllegalMove(f"run {run.id}: wave {event.number} is not the one that was opened last")
            return replace(run, wave_finished_at=at, promoted=None if run.promoted is None else 0)
        case RunWaveReopened():
            if event.number != run.waves_opened:
                raise IllegalMove(f"run {run.id}: wave {event.number} is not the one that was opened last")
            return replace(run, wave_finished_at=None, promoted=None)
        case RunWavePromoted():
            if event.number != run.waves_opened:
                raise IllegalMove(f"run {run.id}: wave {event.number} is not the one that was opened last")
            return replace(run, promoted=event.unfinished)
        case RunApproved():
            return replace(run, approvals=(*run.approvals, ApprovalGiven(event.number, event.by, at)))
