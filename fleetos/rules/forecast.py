"""Forecast when changes end: the survival function of durations, ended and running. Pure.

A change that still runs has lasted at least as long as its age. An estimate that leaves these out would believe the
first few that ended, which are the short ones; this one is that of Kaplan and Meier.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

# Number of ages that are sampled of one kind of changes for a forecast of ends.
AGES_LOOKED_AT = 64
_HALVINGS = 12


@dataclass(frozen=True, slots=True)
class Forecast:
    """Share of changes that last longer than an age: `survival[i]` from `ages_s[i]` on, 1.0 before the first.

    Nothing is known beyond the last age, and nothing at all before a change has ended.
    """

    ages_s: tuple[float, ...] = ()
    survival: tuple[float, ...] = ()

    @staticmethod
    def of(ended_s: Iterable[float], running_s: Iterable[float] = (), each: int = 1) -> "Forecast":
        """Return the forecast from the durations of changes that ended and the ages of those that run.

        Each of these ages stands for `each` changes.
        """
        ended, running = sorted(ended_s), sorted(running_s)
        ages: list[float] = []
        left: list[float] = []
        share = 1.0
        for index, age in enumerate(ended):
            at_risk = len(ended) - index + each * (len(running) - bisect_left(running, age))
            share *= 1.0 - 1.0 / at_risk
            ages.append(age)
            left.append(share)
        return Forecast(tuple(ages), tuple(left))

    @property
    def shortest_s(self) -> float | None:
        """Shortest of the durations that ended; None if none did."""
        return self.ages_s[0] if self.ages_s else None

    @property
    def known(self) -> bool:
        """True once any change has ended."""
        return bool(self.ages_s)

    @property
    def median_s(self) -> float | None:
        """Median of the durations that ended; None if none did."""
        return self.ages_s[len(self.ages_s) // 2] if self.ages_s else None

    def quantile_s(self, share: float) -> float | None:
        """Return the age by which this share of all has ended, at most the last known age; None if nothing is known."""
        if not self.ages_s:
            return None
        ages = (age for age, left in zip(self.ages_s, self.survival, strict=True) if left <= 1.0 - share)
        return next(ages, self.ages_s[-1])

    def end_chance(self, age_s: float, within_s: float) -> float:
        """Return the chance that a change of that age ends within that time; 0 beyond what is known."""
        now = self._survival_at(age_s)
        return 1.0 - self._survival_at(age_s + within_s) / now if now > 0.0 else 0.0

    def expected_ends(self, ages_s: Sequence[float], within_s: float) -> float:
        """Return the expected number of changes of these ages that end within that time."""
        return sum(self.end_chance(age_s, within_s) for age_s in ages_s)

    def covers(self, age_s: float) -> bool:
        """Return True if the forecast says anything of a change of that age: some have lasted longer."""
        return bool(self.ages_s) and age_s < self.ages_s[-1]

    def _survival_at(self, age_s: float) -> float:
        index = bisect_right(self.ages_s, age_s)
        return self.survival[index - 1] if index else 1.0


NOTHING_KNOWN = Forecast()


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Running changes of one kind: their forecast, their ages, and the number of changes that each age stands for."""

    forecast: Forecast
    ages_s: tuple[float, ...]
    weight: float = 1.0

    @staticmethod
    def of(forecast: Forecast, ages_s: Sequence[float], each: int = 1) -> "ChangeGroup":
        """Return the group; of more than AGES_LOOKED_AT ages only that many, each of which stands for more changes.

        Each of the given ages stands for `each` changes. The forecast differs little, and costs much less.
        """
        if len(ages_s) <= AGES_LOOKED_AT:
            return ChangeGroup(forecast, tuple(ages_s), each)
        share, in_order = len(ages_s) / AGES_LOOKED_AT, sorted(ages_s)
        looked_at = tuple(in_order[int((place + 0.5) * share)] for place in range(AGES_LOOKED_AT))
        return ChangeGroup(forecast, looked_at, share * each)

    def filter_ages(self, wanted: Callable[[float], bool]) -> "ChangeGroup":
        """Return the group with the ages that pass the test only."""
        return ChangeGroup(self.forecast, tuple(filter(wanted, self.ages_s)), self.weight)


@dataclass(frozen=True, slots=True)
class RunningChanges:
    """Running changes, by kind."""

    groups: tuple[ChangeGroup, ...]

    def covered(self) -> "RunningChanges":
        """Return the changes of which their forecasts say anything."""
        kinds = (kind.filter_ages(kind.forecast.covers) for kind in self.groups)
        return RunningChanges(tuple(kind for kind in kinds if kind.ages_s))

    def uncovered_ages_s(self) -> list[float]:
        """Return the ages of all other changes, the youngest first."""
        return sorted(age for kind in self.groups for age in kind.ages_s if not kind.forecast.covers(age))

    @property
    def count(self) -> float:
        """Number of these changes."""
        return sum(len(kind.ages_s) * kind.weight for kind in self.groups)

    @property
    def median_s(self) -> float:
        """Shortest of the groups' median durations; 0 if one of them is unknown."""
        return min((kind.forecast.median_s or 0.0 for kind in self.groups), default=0.0)

    def expected_ends(self, within_s: float) -> float:
        """Return the expected number of these changes that end within that time."""
        return sum(kind.forecast.expected_ends(kind.ages_s, within_s) * kind.weight for kind in self.groups)

    def time_until(self, ends: float, at_most_s: float) -> float:
        """Return the seconds until `ends` of these changes are expected to have ended, at most `at_most_s`."""
        if self.expected_ends(at_most_s) < ends:
            return at_most_s
        early_s, late_s = 0.0, at_most_s
        for _ in range(_HALVINGS):
            middle_s = (early_s + late_s) / 2
            if self.expected_ends(middle_s) < ends:
                early_s = middle_s
            else:
                late_s = middle_s
        return late_s
