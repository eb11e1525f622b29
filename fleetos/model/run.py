"""Run, target, attempt, order, secrets of an order.

The fields are the format of the journal and of JSON: renaming one needs a migration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.plan import NotifyEntry, PowerAfter, SecretRef, StopMode, UserDataRef
from fleetos.model.states import AHEAD, ENDS, NEVER_RETRIED, RETRIABLE, Reason, RunState, TargetState
from fleetos.model.steering.rollout import UNSTEERED, ApprovalGiven, Steering


class Outcome(StrEnum):
    """Outcome of an attempt."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    NOT_DELIVERED = "not_delivered"
    UNKNOWN = "unknown"
    NO_EFFECT = "no_effect"
    FOREIGN = "foreign"


_TURNED_AWAY = frozenset({Outcome.REFUSED, Outcome.NOT_DELIVERED})


@dataclass(frozen=True, slots=True)
class Order:
    """Change of one server, resolved: the image by its id, the API chosen, secrets still by reference."""

    image_id: str
    image_name: str
    api: Literal["v1", "v2"]
    keyname: str | None = None
    userid: str | None = None
    adminpass: SecretRef | None = None
    user_data: UserDataRef | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    reinstall: bool = False
    """The cloud reinstalls `image_id`, which is the image that the server ran at the freeze."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Attempt at one OS change. Repeated sends of an attempt share its number and `before`. Times are UTC."""

    number: int
    """Counts from 1 within the target."""
    before: ServerSnapshot
    """The server at the first intent."""
    intended_at: datetime
    """Time of the first intent."""
    sent_at: datetime
    """Time of the latest intent."""
    deadline: datetime
    """Time at which the change is overdue."""
    sends: int = 1
    """Number of intents."""
    unanswered: int = 0
    """Number of sends with an unknown outcome."""
    resends: int = 0
    """Number of proofs of non-delivery, each of which allows another send, up to `MAX_RESENDS`; a retry leaves one."""
    accepted_at: datetime | None = None
    adopted: bool = False
    """The server was seen changing without a job id."""
    job_id: str | None = None
    job_status: JobStatus | None = None
    error_code: str | None = None
    fail_reason: str | None = None
    request_id: str | None = None
    outcome: Outcome | None = None
    """None: the attempt is still open."""
    ended_at: datetime | None = None
    image_after: str | None = None
    """Image at the end of the attempt."""
    cloud_at: datetime | None = None
    """Time before the first send by the cloud's own clock; None: the cloud did not say."""

    @property
    def accepted(self) -> bool:
        """True if the cloud is known to have accepted the request."""
        return self.accepted_at is not None or self.adopted

    @property
    def undelivered(self) -> bool:
        """True if the attempt is open, and the cloud is known to have taken none of its sends: it refused each."""
        return self.outcome is None and not self.accepted and not self.unanswered

    @property
    def turned_away(self) -> bool:
        """True if the cloud is known to have taken none of its sends, whether the attempt is open or has ended."""
        return self.undelivered or (self.outcome in _TURNED_AWAY and not self.accepted and not self.unanswered)

    @property
    def traces_since(self) -> datetime:
        """Earliest time at which the cloud's logs may show this attempt, by the cloud's clock if that is known."""
        return self.cloud_at or self.intended_at

    @property
    def job_final(self) -> bool:
        """True if the job of the attempt is known to have ended."""
        return self.job_status is not None and self.job_status.final


class PowerOutcome(StrEnum):
    """Outcome of one stop or start call for one server, as far as it is known."""

    PENDING = "pending"  # intended; no answer yet
    ACCEPTED = "accepted"  # answered with a job that is not final yet
    REFUSED = "refused"  # proven not done; the cloud refused the call itself
    DROPPED = "dropped"  # proven not done for another cause: the call does not count
    UNKNOWN = "unknown"  # done or not done
    ENDED = "ended"  # its job is final


@dataclass(frozen=True, slots=True)
class PowerCall:
    """Stop or start call, seen from one of its servers."""

    id: str
    verb: Literal["stop", "start"]
    hard: bool
    size: int
    """Number of servers in the call."""
    intended_at: datetime
    outcome: PowerOutcome = PowerOutcome.PENDING
    job_id: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """End of a target that first gets its power restored."""

    state: TargetState
    reason: Reason | None
    detail: str


