"""When changes will end, by how long others took: the survival function of durations, ended and running. Pure.

Changes that still run have lasted at least so long, and whoever left them out would believe the first few that ended,
which are the short ones; the estimate is that of Kaplan and Meier.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fleetos.limits import AGES_LOOKED_AT

_HALVINGS = 12


@dataclass(frozen=True, slots=True)
class Forecast:
    """The share of changes that last longer than an age: `left[i]` from `ages_s[i]` on, 1.0 before the first.

    Beyond the last age nothing is known. Without any ended change all of it is unknown.
    """

    ages_s: tuple[float, ...] = ()
    left: tuple[float, ...] = ()

    @staticmethod
    def of(ended_s: Iterable[float], running_s: Iterable[float] = (), each: int = 1) -> "Forecast":
        """The forecast by the durations of changes that ended, and the ages of those that run.

        Each of these ages stands for so many changes.
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
    def first_s(self) -> float | None:
        """The least of the durations that ended, None if none did."""
        return self.ages_s[0] if self.ages_s else None

    @property
    def known(self) -> bool:
        """Whether any change has ended."""
        return bool(self.ages_s)

    @property
    def typical_s(self) -> float | None:
        """The middle of the durations that ended, None if none did."""
        return self.ages_s[len(self.ages_s) // 2] if self.ages_s else None

    def quantile_s(self, share: float) -> float | None:
        """By which age this share of all has ended; the last known age if that is later, None if nothing is known."""
        if not self.ages_s:
            return None
        found = next((age for age, left in zip(self.ages_s, self.left, strict=True) if left <= 1.0 - share), None)
        return self.ages_s[-1] if found is None else found

    def ends(self, age_s: float, within_s: float) -> float:
        """The chance that a change of that age ends within that time; 0 beyond what is known."""
        now = self._left(age_s)
        return 1.0 - self._left(age_s + within_s) / now if now > 0.0 else 0.0

    def expected(self, ages_s: Sequence[float], within_s: float) -> float:
        """How many changes of these ages end within that time."""
        return sum(self.ends(age_s, within_s) for age_s in ages_s)

    def reaches(self, age_s: float) -> bool:
        """Whether it says anything of a change of that age: some have lasted for longer."""
        return bool(self.ages_s) and age_s < self.ages_s[-1]

    def _left(self, age_s: float) -> float:
        index = bisect_right(self.ages_s, age_s)
        return self.left[index - 1] if index else 1.0


NOTHING_KNOWN = Forecast()


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Changes of one kind that run: their forecast, their ages, and for how many changes each of these ages stands."""

    forecast: Forecast
    ages_s: tuple[float, ...]
    weight: float = 1.0

    @staticmethod
    def of(forecast: Forecast, ages_s: Sequence[float], each: int = 1) -> "ChangeGroup":
        """The kind, of many changes by a part of their ages: what is foreseen differs little, and costs much less.

        Each of the given ages stands for so many changes.
        """
        if len(ages_s) <= AGES_LOOKED_AT:
            return ChangeGroup(forecast, tuple(ages_s), each)
        share, in_order = len(ages_s) / AGES_LOOKED_AT, sorted(ages_s)
        looked_at = tuple(in_order[int((place + 0.5) * share)] for place in range(AGES_LOOKED_AT))
        return ChangeGroup(forecast, looked_at, share * each)

    def where(self, wanted: Callable[[float], bool]) -> "ChangeGroup":
        """Those of them with such an age."""
        return ChangeGroup(self.forecast, tuple(filter(wanted, self.ages_s)), self.weight)


@dataclass(frozen=True, slots=True)
class RunningChanges:
    """The changes that run, by kind."""

    kinds: tuple[ChangeGroup, ...]

    def foreseen(self) -> "RunningChanges":
        """Those of them of which their forecasts say anything."""
        kinds = (kind.where(kind.forecast.reaches) for kind in self.kinds)
        return RunningChanges(tuple(kind for kind in kinds if kind.ages_s))

    def unforeseen_s(self) -> list[float]:
        """The ages of all others, the youngest first."""
        return sorted(age for kind in self.kinds for age in kind.ages_s if not kind.forecast.reaches(age))

    @property
    def number(self) -> float:
        """How many they are."""
        return sum(len(kind.ages_s) * kind.weight for kind in self.kinds)

    @property
    def typical_s(self) -> float:
        """The middle of the durations of that kind which takes the least time, 0 if nothing is known of any."""
        return min((kind.forecast.typical_s or 0.0 for kind in self.kinds), default=0.0)

    def expected(self, within_s: float) -> float:
        """How many of them end within that time."""
        return sum(kind.forecast.expected(kind.ages_s, within_s) * kind.weight for kind in self.kinds)

    def time_until(self, ends: float, at_most_s: float) -> float:
        """After how long so many of them are expected to have ended, at most that long."""
        if self.expected(at_most_s) < ends:
            return at_most_s
        early_s, late_s = 0.0, at_most_s
        for _ in range(_HALVINGS):
            middle_s = (early_s + late_s) / 2
            if self.expected(middle_s) < ends:
                early_s = middle_s
            else:
                late_s = middle_s
        return late_s
