"""Which seeds are proved, and until when."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

# Of a budget of time, this share goes to seeds that are always the same, so that a change of the code shows in them.
FIXED_SHARE = 0.2
# Whoever is at it when the time is over may end what it does, for this share of the budget.
GRACE_SHARE = 0.05
_FRESH_FROM, _FRESH_TO = 10**6, 10**9


def fresh_base() -> int:
    """Return a first seed that nobody has chosen."""
    return random.SystemRandom().randrange(_FRESH_FROM, _FRESH_TO)


@dataclass(slots=True)
class Seeds:
    """The seeds in their order: so many from a first one, or those that a time allows. They are taken one by one."""

    first: int
    count: int | None = None
    budget_s: float = inf
    fixed: bool = False
    began_s: float = field(default_factory=time.monotonic)
    taken: list[range] = field(default_factory=list[range])

    def __iter__(self) -> Iterator[int]:
        if not self.fixed:
            yield from self._from(self.first, inf)
            return
        yield from self._from(1, self.budget_s * FIXED_SHARE)
        yield from self._from(self.first, inf)

    def _from(self, first: int, until_s: float) -> Iterator[int]:
        self.taken.append(range(first, first))
        while self.spent_s < min(until_s, self.budget_s):
            last = self.taken[-1]
            if self.count is not None and len(last) >= self.count:
                return
            self.taken[-1] = range(first, last.stop + 1)
            yield last.stop

    @property
    def spent_s(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self.began_s

    @property
    def left_at_s(self) -> float:
        """Return when, by the monotonic clock, what is not done is left."""
        return self.began_s + self.budget_s * (1 + GRACE_SHARE)

    def told(self) -> list[str]:
        """Return the seeds that were taken, in words."""
        return [f"{one.start} to {one.stop - 1}" for one in self.taken if one]
