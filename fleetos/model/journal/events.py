"""Events of the journal. Each holds everything that its fold needs.

An event that moves a target has a field `to`, and the public type `target.<state>`. The names of the other types say
what was intended, answered or seen. Fields and the values of `kind` are stored: renaming one needs a migration.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.journal.requests import RequestKind, RequestOutcome
from fleetos.model.plan import Occasion
from fleetos.model.run import End, LeftBy, Outcome, PowerOutcome, Run, Target
from fleetos.model.states import Reason, RunState, TargetState


@dataclass(frozen=True, slots=True)
class RunCreated:
    """Creation of a run from a plan."""

    run: Run
    kind: Literal["run-created"] = "run-created"


@dataclass(frozen=True, slots=True)
class RunDriverStarted:
    """Start of a process that drives the run. `driver` names host and process."""

    driver: str
    kind: Literal["run-driver-started"] = "run-driver-started"


@dataclass(frozen=True, slots=True)
class RunDriverEnded:
    """End of a process that drove a run which has not ended. `detail` names the signal or the error."""

    driver: str
    why: LeftBy
    detail: str = ""
    kind: Literal["run-driver-ended"] = "run-driver-ended"


@dataclass(frozen=True, slots=True)
class RunMoved:
    """Move of the run to another state. `by` names the operator who asked for it, empty if nobody did."""

    to: RunState
    reason: Reason | None = None
    detail: str = ""
    by: str = ""
    kind: Literal["run-moved"] = "run-moved"


@dataclass(frozen=True, slots=True)
class RunPassStarted:
    """Start of a pass: the operator asked for one more attempt for some targets. `number` counts passes from 1.

    `reason` is why, in the operator's words. A pass of an older version names neither.
    """

    number: int
    by: str = ""
    reason: str = ""
    kind: Literal["run-pass-started"] = "run-pass-started"


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """Answer to a request of an operator. It stands behind the events of its effect, in the same commit."""

    request: int
    """Id of the request."""
    verb: RequestKind
    outcome: RequestOutcome
    by: str
    """The operator."""
    reason: str = ""
    """Why, in the operator's words."""
    detail: str = ""
    """What was done, or why nothing was."""
    kind: Literal["run-request"] = "run-request"


@dataclass(frozen=True, slots=True)
class SettingChanged:
    """Change of a setting of the run by an operator."""

    concurrency: int
    kind: Literal["run-setting"] = "run-setting"


@dataclass(frozen=True, slots=True)
class RunWaveOpened:
    """Opening of a wave: its first member is admitted, or all of its members have ended already."""

    number: int
    kind: Literal["run-wave-opened"] = "run-wave-opened"


@dataclass(frozen=True, slots=True)
class RunWaveFinished:
    """End of the last member of a wave. Its bake runs from here on."""

    number: int
    kind: Literal["run-wave-finished"] = "run-wave-finished"


@dataclass(frozen=True, slots=True)
class RunWaveReopened:
    """Word that a wave is unfinished again, since members of it that had ended are taken up again."""

    number: int
    kind: Literal["run-wave-reopened"] = "run-wave-reopened"


@dataclass(frozen=True, slots=True)
class RunApproved:
    """Approval of a wave by an operator. `number` is that of the wave which may open."""

    number: int
    by: str
    kind: Literal["run-approved"] = "run-approved"


@dataclass(frozen=True, slots=True)
class RunWavePromoted:
    """Word of an operator that the wave which was opened last holds the next one up no more."""

    number: int
    by: str
    unfinished: int = 0
    """Number of its members that had not ended."""
    kind: Literal["run-wave-promoted"] = "run-wave-promoted"


