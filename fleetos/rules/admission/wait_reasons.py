"""Reasons why a target does not move on, in words. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


# Waits that only time or people end, in a run in which nothing is in flight.
ENDED_BY_TIME_OR_PEOPLE = frozenset(
    {
        WaitReason.SCHEDULED,
        WaitReason.WAVE,
        WaitReason.CLOCK,
        WaitReason.CALENDAR,
        WaitReason.BLACKOUT,
        WaitReason.WINDOW,
        WaitReason.FIT,
    }
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One wait of a target: the reason, in words what ends it, and when, where that is known."""

    reason: WaitReason
    words: str
    ends_at: datetime | None = None
    group: tuple[str, str] | None = None
    """Key of the group that the target waits for."""


NOT_DRIVEN = Waiting(WaitReason.NOT_DRIVEN, "no driver")
PAUSED = Waiting(WaitReason.PAUSED, "the run is paused")
