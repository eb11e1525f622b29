"""What a plan would do, before anything is done: for each server whether it is changed, and what that will take."""

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
    """What becomes of a server."""

    REFUSE = "refuse"
    CHANGE = "change"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """An image that servers get, the API by which it is installed, and why it is that one."""

    name: str
    id: str
    api: Literal["v1", "v2"]
    why: str


@dataclass(frozen=True, slots=True)
class Band:
    """Between how many seconds and how many something takes."""

    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take when nothing goes wrong. `change` is one change, `run` all of them, None where none is due.

    `remembered`: how many changes that band was seen in; 0: it is what the cloud's documents say. `reads` and `writes`
    are requests; the rates are those that the budget allows now, None: any.
    """

    change: Band
    remembered: int
    run: Band | None
    reads: int
    writes: int
    read_rate_per_s: float | None = None
    write_rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan as it would be frozen now: the run, its targets as they would begin, and what preflight found.

    `image_names` are the names of images by their ids. `earlier` is the newest run of the same plan that there is
    already, in words of `state` and `id`; `apply` goes on with it or does not repeat it. `selected` says how many
    servers each selector means, by its place.
    """

    run: Run
    targets: tuple[Target, ...]
    findings: tuple[Finding, ...]
    choices: tuple[ImageChoice, ...]
    image_names: Mapping[str, str]
    estimate: Estimate
    earlier: Run | None = None
    selected: Mapping[SourcePosition, int] = field(default_factory=dict[SourcePosition, int])

    @property
    def counts(self) -> Mapping[Act, int]:
        """How many servers come to which act."""
        return Counter(act_of(target) for target in self.targets)

    @property
    def wiped(self) -> tuple[Target, ...]:
        """The targets whose system disk would be wiped."""
        return tuple(target for target in self.targets if not target.ended)

    def about(self, level: Level | None = None) -> tuple[Finding, ...]:
        """The findings about no single server, of that level or of any."""
        return tuple(one for one in self.findings if one.server_id is None and level in (None, one.level))


def act_of(target: Target) -> Act:
    """What becomes of a target that was just frozen."""
    if target.state is TargetState.SKIPPED:
        return Act.SKIP
    return Act.REFUSE if target.ended else Act.CHANGE
