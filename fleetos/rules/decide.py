"""What a target needs next, by its state: the entry to all rules that work on one target. Pure."""

from collections.abc import Callable, Mapping

from fleetos.limits import UNREAD_MAX
from fleetos.model.run import PowerOutcome, Target
from fleetos.model.states import IN_FLIGHT, TargetState
from fleetos.rules.needs import Context, Decision, PowerNeed, ReadServerNeed
from fleetos.rules.outcomes import unread
from fleetos.rules.states.changing import changing
from fleetos.rules.states.inspecting import inspecting
from fleetos.rules.states.power import restoring, starting, stopping
from fleetos.rules.states.ready import checking, is_fresh, queued, ready
from fleetos.rules.states.verifying import verifying


def decide(target: Target, context: Context) -> Decision:
    """What is due for the target, or what it waits for."""
    if context.misses >= UNREAD_MAX and _lives_by_reads(target):
        return unread(target, context.misses)
    rule = _RULES.get(target.state)
    decision = () if rule is None else rule(target, context)
    if isinstance(decision, tuple) and any(isinstance(need, PowerNeed) for need in decision) and not is_fresh(context):
        # A stop or start may have waited long for its permit.
        return (ReadServerNeed(context.now.elapsed_s),)
    return decision


def _lives_by_reads(target: Target) -> bool:
    """Whether only a read can move the target: nothing of it is on the wire, and no deadline of its own runs."""
    if target.state is TargetState.CHANGING:
        return target.attempt is not None and target.attempt.job_final
    on_the_wire = any(call.outcome is PowerOutcome.PENDING for call in target.calls)
    return target.state in IN_FLIGHT and target.state is not TargetState.SUBMITTING and not on_the_wire


# A target in `submitting` waits for its answer, and no plan can ask for a drain: no rule leads there.
_RULES: Mapping[TargetState, Callable[[Target, Context], Decision]] = {
    TargetState.WAITING: queued,
    TargetState.CHECKING: checking,
    TargetState.STOPPING: stopping,
    TargetState.READY: ready,
    TargetState.CHANGING: changing,
    TargetState.INSPECTING: inspecting,
    TargetState.VERIFYING: verifying,
    TargetState.STARTING: starting,
    TargetState.RESTORING: restoring,
    TargetState.BACKOFF: queued,
}
