"""Waves, groups and budgets of a rollout, and all that steers a run.

The fields of what a run freezes are the format of the journal and of JSON: renaming one needs a migration.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from fleetos.model.steering.match import Match
from fleetos.model.steering.share import Share
from fleetos.model.steering.windows import Windows


@dataclass(frozen=True, slots=True)
class Approval:
    """Approvals that a wave needs before the next one opens."""

    by: Literal["anyone", "other"] | tuple[str, ...] = "anyone"
    """Operators who may approve. `other`: anyone but the owner of the run."""
    of: int = 1
    """Number of operators who must approve."""
    valid_s: float = 86400.0
    """Age at which an approval expires."""

    def approvers(self, owner: str, given: Collection[str] = ()) -> str:
        """Return who may approve besides those who have, in words."""
        if isinstance(self.by, tuple):
            return " or ".join(name for name in self.by if name not in given)
        others = ([owner] if self.by == "other" and owner else []) + sorted(given)
        return f"somebody other than {' or '.join(others)}" if others else "anybody"


@dataclass(frozen=True, slots=True)
class ApprovalGiven:
    """Approval of a wave by one operator."""

    wave: int
    """Number of the wave that it opens."""
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class BetweenWaves:
    """Conditions between the end of a wave and the opening of the next."""

    bake_s: float = 0.0
    """Time for which a finished wave is watched."""
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class WaveEntry:
    """Entry of the plan's `waves`: takes servers that it matches in one wave for each of its sizes."""

    name: str | None
    match: Match
    sizes: tuple[Share, ...]
    between: BetweenWaves
    repeats: bool = False
    """The last size is taken again until no server is left."""
    index: int = 0
    """Position in the plan's list."""


@dataclass(frozen=True, slots=True)
class Wave:
    """Wave of a run."""

    number: int
    """Counts from 1."""
    name: str | None
    members: int
    """Number of targets that the run changes in this wave."""
    between: BetweenWaves
    """Conditions before the next wave."""
    max_failed: int | None = None
    """The run pauses when more members failed; None: unlimited."""


@dataclass(frozen=True, slots=True)
class GroupRule:
    """Limit of servers that are out at once among those with the same value of a key."""

    per: str
    """`all`, `az`, `flavor` or `label:X`."""
    value: Share
    """A percentage counts all targets of the group; it rounds down, but never to 0."""


@dataclass(frozen=True, slots=True)
class OfLast:
    """Budget among the targets that ended last."""

    failed: int
    of: int


class OnExceeded(StrEnum):
    """Effect of a failure budget that is exceeded."""

    PAUSE = "pause"
    END = "end"


@dataclass(frozen=True, slots=True)
class Budgets:
    """Failure budgets of a run, in numbers of targets. None: unlimited."""

    max_failed: int | None = None
    """Exceeded when more targets of the run failed. The budget of a wave is in `Wave`."""
    of_last: OfLast | None = None
    on_exceeded: OnExceeded = OnExceeded.PAUSE


@dataclass(frozen=True, slots=True)
class SteeringPlan:
    """Steering as a plan says it. None or empty: not written."""

    order: tuple[str, ...] = ()
    """`listed`, `name`, `az`, `flavor`, `label:X`, `down-first` or `spread`, the weightiest first."""
    waves: tuple[WaveEntry, ...] = ()
    groups: tuple[GroupRule, ...] = ()
    max_failed: Share | None = None
    """Percentages are of the members of the run; budgets round down, also to 0."""
    max_failed_per_wave: Share | None = None
    """Percentages are of the members of the wave."""
    of_last: OfLast | None = None
    on_exceeded: OnExceeded | None = None
    windows: Windows | None = None
    protect: bool = False
    not_before: datetime | None = None
    """Time before which the run admits nobody, as the call that applies the plan says it. UTC."""

    @property
    def written(self) -> dict[str, object]:
        """Keys that are written, with their values."""
        return {key: value for key in STEERING_KEYS if (value := getattr(self, key)) not in (None, (), False)}


STEERING_KEYS = (
    "order",
    "waves",
    "groups",
    "max_failed",
    "max_failed_per_wave",
    "of_last",
    "on_exceeded",
    "windows",
    "protect",
)


@dataclass(frozen=True, slots=True)
class Steering:
    """Steering of a run, frozen."""

    waves: tuple[Wave, ...] = ()
    groups: tuple[GroupRule, ...] = ()
    budgets: Budgets = field(default_factory=Budgets)
    windows: Windows | None = None
    not_before: datetime | None = None
    """Time before which the run admits nobody. UTC."""


UNSTEERED = Steering()
