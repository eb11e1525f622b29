"""Slots in use, free, and soon free. Pure."""

from dataclasses import dataclass

from fleetos.limits import STOP_GROUP_SHARE


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots that are taken, the targets made ready ahead of one, and how many slots will soon be given back.

    `most`: how many may be made ready at all, None for any number.
    """

    taken: int
    ahead: int
    soon: float = 0.0
    most: int | None = None

    def places(self, concurrency: int) -> int:
        """How many more may be made ready: at once for each slot that is free, and together for those free soon.

        Servers that are stopped together share a call and the reads that confirm it.
        """
        free = concurrency - self.taken - self.ahead
        soon = free + int(self.soon)
        places = soon if free > 0 or soon >= max(1.0, self.soon * STOP_GROUP_SHARE) else 0
        return places if self.most is None else min(places, self.most)
