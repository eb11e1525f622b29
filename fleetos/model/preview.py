"""Preview of a plan: the run as it would be frozen now, and an estimate. Nothing is done yet."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from fleetos.model.findings import Finding, Level
from fleetos.model.plan import SourcePosition
from fleetos.model.run import Run, Target
from fleetos.model.states import TargetState


class Act(StrEnum):
    """Action on a server."""

    REFUSE = "refuse"
    CHANGE = "change"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """Image that servers get, the API that installs it, and the reason for that API."""

    name: str
    id: str
    api: Literal["v1", "v2"]
    why: str


@dataclass(frozen=True, slots=True)
class Band:
    """Range of a duration."""

    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimate of a run in which nothing goes wrong."""

    change: Band
    """Duration of one change."""
    remembered: int
    """Number of past changes that `change` rests on; 0: it rests on the cloud's documents."""
    run: Band | None
    """Duration of the run; None: it has no change."""
    reads: int
    """Number of read requests."""
    writes: int
    """Number of write requests."""
    read_rate_per_s: float | None = None
    """Rate that the budget allows now; None: unlimited."""
    write_rate_per_s: float | None = None
    """Rate that the budget allows now; None: unlimited."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Plan as it would be frozen now."""

    run: Run
    targets: tuple[Target, ...]
    """The targets in their first state."""
    findings: tuple[Finding, ...]
    """Findings of preflight."""
    choices: tuple[ImageChoice, ...]
    image_names: Mapping[str, str]
    """Names of images by their ids."""
    estimate: Estimate
    steering: tuple[str, ...] = ()
    """Rules of waves, groups, budgets and windows, a sentence each."""
    earlier: Run | None = None
    """Newest run of the same plan in the database; `apply` continues it, or does not repeat it."""
    selected: Mapping[SourcePosition, int] = field(default_factory=dict[SourcePosition, int])
    """Number of servers that each selector matches, by the place of the selector."""

    @property
    def counts(self) -> Mapping[Act, int]:
        """Number of servers for each act."""
        return Counter(act_of(target) for target in self.targets)

    @property
    def wiped(self) -> tuple[Target, ...]:
        """Targets whose system disk would be wiped."""
        return tuple(target for target in self.targets if not target.ended)

    def general_findings(self, level: Level | None = None) -> tuple[Finding, ...]:
        """Return the findings that are not about a single server, of one level or of all."""
        return tuple(
            finding for finding in self.findings if finding.server_id is None and level in (None, finding.level)
        )


def act_of(target: Target) -> Act:
    """Return the action on a target that was just frozen."""
    if target.state is TargetState.SKIPPED:
        return Act.SKIP
    return Act.REFUSE if target.ended else Act.CHANGE
