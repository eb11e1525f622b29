"""Diagnoses: what `fleetos doctor` thinks of facts, and the facts about a database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fleetos.errors import FleetosError, InputError


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
