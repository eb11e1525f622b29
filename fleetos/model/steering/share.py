"""Number of servers, or a percentage of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Number of servers, or a percentage of them if `percent` is set."""

    number: float
    percent: bool = False

    def of(self, total: int, *, at_least: int) -> int:
        """Return the number of servers out of `total`: percentages round down, but never below `at_least`."""
        if not self.percent:
            return max(at_least, int(self.number))
        # In millionths, the finest that a plan can say: 99.96 % of 10,000 are 9,996, but not with floats.
        return max(at_least, total * round(self.number * 10**6) // 10**8)