@dataclass(frozen=True, slots=True)
class Target:
    """Server in a run. Times are UTC."""

    server_id: str
    name: str
    position: int
    order: Order
    baseline: ServerSnapshot
    """The server at the freeze."""
    disk: str | None
    """The one system disk that may be wiped now: the frozen one, or the one that a failed attempt left."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    flavor: str | None = None
    """Flavor at the freeze."""
    az: str | None = None
    """Availability zone at the freeze."""
    wave: int = 0
    """Number of its wave; 0: it is in none."""
    state: TargetState = TargetState.WAITING
    since: datetime | None = None
    """Time at which the target entered `state`."""
    reason: Reason | None = None
    detail: str = ""
    not_before: datetime | None = None
    """Earliest time of the next step."""
    then: End | None = None
    """Set while power is being restored."""
    attempts: tuple[Attempt, ...] = ()
    attempts_allowed: int = 1
    calls: tuple[PowerCall, ...] = ()
    """Power calls of the present step."""
    stopped_at: datetime | None = None
    """Set while the server may be powered off by fleetos: time of the first request that may have stopped it."""
    started: bool = False
    """The driver has begun to start the server after its change."""
    refusals: int = 0
    """Number of proven non-deliveries since the target was recalled or an attempt of it ended, up to `MAX_REFUSALS`."""
    last_unanswered_at: datetime | None = None
    """Time of the last send with an unknown outcome, in this or any other run of this database."""
    remembered_at: datetime | None = None
    """Time of the last such send that nothing in this run can explain: an earlier run or the operator left it so."""
    disk_after: str | None = None
    """System disk that the driver saw last, after a success, a hold or a move that reports one."""
    image_after: str | None = None
    """Image after a successful change."""
    pass_no: int = 1
    """Pass of the run that took the target up last."""
    asked_end: End | None = None
    """End before its change that an operator asked for; set until nothing of the target is on its way."""
    excused: bool = False
    """Its failure counts towards no budget: it was never admitted, or an operator forgave it."""

    def watched_until(self, settings: "Settings") -> datetime | None:
        """Return the latest time until which the driver watches an unknown outcome, None if there is none to watch.

        A change may take its whole time-out, and its request may have arrived one settle time late. A driver that takes
        the run over watches for one settle time more.
        """
        if self.state is not TargetState.INSPECTING or self.attempt is None:
            return None
        return self.attempt.deadline + timedelta(seconds=settings.settle_s)

    @property
    def ended(self) -> bool:
        """True if the target is in an end state."""
        return self.state in ENDS

    @property
    def recallable(self) -> bool:
        """True if its turn may be taken back: it is ready for its change, or on the way there, and the cloud took none.

        One whose change may have arrived, or failed, waits where it is.
        """
        return self.state in AHEAD and all(attempt.turned_away for attempt in self.attempts)

    def failed_in(self, pass_no: int) -> bool:
        """Return True if the target failed or is held in this pass, and budgets count it.

        One whose power is put back before it ends so is counted already.
        """
        state = self.then.state if self.then is not None else self.state
        by_operator = self.reason is Reason.OPERATOR
        return state in RETRIABLE and not self.excused and not by_operator and self.pass_no == pass_no

    def done_in(self, pass_no: int) -> bool:
        """Return True if the target was changed in this pass."""
        return self.state is TargetState.DONE and self.pass_no == pass_no

    @property
    def retriable(self) -> bool:
        """True if `retry` may queue the target again."""
        return self.state in RETRIABLE and self.reason not in NEVER_RETRIED and not self.proven

    @property
    def proven(self) -> bool:
        """True if the last change has succeeded: its new OS is never wiped by this run."""
        return bool(self.attempts) and self.attempts[-1].outcome is Outcome.SUCCEEDED

    @property
    def held_by_operator(self) -> bool:
        """True if an operator holds the target, or it ends so once nothing of it is on its way."""
        if self.state is TargetState.HELD:
            return self.reason is Reason.OPERATOR
        end = self.then or self.asked_end
        return end is not None and end.state is TargetState.HELD and end.reason is Reason.OPERATOR

    @property
    def last_disk(self) -> str | None:
        """The last system disk that the run knows of: the one that a retry may wipe."""
        return self.disk_after or self.disk

    @property
    def attempt(self) -> Attempt | None:
        """The open attempt, None if there is none."""
        if self.attempts and self.attempts[-1].outcome is None:
            return self.attempts[-1]
        return None

    @property
    def change_failed(self) -> bool:
        """True if the job of the open attempt has failed, and the server is looked at."""
        return self.state is TargetState.CHANGING and self.attempt is not None and self.attempt.job_final

    @property
    def unanswered(self) -> int:
        """Number of sends in this run with an unknown outcome."""
        return sum(attempt.unanswered for attempt in self.attempts)

    @property
    def ran_before(self) -> bool:
        """True if the server ran when the run was frozen."""
        return self.baseline.status == "ACTIVE"

    @property
    def unsettled(self) -> bool:
        """True if a send of this run has an unknown outcome, or a job of this run is not known to be final.

        False after a success: a late request meets a running server, and `last_unanswered_at` still remembers it.
        """
        if self.proven:
            return False
        return any(attempt.outcome is None or attempt.unanswered > 0 for attempt in self.attempts)

    @property
    def keeps_claim(self) -> bool:
        """True while the run must keep its claim on the server: until the target has ended with a known outcome."""
        return not self.ended or self.unsettled

    @property
    def overdue(self) -> bool:
        """True if the target is held because its change went on after its time-out."""
        return self.state is TargetState.HELD and self.reason is Reason.STILL_CHANGING


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers of a run, frozen, so that a driver chooses none. The fields are as in the plan's sections."""

    concurrency: int
    stop: StopMode
    force: bool
    power_after: PowerAfter
    attempts: int
    backoff_s: float
    max_backoff_s: float
    stop_timeout_s: float
    change_timeout_s: float
    settle_s: float
    start_timeout_s: float
    poll_min_s: float
    poll_max_s: float
    rate_per_s: float | None
    """Requests a second; None: learned from the cloud."""
    burst: float | None
    connections: int
    loopback: bool = False
    """The cloud is a simulated one."""
    failure_first: int | None = None
    """Number of servers that pause the run when they all failed and none is done; None: off."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Part of a cloud that a run works in. Names are for people, and None if the login did not tell them."""

    cloud: str | None
    """Name of the entry in clouds.yaml; None: OS_* variables."""
    region: str | None
    project_id: str
    endpoint: str
    project: str | None = None
    domain: str | None = None
    user: str | None = None
    """User who was logged in when the run was created."""
    access_key: str | None = None
    """End of the access key that the user logged in with."""


