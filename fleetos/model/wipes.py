"""The system disks that a command would wipe. Pure; one answer for a new run, a carried-on run and a retry."""

from collections.abc import Iterable
from dataclasses import dataclass

from fleetos.model.run import Run, Target
from fleetos.model.states import RunState, TargetState

# The cloud has taken the change of such a target, so its disk is wiped already; or it will not be changed.
_UNDER_WAY = frozenset(
    {TargetState.CHANGING, TargetState.VERIFYING, TargetState.STARTING, TargetState.RESTORING},
)


@dataclass(frozen=True, slots=True)
class Wipes:
    """What driving a run would wipe."""

    run: Run
    """The run as it would begin to be driven; its `wipes` is the number it was frozen with."""
    targets: tuple[Target, ...]
    """All targets of the run, or of the retry."""
    left: tuple[Target, ...]
    """The targets whose system disk would be wiped: `disk` says which, `order` what comes in its place."""
    under_way: int
    """Number of targets that have not ended and whose disk is not among those left."""


def wipes_of(run: Run, targets: Iterable[Target]) -> Wipes:
    """Return what would be wiped if the run were driven from here on. An aborted run wipes nothing more."""
    every = tuple(targets)
    unfinished = [target for target in every if not target.ended]
    left = () if run.state is RunState.FINISHING else tuple(one for one in unfinished if not _is_under_way(one))
    return Wipes(run, every, left, len(unfinished) - len(left))


def _is_under_way(target: Target) -> bool:
    accepted = target.attempt is not None and target.attempt.accepted
    return target.state in _UNDER_WAY or (target.state is TargetState.INSPECTING and accepted)
