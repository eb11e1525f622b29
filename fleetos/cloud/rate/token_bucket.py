"""A token bucket: so many requests a second, and so many at once after a rest."""

# The shortest wait that is worth a sleep; below it, rounding decides.
TICK_S = 0.001


class TokenBucket:
    """A token bucket over a clock of the caller. `rate_per_s` None: unlimited.

    `spared`: tokens that reads leave to writes, where both draw from one bucket. A write is decided by a look of the
    last minute: if reads took every token of a slow bucket, each look would be too old when the write has its own.
    """

    def __init__(self, rate_per_s: float | None, burst: float, now_s: float, spared: int = 0) -> None:
        self.rate_per_s = rate_per_s
        self.spared = spared
        self.burst = max(1.0 + spared, burst)
        self._tokens = self.burst
        self._at_s = now_s

    def wait_s(self, now_s: float, needed: float = 1.0) -> float:
        """Return how long until so many tokens are there; 0 if they are."""
        if self.rate_per_s is None:
            return 0.0
        self._tokens = min(self.burst, self._tokens + max(0.0, now_s - self._at_s) * self.rate_per_s)
        self._at_s = max(self._at_s, now_s)
        if self._tokens >= needed - 1e-9:
            return 0.0
        return max(TICK_S, (needed - self._tokens) / self.rate_per_s)

    def take(self, now_s: float) -> None:
        """Take a token; the caller has seen that one is there."""
        self.wait_s(now_s)
        self._tokens -= 1.0

    def put_back(self) -> None:
        """Return a token that was not used."""
        self._tokens = min(self.burst, self._tokens + 1.0)

    def drain(self, until_s: float) -> None:
        """Leave one token, and save up no more before `until_s`: the savings would be the next burst to be refused."""
        self._tokens = min(self._tokens, 1.0)
        self._at_s = max(self._at_s, until_s)

    def turn(self, rate_per_s: float, burst: float) -> None:
        """Go on at another pace; what was saved up beyond its burst is lost."""
        self.rate_per_s = rate_per_s
        self.burst = max(1.0 + self.spared, burst)
        self._tokens = min(self._tokens, self.burst)
