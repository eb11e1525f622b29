"""What the operator wrote: a plan, with defaults filled in and nothing resolved against the cloud."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal


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
class SecretRef:
    """Where a secret is found when it is needed: an environment variable's name or a file's absolute path."""

    kind: Literal["env", "file"]
    where: str


@dataclass(frozen=True, slots=True)
class UserDataRef:
    """Where user data is found, and the SHA-256 of its bytes. `in_plan`: it is a text inside the plan at `path`."""

    path: str
    in_plan: bool
    sha256: str


@dataclass(frozen=True, slots=True)
class ChangeSpec:
    """What a server gets, as written; None where the plan says nothing."""

    image: str | None = None
    api: ApiChoice | None = None
    keyname: str | None = None
    userid: str | None = None
    adminpass: SecretRef | None = None
    user_data: UserDataRef | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ServerRef:
    """One server as the plan or a CSV row names it; exactly one of `id` and `name` is set.

    `file`, `line`, `column` and `key` say where, so that a name that does not resolve is reported at its place.
    """

    id: str | None
    name: str | None
    change: ChangeSpec
    labels: Mapping[str, str]
    file: str
    line: int
    column: int
    key: str


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A server that is left out: a case-sensitive name glob, or an id."""

    id: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """A number of servers, or a percentage of them when `percent` is set."""

    number: float
    percent: bool = False

    def of(self, total: int, *, at_least: int) -> int:
        """How many of `total` it is: percentages round down, but never below `at_least`."""
        wanted = int(total * self.number / 100) if self.percent else int(self.number)
        return max(at_least, wanted)


@dataclass(frozen=True, slots=True)
class Rollout:
    """The pace, and what is done to power."""

    concurrency: Share = Share(10)
    stop: StopMode = StopMode.SOFT_THEN_HARD
    force: bool = False
    power_after: PowerAfter = PowerAfter.RUNNING


@dataclass(frozen=True, slots=True)
class Failure:
    """How often a server's change is tried, and how long a failed one waits."""

    attempts: int = 2
    backoff_s: float = 30.0
    max_backoff_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each step may take, in seconds. `settle_s` None: chosen by the cloud (protocol: inspecting)."""

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
    """What the cloud's API may be asked for: requests a second (None: learned) and connections at once."""

    rate_per_s: float | None = None
    burst: float | None = None
    connections: int = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole plan. `digest` is the SHA-256 of its normalised content, CSV rows and referenced files included,
    without the cloud and region that are chosen at the command line.
    """

    path: Path
    name: str
    change: ChangeSpec
    servers: tuple[ServerRef, ...]
    digest: str
    cloud: str | None = None
    region: str | None = None
    exclude: tuple[Exclusion, ...] = ()
    rollout: Rollout = field(default_factory=Rollout)
    failure: Failure = field(default_factory=Failure)
    timeouts: Timeouts = field(default_factory=Timeouts)
    polling: Polling = field(default_factory=Polling)
    api: ApiLimits = field(default_factory=ApiLimits)
