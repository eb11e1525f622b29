"""Windows: the times in which the targets that the same rules match may start, and the time that a change needs. Pure.

Whoever drives the run works out the times of each rule (`planning/calendars.py`), anew when a calendar file changes or
what is known runs out, and makes the windows here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from fleetos.model.run import Target
from fleetos.model.steering.times import ALWAYS, NEVER, Times
from fleetos.model.steering.windows import Fit, Windows
from fleetos.rules.forecast import Forecast

# A stage whose durations were learned from fewer is not trusted: its limit counts.
STAGES_LEARNED_MIN = 8


@dataclass(frozen=True, slots=True)
class Window:
    """Window of the targets that the same rules match: union of what is allowed, without what is denied."""

    opened: Times
    denied: Times = NEVER
    unreadable: str | None = None
    """Calendar file that cannot be read. The window is closed then."""

    @staticmethod
    def of(allowed: Iterable[Times] | None, denied: Iterable[Times] = (), unreadable: str | None = None) -> "Window":
        """Return the window that these rules make together; `allowed` None: always but when it is denied."""
        closed = Times.union(denied)
        opened = ALWAYS if allowed is None else Times.union(allowed)
        return Window(opened.minus(closed), closed, unreadable)


OPEN = Window(ALWAYS)


class OpenState(NamedTuple):
    """State of several windows together: open until a time, or closed."""

    until: datetime | None
    """When the last one closes that is open now; None: none is open."""
    next: datetime | None
    """When the first one opens, if none is open and it is known."""


def sum_up(windows: Iterable[Window], now: datetime) -> OpenState:
    """Return whether any of the windows is open. One that cannot be read is closed."""
    readable = [window.opened for window in windows if window.unreadable is None]
    ends = [end for opened in readable if (end := opened.end_at(now)) is not None]
    begins = () if ends else [begin for opened in readable if (begin := opened.first_fit(now, timedelta())) is not None]
    return OpenState(max(ends, default=None), min(begins, default=None))


@dataclass(frozen=True, slots=True)
class MatchedRules:
    """Rules that match a target, by their places in the plan. `allow` None: the plan allows all times."""

    allow: tuple[int, ...] | None
    deny: tuple[int, ...]


def match_rules(windows: Windows, targets: Iterable[Target]) -> tuple[tuple[MatchedRules, ...], dict[str, int]]:
    """Return the sets of rules that match any target, and the index of its set for each server."""
    indexes: dict[MatchedRules, int] = {}
    set_of: dict[str, int] = {}
    for target in targets:
        allow = windows.allow
        matched = MatchedRules(
            None if allow is None else tuple(i for i, rule in enumerate(allow) if rule.match.covers(target)),
            tuple(i for i, rule in enumerate(windows.deny) if rule.match.covers(target)),
        )
        set_of[target.server_id] = indexes.setdefault(matched, len(indexes))
    return tuple(indexes), set_of


RuleTimes = Times | str
"""Times of a rule, or the file that cannot be read."""


def make_window(matched: MatchedRules, allow: Sequence[RuleTimes], deny: Sequence[RuleTimes]) -> Window:
    """Make the window of a set of rules from the times of all rules. It is closed where a rule cannot be read."""
    allowed = None if matched.allow is None else [allow[index] for index in matched.allow]
    denied = [deny[index] for index in matched.deny]
    unreadable = next((times for times in (*(allowed or ()), *denied) if isinstance(times, str)), None)
    return Window.of(
        None if allowed is None else (times for times in allowed if isinstance(times, Times)),
        (times for times in denied if isinstance(times, Times)),
        unreadable,
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """Stage that a change still has before it."""

    learned: Forecast
    limit_s: float
    """Its time-out, or the documented maximum."""
    learned_min: int = STAGES_LEARNED_MIN
    """Number of durations from which on what was learned counts."""


def needed_s(fit: Fit, stages: Iterable[Stage]) -> float:
    """Return the time that must be left in a window, in seconds: the sum of the quantiles of the stages."""
    if fit.seconds is not None:
        return fit.seconds
    return 0.0 if fit.quantile is None else sum(_stage_s(stage, fit.quantile) for stage in stages)


def _stage_s(stage: Stage, quantile: float) -> float:
    learned_s = stage.learned.quantile_s(quantile)
    return stage.limit_s if learned_s is None or len(stage.learned.ages_s) < stage.learned_min else learned_s