@dataclass(frozen=True, slots=True)
class RunNotified:
    """End of one notification. A driver that dies before this is written leaves it to the next one to send it again."""

    entry: int
    """Number of the receiver in the plan's `notify`, from 1."""
    service: str
    """Kind of the receiver, with its host at most: the URL is a secret."""
    occasion: Occasion
    subject: str
    """Wave, budget or server that it is about; empty for the run."""
    about: datetime
    """Time of the record that it is about."""
    outcome: Literal["sent", "failed"]
    tries: int
    detail: str = ""
    """Why it failed."""
    kind: Literal["run-notified"] = "run-notified"


@dataclass(frozen=True, slots=True)
class Enlisted:
    """Addition of a server to the run, frozen as the inventory showed it."""

    target: Target
    kind: Literal["enlisted"] = "enlisted"

    @property
    def server_id(self) -> str:
        return self.target.server_id


@dataclass(frozen=True, slots=True)
class Moved:
    """Move of a target that needs no event of its own."""

    server_id: str
    to: TargetState
    """The new state."""
    reason: Reason | None = None
    """Reason for an end state."""
    disk: str | None = None
    """System disk that the driver saw, if it is not the one that may be wiped."""
    detail: str = ""
    """Explanation for an operator."""
    not_before: datetime | None = None
    """Earliest time of the next step (UTC)."""
    then: End | None = None
    """End of the target once its power is restored."""
    restored: bool = False
    """The driver saw the power as it should be, so that fleetos no longer keeps the server powered off."""
    kind: Literal["moved"] = "moved"


@dataclass(frozen=True, slots=True)
class ChangeIntended:
    """Durable intent to send a changeos."""

    server_id: str
    attempt: int
    """Number of the attempt."""
    before: ServerSnapshot
    """The server before the send."""
    deadline: datetime
    """Time at which the change is overdue (UTC)."""
    cloud_at: datetime | None = None
    """Time before the send by the cloud's own clock; None: the cloud did not say."""
    kind: Literal["change-intended"] = "change-intended"


@dataclass(frozen=True, slots=True)
class ChangeAnswered:
    """Answer to a changeos, and the move of the target that follows from it."""

    server_id: str
    attempt: int
    """Number of the attempt."""
    to: TargetState
    """The new state."""
    answer: str
    """Value of `AnswerClass`."""
    # Safety protocol, section 3: docs/safety-protocol.md#3-replies
    job_id: str | None = None
    """Job of an accepted change."""
    deadline: datetime | None = None
    """Time at which an accepted change is overdue (UTC)."""
    code: str | None = None
    """The cloud's error code."""
    status: int | None = None
    """HTTP status."""
    detail: str = ""
    """The cloud's message, or an explanation for an operator."""
    request_id: str | None = None
    """The cloud's id of the request."""
    reason: Reason | None = None
    """Reason for an end state."""
    not_before: datetime | None = None
    """Earliest time of the next send (UTC)."""
    then: End | None = None
    """End of the target once its power is restored."""
    kind: Literal["change-answered"] = "change-answered"


@dataclass(frozen=True, slots=True)
class ChangeAdopted:
    """Adoption of a change without a job id: a server with an unknown outcome was seen changing."""

    server_id: str
    attempt: int
    ran: bool = False
    """The server was seen running before, whatever it was at the intent: the change stopped it."""
    kind: Literal["change-adopted"] = "change-adopted"


@dataclass(frozen=True, slots=True)
class JobEnded:
    """End of the job of an accepted change. A success moves the target to VERIFYING."""

    server_id: str
    attempt: int
    """Number of the attempt."""
    job_id: str
    status: JobStatus
    """Final status of the job."""
    error_code: str | None = None
    """The cloud's error code of a failed job."""
    fail_reason: str | None = None
    """The cloud's explanation of a failed job."""
    kind: Literal["job-ended"] = "job-ended"


