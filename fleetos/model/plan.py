"""Plan as the operator wrote it, with defaults filled in and nothing resolved against the cloud."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from fleetos.errors import Problem
from fleetos.model.steering.rollout import SteeringPlan
from fleetos.model.steering.share import Share


class ApiChoice(StrEnum):
    """Version of the changeos call: v1 for images without cloud-init, v2 for images with it."""

    AUTO = "auto"
    V1 = "v1"
    V2 = "v2"


class StopMode(StrEnum):
    """Way to stop a server before its change. `api` lets the cloud stop it (mode withStopServer)."""

    SOFT = "soft"
    HARD = "hard"
    SOFT_THEN_HARD = "soft-then-hard"
    API = "api"


class PowerAfter(StrEnum):
    """Power of a server after its change, if it was stopped before."""

    RUNNING = "running"
    AS_BEFORE = "as-before"


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """Position in an input file. Lines and columns count from 1; `key` is dotted, such as `servers[0].id`."""

    file: str
    line: int | None
    column: int | None
    key: str

    def problem(self, expected: str, hint: str | None = None) -> Problem:
        """Return the problem that `expected` is not at this position."""
        return Problem(self.file, self.line, self.column, self.key, expected, hint)

    def fault(self, text: str, hint: str | None = None) -> Problem:
        """Return the problem that `text` describes by itself, at this position."""
        return Problem(self.file, self.line, self.column, self.key, text, hint, fact=True)

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Reference to a secret, which is read when it is needed.

    `where` is the name of an environment variable, or the path of a file: in a plan relative to its folder, in an order
    absolute.
    """

    kind: Literal["env", "file"]
    where: str


class Occasion(StrEnum):
    """Occasion of a run on which people are notified."""

    STARTED = "started"  # a process drives the run for the first time
    WAVE = "wave"  # a wave opens, or is finished
    APPROVAL = "approval"  # a wave waits for an approval
    PAUSED = "paused"
    BUDGET_HALF = "budget-half"  # half of a failure budget is used
    OVERDUE = "overdue"  # a change goes on after its time-out
    FINISHED = "finished"  # the run has ended, however that was
    SERVER_FAILED = "server-failed"  # one server failed or is held


USUAL_OCCASIONS = tuple(occasion for occasion in Occasion if occasion is not Occasion.SERVER_FAILED)


@dataclass(frozen=True, slots=True)
class NotifyEntry:
    """Receiver of notifications: its URL, a secret as a whole, and the occasions on which it gets one."""

    url: SecretRef
    on: tuple[Occasion, ...] = USUAL_OCCASIONS
    secret: SecretRef | None = None
    """Key that signs the requests of a webhook."""


@dataclass(frozen=True, slots=True)
class UserDataRef:
    """Reference to user data, and the SHA-256 of its bytes in hex.

    `path` is absolute; with `in_plan` it names the plan that holds the user data as a text.
    """

    path: str
    in_plan: bool
    sha256: str


@dataclass(frozen=True, slots=True)
class ChangeSpec:
    """Change of a server as written. None: the plan does not say."""

    image: str | None = None
    reinstall: bool | None = None
    """True: reinstall the image that the server runs, instead of naming one in `image`."""
    api: ApiChoice | None = None
    keyname: str | None = None
    userid: str | None = None
    adminpass: SecretRef | None = None
    user_data: UserDataRef | None = None
    metadata: Mapping[str, str] | None = None
    places: Mapping[str, SourcePosition] = field(default_factory=dict[str, SourcePosition], compare=False, repr=False)
    """Position of each key."""

    @property
    def written(self) -> Mapping[str, object]:
        """Keys that are written, with their values."""
        return {key: value for key in CHANGE_KEYS if (value := getattr(self, key)) is not None}

    def over(self, base: "ChangeSpec") -> "ChangeSpec":
        """Return the change of a server that has these keys of its own, where `base` is the change of every server.

        Each key replaces the same key of `base`. Key pair and password replace each other, and so do `image` and
        `reinstall`.
        """
        if not self.written:
            return base
        if self.image is not None or self.reinstall is not None:
            base = replace(base, image=None, reinstall=None)
        if self.keyname is not None or self.adminpass is not None:
            base = replace(base, keyname=None, adminpass=None)
        return replace(
            base,
            image=self.image or base.image,
            reinstall=self.reinstall or base.reinstall,
            api=self.api or base.api,
            keyname=self.keyname or base.keyname,
            userid=self.userid or base.userid,
            adminpass=self.adminpass or base.adminpass,
            user_data=self.user_data or base.user_data,
            metadata=base.metadata if self.metadata is None else self.metadata,
            places={**base.places, **self.places},
        )


CHANGE_KEYS = ("image", "reinstall", "api", "keyname", "userid", "adminpass", "user_data", "metadata")


Network = IPv4Network | IPv6Network
# As the value of a tag: any value, also an empty one.
ANY_VALUE = "*"


