"""Decide what is due for a target, by its state: the entry to all rules that work on one target. Pure."""

from collections.abc import Callable, Mapping

from fleetos.model.run import PowerOutcome, Target
from fleetos.model.states import IN_FLIGHT, TargetState
from fleetos.rules.needs import Context, Decision, PowerNeed, ReadServerNeed
from fleetos.rules.outcomes import hold_unread
from fleetos.rules.states.changing import decide_changing
from fleetos.rules.states.inspecting import decide_inspecting
from fleetos.rules.states.power import decide_restoring, decide_starting, decide_stopping
from fleetos.rules.states.ready import decide_checking, decide_queued, decide_ready, is_fresh
from fleetos.rules.states.verifying import decide_verifying

# A human decides after this many reads in a row without news of a server, while the cloud answers other reads: an hour
# or more at the usual polling.max.
UNREAD_MAX = 60


def decide(target: Target, context: Context) -> Decision:
    """Return what is due for the target, or what it waits for."""
    if context.missed_reads >= UNREAD_MAX and _depends_on_reads(target):
        return hold_unread(target, context.missed_reads)
    rule = _RULES.get(target.state)
    decision = () if rule is None else rule(target, context)
    if isinstance(decision, tuple) and any(isinstance(need, PowerNeed) for need in decision) and not is_fresh(context):
        # A stop or start may have waited long for its permit.
        return (ReadServerNeed(context.now.elapsed_s),)
    return decision


def _depends_on_reads(target: Target) -> bool:
    """Return True if only a read can move the target: no write of it is in flight, and no deadline of its own runs."""
    if target.state is TargetState.CHANGING:
        return target.attempt is not None and target.attempt.job_final
    on_the_wire = any(call.outcome is PowerOutcome.PENDING for call in target.calls)
    return target.state in IN_FLIGHT and target.state is not TargetState.SUBMITTING and not on_the_wire


# A target in `submitting` waits for its answer, and no plan can ask for a drain: no rule leads there.
_RULES: Mapping[TargetState, Callable[[Target, Context], Decision]] = {
    TargetState.WAITING: decide_queued,
    TargetState.CHECKING: decide_checking,
    TargetState.STOPPING: decide_stopping,
    TargetState.READY: decide_ready,
    TargetState.CHANGING: decide_changing,
    TargetState.INSPECTING: decide_inspecting,
    TargetState.VERIFYING: decide_verifying,
    TargetState.STARTING: decide_starting,
    TargetState.RESTORING: decide_restoring,
    TargetState.BACKOFF: decide_queued,
}
