"""Reasons why a target is not admitted, in words. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import QUEUED, RunState, TargetState
from fleetos.text import counted


class WaitReason(StrEnum):
    """Reason why a target does not move on."""

    PAUSED = "paused"
    ABORTED = "aborted"
    SCHEDULED = "scheduled"
    WAVE = "wave"
    CLOCK = "clock"
    CALENDAR = "calendar"
    BLACKOUT = "blackout"
    WINDOW = "window"
    FIT = "fit"
    BACKOFF = "backoff"
    UNAVAILABLE = "unavailable"
    UNSEEN = "unseen"
    CONCURRENCY = "concurrency"
    PACE = "pace"
    NOT_DRIVEN = "not-driven"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class WaitNote:
    """One wait: its reason, in words how it ends, and when, where that is known."""

    reason: WaitReason
    words: str
    ends_at: datetime | None = None


NOT_DRIVEN = WaitNote(WaitReason.NOT_DRIVEN, "no driver")
PAUSED = WaitNote(WaitReason.PAUSED, "the run is paused")


def find_wait(progress: Progress, target: Target, now: datetime) -> WaitNote | None:
    """Return what keeps a target from being admitted or, once it is ready, from its change; None if nothing does."""
    run = progress.run
    if target.state is TargetState.READY:
        return _find_wait_when_ready(progress)
    if target.state not in QUEUED:
        return None
    if run.state is RunState.PAUSED:
        return PAUSED
    if run.state is not RunState.RUNNING:
        return WaitNote(WaitReason.ABORTED, "the run was aborted and starts no more servers")
    if target.not_before is not None and target.not_before > now:
        return WaitNote(WaitReason.BACKOFF, f"retry at {target.not_before:%H:%M:%SZ}", target.not_before)
    limit, taken, ahead = run.settings.concurrency, progress.slots_taken, progress.ahead
    if taken + ahead >= limit:
        nearer = f", {counted(ahead, 'server')} ahead" if ahead else ""
        return WaitNote(WaitReason.CONCURRENCY, f"queued: {taken} of {limit} slots in use{nearer}")
    return WaitNote(WaitReason.PACE, "queued: no more servers are stopped than changes can be sent")


def _find_wait_when_ready(progress: Progress) -> WaitNote | None:
    run, limit = progress.run, progress.run.settings.concurrency
    if run.state is RunState.PAUSED:
        return PAUSED
    if run.state is not RunState.RUNNING:
        return None
    if progress.slots_taken < limit:
        return WaitNote(WaitReason.PACE, "queued: changes are sent as fast as the cloud allows")
    return WaitNote(WaitReason.CONCURRENCY, f"queued: {progress.slots_taken} of {limit} slots in use")
