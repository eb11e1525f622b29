"""I19: a wave opens once all servers of the wave before have ended, and were watched for as long as the plan says."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from fleetos.model.run import Target
from fleetos.model.states import ENDS
from tests.simulation.checkers.steps import admits, believed
from tests.simulation.run_trace import RunTrace, Step, Violation


class _Waves:
    """Waves of a run, as the journal tells of them up to a record."""

    def __init__(self) -> None:
        self.targets: dict[str, Target] = {}
        self.opened = 0
        self.ended_at: dict[int, datetime] = {}
        """When a server of the wave ended last."""

    def left(self, wave: int) -> int:
        """Return how many servers of the waves before have not ended."""
        return sum(0 < target.wave < wave and target.state not in ENDS for target in self.targets.values())

    def step(self, step: Step) -> None:
        """Take over one record."""
        before, after = step.before, step.after
        if after is None:
            return
        self.targets[after.server_id] = after
        if admits(step):
            self.opened = max(self.opened, after.wave)
        if after.state in ENDS and (before is None or before.state not in ENDS):
            self.ended_at[after.wave] = step.record.at


def no_wave_too_early(trace: RunTrace) -> Iterator[Violation]:
    """I19: by the times of the records, which are those of the wall clock that bakes are counted by."""
    steering = trace.spec.steering
    if steering is None or not steering.plan.waves:
        return
    (entry,) = steering.plan.waves
    bake, waves = timedelta(seconds=entry.between.bake_s), _Waves()
    for step in believed(trace):
        after, record = step.after, step.record
        if after is not None and admits(step) and after.wave > max(waves.opened, 1):
            before = after.wave - 1
            ended_at = waves.ended_at.get(before)
            if left := waves.left(after.wave):
                yield Violation("I19", f"record {record.seq} opens wave {after.wave}: {left} are left")
            elif ended_at is not None and record.at < ended_at + bake:
                yield Violation(
                    "I19", f"record {record.seq} opens wave {after.wave} {ended_at + bake - record.at} early"
                )
        first_pass = step.run is None or step.run.passes == 1
        # What the freeze has held is in no wave, and a later pass may take it up.
        if after is not None and admits(step) and first_pass and not after.wave:
            yield Violation("I19", f"record {record.seq} admits {after.server_id}, which is in no wave")
        waves.step(step)
