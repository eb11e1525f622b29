"""Check what a command would wipe against what the operator agreed to. Pure; the same for every command."""

from dataclasses import dataclass

from fleetos.errors import FleetosError
from fleetos.model.states import COMES_TO_REST, Command, Reason, RunState, ends_pause
from fleetos.model.wipes import Wipes
from fleetos.planning.freeze import FrozenRun
from fleetos.planning.frozen_plan import FrozenPlan, PlanOutdated, differences, differences_left
from fleetos.text import counted

# A message lists at most this many differences between a frozen plan and the cloud, or a run.
DIFFERENCES_LISTED = 20


class NotConfirmed(FleetosError):
    """Refusal: the operator did not confirm, or a script expected another number of disks."""

    exit_code = 13


class NeedsResume(FleetosError):
    """Refusal: the run is paused for something that a person must look at."""

    exit_code = 22


class StoppedByBudget(NeedsResume):
    """Refusal: the run is paused by its failure budget."""

    exit_code = 11


class PausedByOperator(NeedsResume):
    """Refusal: an operator has paused the run."""

    exit_code = 20


@dataclass(frozen=True, slots=True)
class Agreement:
    """Consent that the operator gave before the command began: a number of system disks, a frozen plan, or neither."""

    expected: int | None = None
    plan: FrozenPlan | None = None


def disagreement(
    agreement: Agreement, wipes: Wipes, command: Command, frozen: FrozenRun | None = None
) -> FleetosError | None:
    """Return the error that refuses the command; None if it would wipe what was agreed to.

    `frozen` is the run that the command would create; None if it drives a run that exists.
    """
    run = wipes.run
    if run.state is RunState.PAUSED and not ends_pause(command, run.reason):
        return _needs_resume_error(wipes)
    if agreement.plan is not None:
        differing = list(
            differences(agreement.plan, frozen)
            if frozen is not None
            else differences_left(agreement.plan, run, wipes.targets)
        )
        if differing:
            return _outdated_error(differing, None if frozen is not None else run.id)
    if agreement.expected is None or agreement.expected in _accepted_numbers(wipes, command):
        return None
    return NotConfirmed(
        f"--expect-wipes {agreement.expected}, but {_describe_number(wipes, command)}",
        "nothing was touched; look at the list above",
    )


def _accepted_numbers(wipes: Wipes, command: Command) -> frozenset[int]:
    """Return the numbers of disks that count as agreed.

    Where `apply` goes on with a run, the number that it was frozen with counts too: a timer's command line is fixed.
    """
    left = len(wipes.left)
    return frozenset({left, wipes.run.wipes}) if command is Command.APPLY else frozenset({left})


def _describe_number(wipes: Wipes, command: Command) -> str:
    left, frozen = len(wipes.left), wipes.run.wipes
    disks = counted(left, "system disk")
    if command is Command.APPLY and frozen != left:
        return f"run {wipes.run.id} was created to wipe {frozen:,} and would wipe {disks} now"
    return f"{disks} would be wiped"


def _needs_resume_error(wipes: Wipes) -> NeedsResume:
    run = wipes.run
    since = f" since {run.since:%Y-%m-%d %H:%M:%S} UTC" if run.since is not None else ""
    detail = f": {run.detail}" if run.detail else ""
    refusals = {Reason.BUDGET: StoppedByBudget, Reason.OPERATOR: PausedByOperator}
    resume = f"fleetos resume {run.id}" + (' --reason "..."' if run.reason in COMES_TO_REST else "")
    by = f" by {run.by}" if run.by else ""
    return refusals.get(run.reason or Reason.BUDGET, NeedsResume)(
        f"run {run.id} has been paused{by} ({run.reason}){since}{detail}",
        f"nothing was changed; find out what is wrong (fleetos status {run.id}), then: {resume}",
    )


def _outdated_error(differing: list[str], run_id: str | None) -> PlanOutdated:
    listed = differing[:DIFFERENCES_LISTED]
    unlisted = len(differing) - len(listed)
    lines = "\n".join([*listed, *([f"and {unlisted:,} more"] if unlisted else [])])
    if run_id is None:
        return PlanOutdated(
            f"the cloud has changed since the plan was frozen:\n{lines}",
            "look at a new plan: fleetos plan PLAN --out FILE; nothing was touched",
        )
    return PlanOutdated(
        f"run {run_id} of this plan is unfinished, and what is left of it is not what the frozen plan says:\n{lines}",
        f"nothing was touched; first carry the run on (fleetos resume {run_id}) or end it (fleetos abort {run_id}), "
        "then: fleetos plan PLAN --out FILE",
    )
