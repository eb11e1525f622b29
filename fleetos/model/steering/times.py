"""Sets of moments: half-open UTC intervals. Pure.

Python ignores the offsets of two times in the same zone, so whoever compares or subtracts does it here, in UTC.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Interval = tuple[datetime, datetime]
"""Begin, included, and end, excluded. UTC."""

_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Times:
    """Set of moments: intervals in order, of which no two overlap or touch. From `known_until` on nothing is known."""

    begins: tuple[datetime, ...] = ()
    ends: tuple[datetime, ...] = ()
    known_until: datetime = _EVER

    @staticmethod
    def of(intervals: Iterable[Interval], known_until: datetime = _EVER) -> "Times":
        """Return the union of the intervals, cut at `known_until`. An interval that ends before it begins is empty."""
        begins: list[datetime] = []
        ends: list[datetime] = []
        for begin, uncut in sorted(intervals):
            end = min(uncut, known_until)
            if begin >= end:
                continue
            if ends and begin <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                begins.append(begin)
                ends.append(end)
        return Times(tuple(begins), tuple(ends), known_until)

    @staticmethod
    def union(several: Iterable["Times"]) -> "Times":
        """Return the moments that are in any of these, as far as all of them are known."""
        parts = tuple(several)
        known_until = min((part.known_until for part in parts), default=_EVER)
        return Times.of((interval for part in parts for interval in part.intervals), known_until)

    @property
    def intervals(self) -> Iterable[Interval]:
        """Intervals in order."""
        return zip(self.begins, self.ends, strict=True)

    def minus(self, other: "Times") -> "Times":
        """Return the moments that are not in `other`, as far as both are known."""
        kept: list[Interval] = []
        for begin, end in self.intervals:
            left = begin
            for index in range(bisect_right(other.ends, begin), len(other.begins)):
                if other.begins[index] >= end:
                    break
                kept.append((left, other.begins[index]))
                left = other.ends[index]
            kept.append((left, end))
        return Times.of(kept, min(self.known_until, other.known_until))

    def end_at(self, now: datetime) -> datetime | None:
        """Return the end of the interval that `now` is in, None if it is in none."""
        index = bisect_right(self.begins, now) - 1
        return self.ends[index] if index >= 0 and now < self.ends[index] else None

    def find(self, now: datetime) -> Interval | None:
        """Return the interval that `now` is in, None if it is in none."""
        end = self.end_at(now)
        return None if end is None else (self.begins[bisect_right(self.begins, now) - 1], end)

    def first_fit(self, now: datetime, need: timedelta) -> datetime | None:
        """Return the first moment from `now` on that has `need` left in its interval; None if none is known.

        The end of an interval is not in it: a need of 0 is met by every moment that is.
        """
        for index in range(bisect_right(self.ends, now), len(self.begins)):
            begin = max(now, self.begins[index])
            if self.ends[index] - begin >= need:
                return begin
        return None

    @property
    def longest(self) -> timedelta:
        """Length of the longest interval, 0 if there is none."""
        return max((end - begin for begin, end in self.intervals), default=timedelta())


def is_ever(end: datetime) -> bool:
    """Return whether the end of an interval never comes."""
    return end == _EVER


ALWAYS = Times.of([(datetime.min.replace(tzinfo=UTC), _EVER)])
NEVER = Times()
