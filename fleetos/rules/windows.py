"""Windows: the times in which the targets that the same rules match may start. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from fleetos.model.steering.times import ALWAYS, NEVER, Times


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