@dataclass(frozen=True, slots=True)
class Selector:
    """Selector of servers: a server must match every key that is written, each by one of its values.

    A key that is not written is empty. Values are sorted, so that two selectors with the same meaning are equal, and
    are compared letter by letter unless the key says otherwise.
    """

    name: tuple[str, ...] = ()
    """Case-sensitive globs."""
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each key with its matching values."""
    az: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    """Ids and names."""
    flavor: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    enterprise_project: tuple[str, ...] = ()
    ip: tuple[Network, ...] = ()
    """Addresses and ranges."""
    places: Mapping[str, SourcePosition] = field(default_factory=dict[str, SourcePosition], compare=False, repr=False)

    @property
    def written(self) -> Mapping[str, object]:
        """Keys that are written, with their values; networks as texts."""
        written: dict[str, object] = {key: value for key in SELECT_KEYS if (value := getattr(self, key))}
        return written | {"ip": [str(network) for network in self.ip]} if self.ip else written


SELECT_KEYS = ("name", "tags", "az", "image", "flavor", "status", "enterprise_project", "ip")


@dataclass(frozen=True, slots=True)
class ServerRef:
    """Reference to one server in the plan or a CSV row, or to many by a selector.

    Exactly one of `id`, `name` and `select` is set.
    """

    id: str | None
    name: str | None
    change: ChangeSpec
    """Only the keys that differ for this server."""
    labels: Mapping[str, str]
    place: SourcePosition
    """Position at which problems with the server are reported."""
    select: Selector | None = None
    called: str | None = None
    """Name beside an id in a CSV row. The server must have it, else the id may belong to another row."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Exclusion of servers by id, by name, or by a case-sensitive glob for names."""

    id: str | None
    name: str | None
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class AllowedServer:
    """Permission to change a server that belongs to another service, or is protected, by its id or exact name."""

    server: str
    place: SourcePosition


_CONCURRENCY = Share(10)


@dataclass(frozen=True, slots=True)
class Rollout:
    """Concurrency, and the power of servers before and after their change."""

    concurrency: Share = _CONCURRENCY
    stop: StopMode = StopMode.SOFT_THEN_HARD
    force: bool = False
    power_after: PowerAfter = PowerAfter.RUNNING


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """Number of attempts for a server, the wait after a failed one, and the failures that pause the run."""

    attempts: int = 2
    backoff_s: float = 30.0
    max_backoff_s: float = 900.0
    first: int | None = 5
    """Number of servers that pause the run when they all failed and none is done; None: off."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time-out of each step. `settle_s` None: fleetos chooses it by the cloud.

    Safety protocol, section 4: docs/safety-protocol.md#4-unknown-outcomes
    """

    stop_s: float = 600.0
    change_s: float = 3600.0
    settle_s: float | None = None
    start_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Polling:
    """Bounds of the interval between reads of jobs and servers."""

    min_s: float = 5.0
    max_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Limits for requests to the cloud: rate (None: learned), burst, and connections at once."""

    rate_per_s: float | None = None
    burst: float | None = None
    connections: int = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """Whole plan."""

    path: Path
    """Absolute."""
    name: str
    change: ChangeSpec
    servers: tuple[ServerRef, ...]
    digest: str
    """SHA-256 of the normalised content, CSV rows and referenced files included.

    Cloud and region are not part of it: the command line may choose them.
    """
    cloud: str | None = None
    region: str | None = None
    exclude: tuple[Exclusion, ...] = ()
    allow_managed: tuple[AllowedServer, ...] = ()
    allow_protected: tuple[AllowedServer, ...] = ()
    rollout: Rollout = field(default_factory=Rollout)
    failure: FailurePolicy = field(default_factory=FailurePolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    polling: Polling = field(default_factory=Polling)
    api: ApiLimits = field(default_factory=ApiLimits)
    steering: SteeringPlan = field(default_factory=SteeringPlan)
    notify: tuple[NotifyEntry, ...] = ()
    places: Mapping[str, SourcePosition] = field(default_factory=dict[str, SourcePosition], compare=False, repr=False)
    """Position of each key outside of `servers`."""
    doubts: tuple[Problem, ...] = field(default=(), compare=False)
    """Warnings about probable mistakes; the plan is valid all the same."""

    @property
    def selects(self) -> bool:
        """True if an entry of `servers` has a selector, so that the cloud decides the servers."""
        return any(server.select is not None for server in self.servers)

    @property
    def reinstalls(self) -> bool:
        """True if the plan reinstalls the image that a server runs."""
        return any(change.reinstall for change in (self.change, *(server.change for server in self.servers)))

    def place(self, key: str) -> SourcePosition:
        """Return the position of the dotted key, or of the whole file if the key is not written."""
        root = self.places.get("")
        return self.places.get(key) or SourcePosition(root.file if root else str(self.path), None, None, key)
