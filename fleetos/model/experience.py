"""What was learned of a part of a cloud, so that the next run there does not begin as a beginner.

It makes runs faster and gentler. Only the longest change is also a matter of safety: it can lengthen a settle time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from fleetos.limits import (
    CHANGE_KEY_LETTERS,
    CHANGE_KEYS_REMEMBERED,
    CHANGES_REMEMBERED,
    CLOSURE_TOLD_MAX_S,
    DURATION_MAX_S,
    RATE_MAX_REQUESTS,
    STOPS_REMEMBERED,
)

Durations = tuple[float, ...]

# The kinds of requests that a cloud counts apart.
_KINDS = frozenset({"read", "write"})
# Slower than one request in the longest closure is not learned: it would be no pace, but a standstill.
_RATE_MIN_PER_S = 1 / CLOSURE_TOLD_MAX_S


@dataclass(frozen=True, slots=True)
class Limit:
    """A pace that a cloud was found to allow: requests a second, how many at once, and when that was learned (UTC).

    `told`: the cloud has named it; else it was found by what was refused.
    """

    rate_per_s: float
    burst: float
    learned_at: datetime
    told: bool = False


@dataclass(frozen=True, slots=True)
class Experience:
    """What is known of one cloud, region and project. All durations are in seconds, the latest last.

    `lasted_s` are changes as they were waited for, from the acceptance until their end was seen.
    `changes` are successful OS changes, by whatever the engine tells apart: the key that was used last comes last.
    `shows_change`: whether a server is seen as REBUILD or with a task while its OS changes; None: not known yet.
    `limits` holds what was learned from refusals (429), by kind of request: `read` or `write`.
    """

    lasted_s: Durations = ()
    changes: Mapping[str, Durations] = field(default_factory=dict[str, Durations])
    stops_s: Durations = ()
    shows_change: bool | None = None
    limits: Mapping[str, Limit] = field(default_factory=dict[str, Limit])

    @property
    def longest_change_s(self) -> float:
        """The longest of the changes that are remembered; with each further change of a kind an older one goes."""
        return max(chain(self.lasted_s, *self.changes.values()), default=0.0)

    def with_change(self, key: str, seconds: float) -> "Experience":
        """This and one more successful change of that length."""
        return replace(self, changes=_with(self.changes, key, (seconds,)))

    def with_lasted(self, seconds: float) -> "Experience":
        """This and one more change that was waited for so long."""
        return replace(self, lasted_s=_latest(self.lasted_s, (seconds,), CHANGES_REMEMBERED))

    def with_stop(self, seconds: float) -> "Experience":
        """This and one more stop of that length."""
        return replace(self, stops_s=_latest(self.stops_s, (seconds,), STOPS_REMEMBERED))

    def with_picture(self, *, shown: bool) -> "Experience":
        """This, and whether a change that is certainly under way could be seen on its server."""
        return replace(self, shows_change=shown)

    def with_limits(self, limits: Mapping[str, Limit]) -> "Experience":
        """This with other limits."""
        return replace(self, limits=dict(limits))


# What is known of a cloud that was never used.
NONE = Experience()


def settle_s(least_s: float, longest_change_s: float, change_timeout_s: float) -> float:
    """Return for how long an unknown outcome is watched: at least twice the longest change that is remembered.

    A change that outlives the plan's time-out is one that something went wrong with: no reason to wait for longer.
    """
    return max(least_s, min(2 * longest_change_s, change_timeout_s))


def image_of(key: str) -> str:
    """The id of the image that changes of this kind give: the first part of the key."""
    return key.partition("/")[0]


def merged(kept: Experience, now: Experience, since: Experience) -> Experience:
    """What to keep, when a run that began with `since` ends with `now`, and others may have added to `kept` meanwhile.

    What the run has seen itself is added to what is kept, and what it merely carried along is not.
    """
    changes = kept.changes
    for key, durations in now.changes.items():
        if seen := _beyond(durations, since.changes.get(key, ())):
            changes = _with(changes, key, seen)
    limits = dict(kept.limits)
    for kind, limit in now.limits.items():
        if limit != since.limits.get(kind) and (kind not in limits or limits[kind].learned_at <= limit.learned_at):
            limits[kind] = limit
    for kind in since.limits.keys() - now.limits.keys():
        # Outgrown or too old, unless somebody has learned it anew.
        if limits.get(kind) == since.limits[kind]:
            del limits[kind]
    learned = now.shows_change is not None and now.shows_change != since.shows_change
    return Experience(
        lasted_s=_latest(kept.lasted_s, _beyond(now.lasted_s, since.lasted_s), CHANGES_REMEMBERED),
        changes=changes,
        stops_s=_latest(kept.stops_s, _beyond(now.stops_s, since.stops_s), STOPS_REMEMBERED),
        shows_change=now.shows_change if learned else kept.shows_change,
        limits=limits,
    )


def checked(experience: Experience) -> Experience:
    """The experience, proven to be one that could have been learned. Raises ValueError for any other."""
    keys = experience.changes.keys()
    if len(keys) > CHANGE_KEYS_REMEMBERED or max(map(len, keys), default=0) > CHANGE_KEY_LETTERS:
        raise ValueError("more kinds of changes than are kept, or a longer name of one")
    series = (experience.lasted_s, *experience.changes.values())
    if max(map(len, series)) > CHANGES_REMEMBERED or len(experience.stops_s) > STOPS_REMEMBERED:
        raise ValueError("more durations than are kept")
    durations = (*chain(*series), *experience.stops_s)
    if not all(0 <= seconds <= DURATION_MAX_S for seconds in durations):
        raise ValueError("no duration of a step")
    if not (experience.limits.keys() <= _KINDS and all(map(_possible, experience.limits.values()))):
        raise ValueError("no limit of a cloud")
    return experience


def _possible(limit: Limit) -> bool:
    return _RATE_MIN_PER_S <= limit.rate_per_s <= RATE_MAX_REQUESTS and 1 <= limit.burst <= RATE_MAX_REQUESTS


def _bounded(seconds: float) -> float:
    """To the millisecond: more digits would only make rows longer."""
    return round(min(max(seconds, 0.0), DURATION_MAX_S), 3)


def _latest(before: Durations, more: Durations, most: int) -> Durations:
    return (*before, *(_bounded(seconds) for seconds in more))[-most:]


def _with(changes: Mapping[str, Durations], key: str, more: Durations) -> dict[str, Durations]:
    """The changes with more of that key, which comes last; the key that was not used for longest goes."""
    key = key[:CHANGE_KEY_LETTERS]
    others = {other: durations for other, durations in changes.items() if other != key}
    if len(others) >= CHANGE_KEYS_REMEMBERED:
        del others[next(iter(others))]
    return {**others, key: _latest(changes.get(key, ()), more, CHANGES_REMEMBERED)}


def _beyond(now: Durations, before: Durations) -> Durations:
    """What `now` has beyond `before`, of which it is the continuation; the oldest values of `before` may be gone."""
    for shared in range(min(len(now), len(before)), 0, -1):
        if now[:shared] == before[-shared:]:
            return now[shared:]
    return now