class LeftBy(StrEnum):
    """Cause for which a process stopped driving a run that has not ended."""

    SIGNAL = "signal"
    PAUSE = "pause"
    ERROR = "error"
    WAIT = "wait"  # only time or people help, and the driver was asked not to wait


@dataclass(frozen=True, slots=True)
class Left:
    """End of the last process that drove a run. `detail` names the signal, the error or the wait."""

    at: datetime
    driver: str
    why: LeftBy
    detail: str


@dataclass(frozen=True, slots=True)
class Run:
    """Frozen execution of a plan. Times are UTC."""

    id: str
    name: str
    digest: str
    """SHA-256 over plan, cloud, region and project."""
    plan_path: str
    scope: Scope
    settings: Settings
    images: Mapping[str, str]
    """Ids of images by their names in the plan."""
    created_at: datetime
    state: RunState = RunState.RUNNING
    reason: Reason | None = None
    detail: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    passes: int = 1
    """Number of the present pass, from 1."""
    sessions: int = 0
    """Number of processes that have driven the run."""
    wipes: int = 0
    """Number of system disks to wipe, as frozen."""
    created_by: str = ""
    """User who froze it, and the host."""
    owner: str = ""
    """Operator who froze it, by the name that approvals go by."""
    since: datetime | None = None
    """Time at which the run entered `state`."""
    by: str = ""
    """Operator who asked for `state`, empty if nobody did."""
    left: Left | None = None
    """End of the last driver; None: there is a driver, or the last one was killed before it could write this."""
    steering: Steering = UNSTEERED
    """Waves, groups, budgets and windows."""
    waves_opened: int = 0
    """Number of the last wave that was opened; 0: none."""
    wave_finished_at: datetime | None = None
    """Time at which the last member of that wave ended; None: it goes on."""
    promoted: int | None = None
    """Number of unfinished members of that wave in spite of which the next one opens; None: nobody promoted it."""
    approvals: tuple[ApprovalGiven, ...] = ()
    """Approvals of waves, in their order."""
    notify: tuple[NotifyEntry, ...] = ()
    """Receivers of notifications, by reference; paths of files are absolute."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets of one order, in memory only, never in a repr. `user_data` is raw, not yet base64."""

    adminpass: str | None = field(default=None, repr=False)
    user_data: bytes | None = field(default=None, repr=False)
