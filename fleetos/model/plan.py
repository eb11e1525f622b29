"""What the operator wrote: a plan, with defaults filled in and nothing resolved against the cloud."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from fleetos.errors import Problem


class ApiChoice(StrEnum):
    """Which changeos call to use; v1 is for images without cloud-init, v2 for images with it."""

    AUTO = "auto"
    V1 = "v1"
    V2 = "v2"


class StopMode(StrEnum):
    """How a server is stopped before its change. `api` lets the cloud stop it (mode withStopServer)."""

    SOFT = "soft"
    HARD = "hard"
    SOFT_THEN_HARD = "soft-then-hard"
    API = "api"


class PowerAfter(StrEnum):
    """Whether a server that was stopped before is stopped again after its change."""

    RUNNING = "running"
    AS_BEFORE = "as-before"


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """Where something stands in an input file. Lines and columns count from 1; `key` is dotted, `servers[0].id`."""

    file: str
    line: int | None
    column: int | None
    key: str

    def problem(self, expected: str, hint: str | None = None) -> Problem:
        """What is wrong at this place, by what was expected there."""
        return Problem(self.file, self.line, self.column, self.key, expected, hint)

    def fault(self, text: str, hint: str | None = None) -> Problem:
        """What is wrong at this place, as the text says."""
        return Problem(self.file, self.line, self.column, self.key, text, hint, fact=True)

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is found when it is needed: the name of an environment variable, or the path of a file.

    In a plan the path is as written, relative to the plan's folder; in an order it is absolute.
    """

    kind: Literal["env", "file"]
    where: str


@dataclass(frozen=True, slots=True)
class UserDataRef:
    """Where user data is found, and the SHA-256 of its bytes in hex. `path` is absolute.

    `in_plan`: it is a text inside the plan at `path`.
    """

    path: str
    in_plan: bool
    sha256: str


