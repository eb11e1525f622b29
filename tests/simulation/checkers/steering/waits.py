"""I21: nobody waits for nothing: where nothing keeps a server, and nothing is in flight, it is admitted soon.

Judged after all faults have ended, in the time between two records in which one process drives the run.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from fleetos.model.run import Run, Target
from fleetos.model.states import IN_FLIGHT, QUEUED, RETRIABLE, RunState, TargetState
from fleetos.model.steering.rollout import Approval
from tests.simulation.checkers.steering.budgets import number_of
from tests.simulation.checkers.steering.groups import LOOKED_S, down_until_s, group_of
from tests.simulation.checkers.steering.minute_scan import MinuteScan
from tests.simulation.checkers.steering.reasons import what_is_said_of_waits_holds
from tests.simulation.checkers.steering.waves import WaveHistory
from tests.simulation.checkers.steps import believed
from tests.simulation.run_trace import RunTrace, Step, Violation, Written

# Looks are taken anew when they are five minutes old, and a process may turn no more often than that.
_SOON_S = 1200.0
_BROKEN = RETRIABLE | {TargetState.BACKOFF}


def nobody_waits_for_nothing(trace: RunTrace) -> Iterator[Violation]:
    """I21: for each server in the queue, each time in which nothing happens, and each reason that is stated."""
    yield from what_is_said_of_waits_holds(trace)
    if trace.spec.steering is None or trace.spec.clocks.jumps:
        return
    judge, last = _Judge(trace), None
    for step in believed(trace):
        if last is not None and step.written is not last:
            yield from judge.idle(last, step.written.at_s, step.run)
        judge.step(step)
        last = step.written
    if last is not None:
        yield from judge.idle(last, trace.ended_s, trace.run)


class _Judge:
    """A run as the journal tells of it up to a record, and what keeps its servers from going on."""

    def __init__(self, trace: RunTrace) -> None:
        self._trace, self._scan = trace, MinuteScan(trace)
        self._waves = WaveHistory()

    @property
    def _targets(self) -> Mapping[str, Target]:
        return self._waves.targets

    def step(self, step: Step) -> None:
        """Take over one record."""
        self._waves.step(step)

    def idle(self, last: Written, until_s: float, run: Run | None) -> Iterator[Violation]:
        """Yield who waited for nothing from a record on. The process drives until then, or ends before."""
        since_s = max(last.at_s, self._trace.calm_s)
        session = next((one for one in self._trace.sessions if one.process == last.process), None)
        if run is None or run.state is not RunState.RUNNING or session is None:
            return
        until_s = min(until_s, session.ended_s)
        if until_s - since_s <= _SOON_S or any(one.state in IN_FLIGHT for one in self._targets.values()):
            return
        for target in self._targets.values():
            # Whatever keeps it may have ended at any time: the wait is counted from the latest.
            free_s = max(since_s, self._free_from_s(target))
            if target.state in QUEUED and until_s - free_s > _SOON_S and not self._is_kept(target, last, free_s):
                told = f"{target.server_id} waits from {free_s:.0f} to {until_s:.0f} s, and nothing keeps it"
                yield Violation("I21", told)
                return

    def _free_from_s(self, target: Target) -> float:
        """Return from when on neither backoff nor waves keep the target; never, if the wave before has not ended."""
        since_s = self._s(target.not_before) if target.not_before is not None else 0.0
        steering, waves = self._trace.spec.steering, self._waves
        if steering is None or not steering.plan.waves or target.wave <= max(waves.opened, 1):
            return since_s
        before, between = target.wave - 1, steering.plan.waves[0].between
        # A promotion frees it earlier still.
        if waves.left(before) or before > waves.opened or before not in waves.ended_at:
            return float("inf")
        free_s = max(since_s, self._s(waves.ended_at[before] + timedelta(seconds=between.bake_s)))
        return free_s if between.approval is None else max(free_s, self._approved_s(between.approval, target.wave))

    def _approved_s(self, rule: Approval, wave: int) -> float:
        """Return when the last approval that the wave needs was given; never, if it lacks one or one may expire."""
        counted = self._waves.approvals(rule, wave)[: rule.of]
        lasts = rule.valid_s > self._trace.ended_s
        return self._s(counted[0]) if len(counted) == rule.of and lasts else float("inf")

    def _is_kept(self, target: Target, last: Written, from_s: float) -> bool:
        """Return whether a window or a group keeps the target somewhere in the time that it should need to go on."""
        return not self._is_open(target, from_s) or self._is_crowded(target, last)

    def _is_open(self, target: Target, from_s: float) -> bool:
        steering, at = self._trace.spec.steering, self._trace.born_at + from_s
        if steering is None or steering.plan.windows is None:
            return True
        if any(since < from_s + _SOON_S and until + LOOKED_S > from_s for since, until in steering.unreadable):
            return False
        fit = steering.plan.windows.fit
        needed_s = fit.seconds if fit.seconds is not None else self._longest_s() if fit.quantile is not None else 0.0
        return self._scan.is_open_for(target, at, _SOON_S + needed_s)

    def _longest_s(self) -> float:
        """Return the time that a change may need by all its time-outs."""
        settings = self._trace.run.settings
        return settings.stop_timeout_s + settings.change_timeout_s + 2 * settings.settle_s + settings.start_timeout_s

    def _is_crowded(self, target: Target, last: Written) -> bool:
        """Return whether a group of the target may be full, by whoever may not serve."""
        steering = self._trace.spec.steering
        for rule in () if steering is None else steering.plan.groups:
            value = group_of(rule, target)
            members = [one for one in self._targets.values() if value is not None and group_of(rule, one) == value]
            out = [one for one in members if one is not target and self._may_be_out(one, last)]
            if members and len(out) >= number_of(rule.value, len(members), at_least=1):
                return True
        return False

    def _may_be_out(self, target: Target, last: Written) -> bool:
        seen_s = last.at_s - down_until_s(last.down, target.server_id)
        return target.unsettled or target.state in _BROKEN or target.stopped_at is not None or seen_s <= LOOKED_S

    def _s(self, moment: datetime) -> float:
        """Return a moment in seconds of the play."""
        return moment.timestamp() - self._trace.born_at
