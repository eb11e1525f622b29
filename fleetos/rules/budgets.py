"""Failure budgets: how many servers may fail before a run pauses or ends. Pure.

They count the present states of this pass: failed and held, whatever the cause. A target that was held before it was
admitted, or that an operator forgave, counts towards none (`Target.failed_in`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from fleetos.model.journal.events import RunMoved
from fleetos.model.run import Run, Target
from fleetos.model.states import RETRIABLE, Reason, RunState
from fleetos.model.steering.rollout import OnExceeded


@dataclass(frozen=True, slots=True)
class Budget:
    """Failure budget: it is exceeded when more servers failed than are allowed to."""

    scope: str
    """`first`, `max_failed`, `of_last`, or `wave` and its number."""
    failed: int
    allowed: int
    total: int
    """Number of targets that the budget looks at."""

    @property
    def exceeded(self) -> bool:
        """True if the run must pause or end."""
        return self.failed > self.allowed

    @property
    def words(self) -> str:
        """Return why the run pauses, as words that follow `paused: `."""
        if self.scope == "first":
            which = "first changed server" if self.total == 1 else f"first {self.total:,} changed servers all"
            return f"the {which} failed"
        where = f" of {self.scope}" if self.scope.startswith("wave") else ""
        which = f"the last {self.total:,}" if self.scope == "of_last" else f"{self.total:,}{where}"
        return f"more than {self.allowed:,} of {which} failed ({self.failed:,})"


class _Ended(NamedTuple):
    """Target that ended in this pass."""

    wave: int
    failed: bool
    done: bool
    since: datetime | None


class Failures:
    """Ends of the targets in the present pass. Kept by whoever drives the run, in O(1) for each target that changes."""

    def __init__(self, run: Run) -> None:
        self._pass_no = run.passes
        self._ended: dict[str, _Ended] = {}
        self._failed_in: Counter[int] = Counter()
        self.failed = 0
        """Number of targets that failed."""
        self.done = 0
        """Number of targets that were changed."""

    @staticmethod
    def of(run: Run, targets: Iterable[Target]) -> "Failures":
        """Return the failures of a run whose targets are as the journal has them."""
        failures = Failures(run)
        for target in sorted(targets, key=lambda target: target.since or run.created_at):
            failures.update(target)
        return failures

    def update(self, target: Target) -> None:
        """Take over the present state of a target. One that is taken up again has not ended; it ends anew later.

        One whose power was put back meanwhile ends anew too: a driver that takes the run over has the same order.
        """
        failed, done = target.failed_in(self._pass_no), target.done_in(self._pass_no)
        forgiven = target.excused and target.state in RETRIABLE and target.pass_no == self._pass_no
        after = _Ended(target.wave, failed, done, target.since) if failed or done or forgiven else None
        before = self._ended.get(target.server_id)
        if before == after:
            return
        if before is not None:
            self._count(before, -1)
            if after is None or after.since != before.since:
                del self._ended[target.server_id]
        if after is not None:
            self._ended[target.server_id] = after
            self._count(after, 1)

    def _count(self, ended: _Ended, by: int) -> None:
        self._failed_in[ended.wave] += by * ended.failed
        self.failed += by * ended.failed
        self.done += by * ended.done

    def failed_in(self, wave: int) -> int:
        """Return the number of targets of a wave that failed."""
        return self._failed_in[wave]

    def failed_of_last(self, number: int) -> int:
        """Return the number of failures among so many that ended last."""
        return sum(ended.failed for ended in islice(reversed(self._ended.values()), number))


def budgets(run: Run, failures: Failures) -> Iterator[Budget]:
    """Yield the budgets that may still stop the run, by what failed and what is done in this pass.

    `first`: exceeded when the first so many servers that ended failed. One that is done shows that the change works, so
    that the budget is over.
    """
    first, steering = run.settings.failure_first, run.steering
    if first is not None and not failures.done:
        yield Budget("first", failures.failed, first - 1, first)
    limits = steering.budgets
    if limits.max_failed is not None:
        yield Budget("max_failed", failures.failed, limits.max_failed, run.wipes)
    if (of_last := limits.of_last) is not None:
        yield Budget("of_last", failures.failed_of_last(of_last.of), of_last.failed, of_last.of)
    for wave in steering.waves[: run.waves_opened]:
        if wave.max_failed is not None:
            yield Budget(f"wave {wave.number}", failures.failed_in(wave.number), wave.max_failed, wave.members)


def stop_by_budget(run: Run, failures: Failures, spared: int) -> RunMoved | None:
    """Return the pause, or the end, of a run of which a failure budget is exceeded; None while it may go on.

    It goes on too if a pause would keep nobody from a change: `spared` is the number of targets that are not sent yet.
    """
    if run.state is not RunState.RUNNING or not failures.failed or not spared:
        return None
    exceeded = next((budget for budget in budgets(run, failures) if budget.exceeded), None)
    if exceeded is None:
        return None
    ends = run.steering.budgets.on_exceeded is OnExceeded.END
    return RunMoved(RunState.FINISHING if ends else RunState.PAUSED, Reason.BUDGET, exceeded.words)


def forgiveness(failed: int, in_flight: int) -> str:
    """Return what becomes of a run that a budget paused, as words that follow those of the budget."""
    finish = f"{in_flight:,} in flight {'finishes' if in_flight == 1 else 'finish'}; " if in_flight else ""
    return f"{finish}resume forgives {'this' if failed == 1 else 'these'} {failed:,}"
