"""Results of the use cases; `fleetos.cli.exit_codes` maps them to exit codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from signal import Signals

from fleetos.model.progress import Progress
from fleetos.model.run import Target
from fleetos.model.states import Reason
from fleetos.views.condition import Driver


@dataclass(frozen=True, slots=True)
class DriveResult:
    """How a run was left."""

    progress: Progress
    """The run as this process left it."""
    driven: bool = True
    """False: another process had ended the run before this one could drive it."""
    signal: Signals | None = None
    """The first signal that asked to leave."""
    at_once: bool = False
    """Whether a second signal asked to leave at once."""
    trouble: Reason | None = None
    """Why the engine left a run that is neither paused nor ended."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The run of a plan that has ended, and is not repeated."""

    progress: Progress
    off_image: int | None
    """How many of its servers are no longer on their image; None: nobody looked."""


@dataclass(frozen=True, slots=True)
class Release:
    """What became of the servers with an unknown outcome that an ended run held."""

    released: Sequence[Target]
    kept: Sequence[Target]
    """Those whose outcome became unknown only after the operator had asked: somebody must look at them first."""


@dataclass(frozen=True, slots=True)
class AbortResult:
    """What came of an abort."""

    progress: Progress
    """The run as it is now."""
    driver: Driver | None = None
    """The process that drives the run, and was asked to end it; None: there is none, or the run had ended."""
    drive: DriveResult | None = None
    """How this process drove the run to its end; None: it did not."""
    release: Release | None = None
    """None: no release was asked for, or the run has not ended."""
