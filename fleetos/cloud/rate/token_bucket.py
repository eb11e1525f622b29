"""Token bucket."""

# Shortest wait that is worth a sleep; a shorter one is below the rounding of floats.
TICK_S = 0.001


class TokenBucket:
    """Token bucket over a clock of the caller. `rate_per_s` None: unlimited.

    `reserved`: tokens that reads leave to writes if both share the bucket. The decision to write needs a read of the
    last minute: if reads took every token of a slow bucket, that read would be too old once the write gets its token.
    """

    def __init__(self, rate_per_s: float | None, burst: float, now_s: float, spared: int = 0) -> None:
        self.rate_per_s = rate_per_s
        self.reserved = spared
        self.burst = max(1.0 + spared, burst)
        self._tokens = self.burst
        self._at_s = now_s

    def wait_s(self, now_s: float, needed: float = 1.0) -> float:
        """Return the seconds until `needed` tokens are available, 0 if they are now."""
        if self.rate_per_s is None:
            return 0.0
        self._tokens = min(self.burst, self._tokens + max(0.0, now_s - self._at_s) * self.rate_per_s)
        self._at_s = max(self._at_s, now_s)
        if self._tokens >= needed - 1e-9:
            return 0.0
        return max(TICK_S, (needed - self._tokens) / self.rate_per_s)

    def take(self, now_s: float) -> None:
        """Take a token; `wait_s` must have returned 0."""
        self.wait_s(now_s)
        self._tokens -= 1.0

    def put_back(self) -> None:
        """Put an unused token back."""
        self._tokens = min(self.burst, self._tokens + 1.0)

    def drain(self, until_s: float) -> None:
        """Leave one token, and refill none before `until_s`: the cloud would refuse the burst."""
        self._tokens = min(self._tokens, 1.0)
        self._at_s = max(self._at_s, until_s)

    def set_rate(self, rate_per_s: float, burst: float) -> None:
        """Change rate and burst; tokens beyond the new burst are lost."""
        self.rate_per_s = rate_per_s
        self.burst = max(1.0 + self.reserved, burst)
        self._tokens = min(self._tokens, self.burst)
