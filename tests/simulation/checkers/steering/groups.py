"""I20: no admission raises a group above its limit, by the cloud's truth.

Out is whoever was admitted, whose change is unsettled, whom fleetos has stopped, and whoever does not serve in truth
for longer than a look may be old. Who is out already takes nothing away.
"""

from collections.abc import Iterable, Iterator, Mapping

from fleetos.model.run import Target
from fleetos.model.states import IN_FLIGHT
from fleetos.model.steering.rollout import GroupRule
from tests.simulation.checkers.steering.budgets import number_of
from tests.simulation.checkers.steps import admits, believed
from tests.simulation.run_trace import RunTrace, Violation, Written

# A look may be five minutes old, and its answer, its turn and its commit take their time.
LOOKED_S = 390.0
# Where the wall clock is set back, looks seem to be new for so much longer.
_SET_BACK_S = 3700.0


def group_of(rule: GroupRule, target: Target) -> str | None:
    """Return the value by which the rule groups the target, None if it is in no group of it."""
    if rule.per.startswith("label:"):
        return target.labels.get(rule.per[len("label:") :])
    return {"all": "all", "az": target.az, "flavor": target.flavor}[rule.per]


def no_group_above_its_limit(trace: RunTrace) -> Iterator[Violation]:
    """I20: for each group of each server that is admitted."""
    steering, targets = trace.spec.steering, dict[str, Target]()
    if steering is None:
        return
    for step in believed(trace):
        after = step.after
        if after is not None and step.before is not None and admits(step):
            for rule in steering.plan.groups:
                told = _above(trace, rule, step.before, targets.values(), step.written)
                if told:
                    yield Violation("I20", f"record {step.record.seq} admits {after.server_id}: {told}")
        if after is not None:
            targets[after.server_id] = after


def _above(trace: RunTrace, rule: GroupRule, target: Target, targets: Iterable[Target], written: Written) -> str:
    """Return how the admission raises a group above its limit, empty if it does not."""
    value = group_of(rule, target)
    members = [one for one in targets if value is not None and group_of(rule, one) == value]
    if not members or _is_free(trace, target, written):
        return ""
    limit = number_of(rule.value, len(members), at_least=1)
    out = [one for one in members if one is not target and _is_out(trace, one, written)]
    if len(out) < limit:
        return ""
    named = ", ".join(f"{one.server_id} ({one.state})" for one in out[:3])
    return f"{limit} of {rule.per} {value} may be out, and {len(out)} are: {named}"


def _is_out(trace: RunTrace, target: Target, written: Written) -> bool:
    if target.state in IN_FLIGHT or target.unsettled or target.stopped_at is not None:
        return True
    since_s, until_s = written.down.get(target.server_id, (0.0, -1.0))
    if until_s < written.at_s or _is_set_back(trace, written.at_s):
        return False
    # A server that was down when the run was frozen was down all along.
    return written.at_s - since_s > LOOKED_S


def _is_free(trace: RunTrace, target: Target, written: Written) -> bool:
    """Return whether the target is out already, as far as anybody can know. Where the cloud lies, it may seem so."""
    if target.unsettled or target.stopped_at is not None:
        return True
    if trace.spec.distortion.status and written.at_s < trace.calm_s + LOOKED_S:
        return True
    return written.at_s - down_until_s(written.down, target.server_id) <= LOOKED_S


def down_until_s(down: Mapping[str, tuple[float, float]], server_id: str) -> float:
    """Return when the server was seen not to serve the last time, in seconds of the play."""
    return down.get(server_id, (0.0, -1e9))[1]


def _is_set_back(trace: RunTrace, at_s: float) -> bool:
    jumps = trace.spec.clocks.jumps
    return any(jump.by_s < 0 and jump.at_s <= at_s < jump.at_s + _SET_BACK_S for jump in jumps)
