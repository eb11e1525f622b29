"""What `fleetos doctor` looks at: the facts, before anybody judges them, and the judgement, a line each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fleetos.errors import FleetosError, InputError
from fleetos.model.experience import Limit


class Grade(StrEnum):
    """How something is. Skipped is what could not be looked at, or cannot be without doing it."""

    FINE = "fine"
    DOUBTFUL = "doubtful"
    BROKEN = "broken"
    SKIPPED = "skipped"


class Topic(StrEnum):
    """What was looked at, in the order of looking. The values are public: scripts tell diagnoses apart by them."""

    DATABASE = "database"
    FILE_MODES = "file-modes"
    FILE_SYSTEM = "file-system"
    FREE_SPACE = "free-space"
    BACKUP = "backup"
    SCHEMA = "schema"
    INTEGRITY = "integrity"
    LEASE = "lease"
    UNFINISHED = "unfinished"
    CLAIMS = "claims"
    CREDENTIALS = "credentials"
    ENDPOINT = "endpoint"
    CLOCK = "clock"
    LOGIN = "login"
    PERMISSION = "permission"
    LIMITS = "limits"
    DURATIONS = "durations"


Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One judgement. `subject` says which of its topic is meant, None where there is one only.

    `values` are what programs may want of it; `exit_code` is what a broken one comes to, 0 for all others.
    """

    topic: Topic
    grade: Grade
    text: str
    hint: str | None = None
    subject: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    exit_code: int = 0


Tell = Callable[[Diagnosis], None]


def exit_code_of(diagnoses: Sequence[Diagnosis]) -> int:
    """The exit code of the first that is broken, 0 if none is."""
    return next((one.exit_code for one in diagnoses if one.grade is Grade.BROKEN), 0)


def broken(topic: Topic, error: FleetosError, subject: str | None = None) -> Diagnosis:
    """The error as a diagnosis in one line, with its exit code."""
    text, hint = error.message, error.hint
    if isinstance(error, InputError):
        text = "; ".join(
            f"{one.file}: {one.key}: {one.said}" if one.key else f"{one.file}: {one.said}" for one in error.problems
        )
        hint = next((one.hint for one in error.problems if one.hint), None)
    return Diagnosis(topic, Grade.BROKEN, text, hint, subject, exit_code=error.exit_code)


def skipped(topic: Topic, why: str, hint: str | None = None, subject: str | None = None) -> Diagnosis:
    """What was not looked at, and why."""
    return Diagnosis(topic, Grade.SKIPPED, why, hint, subject)


def roughly(seconds: float) -> str:
    """A length of time in one unit, at least two of it."""
    for size_s, name in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= 2 * size_s:
            return f"{seconds / size_s:.0f} {name}s"
    return f"{seconds:.0f} seconds"


# --- the database ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The file of a database, or the place where it would be. Modes are as chmod has them; None: not there, not known.

    `folder` is the nearest that exists. `refused`: why no command opens the file.
    `named_by`: the option or variable that names it; None for the default place.
    """

    path: str
    size_bytes: int | None
    mode: int | None
    ours: bool
    usable: bool
    folder: str
    folder_mode: int
    folder_usable: bool
    file_system: str | None
    free_bytes: int | None
    refused: FleetosError | None = None
    named_by: str | None = None


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """Kind and version of the database's program, and the revision of the tables. None: it holds none of fleetos."""

    kind: str
    version: str
    revision: str | None
    needed: str
    known: bool
    # Whether the next command brings the tables up to date by itself.
    migrates_itself: bool


@dataclass(frozen=True, slots=True)
class RunFacts:
    """An unfinished run, and who holds its lease. `life` is what can be told of the holder from here.

    `left_s`: how long the lease still counts if it is not renewed.
    """

    run_id: str
    name: str
    state: str
    holder: str | None = None
    life: str | None = None
    left_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """The servers that a run holds though it has ended."""

    run_id: str
    state: str
    servers: int


# --- the cloud ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """Which way to log in was taken, as whom if that can be said, and where it was found. No secret is among them."""

    way: str
    user: str | None
    found_in: str
    region: str | None
    verify: bool
    # A key is dated: a wrong clock makes it worthless. One for a time ends, and nobody says when.
    dated: bool = False
    temporary: bool = False
    renewable: bool = True


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """What the login has given. None is what the cloud does not say."""

    project_id: str
    project: str | None
    domain: str | None
    life_s: float | None


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """The answer of a service to somebody who shows nothing: its status, and how long it took, connecting included."""

    service: str
    address: str
    loopback: bool
    status: int
    latency_s: float
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """How far this machine's clock is ahead of the cloud's at least, negative where it is behind; and by whose word."""

    ahead_s: float
    here: datetime
    by: str


class Right(StrEnum):
    """What a dry read has shown of a permission."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    ABSENT = "absent"  # the cloud has no such call
    UNKNOWN = "unknown"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class PermissionFacts:
    """What is known of one call. `needed`: without it there is no run; `lost` is what there is not without it.

    `narrowed`: the user may see servers, but in some enterprise projects only.
    """

    call: str
    action: str | None
    right: Right
    needed: bool
    lost: str
    words: str | None = None
    exit_code: int = 0
    narrowed: bool = False


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """What the database remembers of a part of a cloud. `kept_s`: how long limits count after they were learned."""

    limits: Mapping[str, Limit]
    kept_s: float
    changes: int
    kinds: int
    longest_change_s: float
