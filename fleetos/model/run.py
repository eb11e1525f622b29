"""A run and its targets: the frozen, numbered execution of a plan, and how far it has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.plan import PowerAfter, SecretRef, StopMode, UserDataRef
from fleetos.model.states import ENDS, NEVER_RETRIED, RETRIABLE, Reason, RunState, TargetState


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    NOT_DELIVERED = "not_delivered"
    UNKNOWN = "unknown"
    NO_EFFECT = "no_effect"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Order:
    """What one server gets, resolved: image pinned to its id, API chosen, secrets still by reference.

    `reinstall`: the image is the one that the server runs at the freeze, and the cloud is asked to install that anew.
    """

    image_id: str
    image_name: str
    api: Literal["v1", "v2"]
    keyname: str | None = None
    userid: str | None = None
    adminpass: SecretRef | None = None
    user_data: UserDataRef | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    reinstall: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one OS change, counted from 1. Sends of the same attempt share its number and first baseline.

    `before` is the picture at the first intent. `deadline` is when the change is overdue (UTC). `sends` counts
    intents, `unanswered` those whose outcome nobody knows. `adopted` says that the server was seen changing without
    a job id. `outcome` None: still open. `cloud_at` is a time before the first send by the cloud's own clock, None
    where it does not tell.
    """

    number: int
    before: ServerSnapshot
    intended_at: datetime
    sent_at: datetime
    deadline: datetime
    sends: int = 1
    unanswered: int = 0
    resends: int = 0
    accepted_at: datetime | None = None
    adopted: bool = False
    job_id: str | None = None
    job_status: JobStatus | None = None
    error_code: str | None = None
    fail_reason: str | None = None
    request_id: str | None = None
    outcome: Outcome | None = None
    ended_at: datetime | None = None
    disk_after: str | None = None
    image_after: str | None = None
    cloud_at: datetime | None = None

    @property
    def accepted(self) -> bool:
        """Whether the cloud is known to have taken the request."""
        return self.accepted_at is not None or self.adopted

    @property
    def traces_since(self) -> datetime:
        """From when on the cloud's logs may show what this attempt did: by the cloud's clock where that is known."""
        return self.cloud_at or self.intended_at

    @property
    def job_final(self) -> bool:
        """Whether its job is known to have ended."""
        return self.job_status is not None and self.job_status.final


class PowerOutcome(StrEnum):
    """What is known of one stop or start call for one server."""

    PENDING = "pending"  # intended; the answer is not in
    ACCEPTED = "accepted"  # answered with a job that is not final yet
    REFUSED = "refused"  # proven not done, and a verdict on the call
    DROPPED = "dropped"  # proven not done, and no verdict: the call does not count
    UNKNOWN = "unknown"  # nobody knows
    ENDED = "ended"  # its job is final


