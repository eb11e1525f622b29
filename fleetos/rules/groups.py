"""Groups of servers that must not be out together: which members are out, and how many may be. Pure.

Out is a server that does not serve, whatever the cause. A group limits who may go out; a server that is out already
stays free to be admitted, so that the broken can be mended.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fleetos.model.inventory import ServerSnapshot
from fleetos.model.run import Outcome, Target
from fleetos.model.states import IN_FLIGHT, RETRIABLE, TargetState
from fleetos.model.steering.rollout import GroupRule
from fleetos.text import join_some

# A server that was not seen for longer than this may be out without anybody knowing.
LOOK_EXPIRES = timedelta(minutes=5)
# A refusal names at most this many servers that are out.
NAMED_OUT = 3
_LABEL = "label:"
_NEVER_SEEN = datetime.min.replace(tzinfo=UTC)

GroupKey = tuple[str, str]
"""Key of a plan's rule, and the value that the members share. Empty value: all servers."""


@dataclass(frozen=True, slots=True)
class Look:
    """Last look at a server, by this process."""

    snapshot: ServerSnapshot | None
    """None: the server is gone."""
    seen_at: datetime

    @property
    def serves(self) -> bool:
        """True if the server runs and nothing is done to it."""
        return self.snapshot is not None and self.snapshot.status == "ACTIVE" and self.snapshot.task is None


def why_out(target: Target, look: Look | None) -> str | None:
    """Return why the server of the target does not serve, apart from its being admitted, as one word for people.

    None: it serves, as far as is known. A failed change leaves its server out until a look since then says otherwise.
    """
    if target.unsettled:
        return "unsettled"
    if target.stopped_at is not None:
        return "stopped"
    seen_since = look is not None and (target.since is None or look.seen_at >= target.since)
    if _is_broken(target) and not seen_since:
        return str(target.state)
    return None if look is None or look.serves else "down"


def _is_broken(target: Target) -> bool:
    """Return whether the last attempt of a target left its server in an unknown or a bad state."""
    if target.state not in RETRIABLE and target.state is not TargetState.BACKOFF:
        return False
    return bool(target.attempts) and target.attempts[-1].outcome is not Outcome.SUCCEEDED


def group_keys(rules: Iterable[GroupRule], target: Target) -> tuple[GroupKey, ...]:
    """Return the groups of a target, in the order of the rules. A target without the label is in no group of it."""
    return tuple((rule.per, value) for rule in rules if (value := _value_of(rule.per, target)) is not None)


def _value_of(per: str, target: Target) -> str | None:
    if per == "all":
        return ""
    if per.startswith(_LABEL):
        return target.labels.get(per.removeprefix(_LABEL))
    return target.az if per == "az" else target.flavor


def is_coarse(key: GroupKey) -> bool:
    """Return whether the group is one of few: zones and flavors are few, the values of a label may be many."""
    return not key[0].startswith(_LABEL)


class Out(NamedTuple):
    """Member that is out."""

    words: str
    """Its name, and why it is out."""
    free: bool
    """It is out for another cause than its admission, which then takes nothing away."""


@dataclass(slots=True)
class Group:
    """Group: its limit, its members that are out, and when the others were seen."""

    key: GroupKey
    members: int
    limit: int
    out: dict[str, Out] = field(default_factory=dict[str, Out])
    """Members that are out, by server id."""
    seen_at: dict[str, datetime] = field(default_factory=dict[str, datetime])
    """When each other member was seen last."""
    oldest: list[tuple[datetime, str]] = field(default_factory=list[tuple[datetime, str]])
    """Heap of looks; those that `seen_at` no longer has are outdated."""

    @property
    def name(self) -> str:
        """Name for people."""
        per, value = self.key
        return f"{per} {value}" if value else per

    def has_room(self, server_id: str) -> bool:
        """Return whether the member may go out, or may be out if it is admitted already."""
        out = self.out.get(server_id)
        return len(self.out) < self.limit + (out is not None) or (out is not None and out.free)

    @property
    def words(self) -> str:
        """Sentence about the members that are out."""
        named = join_some([out.words for out in self.out.values()], NAMED_OUT)
        return f"{self.name}: {len(self.out):,} of {self.limit:,} out" + (f": {named}" if named else "")

    def is_unseen(self, now: datetime) -> bool:
        """Return whether a member that seems to serve was not seen for longer than LOOK_EXPIRES."""
        while self.oldest and self.seen_at.get(self.oldest[0][1]) != self.oldest[0][0]:
            heapq.heappop(self.oldest)
        return bool(self.oldest) and now - self.oldest[0][0] > LOOK_EXPIRES

    def mark_out(self, server_id: str, out: Out) -> None:
        """Count a member as out."""
        self.out[server_id] = out
        self.seen_at.pop(server_id, None)

    def mark_serving(self, server_id: str, seen_at: datetime) -> None:
        """Count a member as serving, seen at that time."""
        self.out.pop(server_id, None)
        if self.seen_at.get(server_id) != seen_at:
            self.seen_at[server_id] = seen_at
            heapq.heappush(self.oldest, (seen_at, server_id))


class Groups:
    """All groups of a run. Kept by whoever drives it, in O(groups of a target) for each change and each look."""

    def __init__(
        self, groups: Iterable[Group] = (), memberships: Mapping[str, tuple[GroupKey, ...]] | None = None
    ) -> None:
        self._groups = {group.key: group for group in groups}
        self._memberships = memberships or {}

    @staticmethod
    def of(rules: Iterable[GroupRule], targets: Iterable[Target]) -> "Groups":
        """Return the groups of all targets of a run, members or not. Percentages are of the targets in the group."""
        ordered, sizes = tuple(rules), defaultdict[GroupKey, int](int)
        memberships = {target.server_id: group_keys(ordered, target) for target in targets}
        for keys in memberships.values():
            for key in keys:
                sizes[key] += 1
        limits = {rule.per: rule.value for rule in ordered}
        groups = (Group(key, size, limits[key[0]].of(size, at_least=1)) for key, size in sizes.items())
        return Groups(groups, memberships)

    def of_server(self, server_id: str) -> list[Group]:
        """Return the groups of a server, in the order of the rules."""
        return [self._groups[key] for key in self._memberships.get(server_id, ())]

    def update(self, target: Target, look: Look | None, sick: str | None = None) -> None:
        """Take over the present state of a target and the last look at its server.

        `sick` is what health checks say of it, such as `unhealthy`; None if they say nothing bad.
        """
        why = why_out(target, look) or sick
        admitted = target.state in IN_FLIGHT
        for group in self.of_server(target.server_id):
            if admitted or why is not None:
                words = f"{target.name} {target.state if admitted else why}"
                group.mark_out(target.server_id, Out(words, why is not None))
            else:
                group.mark_serving(target.server_id, _NEVER_SEEN if look is None else look.seen_at)

    def mark_admitted(self, target: Target) -> None:
        """Count a target as out before its state says so."""
        for group in self.of_server(target.server_id):
            free = target.server_id in group.out
            group.mark_out(target.server_id, Out(f"{target.name} admitted", free))

    def is_out(self, server_id: str) -> bool:
        """Return whether the server is out; False also for one that is in no group."""
        return any(server_id in group.out for group in self.of_server(server_id))

    def __iter__(self) -> Iterator[Group]:
        """Iterate over all groups, in no particular order."""
        return iter(self._groups.values())
