"""Turn the plays of a rehearsal into percentiles. Pure.

A play that did not come to an end counts as one that ends after all others: percentiles without it would be those of
the lucky plays.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from fleetos.model.run import Run
from fleetos.model.steering.rehearsal import (
    CallCount,
    CallFigures,
    CaseFigures,
    EndFigures,
    GroupFigures,
    Play,
    Supposition,
    WaveFigures,
    WindowFigures,
)

T = TypeVar("T", bound=Any)
_P50, _P95 = 0.5, 0.95


def percentile(values: Iterable[T | None], share: float) -> T | None:
    """Return the smallest value that this share of all reaches (nearest rank). None is later than every value."""
    every = list(values)
    reached = sorted(value for value in every if value is not None)
    rank = max(1, math.ceil(share * len(every) - 1e-9))
    return reached[rank - 1] if rank <= len(reached) else None


def sum_up_case(run: Run, supposition: Supposition, plays: Sequence[Play], deadline: datetime | None) -> CaseFigures:
    """Return the figures of the plays under one supposition."""
    end = _end(play.ended_at for play in plays)
    return CaseFigures(
        supposition=supposition,
        concurrency=supposition.concurrency or run.settings.concurrency,
        end=end,
        stops=Counter(play.stop for play in plays if play.stop is not None),
        failed_p50=_count((play.failed for play in plays), _P50),
        failed_p95=_count((play.failed for play in plays), _P95),
        waves=_waves(run, plays),
        windows=_windows(plays),
        groups=_groups(plays),
        reads=_calls([play.reads for play in plays]),
        writes=_calls([play.writes for play in plays]),
        never_fit=Counter(name for play in plays for name in play.never_fit),
        misses=None if deadline is None else end.p95 is None or end.p95 > deadline,
    )


def _end(ends: Iterable[datetime | None]) -> EndFigures:
    every = list(ends)
    return EndFigures(percentile(every, _P50), percentile(every, _P95))


def _count(numbers: Iterable[int], share: float) -> int:
    return percentile(numbers, share) or 0


def _waves(run: Run, plays: Sequence[Play]) -> Sequence[WaveFigures]:
    figures: list[WaveFigures] = []
    for wave in run.steering.waves:
        ends = [play.waves.get(wave.number) for play in plays]
        reached = sum(end is not None for end in ends)
        figures.append(WaveFigures(wave.number, wave.name, wave.members, _end(ends), reached))
    return figures


def _windows(plays: Sequence[Play]) -> Sequence[WindowFigures]:
    """Return the servers changed in each window that any play used; a play that did not use it changed none in it."""
    used = sorted({interval for play in plays for interval in play.windows})
    counts = {interval: [play.windows.get(interval, 0) for play in plays] for interval in used}
    return [WindowFigures(interval, _count(counts[interval], _P50), max(counts[interval])) for interval in used]


def _groups(plays: Sequence[Play]) -> Sequence[GroupFigures]:
    """Return each group with the most of its members that were out at once in any play."""
    most: dict[tuple[str, str], GroupFigures] = {}
    for figures in (figures for play in plays for figures in play.groups):
        key = figures.per, figures.value
        most[key] = max(most.get(key, figures), figures, key=lambda each: each.most)
    return list(most.values())


def _calls(counts: Sequence[CallCount]) -> CallFigures:
    totals = [count.number for count in counts]
    most, limit = max(count.most_per_min for count in counts), counts[0].limit_per_min
    return CallFigures(_count(totals, _P50), _count(totals, _P95), most, limit)
