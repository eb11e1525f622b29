"""I10: the rate of requests stays inside the budget, and after a 429 the whole scope waits.

A scope is what one process sees of a cloud: processes share no bucket.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from fleetos.cloud.rate.throttle import CLOSURE_LOOPBACK_S, CLOSURE_S
from fleetos.limits import CLOSURE_STATED_MAX_S
from tests.simulation.checkers.exemptions import fast_clock
from tests.simulation.run_trace import Asked, RunTrace, Violation

_TOO_MANY = 429
# Moments this close are one moment.
_SAME_S = 1e-6


def no_more_than_asked_for(trace: RunTrace) -> Iterator[Violation]:
    """I10: for each process by itself."""
    by_process: dict[int, list[Asked]] = defaultdict(list)
    for asked in trace.asked:
        by_process[asked.process].append(asked)
    for requests in by_process.values():
        requests.sort(key=lambda one: one.at_s)
        yield from _closed(trace, requests)
        yield from _rate(trace, requests)


def _closed(trace: RunTrace, requests: Sequence[Asked]) -> Iterator[Violation]:
    """Yield the requests that left while a 429 had closed the scope. The login waits as well."""
    answered = [one for one in requests if one.status == _TOO_MANY and one.answered_s is not None]
    answered.sort(key=lambda one: one.answered_s or 0.0)
    base_s = CLOSURE_LOOPBACK_S if trace.run.settings.loopback else CLOSURE_S
    closed_at_s = -1.0
    closures: list[tuple[float, float]] = []
    for one in answered:
        from_s = one.answered_s or 0.0
        wait_s = min(one.retry_after_s or 0.0, CLOSURE_STATED_MAX_S)
        if one.at_s > closed_at_s:
            # An answer to a request that had left before is the echo of that closure, and only says what it says.
            wait_s, closed_at_s = max(wait_s, base_s), from_s
        closures.append((from_s + _SAME_S, from_s + wait_s / fast_clock(trace) - _SAME_S))
    for from_s, until_s in closures:
        early = next((one for one in requests if from_s < one.at_s < until_s), None)
        if early is not None:
            told = f"{early.operation} left process {early.process} at {early.at_s:.3f}"
            yield Violation("I10", f"{told}, after a 429 at {from_s:.3f} and before {until_s:.3f}")


def _rate(trace: RunTrace, requests: Sequence[Asked]) -> Iterator[Violation]:
    """Yield the first request that is too many in some window: a bucket that all but the login draw from runs dry."""
    settings = trace.run.settings
    if settings.rate_per_s is None:
        return
    rate_per_s = settings.rate_per_s * fast_clock(trace)
    burst = max(1.0, settings.rate_per_s if settings.burst is None else settings.burst)
    # The leave to write is given before the intent is committed: so many writes may leave later than they were counted.
    full = burst + 1.0 + max(1, settings.connections // 2)
    tokens, last_s = full, 0.0
    for one in requests:
        if one.operation == "token":
            continue
        tokens = min(full, tokens + (one.at_s - last_s) * rate_per_s)
        last_s = one.at_s
        tokens -= 1.0
        if tokens < -_SAME_S:
            told = f"{one.operation} left process {one.process} at {one.at_s:.3f}"
            yield Violation("I10", f"{told}: more than {settings.rate_per_s} a second and {burst} at once")
            return