@dataclass(frozen=True, slots=True)
class ChangeSpec:
    """What a server gets, as written; None where the plan says nothing. `places` says where each key stands.

    `reinstall` True: the image that the server runs once more, in place of `image`.
    """

    image: str | None = None
    reinstall: bool | None = None
    api: ApiChoice | None = None
    keyname: str | None = None
    userid: str | None = None
    adminpass: SecretRef | None = None
    user_data: UserDataRef | None = None
    metadata: Mapping[str, str] | None = None
    places: Mapping[str, SourcePosition] = field(default_factory=dict[str, SourcePosition], compare=False, repr=False)

    @property
    def written(self) -> Mapping[str, object]:
        """The keys that are written, with their values."""
        return {key: value for key in CHANGE_KEYS if (value := getattr(self, key)) is not None}

    def over(self, base: "ChangeSpec") -> "ChangeSpec":
        """What a server gets when these are its own keys and `base` is what every server gets.

        Each key replaces the base's. Its own login replaces the base's login, be it key pair or password, and its own
        image or reinstall replaces the base's, whichever of the two that is.
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
# In the value of a tag: whatever the value, and also none.
ANY_VALUE = "*"


@dataclass(frozen=True, slots=True)
class Selector:
    """Servers by what the cloud says of them: those that fit every key that is written, each by any of its values.

    A key that is not written is empty. `name` holds case-sensitive globs, `tags` each key with the values that fit,
    `image` ids and names, `ip` addresses and ranges; all others are compared letter by letter. Values are sorted, so
    that two selectors which mean the same are equal.
    """

    name: tuple[str, ...] = ()
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    az: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    flavor: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    enterprise_project: tuple[str, ...] = ()
    ip: tuple[Network, ...] = ()
    places: Mapping[str, SourcePosition] = field(default_factory=dict[str, SourcePosition], compare=False, repr=False)

    @property
    def written(self) -> Mapping[str, object]:
        """The keys that are written, with their values as plain texts."""
        found: dict[str, object] = {key: value for key in SELECT_KEYS if (value := getattr(self, key))}
        return found | {"ip": [str(network) for network in self.ip]} if self.ip else found


SELECT_KEYS = ("name", "tags", "az", "image", "flavor", "status", "enterprise_project", "ip")


@dataclass(frozen=True, slots=True)
class ServerRef:
    """One server as the plan or a CSV row names it, or many by a selector: one of `id`, `name` and `select` is set.

    `change` holds only what differs for this server. A name that does not resolve is reported at `place`. `called` is
    the name that a CSV row gives beside the id: the server must have it, else the id may be that of another row.
    """

    id: str | None
    name: str | None
    change: ChangeSpec
    labels: Mapping[str, str]
    place: SourcePosition
    select: Selector | None = None
    called: str | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Servers that are left out: by id, by name, or by a case-sensitive glob for names."""

    id: str | None
    name: str | None
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class AllowedServer:
    """A server that may be changed although it belongs to another service, by its id or its exact name."""

    server: str
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class Share:
    """A number of servers, or a percentage of them when `percent` is set."""

    number: float
    percent: bool = False

    def of(self, total: int, *, at_least: int) -> int:
        """How many of `total` it is: percentages round down, but never below `at_least`."""
        if not self.percent:
            return max(at_least, int(self.number))
        # In millionths, the finest that a plan can say: 99.96 % of 10,000 are 9,996, but not with floats.
        return max(at_least, total * round(self.number * 10**6) // 10**8)


@dataclass(frozen=True, slots=True)
class Rollout:
    """The pace, and what is done to power."""

    concurrency: Share = Share(10)
    stop: StopMode = StopMode.SOFT_THEN_HARD
    force: bool = False
    power_after: PowerAfter = PowerAfter.RUNNING


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """How often a server's change is tried, and how long a failed one waits."""

    attempts: int = 2
    backoff_s: float = 30.0
    max_backoff_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each step may take, in seconds. `settle_s` None: chosen by the cloud.

    Safety protocol, section 4: docs/safety-protocol.md#4-unknown-outcomes
    """

    stop_s: float = 600.0
    change_s: float = 3600.0
    settle_s: float | None = None
    start_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Polling:
    """Bounds of the interval at which jobs and servers are read, in seconds."""

    min_s: float = 5.0
    max_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """What the cloud's API may be asked for: requests a second (None: learned), burst, and connections at once."""

    rate_per_s: float | None = None
    burst: float | None = None
    connections: int = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole plan; `path` is absolute. `places` says where each key outside `servers` stands.

    `doubts` say what is probably not as it was meant; they refuse nothing.

    `digest` is the SHA-256 of its normalised content, CSV rows and referenced files included, without cloud and
    region, which may be chosen at the command line.
    """

    path: Path
    name: str
    change: ChangeSpec
    servers: tuple[ServerRef, ...]
    digest: str
    cloud: str | None = None
    region: str | None = None
    exclude: tuple[Exclusion, ...] = ()
    allow_managed: tuple[AllowedServer, ...] = ()
    rollout: Rollout = field(default_factory=Rollout)
    failure: FailurePolicy = field(default_factory=FailurePolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    polling: Polling = field(default_factory=Polling)
    api: ApiLimits = field(default_factory=ApiLimits)
    places: Mapping[str, SourcePosition] = field(default_factory=dict[str, SourcePosition], compare=False, repr=False)
    doubts: tuple[Problem, ...] = field(default=(), compare=False)

    @property
    def selects(self) -> bool:
        """Whether it depends on what the cloud says which servers it means."""
        return any(server.select is not None for server in self.servers)

    @property
    def reinstalls(self) -> bool:
        """Whether servers get the image that they run."""
        return any(change.reinstall for change in (self.change, *(server.change for server in self.servers)))

    def place(self, key: str) -> SourcePosition:
        """Where the dotted key stands; where it is left out, the file as a whole."""
        root = self.places.get("")
        return self.places.get(key) or SourcePosition(root.file if root else str(self.path), None, None, key)
