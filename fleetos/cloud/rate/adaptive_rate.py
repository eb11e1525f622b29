"""How fast requests of one kind go: within the budget of the plan, and within what refusals (429) have taught.

A limit that the cloud names is kept. One that it does not name is found: a refusal lowers the pace to a share of what
was really sent, and each request after that raises it by a small step, until the next refusal or the budget. Whoever
sends more is refused more often, so that several who share a limit come to share it evenly.
"""

from collections import deque
from dataclasses import dataclass

from fleetos.cloud.rate.token_bucket import TokenBucket
from fleetos.limits import (
    CLOSURE_TOLD_MAX_S,
    PACE_BURST_S,
    PACE_RECOVERY_LOOPBACK_S,
    PACE_RECOVERY_S,
    PACE_SENT_COUNTED,
    PACE_SHARE,
    PACE_SHARE_MIN,
    PACE_WINDOWS_S,
    RATE_MAX_REQUESTS,
)


@dataclass(frozen=True, slots=True)
class LearnedRate:
    """A pace that was learned: requests a second, how many at once, whether the cloud named it, and when."""

    rate_per_s: float
    burst: float
    told: bool
    at_s: float


def rate_for_limit(requests: int, window_s: float) -> tuple[float, float]:
    """Return rate and burst that keep a limit of so many requests in every window, except for limits of one or two."""
    burst = max(1.0, requests / 10)
    return max(requests - burst, requests / 2) / window_s, burst


class AdaptiveRate:
    """The pace of one kind of requests. `budget` may be shared with the other kind, `usual_per_s` is a safe rate."""

    def __init__(self, budget: TokenBucket, usual_per_s: float, *, loopback: bool) -> None:
        self.budget = budget
        self._usual_per_s = usual_per_s
        self._step_per_s = (1 - PACE_SHARE) / (PACE_RECOVERY_LOOPBACK_S if loopback else PACE_RECOVERY_S)
        # What the cloud has named, and what is kept: that, or less. The second is None while the budget is all.
        self._told: LearnedRate | None = None
        self._bucket: TokenBucket | None = None
        self._at_s = 0.0
        self._sent: deque[float] = deque(maxlen=PACE_SENT_COUNTED)

    @property
    def rate_per_s(self) -> float | None:
        """How many requests a second are allowed; None: unlimited."""
        return self.budget.rate_per_s if self._bucket is None else self._bucket.rate_per_s

    @property
    def found(self) -> LearnedRate | None:
        """What was learned, if anything; `at_s` is when the last refusal came."""
        bucket = self._bucket
        if bucket is None or bucket.rate_per_s is None:
            return None
        told = self._told is not None and bucket.rate_per_s >= self._told.rate_per_s
        return LearnedRate(min(bucket.rate_per_s, RATE_MAX_REQUESTS), bucket.burst, told, self._at_s)

    def wait_s(self, now_s: float, *, sparing: bool = False) -> float:
        """Return how long until a request may leave; 0 if now. `sparing`: it leaves what is spared for others."""
        wait_s = self.budget.wait_s(now_s, 1.0 + self.budget.spared * sparing)
        return wait_s if self._bucket is None else max(wait_s, self._bucket.wait_s(now_s))

    def take(self, now_s: float) -> None:
        """Count a request; the caller has seen that it may leave."""
        self.budget.take(now_s)
        self._sent.append(now_s)
        if self._bucket is not None:
            self._bucket.take(now_s)
            self._rise(self._bucket)

    def put_back(self) -> None:
        """Take back a request that was counted and did not leave."""
        self.budget.put_back()
        if self._bucket is not None:
            self._bucket.put_back()

    def drain(self, until_s: float) -> None:
        """Save nothing up before `until_s`."""
        self.budget.drain(until_s)
        if self._bucket is not None:
            self._bucket.drain(until_s)

    def recall(self, found: LearnedRate, now_s: float) -> None:
        """Begin with what an earlier run has found, if that is slower."""
        if found.told:
            self._told = found
        if self._is_slower(found.rate_per_s):
            self._keep(found.rate_per_s, found.burst, now_s)
            self._at_s = found.at_s

    def told(self, requests: int, window_s: float, now_s: float) -> bool:
        """Keep to a limit that the cloud has named. Return False if what is sent is within it already."""
        rate_per_s, burst = rate_for_limit(requests, window_s)
        rate_per_s = max(rate_per_s, 1 / CLOSURE_TOLD_MAX_S)
        if not self._is_slower(rate_per_s):
            return False
        self._told = LearnedRate(rate_per_s, burst, told=True, at_s=now_s)
        self._keep(rate_per_s, burst, now_s)
        return True

    def refused(self, left_s: float, now_s: float) -> None:
        """Go slower after the refusal of a request that left at `left_s`."""
        sent_per_s, before = self._sent_per_s(left_s), self.rate_per_s
        if before is None:
            # What a first burst came to says little, and a refusal of the first request nothing.
            rate_per_s = PACE_SHARE * max(sent_per_s, self._usual_per_s)
        else:
            rate_per_s = max(PACE_SHARE * min(sent_per_s, before), PACE_SHARE_MIN * before, 1 / CLOSURE_TOLD_MAX_S)
        # What left before the closure says nothing of the pace after it.
        self._sent.clear()
        self._keep(rate_per_s, self._smooth(rate_per_s), now_s)

    def _is_slower(self, rate_per_s: float) -> bool:
        return self.rate_per_s is None or rate_per_s < self.rate_per_s

    def _keep(self, rate_per_s: float, burst: float, now_s: float) -> None:
        burst = min(burst, self._told.burst) if self._told is not None else burst
        burst = min(burst, self.budget.burst) if self.budget.rate_per_s is not None else burst
        if self._bucket is None:
            self._bucket = TokenBucket(rate_per_s, burst, now_s)
        else:
            self._bucket.turn(rate_per_s, burst)
        self._at_s = now_s

    def _rise(self, bucket: TokenBucket) -> None:
        """One step faster. The budget ends it, and so does the limit that the cloud has named."""
        before_per_s = bucket.rate_per_s or self._usual_per_s
        # Above the usual rate it is the same for all in a second: of two who share a limit, the slower one gains.
        rate_per_s = before_per_s + self._step_per_s * min(1.0, self._usual_per_s / before_per_s)
        if self._told is not None and rate_per_s >= self._told.rate_per_s:
            bucket.turn(self._told.rate_per_s, self._told.burst)
        elif self.budget.rate_per_s is not None and rate_per_s >= self.budget.rate_per_s:
            self._bucket = None
        else:
            bucket.turn(rate_per_s, max(bucket.burst, self._smooth(rate_per_s)))

    def _smooth(self, rate_per_s: float) -> float:
        return max(1.0, rate_per_s * PACE_BURST_S)

    def _sent_per_s(self, left_s: float) -> float:
        """The rate that was really sent before `left_s`: the highest over the windows that are looked at."""
        return max(self._sent_within(left_s, window_s) for window_s in PACE_WINDOWS_S)

    def _sent_within(self, left_s: float, window_s: float) -> float:
        times = [at_s for at_s in self._sent if left_s - window_s <= at_s <= left_s]
        return len(times) / max(left_s - times[0], PACE_WINDOWS_S[0]) if times else 0.0
