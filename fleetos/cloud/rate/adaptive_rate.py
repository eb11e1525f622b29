"""Adaptive request rate: grows slowly, shrinks after a 429 (AIMD).

The rate never exceeds the budget of the plan, nor a limit that the cloud has stated. A limit that the cloud does not
state is found: a 429 lowers the rate to a share of what was really sent, and each later request raises it by a small
step, until the next 429 or the budget. A client that sends more gets more 429s, so clients with a common limit end up
with equal shares.
"""

from collections import deque
from dataclasses import dataclass

from fleetos.cloud.rate.token_bucket import TokenBucket
from fleetos.limits import CLOSURE_STATED_MAX_S, RATE_MAX_REQUESTS

# After a 429 without a stated limit the rate becomes this share of the rate that was really sent before: far enough
# below the limit for some minutes without refusals, near enough to lose little.
PACE_SHARE = 0.8
# If almost nothing was sent before, others use the limit too, or it is for a long window. One refusal never lowers the
# rate below this share of it, or an idle process would be left with nothing.
PACE_SHARE_MIN = 0.5
# Windows before the refusal in which requests are counted, the shortest first. The highest rate counts: the first
# window shows a burst after a rest, the second a slow rate.
PACE_WINDOWS_S = (1.0, 5.0)
# Requests that are counted: one process cannot send more in five seconds.
PACE_SENT_COUNTED = 4096
# Time in which a process that sends at its full rate regains the lost share. It is ten closures: a process that probes
# for an unstated limit is refused once in it, and waits for a tenth of its time. A rehearsal is short, so that it takes
# less on a simulated cloud.
PACE_RECOVERY_S = 600.0
PACE_RECOVERY_LOOPBACK_S = 60.0
# Burst of a learned rate, in seconds: most limits are for windows of a second or more.
PACE_BURST_S = 0.1


@dataclass(frozen=True, slots=True)
class LearnedRate:
    """Learned rate: requests per second, burst, whether the cloud stated it, and when."""

    rate_per_s: float
    burst: float
    stated: bool
    at_s: float


def rate_for_limit(requests: int, window_s: float) -> tuple[float, float]:
    """Return a rate and burst that keep within `requests` per window; with a limit of one or two, not always."""
    burst = max(1.0, requests / 10)
    return max(requests - burst, requests / 2) / window_s, burst


