"""What happened: the events that the journal's records hold. Each is frozen and says all that its fold needs.

An event of a target that moves it has a field `to`; its `type` is then `target.<state>`. The names of the other
types say what was intended, answered or seen.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.run import End, LeftBy, Outcome, PowerOutcome, Run, Target
from fleetos.model.states import Reason, RunState, TargetState


@dataclass(frozen=True, slots=True)
class RunCreated:
    """A plan was frozen into a run."""

    run: Run
    kind: Literal["run-created"] = "run-created"


@dataclass(frozen=True, slots=True)
class RunDriverStarted:
    """A process began to drive the run. `driver` names host and process."""

    driver: str
    kind: Literal["run-driver-started"] = "run-driver-started"


@dataclass(frozen=True, slots=True)
class RunDriverEnded:
    """A process stopped driving a run that has not ended. `detail` names the signal, or tells the error."""

    driver: str
    why: LeftBy
    detail: str = ""
    kind: Literal["run-driver-ended"] = "run-driver-ended"


@dataclass(frozen=True, slots=True)
class RunMoved:
    """The run went to another state. `by` names the operator who asked for it, empty where nobody did."""

    to: RunState
    reason: Reason | None = None
    detail: str = ""
    by: str = ""
    kind: Literal["run-moved"] = "run-moved"


@dataclass(frozen=True, slots=True)
class RunPassStarted:
    """The operator asked for one more attempt for some targets. `number` counts passes from 1."""

    number: int
    kind: Literal["run-pass-started"] = "run-pass-started"


@dataclass(frozen=True, slots=True)
class Enlisted:
    """A server became a target, frozen as the inventory showed it."""

    target: Target
    kind: Literal["enlisted"] = "enlisted"

    @property
    def server_id(self) -> str:
        return self.target.server_id


@dataclass(frozen=True, slots=True)
class Moved:
    """A target moved, for a reason that needs no other event.

    `disk`: the system disk seen, where it is not the one that may be wiped. `restored`: its power is
    seen to be as it should be, so it is not powered off by us.
    """

    server_id: str
    to: TargetState
    reason: Reason | None = None
    disk: str | None = None
    detail: str = ""
    not_before: datetime | None = None
    then: End | None = None
    restored: bool = False
    kind: Literal["moved"] = "moved"


@dataclass(frozen=True, slots=True)
class ChangeIntended:
    """A changeos is about to be sent: the durable intent. `deadline`: when the change is overdue.

    `cloud_at`: a time of day before the send by the cloud's own clock, None if the cloud did not say.
    """

    server_id: str
    attempt: int
    before: ServerSnapshot
    deadline: datetime
    cloud_at: datetime | None = None
    kind: Literal["change-intended"] = "change-intended"


@dataclass(frozen=True, slots=True)
class ChangeAnswered:
    """What came back for a changeos, and where the target goes by it.

    `answer` is the class of protocol's answer table; `not_before` the earliest next send (UTC).
    """

    server_id: str
    attempt: int
    to: TargetState
    answer: str
    job_id: str | None = None
    deadline: datetime | None = None
    code: str | None = None
    status: int | None = None
    detail: str = ""
    request_id: str | None = None
    reason: Reason | None = None
    not_before: datetime | None = None
    then: End | None = None
    kind: Literal["change-answered"] = "change-answered"


@dataclass(frozen=True, slots=True)
class ChangeAdopted:
    """A server with an unknown outcome is seen changing: the change counts as accepted, without a job id."""

    server_id: str
    attempt: int
    kind: Literal["change-adopted"] = "change-adopted"


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The job of an accepted change is final; a success moves the target on to be verified."""

    server_id: str
    attempt: int
    job_id: str
    status: JobStatus
    error_code: str | None = None
    fail_reason: str | None = None
    kind: Literal["job-ended"] = "job-ended"


@dataclass(frozen=True, slots=True)
class NotDelivered:
    """The evidence shows that an unanswered send never took effect: the same attempt may be sent again."""

    server_id: str
    attempt: int
    kind: Literal["not-delivered"] = "not-delivered"


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The verdict on an attempt, and where the target goes by it. Disk and image are those it left behind.

    `restored`: the server was seen running, so it is not powered off by us.
    """

    server_id: str
    attempt: int
    outcome: Outcome
    to: TargetState
    disk: str | None = None
    image: str | None = None
    reason: Reason | None = None
    detail: str = ""
    not_before: datetime | None = None
    then: End | None = None
    restored: bool = False
    kind: Literal["attempt-ended"] = "attempt-ended"


@dataclass(frozen=True, slots=True)
class PowerIntended:
    """A stop or start that names this server is about to be sent."""

    server_id: str
    call_id: str
    verb: Literal["stop", "start"]
    hard: bool
    size: int
    kind: Literal["power-intended"] = "power-intended"


@dataclass(frozen=True, slots=True)
class PowerAnswered:
    """What came back for a stop or start, for one server of it. `outcome` ended: its job or sub-job is final.

    `answer` is the class of protocol's answer table, empty where no answer but a job is judged.
    """

    server_id: str
    call_id: str
    outcome: PowerOutcome
    job_id: str | None = None
    code: str | None = None
    detail: str = ""
    request_id: str | None = None
    not_before: datetime | None = None
    answer: str = ""
    kind: Literal["power-answered"] = "power-answered"


@dataclass(frozen=True, slots=True)
class Retried:
    """The operator asked for one more attempt for this target; it goes back to the queue."""

    server_id: str
    disk: str | None
    kind: Literal["retried"] = "retried"


@dataclass(frozen=True, slots=True)
class Settled:
    """The operator declared the unknown outcomes of this target settled, so that its claim may go."""

    server_id: str
    kind: Literal["settled"] = "settled"


RunEvent = RunCreated | RunDriverStarted | RunDriverEnded | RunMoved | RunPassStarted
TargetEvent = (
    Enlisted
    | Moved
    | ChangeIntended
    | ChangeAnswered
    | ChangeAdopted
    | JobEnded
    | NotDelivered
    | AttemptEnded
    | PowerIntended
    | PowerAnswered
    | Retried
    | Settled
)
Event = RunEvent | TargetEvent


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the journal. `seq` counts from 1 within the run, without gaps; `at` is UTC."""

    seq: int
    at: datetime
    event: Event
