"""Whether the cloud is there at all."""

from fleetos.clock import Moment
from fleetos.limits import UNREACHABLE_FAILURES, UNREACHABLE_S


class Health:
    """Counts failures in a row; an answer of any kind begins anew."""

    def __init__(self) -> None:
        self._since: Moment | None = None
        self._failures = 0

    def answered(self) -> None:
        """The cloud said something."""
        self._since = None
        self._failures = 0

    def failed(self, now: Moment) -> bool:
        """Whether the cloud counts as unreachable after one more failure."""
        self._since = self._since or now
        self._failures += 1
        return self._failures >= UNREACHABLE_FAILURES and now.since_s(self._since) >= UNREACHABLE_S