class AdaptiveRate:
    """Adaptive rate of one class of requests.

    The classes may share one `budget`. `usual_per_s` is a rate that is safe on an unknown cloud.
    """

    def __init__(self, budget: TokenBucket, usual_per_s: float, *, loopback: bool) -> None:
        self.budget = budget
        self._usual_per_s = usual_per_s
        self._step_per_s = (1 - PACE_SHARE) / (PACE_RECOVERY_LOOPBACK_S if loopback else PACE_RECOVERY_S)
        # The limit that the cloud stated, and the bucket that enforces that or a lower one; None: only the budget does.
        self._stated: LearnedRate | None = None
        self._bucket: TokenBucket | None = None
        self._at_s = 0.0
        self._sent: deque[float] = deque(maxlen=PACE_SENT_COUNTED)

    @property
    def rate_per_s(self) -> float | None:
        """Allowed requests per second; None: unlimited."""
        return self.budget.rate_per_s if self._bucket is None else self._bucket.rate_per_s

    @property
    def learned_rate(self) -> LearnedRate | None:
        """Learned rate, None if only the budget limits; its `at_s` is the time of the last 429."""
        bucket = self._bucket
        if bucket is None or bucket.rate_per_s is None:
            return None
        stated = self._stated is not None and bucket.rate_per_s >= self._stated.rate_per_s
        return LearnedRate(min(bucket.rate_per_s, RATE_MAX_REQUESTS), bucket.burst, stated, self._at_s)

    def wait_s(self, now_s: float, *, sparing: bool = False) -> float:
        """Return the seconds until a request may leave, 0 if now. `sparing`: leave the reserved tokens."""
        wait_s = self.budget.wait_s(now_s, 1.0 + self.budget.reserved * sparing)
        return wait_s if self._bucket is None else max(wait_s, self._bucket.wait_s(now_s))

    def take(self, now_s: float) -> None:
        """Count a request; `wait_s` must have returned 0."""
        self.budget.take(now_s)
        self._sent.append(now_s)
        if self._bucket is not None:
            self._bucket.take(now_s)
            self._raise_rate(self._bucket)

    def put_back(self) -> None:
        """Uncount a request that did not leave."""
        self.budget.put_back()
        if self._bucket is not None:
            self._bucket.put_back()

    def drain(self, until_s: float) -> None:
        """Refill no tokens before `until_s`."""
        self.budget.drain(until_s)
        if self._bucket is not None:
            self._bucket.drain(until_s)

    def recall(self, learned: LearnedRate, now_s: float) -> None:
        """Start with the rate that an earlier run learned, if it is lower."""
        if learned.stated:
            self._stated = learned
        if self._is_slower(learned.rate_per_s):
            self._set_rate(learned.rate_per_s, learned.burst, now_s)
            self._at_s = learned.at_s

    def keep_stated_limit(self, requests: int, window_s: float, now_s: float) -> bool:
        """Keep a limit that the cloud stated. Return False if the current rate keeps it already."""
        rate_per_s, burst = rate_for_limit(requests, window_s)
        rate_per_s = max(rate_per_s, 1 / CLOSURE_STATED_MAX_S)
        if not self._is_slower(rate_per_s):
            return False
        self._stated = LearnedRate(rate_per_s, burst, stated=True, at_s=now_s)
        self._set_rate(rate_per_s, burst, now_s)
        return True

    def slow_down(self, left_s: float, now_s: float) -> None:
        """Lower the rate after a 429 to a request that left at `left_s`."""
        sent_per_s, before_per_s = self._sent_per_s(left_s), self.rate_per_s
        if before_per_s is None:
            # The rate of a first burst says little, and a 429 to the first request nothing.
            rate_per_s = PACE_SHARE * max(sent_per_s, self._usual_per_s)
        else:
            rate_per_s = max(
                PACE_SHARE * min(sent_per_s, before_per_s), PACE_SHARE_MIN * before_per_s, 1 / CLOSURE_STATED_MAX_S
            )
        # Requests before the pause say nothing about the rate after it.
        self._sent.clear()
        self._set_rate(rate_per_s, self._burst_for(rate_per_s), now_s)

    def _is_slower(self, rate_per_s: float) -> bool:
        return self.rate_per_s is None or rate_per_s < self.rate_per_s

    def _set_rate(self, rate_per_s: float, burst: float, now_s: float) -> None:
        burst = min(burst, self._stated.burst) if self._stated is not None else burst
        burst = min(burst, self.budget.burst) if self.budget.rate_per_s is not None else burst
        if self._bucket is None:
            self._bucket = TokenBucket(rate_per_s, burst, now_s)
        else:
            self._bucket.set_rate(rate_per_s, burst)
        self._at_s = now_s

    def _raise_rate(self, bucket: TokenBucket) -> None:
        """Raise the rate by one step, at most to the budget or to the limit that the cloud stated."""
        before_per_s = bucket.rate_per_s or self._usual_per_s
        # Above the usual rate every client gains the same per second: of two that share a limit, the slower catches up.
        rate_per_s = before_per_s + self._step_per_s * min(1.0, self._usual_per_s / before_per_s)
        if self._stated is not None and rate_per_s >= self._stated.rate_per_s:
            bucket.set_rate(self._stated.rate_per_s, self._stated.burst)
        elif self.budget.rate_per_s is not None and rate_per_s >= self.budget.rate_per_s:
            self._bucket = None
        else:
            bucket.set_rate(rate_per_s, max(bucket.burst, self._burst_for(rate_per_s)))

    def _burst_for(self, rate_per_s: float) -> float:
        return max(1.0, rate_per_s * PACE_BURST_S)

    def _sent_per_s(self, left_s: float) -> float:
        """Return the rate that was really sent before `left_s`: the highest over all PACE_WINDOWS_S."""
        return max(self._sent_within(left_s, window_s) for window_s in PACE_WINDOWS_S)

    def _sent_within(self, left_s: float, window_s: float) -> float:
        times = [at_s for at_s in self._sent if left_s - window_s <= at_s <= left_s]
        return len(times) / max(left_s - times[0], PACE_WINDOWS_S[0]) if times else 0.0
