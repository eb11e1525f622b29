"""I19: a wave opens once the wave before it has ended, was watched for as long as the plan says, and was approved."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from fleetos.model.journal.events import RunApproved, RunWavePromoted
from fleetos.model.run import Target
from fleetos.model.states import ENDS
from fleetos.model.steering.rollout import Approval, BetweenWaves
from tests.simulation.checkers.steps import admits, believed
from tests.simulation.run_trace import RunTrace, Step, Violation
from tests.simulation.spec import OWNER


class WaveHistory:
    """Waves of a run, as the journal tells of them up to a record."""

    def __init__(self) -> None:
        self.targets: dict[str, Target] = {}
        self.opened = 0
        self.ended_at: dict[int, datetime] = {}
        """When a server of the wave ended last."""
        self.promoted: dict[int, RunWavePromoted] = {}
        self._approvals: dict[int, dict[str, datetime]] = defaultdict(dict)
        """When each operator approved the wave last."""

    def left(self, wave: int) -> int:
        """Return how many servers of the wave have not ended."""
        return sum(target.wave == wave and target.state not in ENDS for target in self.targets.values())

    def holds_up(self, wave: int) -> bool:
        """Return whether more servers of the wave are left than an operator passed over."""
        promoted = self.promoted.get(wave)
        return self.left(wave) > (0 if promoted is None else promoted.unfinished)

    def approvals(self, rule: Approval, wave: int) -> list[datetime]:
        """Return when the wave was approved, since the one before ended, by each of those who may: newest first."""
        ended_at = self.ended_at.get(wave - 1)
        given = [(by, at) for by, at in self._approvals[wave].items() if ended_at is not None and at >= ended_at]
        return sorted((at for by, at in given if _may(rule, by)), reverse=True)

    def step(self, step: Step) -> None:
        """Take over one record."""
        before, after, event = step.before, step.after, step.record.event
        if isinstance(event, RunApproved):
            self._approvals[event.number][event.by] = step.record.at
        elif isinstance(event, RunWavePromoted):
            self.promoted[event.number] = event
        if after is None:
            return
        self.targets[after.server_id] = after
        if admits(step):
            self.opened = max(self.opened, after.wave)
        if after.state in ENDS and (before is None or before.state not in ENDS):
            self.ended_at[after.wave] = step.record.at


def _may(rule: Approval, by: str) -> bool:
    """Return whether the plan lets that operator approve."""
    return by in rule.by if isinstance(rule.by, tuple) else rule.by == "anyone" or by != OWNER


def no_wave_too_early(trace: RunTrace) -> Iterator[Violation]:
    """I19: by the times of the records, which are those of the wall clock that bakes are counted by."""
    steering = trace.spec.steering
    if steering is None or not steering.plan.waves:
        return
    (entry,) = steering.plan.waves
    waves = WaveHistory()
    for step in believed(trace):
        after, record = step.after, step.record
        if after is not None and admits(step) and after.wave > max(waves.opened, 1):
            for early in _early(waves, after.wave, record.at, entry.between):
                yield Violation("I19", f"record {record.seq} opens wave {after.wave}: {early}")
        first_pass = step.run is None or step.run.passes == 1
        # What the freeze has held is in no wave, and a later pass may take it up.
        if after is not None and admits(step) and first_pass and not after.wave:
            yield Violation("I19", f"record {record.seq} admits {after.server_id}, which is in no wave")
        waves.step(step)


def _early(waves: WaveHistory, wave: int, at: datetime, between: BetweenWaves) -> Iterator[str]:
    """Yield each condition that does not hold for a wave which opens at that time."""
    before, rule = wave - 1, between.approval
    for earlier in range(1, wave):
        if waves.holds_up(earlier):
            yield f"{waves.left(earlier)} of wave {earlier} are left"
    ended_at = waves.ended_at.get(before)
    if ended_at is not None and before not in waves.promoted:
        baked_at = ended_at + timedelta(seconds=between.bake_s)
        if at < baked_at:
            yield f"{baked_at - at} early"
    if rule is not None:
        oldest = at - timedelta(seconds=rule.valid_s)
        count = sum(given >= oldest for given in waves.approvals(rule, wave))
        if count < rule.of:
            yield f"{count} of {rule.of} approvals count"