@dataclass(frozen=True, slots=True)
class PowerCall:
    """One stop or start call as far as it concerns one server. `size` is how many servers the call named."""

    id: str
    verb: Literal["stop", "start"]
    hard: bool
    size: int
    intended_at: datetime
    outcome: PowerOutcome = PowerOutcome.PENDING
    job_id: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The end that a target comes to once its power is restored."""

    state: TargetState
    reason: Reason | None
    detail: str


@dataclass(frozen=True, slots=True)
class Target:
    """A server as a member of a run.

    `baseline` is the picture at the freeze, and `flavor` and `az` are those of then. `disk` is the one system disk that
    may be wiped now: the frozen one, or the one that this target's own failed attempt left. `not_before` is UTC. `then`
    is set while power is restored. `stopped_at` is set while the server may be powered off by us. `calls` are the power
    calls of the present step. `refusals` counts proven non-deliveries, up to their bound. `last_unanswered_at` is the
    time of the last send of any run of ours whose outcome nobody knows; `remembered_at` that of the last such send
    which nothing seen in this run can account for: an earlier run left it, or the operator let it rest.
    """

    server_id: str
    name: str
    position: int
    order: Order
    baseline: ServerSnapshot
    disk: str | None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    flavor: str | None = None
    az: str | None = None
    state: TargetState = TargetState.WAITING
    since: datetime | None = None
    reason: Reason | None = None
    detail: str = ""
    not_before: datetime | None = None
    then: End | None = None
    attempts: tuple[Attempt, ...] = ()
    attempts_allowed: int = 1
    calls: tuple[PowerCall, ...] = ()
    stopped_at: datetime | None = None
    started: bool = False
    refusals: int = 0
    last_unanswered_at: datetime | None = None
    remembered_at: datetime | None = None
    disk_after: str | None = None
    image_after: str | None = None

    def watched_until(self, settings: "Settings") -> datetime | None:
        """Until when its unknown outcome is watched at the latest; None where none is, or nobody knows that yet.

        A change may take its time-out, and the request may have come a settle late. Whoever takes the run over looks
        for one settle time more.
        """
        if self.state is not TargetState.INSPECTING or self.attempt is None:
            return None
        return self.attempt.deadline + timedelta(seconds=settings.settle_s)

    @property
    def ended(self) -> bool:
        """Whether it has come to an end."""
        return self.state in ENDS

    @property
    def retriable(self) -> bool:
        """Whether `retry` may put it back into the queue."""
        return self.state in RETRIABLE and self.reason not in NEVER_RETRIED

    @property
    def attempt(self) -> Attempt | None:
        """The open attempt, if there is one."""
        if self.attempts and self.attempts[-1].outcome is None:
            return self.attempts[-1]
        return None

    @property
    def unanswered(self) -> int:
        """How many sends of this run have an outcome that nobody knows."""
        return sum(one.unanswered for one in self.attempts)

    @property
    def ran_before(self) -> bool:
        """Whether the server ran when the run was frozen."""
        return self.baseline.status == "ACTIVE"

    @property
    def unsettled(self) -> bool:
        """Whether a send of this run has no known outcome or a job of it is not known to be final.

        Not after a success: a late request meets a running server, and when it was sent is remembered all the same.
        """
        if self.attempts and self.attempts[-1].outcome is Outcome.SUCCEEDED:
            return False
        return any(one.outcome is None or one.unanswered > 0 for one in self.attempts)

    @property
    def keeps_claim(self) -> bool:
        """Whether its server stays claimed by the run: until it has ended with a known outcome."""
        return not self.ended or self.unsettled

    @property
    def overdue(self) -> bool:
        """Whether it is held because its change is still going on after its time-out."""
        return self.state is TargetState.HELD and self.reason is Reason.STILL_CHANGING


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers of a run, frozen: nothing is left to choose while it is driven. Times in seconds."""

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
    burst: float | None
    connections: int
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a cloud that a run works in: the entry's name (None: from OS_* variables), region, project.

    Names are for people, and None where the login did not tell them: `project`, `domain`, and `user`, who was logged in
    when the run was created, or by the access key that ends with `access_key`.
    """

    cloud: str | None
    region: str | None
    project_id: str
    endpoint: str
    project: str | None = None
    domain: str | None = None
    user: str | None = None
    access_key: str | None = None


class LeftBy(StrEnum):
    """Why a process stopped driving a run that has not ended."""

    SIGNAL = "signal"
    PAUSE = "pause"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Left:
    """How the last process that drove a run left it. `detail` names the signal, or tells the error."""

    at: datetime
    driver: str
    why: LeftBy
    detail: str


@dataclass(frozen=True, slots=True)
class Run:
    """The frozen execution of a plan. `digest` covers plan, cloud, region and project; `passes` counts from 1;
    `sessions` counts the processes that have driven it; `wipes` is how many system disks it was frozen to wipe. Times
    are UTC.

    `since` is when it came into its state, `by` who asked for that. `left` says why nobody drives it, None while
    somebody does, and where the last process was killed before it could tell.
    """

    id: str
    name: str
    digest: str
    plan_path: str
    scope: Scope
    settings: Settings
    images: Mapping[str, str]
    created_at: datetime
    state: RunState = RunState.RUNNING
    reason: Reason | None = None
    detail: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    passes: int = 1
    sessions: int = 0
    wipes: int = 0
    created_by: str = ""
    since: datetime | None = None
    by: str = ""
    left: Left | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secret parts of one order, in memory only, never in a repr. `user_data` is raw, not yet base64."""

    adminpass: str | None = field(default=None, repr=False)
    user_data: bytes | None = field(default=None, repr=False)
