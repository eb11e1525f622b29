"""What the cloud's own records say of what was done to a server since a request whose answer was lost."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LoggedEnd(StrEnum):
    """How an action ended, by the cloud's log of it."""

    RUNNING = "running"  # a step of it has no end
    SUCCESS = "success"
    ERROR = "error"
    UNTOLD = "untold"  # the log does not tell, or in words that are not in the documents


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """A change of the OS that our own user has made, as the log has it. Times are by the cloud's clock."""

    started_at: datetime
    end: LoggedEnd
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Traces:
    """What was done to a server's disks. `words` tells all of it; empty where there is none, or it is not offered.

    `change` is set where one change of the OS by our own user is all that there is.
    """

    words: tuple[str, ...] = ()
    change: LoggedChange | None = None


NO_TRACES = Traces()