@dataclass(frozen=True, slots=True)
class NotDelivered:
    """Proof that an unanswered send never took effect: the same attempt may be sent again."""

    server_id: str
    attempt: int
    kind: Literal["not-delivered"] = "not-delivered"


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """Verdict on an attempt, and the move of the target that follows from it."""

    server_id: str
    attempt: int
    """Number of the attempt."""
    outcome: Outcome
    to: TargetState
    """The new state."""
    disk: str | None = None
    """System disk at the end of the attempt."""
    image: str | None = None
    """Image at the end of the attempt."""
    reason: Reason | None = None
    """Reason for an end state."""
    detail: str = ""
    """Explanation for an operator."""
    not_before: datetime | None = None
    """Earliest time of the next attempt (UTC)."""
    then: End | None = None
    """End of the target once its power is restored."""
    restored: bool = False
    """The driver saw the server running, so that fleetos no longer keeps it powered off."""
    kind: Literal["attempt-ended"] = "attempt-ended"


@dataclass(frozen=True, slots=True)
class PowerIntended:
    """Durable intent to send a stop or start call that names this server."""

    server_id: str
    call_id: str
    """Id of the call, the same for all its servers."""
    verb: Literal["stop", "start"]
    hard: bool
    """Stop without shutting down the OS."""
    size: int
    """Number of servers in the call."""
    kind: Literal["power-intended"] = "power-intended"


@dataclass(frozen=True, slots=True)
class PowerAnswered:
    """Answer to a stop or start call, or the end of its job, for one of its servers."""

    server_id: str
    call_id: str
    outcome: PowerOutcome
    """ENDED: the job or sub-job of the server is final."""
    job_id: str | None = None
    """Job of an accepted call."""
    code: str | None = None
    """The cloud's error code."""
    detail: str = ""
    """The cloud's message, or an explanation for an operator."""
    request_id: str | None = None
    """The cloud's id of the request."""
    not_before: datetime | None = None
    """Earliest time of the next step (UTC)."""
    answer: str = ""
    """Value of `AnswerClass`; empty if the event is about a job."""
    kind: Literal["power-answered"] = "power-answered"


@dataclass(frozen=True, slots=True)
class Retried:
    """Request of the operator for one more attempt: the target is queued again. `disk` may be wiped now.

    `pass_no` is the pass that takes the target up.
    """

    server_id: str
    disk: str | None
    pass_no: int = 1
    kind: Literal["retried"] = "retried"


@dataclass(frozen=True, slots=True)
class Released:
    """End of a hold by an operator: the target is queued again as the hold found it, and keeps its order.

    `to` is None if it was not held yet: then it goes on from where it is. `pass_no` is the pass that takes it up.
    """

    server_id: str
    to: TargetState | None
    pass_no: int = 1
    kind: Literal["released"] = "released"


@dataclass(frozen=True, slots=True)
class Forgiven:
    """Word of the operator, who resumed the run, that the failure of this target counts towards no budget any more."""

    server_id: str
    kind: Literal["forgiven"] = "forgiven"


@dataclass(frozen=True, slots=True)
class EndAsked:
    """Word of the operator that the target ends so, before its change, as soon as nothing of it is on its way."""

    server_id: str
    end: End
    kind: Literal["end-asked"] = "end-asked"


@dataclass(frozen=True, slots=True)
class Settled:
    """Declaration of the operator that the unknown outcomes of this target are settled, which ends its claim."""

    server_id: str
    kind: Literal["settled"] = "settled"


WaveEvent = RunWaveOpened | RunWaveFinished | RunWaveReopened | RunWavePromoted | RunApproved
RunEvent = (
    RunCreated
    | RunDriverStarted
    | RunDriverEnded
    | RunMoved
    | RunPassStarted
    | WaveEvent
    | RequestAnswered
    | SettingChanged
    | RunNotified
)
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
    | Released
    | Forgiven
    | EndAsked
    | Settled
)
Event = RunEvent | TargetEvent
# Events that queue a target again whose claim the run may have given up: their commit takes it anew.
QueuedAgain = Retried | Released


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the journal. `seq` counts from 1 within the run, without gaps; `at` is UTC."""

    seq: int
    at: datetime
    event: Event
