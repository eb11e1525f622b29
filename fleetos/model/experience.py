"""Experience with a part of a cloud, kept for the next run there.

It makes runs faster and gentler. Only the longest change also matters for safety: it can lengthen a settle time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from fleetos.limits import CLOSURE_STATED_MAX_S, DURATION_MAX_S, RATE_MAX_REQUESTS

# Durations that are remembered for one kind of changes: enough for their spread; older ones are out of date.
CHANGES_REMEMBERED = 64
# Kinds of changes (image, flavor, availability zone) that are remembered for a project: some ten images on some twenty
# flavors. With 64 durations each that is a row of some 200 KB.
CHANGE_KEYS_REMEMBERED = 256
# Length of the name of a kind of changes: three names or ids of the cloud.
CHANGE_KEY_LETTERS = 800
# Durations of stops that are remembered; they hardly differ between servers.
STOPS_REMEMBERED = 64
Durations = tuple[float, ...]

# The kinds of requests for which a cloud has separate limits.
_KINDS = frozenset({"read", "write"})
# A rate below one request in the longest closure is not learned: the run would stand still.
_RATE_MIN_PER_S = 1 / CLOSURE_STATED_MAX_S


@dataclass(frozen=True, slots=True)
class Limit:
    """Rate limit of a cloud, as far as it was learned."""

    rate_per_s: float
    burst: float
    learned_at: datetime
    """UTC."""
    told: bool = False
    """The cloud stated the limit; else it was derived from refusals."""


@dataclass(frozen=True, slots=True)
class Experience:
    """Experience with one cloud, region and project. All durations are in seconds, the latest last."""

    lasted_s: Durations = ()
    """Changes as the driver waited for them: from the acceptance until it saw their end."""
    changes: Mapping[str, Durations] = field(default_factory=dict[str, Durations])
    """Successful OS changes, by the engine's key for a kind of change; the key that was used last comes last."""
    stops_s: Durations = ()
    shows_change: bool | None = None
    """The cloud shows a server as REBUILD or with a task while its OS changes; None: not known yet."""
    limits: Mapping[str, Limit] = field(default_factory=dict[str, Limit])
    """Limits learned from refusals (429), by kind of request: `read` or `write`."""

    @property
    def longest_change_s(self) -> float:
        """Longest of the remembered changes; each new change of a kind pushes out an older one."""
        return max(chain(self.lasted_s, *self.changes.values()), default=0.0)

    def with_change(self, key: str, seconds: float) -> "Experience":
        """Return the experience with one more successful change."""
        return replace(self, changes=_add_change(self.changes, key, (seconds,)))

    def with_lasted(self, seconds: float) -> "Experience":
        """Return the experience with one more change that the driver waited for."""
        return replace(self, lasted_s=_append(self.lasted_s, (seconds,), CHANGES_REMEMBERED))

    def with_stop(self, seconds: float) -> "Experience":
        """Return the experience with one more stop."""
        return replace(self, stops_s=_append(self.stops_s, (seconds,), STOPS_REMEMBERED))

    def with_change_shown(self, *, shown: bool) -> "Experience":
        """Return the experience with `shown`: a change that was certainly under way could be seen on its server."""
        return replace(self, shows_change=shown)

    def with_limits(self, limits: Mapping[str, Limit]) -> "Experience":
        """Return the experience with other limits."""
        return replace(self, limits=dict(limits))


# The experience with a cloud that was never used.
NO_EXPERIENCE = Experience()


def settle_s(least_s: float, longest_change_s: float, change_timeout_s: float) -> float:
    """Return the time for which the driver watches an unknown outcome: at least twice the longest remembered change.

    The plan's time-out bounds the latter: a change that outlives it went wrong, and is no reason to watch longer.
    """
    return max(least_s, min(2 * longest_change_s, change_timeout_s))


def image_id_of(key: str) -> str:
    """Return the id of the image in a key of `Experience.changes`: its first part."""
    return key.partition("/")[0]


def merge_experience(kept: Experience, now: Experience, since: Experience) -> Experience:
    """Merge into `kept` what a run learned that began with `since` and ends with `now`.

    Other runs may have added to `kept` meanwhile. Only what this run saw itself is added, not what it began with.
    """
    changes = kept.changes
    for key, durations in now.changes.items():
        if new := _new_durations(durations, since.changes.get(key, ())):
            changes = _add_change(changes, key, new)
    limits = dict(kept.limits)
    for kind, limit in now.limits.items():
        if limit != since.limits.get(kind) and (kind not in limits or limits[kind].learned_at <= limit.learned_at):
            limits[kind] = limit
    for kind in since.limits.keys() - now.limits.keys():
        # The run dropped the limit: it was outgrown or too old, unless another run has learned it again.
        if limits.get(kind) == since.limits[kind]:
            del limits[kind]
    learned = now.shows_change is not None and now.shows_change != since.shows_change
    return Experience(
        lasted_s=_append(kept.lasted_s, _new_durations(now.lasted_s, since.lasted_s), CHANGES_REMEMBERED),
        changes=changes,
        stops_s=_append(kept.stops_s, _new_durations(now.stops_s, since.stops_s), STOPS_REMEMBERED),
        shows_change=now.shows_change if learned else kept.shows_change,
        limits=limits,
    )


def check_experience(experience: Experience) -> Experience:
    """Return the experience. Raise ValueError if no run could have learned it."""
    keys = experience.changes.keys()
    if len(keys) > CHANGE_KEYS_REMEMBERED or max(map(len, keys), default=0) > CHANGE_KEY_LETTERS:
        raise ValueError("more kinds of changes than are kept, or a longer name of one")
    series = (experience.lasted_s, *experience.changes.values())
    if max(map(len, series)) > CHANGES_REMEMBERED or len(experience.stops_s) > STOPS_REMEMBERED:
        raise ValueError("more durations than are kept")
    durations = (*chain(*series), *experience.stops_s)
    if not all(0 <= seconds <= DURATION_MAX_S for seconds in durations):
        raise ValueError("no duration of a step")
    if not (experience.limits.keys() <= _KINDS and all(map(_is_possible, experience.limits.values()))):
        raise ValueError("no limit of a cloud")
    return experience


def _is_possible(limit: Limit) -> bool:
    return _RATE_MIN_PER_S <= limit.rate_per_s <= RATE_MAX_REQUESTS and 1 <= limit.burst <= RATE_MAX_REQUESTS


def _clamp(seconds: float) -> float:
    """Return the duration within bounds, rounded to milliseconds: more digits would only make rows longer."""
    return round(min(max(seconds, 0.0), DURATION_MAX_S), 3)


def _append(durations: Durations, new: Durations, limit: int) -> Durations:
    """Return the latest `limit` durations."""
    return (*durations, *map(_clamp, new))[-limit:]


def _add_change(changes: Mapping[str, Durations], key: str, new: Durations) -> dict[str, Durations]:
    """Return the changes with new durations under the key, which moves to the end. Drop the key unused for longest."""
    key = key[:CHANGE_KEY_LETTERS]
    others = {other: durations for other, durations in changes.items() if other != key}
    if len(others) >= CHANGE_KEYS_REMEMBERED:
        del others[next(iter(others))]
    return {**others, key: _append(changes.get(key, ()), new, CHANGES_REMEMBERED)}


def _new_durations(now: Durations, before: Durations) -> Durations:
    """Return the end of `now` that is not in `before`. `now` continues `before`, of which the oldest may be gone."""
    for shared in range(min(len(now), len(before)), 0, -1):
        if now[:shared] == before[-shared:]:
            return now[shared:]
    return now
