"""Traces of a request whose answer was lost, as the cloud's own logs show them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LoggedEnd(StrEnum):
    """Outcome of an action in the cloud's log."""

    RUNNING = "running"  # a step of the action has no end
    SUCCESS = "success"
    ERROR = "error"
    UNTOLD = "untold"  # the log does not say, or uses undocumented words


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """OS change that our own user made, as the cloud's log shows it. Times are by the cloud's clock."""

    started_at: datetime
    end: LoggedEnd


@dataclass(frozen=True, slots=True)
class Traces:
    """Actions on the disks of one server, from the cloud's logs."""

    words: tuple[str, ...] = ()
    """Each action in words; empty if there was none, or if the cloud offers no log."""
    change: LoggedChange | None = None
    """Set if the only action is one OS change by our own user."""


NO_TRACES = Traces()
