"""What `perform` brings back from the world. Facts are judged by the rules and become events."""

from dataclasses import dataclass

from fleetos.clock import Moment
from fleetos.model.inventory import Job, Reply
from fleetos.model.journal.requests import OperatorRequest
from fleetos.model.states import Reason
from fleetos.model.traces import Traces
from fleetos.rules.observation import Observation


@dataclass(frozen=True, slots=True)
class ServerRead:
    """One server was read."""

    server_id: str
    sight: Observation


@dataclass(frozen=True, slots=True)
class ServersNotRead:
    """These servers were asked for, and the answer says nothing of them (a list page shifts, a read fails)."""

    server_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobRead:
    """One job was read for these targets; `job` None: the cloud does not know it."""

    job_id: str
    server_ids: tuple[str, ...]
    job: Job | None


@dataclass(frozen=True, slots=True)
class JobNotRead:
    """The read of a job failed."""

    job_id: str
    server_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TracesRead:
    """The traces of a server were read; none at all also where the cloud does not offer them.

    `requested` is when they were asked for: what a log said before the looks began says nothing of the time since.
    """

    server_id: str
    traces: Traces
    requested: Moment


@dataclass(frozen=True, slots=True)
class TracesNotRead:
    """The read of a server's traces failed."""

    server_id: str


@dataclass(frozen=True, slots=True)
class ChangeReplied:
    """A changeos was answered, or its answer is lost."""

    server_id: str
    attempt: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class PowerReplied:
    """A stop or start was answered, or its answer is lost."""

    call_id: str
    server_ids: tuple[str, ...]
    reply: Reply


@dataclass(frozen=True, slots=True)
class Refused:
    """The cloud refuses us as a whole: the run pauses."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class CloudNotReached:
    """A read found no cloud."""

    detail: str


@dataclass(frozen=True, slots=True)
class OperatorRequested:
    """An operator asked something of the run."""

    request: OperatorRequest


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
)
