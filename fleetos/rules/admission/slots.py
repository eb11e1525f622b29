"""Slots in use, free, and soon free. Pure."""

from dataclasses import dataclass

from fleetos.limits import STOP_GROUP_SHARE


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots in use, targets made ready ahead of a slot, and slots soon free."""

    taken: int
    """Slots in use."""
    ahead: int
    """Targets that are being made ready, or are ready, ahead of their slot."""
    freed_soon: float = 0.0
    """Expected number of slots that are given back before a server that is stopped now is ready."""
    stop_limit: int | None = None
    """Most targets that may be made ready now; None: unlimited."""

    def available(self, concurrency: int) -> int:
        """Return how many more targets may be made ready: at once for a free slot, and in groups for slots soon free.

        Servers that are stopped together share a call and the reads that confirm it.
        """
        free = concurrency - self.taken - self.ahead
        soon = free + int(self.freed_soon)
        places = soon if free > 0 or soon >= max(1.0, self.freed_soon * STOP_GROUP_SHARE) else 0
        return places if self.stop_limit is None else min(places, self.stop_limit)
