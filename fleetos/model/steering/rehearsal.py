"""Rehearsal of a run: what it supposes, how each play of it went, and the figures that a change board asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fleetos.model.run import Run
from fleetos.model.steering.times import Interval


@dataclass(frozen=True, slots=True)
class Supposition:
    """Supposition of a rehearsal, besides the plan."""

    name: str
    """Name for people: `as planned`, or what differs from that, such as `concurrency=40`."""
    failure_rate: float
    """Share of the changes that fail."""
    approve_after_s: float
    """Time from the moment at which a wave asks for an approval until somebody gives it."""
    concurrency: int | None = None
    """None: as the plan says."""


class PlayStop(StrEnum):
    """Cause for which a play did not come to the end of its run."""

    BUDGET = "budget"
    STUCK = "stuck"
    HORIZON = "horizon"  # it was not over within the time that is rehearsed
    OTHER = "other"  # another pause that needs a person


@dataclass(frozen=True, slots=True)
class CallCount:
    """API calls of one kind: their number, and the busiest minute."""

    number: int
    most_per_min: int
    limit_per_min: float | None
    """None: no limit is known."""


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Most members of a group that were out at once, and how many may be."""

    per: str
    value: str
    most: int
    limit: int


@dataclass(frozen=True, slots=True)
class Play:
    """One play of a run, in virtual time. Times are UTC."""

    ended_at: datetime | None
    """None: the run did not come to its end."""
    stop: PlayStop | None
    """Cause for which it did not; None: it did."""
    waves: Mapping[int, datetime]
    """Ends of the waves that came to theirs, by number."""
    windows: Mapping[Interval, int]
    """Number of servers whose change ended well, by the window in which it began."""
    failed: int
    """Number of servers that failed or were held in the run."""
    groups: Sequence[GroupFigures]
    reads: CallCount
    writes: CallCount
    never_fit: tuple[str, ...]
    """Names of servers that were left because their change is longer than every window."""


@dataclass(frozen=True, slots=True)
class EndFigures:
    """Percentiles of an end over all plays. None: too few plays came to it."""

    p50: datetime | None
    p95: datetime | None


@dataclass(frozen=True, slots=True)
class WaveFigures:
    """End of one wave."""

    number: int
    name: str | None
    members: int
    end: EndFigures
    reached: int
    """Number of plays that came to it."""


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """Servers changed in one window, over all plays."""

    interval: Interval
    p50: int
    most: int


@dataclass(frozen=True, slots=True)
class CallFigures:
    """API calls of one kind: their number, and the busiest minute of all plays."""

    p50: int
    p95: int
    most_per_min: int
    limit_per_min: float | None
    """None: no limit is known."""


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """Figures of all plays under one supposition."""

    supposition: Supposition
    concurrency: int
    end: EndFigures
    stops: Mapping[PlayStop, int]
    """Number of plays that did not come to the end of the run, by their cause."""
    failed_p50: int
    failed_p95: int
    waves: Sequence[WaveFigures]
    windows: Sequence[WindowFigures]
    groups: Sequence[GroupFigures]
    reads: CallFigures
    writes: CallFigures
    never_fit: Mapping[str, int]
    """Servers that never fit in a window, each with the number of plays that left it for that."""
    misses: bool | None
    """The 95th percentile of the end misses the deadline; None: there is none."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Rehearsal of a plan: the same seeds under each supposition."""

    run: Run
    servers: int
    """Number of servers that the run changes."""
    seeds: int
    begin: datetime
    deadline: datetime | None
    learned: int
    """Number of remembered changes that durations were drawn from; 0: they are those of the documents."""
    cases: Sequence[CaseFigures]
    """As planned first."""

    @property
    def misses(self) -> bool:
        """True if the run as planned misses the deadline."""
        return bool(self.cases[0].misses)
