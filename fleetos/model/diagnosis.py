"""Facts that `fleetos doctor` collects, and diagnoses, its judgements on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fleetos.errors import FleetosError, InputError
from fleetos.model.experience import Limit


class Grade(StrEnum):
    """Grade of a diagnosis. SKIPPED: not checked, because that is impossible or would need a write."""

    FINE = "fine"
    DOUBTFUL = "doubtful"
    BROKEN = "broken"
    SKIPPED = "skipped"


class Topic(StrEnum):
    """Topic of a diagnosis, in the order of checks. The values are public: scripts tell diagnoses apart by them."""

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
    """One judgement."""

    topic: Topic
    grade: Grade
    text: str
    hint: str | None = None
    subject: str | None = None
    """Part of the topic, None if the topic has only one."""
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Facts for programs, in the JSON of the diagnosis."""
    exit_code: int = 0
    """Exit code of a BROKEN diagnosis, 0 for any other."""


OnDiagnosis = Callable[[Diagnosis], None]


def exit_code_of(diagnoses: Sequence[Diagnosis]) -> int:
    """Return the exit code of the first BROKEN diagnosis, 0 if there is none."""
    return next((diagnosis.exit_code for diagnosis in diagnoses if diagnosis.grade is Grade.BROKEN), 0)


def diagnose_error(topic: Topic, error: FleetosError, subject: str | None = None) -> Diagnosis:
    """Return the BROKEN diagnosis for an error, in one line and with the exit code of the error."""
    text, hint = error.message, error.hint
    if isinstance(error, InputError):
        text = "; ".join(
            f"{problem.file}: {problem.key}: {problem.text}" if problem.key else f"{problem.file}: {problem.text}"
            for problem in error.problems
        )
        hint = next((problem.hint for problem in error.problems if problem.hint), None)
    return Diagnosis(topic, Grade.BROKEN, text, hint, subject, exit_code=error.exit_code)


def diagnose_skipped(topic: Topic, why: str, hint: str | None = None, subject: str | None = None) -> Diagnosis:
    """Return the diagnosis for a check that was not made, and why."""
    return Diagnosis(topic, Grade.SKIPPED, why, hint, subject)


def format_roughly(seconds: float) -> str:
    """Return a duration in the largest unit of which it has at least two."""
    for size_s, name in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= 2 * size_s:
            return f"{seconds / size_s:.0f} {name}s"
    return f"{seconds:.0f} seconds"


# --- the database ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Facts about the file of a database, or about the place for it. None: the file is missing, or not known."""

    path: str
    size_bytes: int | None
    mode: int | None
    """Mode bits as in chmod."""
    ours: bool
    """The file is missing, or belongs to the user of this process."""
    usable: bool
    """The file is missing, or a regular file that this process may read and write."""
    folder: str
    """The nearest folder above `path` that exists."""
    folder_mode: int
    folder_usable: bool
    """This process may create files in `folder`."""
    file_system: str | None
    free_bytes: int | None
    refused: FleetosError | None = None
    """Error with which commands refuse the file."""
    named_by: str | None = None
    """Option or variable that names the file; None: the default place."""


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """Facts about the database's program and its tables."""

    kind: str
    """Name of the program."""
    version: str
    """Version of the program."""
    revision: str | None
    """Revision of the tables; None: the database has no tables of fleetos."""
    needed: str
    """Revision that this version of fleetos needs."""
    known: bool
    """This version of fleetos knows `revision`."""
    migrates_itself: bool
    """The next command migrates the tables by itself."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Facts about an unfinished run and its lease."""

    run_id: str
    name: str
    state: str
    holder: str | None = None
    """Process that holds the lease."""
    life: str | None = None
    """State of that process, as far as this machine can see it."""
    left_s: float = 0.0
    """Time until the lease ends if it is not renewed."""


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """Number of servers that a run still claims although it has ended."""

    run_id: str
    state: str
    servers: int


# --- the cloud ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """Facts about the credentials. None of them is secret."""

    way: str
    """Way to log in."""
    user: str | None
    """None: the credentials do not name their user."""
    found_in: str
    """Source of the credentials."""
    region: str | None
    verify: bool
    """TLS certificates of the cloud are verified."""
    dated: bool = False
    """Requests carry a date, as with an access key: a wrong clock makes the credentials worthless."""
    temporary: bool = False
    """The credentials end at a time that nobody states."""
    renewable: bool = True
    """fleetos can log in again when the token ends."""


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """Facts from the login. None: the cloud does not say."""

    project_id: str
    project: str | None
    domain: str | None
    life_s: float | None


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """Answer of a service to a request without credentials."""

    service: str
    address: str
    loopback: bool
    """The address is on this machine."""
    status: int
    """HTTP status."""
    latency_s: float
    """Duration of the request, connecting included."""
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """Difference between the clocks of this machine and of the cloud."""

    ahead_s: float
    """Least time by which this machine is ahead, negative if it is behind."""
    here: datetime
    """Time by this machine's clock."""
    by: str
    """Service whose answer had the date."""


class Right(StrEnum):
    """Permission for a call, as far as a trial read shows it."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    ABSENT = "absent"  # the cloud has no such call
    UNKNOWN = "unknown"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class PermissionFacts:
    """Facts about the permission for one call."""

    call: str
    action: str | None
    """The cloud's name of the permission."""
    right: Right
    needed: bool
    """No run is possible without the call."""
    lost: str
    """Feature that is missing without the call."""
    words: str | None = None
    """Message of the error, if the call failed."""
    exit_code: int = 0
    narrowed: bool = False
    """The user may see servers of some enterprise projects only."""


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """Experience with a part of a cloud that the database remembers."""

    limits: Mapping[str, Limit]
    kept_s: float
    """Time for which limits count after they were learned."""
    changes: int
    """Number of remembered changes."""
    kinds: int
    """Number of kinds of remembered changes."""
    longest_change_s: float
