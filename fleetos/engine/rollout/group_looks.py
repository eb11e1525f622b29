"""Looks at the members of groups: what each server showed last, and whom to read again while somebody waits."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from fleetos.engine.turn import Turn
from fleetos.model.states import IN_FLIGHT
from fleetos.rules.groups import LOOK_EXPIRES, Look
from fleetos.rules.observation import Observation
from fleetos.rules.polling import DueRead, ReadServer, Sweep

# A member is looked at again when half of the time is over for which a look counts.
_LOOK_AGAIN = LOOK_EXPIRES / 2
_LOOK_PAUSE = timedelta(seconds=5)
# Servers that no list page showed are read one by one, so many at a time.
_SINGLE_READS_MAX = 20


class GroupLooks:
    """Newest look at each server, and the reads that are under way."""

    def __init__(self, now: datetime) -> None:
        self.again_at = now
        """Earliest time at which members are looked at again."""
        self._looks: dict[str, Look] = {}
        self._unlisted: dict[str, None] = {}
        self._asked: set[str] = set()

    @property
    def under_way(self) -> bool:
        """True while a read of members has not been answered."""
        return bool(self._asked)

    def find(self, server_id: str) -> Look | None:
        """Return the newest look at a server; None if there is none."""
        return self._looks.get(server_id)

    def add(self, server_id: str, observation: Observation) -> bool:
        """Take over a look at a server. Return whether it is as new as the one before."""
        self._asked.discard(server_id)
        self._unlisted.pop(server_id, None)
        before = self._looks.get(server_id)
        # A look from a time that has not come is one from before the clock was set back.
        if before is not None and observation.requested.wall < before.seen_at <= observation.received.wall:
            return False
        self._looks[server_id] = Look(observation.snapshot, observation.requested.wall)
        return True

    def miss(self, server_ids: Iterable[str]) -> None:
        """Note that a read of these servers said nothing of them."""
        missed = self._asked.intersection(server_ids)
        self._asked -= missed
        self._unlisted.update(dict.fromkeys(sorted(missed)))

    def are_due(self, now: datetime) -> bool:
        """Return whether members are to be looked at again, also if the clock was set back since the last time."""
        return not now < self.again_at <= now + LOOK_EXPIRES

    def plan_reads(self, turn: Turn, server_ids: Iterable[str]) -> Sequence[DueRead]:
        """Return the reads of those whose last look will soon be too old. Who is in flight is watched anyway."""
        stale: list[str] = []
        oldest = turn.at
        for server_id in server_ids:
            look = self._looks.get(server_id)
            if turn.target(server_id).state in IN_FLIGHT:
                continue
            if look is None or abs(turn.at - look.seen_at) >= _LOOK_AGAIN:
                stale.append(server_id)
            else:
                oldest = min(oldest, look.seen_at)
        self.again_at = max(turn.at + _LOOK_PAUSE, oldest + _LOOK_AGAIN)
        singles = [server_id for server_id in self._unlisted if server_id in stale][:_SINGLE_READS_MAX]
        listed = tuple(server_id for server_id in stale if server_id not in self._unlisted)
        self._asked.update(singles, listed)
        return [*([Sweep(listed)] if listed else []), *(ReadServer(server_id) for server_id in singles)]
