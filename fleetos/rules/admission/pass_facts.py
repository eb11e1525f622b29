"""Standing of a run: all that admission looks at besides the target. Pure.

Whoever drives the run makes one for each pass. Admissions only raise its counts, so a target that waits goes on waiting
until the end of the pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fleetos.model.run import Run, Target
from fleetos.model.steering.rollout import UNSTEERED, Steering
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason
from fleetos.rules.budgets import Failures
from fleetos.rules.groups import Groups
from fleetos.rules.windows import OPEN, Window


class Point(StrEnum):
    """Point at which a target is asked for."""

    ADMIT = "admit"
    """Before it leaves the queue."""
    EFFECT = "effect"
    """Before its first effect."""
    SUBMIT = "submit"
    """Before its change is sent, when it has a slot."""


def one_kind(_: Target) -> str:
    """Return the only kind of change of a run whose windows ask for no time."""
    return ""


def no_need(_: str, __: Point) -> float:
    """Return 0 seconds: the need of a change where windows ask for no time."""
    return 0.0


@dataclass(slots=True)
class Standing:
    """Facts of a run at one moment, for one pass of admission."""

    run: Run
    now: datetime
    """Wall clock time. UTC."""
    steering: Steering = UNSTEERED
    opened: int = 0
    """Number of the last wave that was opened; 0: none."""
    next_wave: Waiting | None = None
    """Why the next wave does not open: unfinished, bake, approval or gate; None: its first admission opens it."""
    windows: Sequence[Window] = (OPEN,)
    """Windows, one for each set of rules that matches any target."""
    window_of: Mapping[str, int] = field(default_factory=dict[str, int])
    """Index of the window in `windows`, by server id; the first for all others."""
    clock_off: str | None = None
    """How far the clocks of cloud and driver differ, if more than 5 minutes."""
    kind_of: Callable[[Target], str] = one_kind
    """Kind of the change of a target: changes of one kind need the same time."""
    need_s: Callable[[str, Point], float] = no_need
    """Time that a change of the kind still needs from that point on, in seconds."""
    groups: Groups = field(default_factory=Groups)
    places: int = 0
    """Number of targets that may be made ready yet, at once or ahead of a slot."""
    free: int = 0
    """Number of slots that are free."""
    ahead: int = 0
    """Number of targets that are being made ready, or are ready, ahead of their slot."""
    may_send: bool = True
    """The cloud takes one more write now."""

    def find_window(self, target: Target) -> Window:
        """Return the window of a target."""
        return self.windows[self.window_of.get(target.server_id, 0)]

    def admit(self, target: Target, *, takes_slot: bool) -> None:
        """Count the target as admitted. The first of a wave opens it."""
        self.places -= 1
        self.free -= takes_slot
        self.ahead += not takes_slot
        self.groups.mark_admitted(target)
        if target.wave > self.opened:
            self.opened = target.wave
            self.next_wave = Waiting(WaitReason.WAVE, f"wave {target.wave} is not finished")


@dataclass(frozen=True, slots=True)
class RolloutFacts:
    """Facts of a run at one moment about its waves, windows, groups and budgets, for people."""

    standing: Standing
    failures: Failures
    ended: Mapping[int, int]
    """Number of members that ended, by wave."""
