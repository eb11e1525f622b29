"""Failures of a run as its budgets count them: of all, of each wave, and of those that ended last. Pure.

They count present states of one pass. What budgets do not count (held at the freeze or by an operator, forgiven, sick
before) is for the caller to say.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from fleetos.model.steering.rollout import Steering


@dataclass(frozen=True, slots=True)
class Excess:
    """Failure budget that is exceeded: more failed than are allowed to."""

    scope: str
    """`max_failed`, `of_last`, or `wave` and its number."""
    failed: int
    allowed: int
    total: int
    """Number of targets that the budget looks at."""

    @property
    def words(self) -> str:
        """Return why the run pauses, as words that follow `paused: `."""
        where = f" of {self.scope}" if self.scope.startswith("wave") else ""
        which = f"the last {self.total:,}" if self.scope == "of_last" else f"{self.total:,}{where}"
        return f"more than {self.allowed:,} of {which} failed ({self.failed:,})"


class Failures:
    """Failures of a pass. Kept by whoever drives the run, in O(1) for each target that ends or is taken up again."""

    def __init__(self, last: int = 0) -> None:
        self._ended: dict[str, tuple[int, bool]] = {}
        self._failed: Counter[int] = Counter()
        self._last = last

    @staticmethod
    def of(steering: Steering, ends: Iterable[tuple[str, int, bool]]) -> "Failures":
        """Return the failures of a run. `ends`: server id, wave and failure of each end, in the order of the ends."""
        of_last = steering.budgets.of_last
        failures = Failures(0 if of_last is None else of_last.of)
        for server_id, wave, failed in ends:
            failures.add_end(server_id, wave, failed=failed)
        return failures

    def add_end(self, server_id: str, wave: int, *, failed: bool) -> None:
        """Count a target that ended. One that ended before ends anew."""
        self.discard(server_id)
        self._ended[server_id] = (wave, failed)
        self._failed[wave] += failed

    def forgive(self, server_id: str) -> None:
        """Count the failure of a target no more; it stays among those that ended."""
        wave, failed = self._ended.get(server_id, (0, False))
        if failed:
            self._ended[server_id] = (wave, False)
            self._failed[wave] -= 1

    def discard(self, server_id: str) -> None:
        """Forget the end of a target that is taken up again, or that budgets do not count."""
        wave, failed = self._ended.pop(server_id, (0, False))
        self._failed[wave] -= failed

    @property
    def failed(self) -> int:
        """Number of targets that failed."""
        return self._failed.total()

    def failed_in(self, wave: int) -> int:
        """Return the number of targets of a wave that failed."""
        return self._failed[wave]

    def failed_of_last(self) -> int:
        """Return the number of failures among those that ended last."""
        latest = islice(reversed(self._ended.values()), self._last)
        return sum(failed for _, failed in latest)


def find_excess(steering: Steering, failures: Failures, members: int) -> Excess | None:
    """Return the first budget that is exceeded: of the run, of the last, of a wave; None if none is."""
    budgets = steering.budgets
    if budgets.max_failed is not None and failures.failed > budgets.max_failed:
        return Excess("max_failed", failures.failed, budgets.max_failed, members)
    if budgets.of_last is not None and failures.failed_of_last() > budgets.of_last.failed:
        return Excess("of_last", failures.failed_of_last(), budgets.of_last.failed, budgets.of_last.of)
    for wave in steering.waves:
        failed = failures.failed_in(wave.number)
        if wave.max_failed is not None and failed > wave.max_failed:
            return Excess(f"wave {wave.number}", failed, wave.max_failed, wave.members)
    return None
