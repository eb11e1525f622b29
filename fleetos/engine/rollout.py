"""Rollout of the run: who waits, which wave is open, how many failed. In memory; rebuilt from the targets."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from fleetos.engine.turn import Turn
from fleetos.model.journal.events import RunWaveFinished, RunWaveOpened
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import QUEUED, RunState
from fleetos.rules.admission.lanes import Lanes
from fleetos.rules.admission.pass_facts import Standing
from fleetos.rules.admission.slots import Slots
from fleetos.rules.budgets import Budget, Failures, budgets
from fleetos.rules.waves import find_bake_end, find_next_wait, wave_facts


class Rollout:
    """Index of all that decides who goes on. Kept in O(1) for each target that changes."""

    def __init__(self, progress: Progress, now: datetime) -> None:
        targets = progress.targets.values()
        self.lanes = Lanes()
        self.failures = Failures.of(progress.run, targets)
        self._ended = Counter(target.wave for target in targets if target.ended)
        standing = self.standing(progress.run, now)
        for target in targets:
            if target.state in QUEUED:
                self.lanes.add_target(target, standing)

    def standing(self, run: Run, now: datetime, slots: Slots | None = None) -> Standing:
        """Return all that admission looks at. `slots` None: nobody is admitted by it."""
        concurrency = run.settings.concurrency
        return Standing(
            run,
            now,
            run.steering,
            opened=run.waves_opened,
            next_wave=find_next_wait(run.steering.waves, run.waves_opened, wave_facts(run, self._ended), now),
            places=0 if slots is None else slots.available(concurrency),
            free=0 if slots is None else concurrency - slots.taken,
            ahead=0 if slots is None else slots.ahead,
        )

    def update(self, run: Run, before: Target, after: Target, now: datetime) -> None:
        """Take over a target that has changed."""
        self.failures.update(after)
        self._ended[after.wave] += after.ended - before.ended
        if after.state in QUEUED:
            self.lanes.add_target(after, self.standing(run, now))
        elif before.state in QUEUED:
            self.lanes.discard(after.server_id)

    def forgive(self, target: Target) -> None:
        """Take over a target whose failure was forgiven."""
        self.failures.update(target)

    def admit(self, run: Run, target: Callable[[str], Target], slots: Slots, now: datetime) -> list[Target]:
        """Return the targets that may start now."""
        return self.lanes.admit(target, self.standing(run, now, slots))

    def exceeded(self, run: Run) -> Budget | None:
        """Return the first failure budget that is exceeded, None if none is."""
        if not self.failures.failed:
            return None
        return next((budget for budget in budgets(run, self.failures) if budget.exceeded), None)

    def wave_events(self, turn: Turn) -> Iterator[RunWaveOpened | RunWaveFinished]:
        """Yield that a wave has finished, and that one has opened of which all members have ended already.

        Each event is to be written before the next one is asked for.
        """
        if not turn.run.steering.waves or turn.run.state not in (RunState.RUNNING, RunState.PAUSED):
            return
        if self._is_finished(turn, turn.run.waves_opened) and (
            turn.run.wave_finished_at is None or self._has_ended_now(turn)
        ):
            yield self._finish(turn)
        while turn.under_way and turn.run.state is RunState.RUNNING and self._passes_over(turn):
            yield RunWaveOpened(turn.run.waves_opened + 1)
            yield self._finish(turn)

    def _finish(self, turn: Turn) -> RunWaveFinished:
        self.lanes.touch()
        return RunWaveFinished(turn.run.waves_opened)

    def _passes_over(self, turn: Turn) -> bool:
        """Return whether the next wave may open, and nobody is left in it who could open it."""
        run, number = turn.run, turn.run.waves_opened + 1
        if number > len(run.steering.waves) or not self._is_finished(turn, number):
            return False
        return find_next_wait(run.steering.waves, run.waves_opened, wave_facts(run, self._ended), turn.at) is None

    def _is_finished(self, turn: Turn, number: int) -> bool:
        return number > 0 and self._ended[number] >= turn.run.steering.waves[number - 1].members

    def _has_ended_now(self, turn: Turn) -> bool:
        """Return whether this turn has ended a member that was taken up again after the wave had ended."""
        changed = (target for target in turn.changed.values() if target.wave == turn.run.waves_opened)
        return any(target.ended and target.since == turn.at for target in changed)

    def bakes_until(self, run: Run, now: datetime) -> datetime | None:
        """Return the end of the last bake, which the run waits for; None if it is over, or there is none."""
        end = find_bake_end(run)
        return None if end is None or end <= now else end
