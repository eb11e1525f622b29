"""Results of the use cases; `fleetos.cli.exit_codes` maps them to exit codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from signal import Signals

from fleetos.model.journal.events import RequestAnswered
from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import Reason
from fleetos.views.text.run_condition import Driver


@dataclass(frozen=True, slots=True)
class DriveResult:
    """Result of driving a run."""

    progress: Progress
    """The run as this process left it."""
    driven: bool = True
    """False: another process had ended the run before this one could drive it."""
    signal: Signals | None = None
    """First signal that asked to leave."""
    at_once: bool = False
    """True after a second SIGINT or SIGTERM, which leaves at once."""
    trouble: Reason | None = None
    """Reason for which the engine left a run that is neither paused nor ended."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The run of a plan that has ended, and is not repeated."""

    progress: Progress
    off_image: int | None
    """Number of its servers that are no longer on their image; None: nobody looked."""


@dataclass(frozen=True, slots=True)
class Release:
    """Servers with an unknown outcome that an ended run held."""

    released: Sequence[Target]
    kept: Sequence[Target]
    """Those whose outcome became unknown only after the operator had asked: somebody must look at them first."""


@dataclass(frozen=True, slots=True)
class RequestResult:
    """Result of an operator's request."""

    progress: Progress
    """The run as it is now."""
    answer: RequestAnswered | None
    """None: the process that drives the run has not answered yet."""
    driver: Driver | None = None
    """The process that drives the run."""
    drive: DriveResult | None = None
    """Result of driving the run here; None: it was not driven here."""


@dataclass(frozen=True, slots=True)
class AbortResult:
    """Result of an abort."""

    progress: Progress
    """The run as it is now."""
    driver: Driver | None = None
    """The process that drives the run, and was asked to end it; None: there is none, or the run had ended."""
    drive: DriveResult | None = None
    """Result of driving the run to its end here; None: it was not driven here."""
    release: Release | None = None
    """None: no release was asked for, or the run has not ended."""
