"""System disks that a command would wipe. Pure, and the same for a new run, a resumed run and a retry."""

from collections.abc import Iterable
from dataclasses import dataclass

from fleetos.model.run import Run, Target
from fleetos.model.states import RunState, TargetState

# In these states the cloud has accepted the change, so that the disk is wiped already, or the target is not changed.
_UNDER_WAY = frozenset(
    {TargetState.CHANGING, TargetState.VERIFYING, TargetState.STARTING, TargetState.RESTORING},
)


@dataclass(frozen=True, slots=True)
class Wipes:
    """Disks that driving a run would wipe."""

    run: Run
    """The run as the driver would begin; its `wipes` is the number at the freeze."""
    targets: tuple[Target, ...]
    """All targets of the run, or of the retry."""
    left: tuple[Target, ...]
    """The targets whose system disk would be wiped: `disk` is its id, `order` is what replaces it."""
    under_way: int
    """Number of targets that have not ended and whose disk would not be wiped any more."""


def wipes_of(run: Run, targets: Iterable[Target]) -> Wipes:
    """Return the disks that would be wiped if a driver continued the run now. An aborted run wipes no more disks."""
    all_targets = tuple(targets)
    unfinished = [target for target in all_targets if not target.ended]
    aborted = run.state is RunState.FINISHING
    left = () if aborted else tuple(target for target in unfinished if not _is_under_way(target))
    return Wipes(run, all_targets, left, len(unfinished) - len(left))


def _is_under_way(target: Target) -> bool:
    accepted = target.attempt is not None and target.attempt.accepted
    return target.state in _UNDER_WAY or (target.state is TargetState.INSPECTING and accepted)
