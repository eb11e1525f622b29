"""What the operator agreed to, held against what a command would wipe. Pure; the same for every command."""

from dataclasses import dataclass

from fleetos.errors import FleetosError
from fleetos.model.states import Command, RunState, ends_pause
from fleetos.model.wipes import Wipes
from fleetos.planning.freeze import FrozenRun
from fleetos.planning.frozen_plan import FrozenPlan, PlanOutdated, differences, differences_left
from fleetos.text import counted

# Differences between a frozen plan and the cloud, or a run, that one message names.
DIFFERENCES_TOLD = 20


class NotConfirmed(FleetosError):
    """The operator, or the number that a script expected, did not agree."""

    exit_code = 12


class NeedsResume(FleetosError):
    """The run is paused for something that a person must look at."""

    exit_code = 22


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the operator agreed to before the command began: a number of system disks, a frozen plan, or neither."""

    expected: int | None = None
    plan: FrozenPlan | None = None


def disagreement(
    agreement: Agreement, wipes: Wipes, command: Command, frozen: FrozenRun | None = None
) -> FleetosError | None:
    """Return the error that refuses the command; None if it would wipe what was agreed to.

    `frozen` is the run where the command makes a new one; None where it drives one that is there already.
    """
    run = wipes.run
    if run.state is RunState.PAUSED and not ends_pause(command, run.reason):
        return _needs_resume(wipes)
    if agreement.plan is not None:
        differing = list(
            differences(agreement.plan, frozen)
            if frozen is not None
            else differences_left(agreement.plan, run, wipes.targets)
        )
        if differing:
            return _outdated(differing, None if frozen is not None else run.id)
    if agreement.expected is None or agreement.expected in _numbers(wipes, command):
        return None
    return NotConfirmed(
        f"--expect-wipes {agreement.expected}, but {_number_words(wipes, command)}",
        "nothing was touched; look at the list above",
    )


def _numbers(wipes: Wipes, command: Command) -> frozenset[int]:
    """Numbers that agree. For a run that is carried on also the one it was frozen with: a timer's number is fixed."""
    left = len(wipes.left)
    return frozenset({left, wipes.run.wipes}) if command is Command.APPLY else frozenset({left})


def _number_words(wipes: Wipes, command: Command) -> str:
    left, frozen = len(wipes.left), wipes.run.wipes
    disks = counted(left, "system disk")
    if command is Command.APPLY and frozen != left:
        return f"run {wipes.run.id} was created to wipe {frozen:,} and would wipe {disks} now"
    return f"{disks} would be wiped"


def _needs_resume(wipes: Wipes) -> NeedsResume:
    run = wipes.run
    since = f" since {run.since:%Y-%m-%d %H:%M:%S} UTC" if run.since is not None else ""
    why = f": {run.detail}" if run.detail else ""
    return NeedsResume(
        f"run {run.id} has been paused ({run.reason}){since}{why}",
        f"nothing was changed; find out what is wrong (fleetos status {run.id}), then: fleetos resume {run.id}",
    )


def _outdated(differing: list[str], run_id: str | None) -> PlanOutdated:
    told = differing[:DIFFERENCES_TOLD]
    more = len(differing) - len(told)
    lines = "\n".join([*told, *([f"and {more:,} more"] if more else [])])
    if run_id is None:
        return PlanOutdated(
            f"the cloud has changed since the plan was frozen:\n{lines}",
            "look at it anew: fleetos plan PLAN --out FILE; nothing was touched",
        )
    return PlanOutdated(
        f"run {run_id} of this plan is unfinished, and what is left of it is not what the frozen plan says:\n{lines}",
        f"nothing was touched; first carry the run on (fleetos resume {run_id}) or end it (fleetos abort {run_id}), "
        "then: fleetos plan PLAN --out FILE",
    )
