"""Facts that come back from the cloud. The rules judge them, and they become events."""

from dataclasses import dataclass

from fleetos.clock import Moment
from fleetos.model.inventory import Job, Reply
from fleetos.model.journal.requests import OperatorRequest
from fleetos.model.states import Reason
from fleetos.model.traces import Traces
from fleetos.rules.observation import Observation


@dataclass(frozen=True, slots=True)
class ServerRead:
    """One read of one server."""

    server_id: str
    observation: Observation


@dataclass(frozen=True, slots=True)
class ServersNotRead:
    """Servers that were asked for and of which the answer says nothing (a list page shifts, a read fails)."""

    server_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobRead:
    """One read of a job, for these targets; `job` None: the cloud does not know it."""

    job_id: str
    server_ids: tuple[str, ...]
    job: Job | None


@dataclass(frozen=True, slots=True)
class JobNotRead:
    """Failed read of a job."""

    job_id: str
    server_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TracesRead:
    """One read of a server's traces; also without any, where the cloud does not offer them.

    `requested` is when they were asked for: what a log said before the observations began says nothing of the time
    since.
    """

    server_id: str
    traces: Traces
    requested: Moment


@dataclass(frozen=True, slots=True)
class TracesNotRead:
    """Failed read of a server's traces."""

    server_id: str


@dataclass(frozen=True, slots=True)
class ChangeReplied:
    """Reply to a changeos, or the loss of it."""

    server_id: str
    attempt: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class PowerReplied:
    """Reply to a stop or start, or the loss of it."""

    call_id: str
    server_ids: tuple[str, ...]
    reply: Reply


@dataclass(frozen=True, slots=True)
class Refused:
    """Refusal of the cloud to serve us at all: the run pauses."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class CloudNotReached:
    """Read that did not reach the cloud."""

    detail: str


@dataclass(frozen=True, slots=True)
class OperatorRequested:
    """Request of an operator about the run."""

    request: OperatorRequest


@dataclass(frozen=True, slots=True)
class CalendarRead:
    """One read of a calendar file; `text` None: it cannot be read."""

    path: str
    text: str | None


Fact = (
    ServerRead
    | ServersNotRead
    | JobRead
    | JobNotRead
    | TracesRead
    | TracesNotRead
    | ChangeReplied
    | PowerReplied
    | Refused
    | CloudNotReached
    | OperatorRequested
    | CalendarRead
)
