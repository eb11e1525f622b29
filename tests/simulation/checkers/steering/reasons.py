"""I21, its other half: what is said of a server that waits is true, and holds until the end that is named."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime

from fleetos.model.journal.events import RunWavePromoted, SettingChanged
from fleetos.model.run import Target
from fleetos.model.states import AHEAD, HOLDS_SLOT, QUEUED
from tests.simulation.checkers.steering.minute_scan import MinuteScan
from tests.simulation.checkers.steps import admits, believed
from tests.simulation.run_trace import RunTrace, StatedWait, Step, Violation

# Whoever was told of waits for a time, and for nothing else.
_TIMED = frozenset({"scheduled", "wave", "blackout", "window", "fit", "backoff"})
_MINUTE_S = 60.0
_SLACK_S = 1.0


def what_is_said_of_waits_holds(trace: RunTrace) -> Iterator[Violation]:
    """I21: at the time at which it is said, and at the next admission of the server."""
    if trace.spec.steering is None or not trace.waits:
        return
    judge, waits = _Judge(trace), sorted(trace.waits, key=lambda wait: wait.records)
    counts = [wait.records for wait in waits]
    begin, last = 0, dict[str, StatedWait]()
    for step in believed(trace):
        end = bisect_right(counts, step.record.seq - 1)
        for wait in waits[begin:end]:
            last[wait.server_id] = wait
            yield from judge.stated(wait)
        begin = end
        yield from _admitted_early(step, last)
        if isinstance(step.record.event, RunWavePromoted):
            # An operator has ended the wait that was spoken of.
            last = {server_id: wait for server_id, wait in last.items() if wait.reason != "wave"}
        judge.step(step)
    for wait in waits[begin:]:
        yield from judge.stated(wait)


def _admitted_early(step: Step, last: dict[str, StatedWait]) -> Iterator[Violation]:
    """Yield the server that goes on before the end that was named when it was last spoken of."""
    after = step.after
    wait = None if after is None else last.pop(after.server_id, None)
    if after is None or wait is None or not admits(step) or wait.reason not in _TIMED or wait.ends_at is None:
        return
    early_s = (wait.ends_at - step.record.at).total_seconds()
    if early_s > _SLACK_S:
        told = f"it was to wait until {wait.ends_at:%H:%M:%S} ({wait.reason})"
        yield Violation("I21", f"record {step.record.seq} admits {after.server_id} {early_s:.0f} s early: {told}")


class _Judge:
    """A run as the journal tells of it up to a record."""

    def __init__(self, trace: RunTrace) -> None:
        self._trace, self._scan = trace, MinuteScan(trace)
        self._targets: dict[str, Target] = {}
        self._concurrency: int | None = None

    def step(self, step: Step) -> None:
        """Take over one record."""
        if self._concurrency is None and step.run is not None:
            self._concurrency = step.run.settings.concurrency
        if isinstance(step.record.event, SettingChanged):
            self._concurrency = step.record.event.concurrency
        if step.after is not None:
            self._targets[step.after.server_id] = step.after

    def stated(self, wait: StatedWait) -> Iterator[Violation]:
        """Yield how a reason was wrong when it was stated."""
        target = self._targets.get(wait.server_id)
        if target is None or target.state not in QUEUED:
            return
        wrong = self._wrong(target, wait)
        if wrong:
            yield Violation("I21", f"at {wait.at_s:.3f} {wait.server_id} waits for {wait.reason}: {wrong}")

    def _wrong(self, target: Target, wait: StatedWait) -> str:
        wall = wait.wall.timestamp()
        match wait.reason:
            case "backoff":
                waits = (
                    target.not_before is not None
                    and target.not_before == wait.ends_at
                    and target.not_before > wait.wall
                )
                return "" if waits else f"it may go on since {target.not_before}"
            case "blackout":
                return self._wrong_end(target, wait) if self._scan.is_denied(target, wall) else "nothing is denied"
            case "window":
                return "its window is open" if self._scan.is_open(target, wall) else self._wrong_opening(target, wait)
            case "concurrency":
                states = [one.state for one in self._targets.values()]
                taken = sum(state in HOLDS_SLOT | AHEAD for state in states)
                limit = self._concurrency or 0
                return "" if taken >= limit else f"{taken} of {limit} slots are in use"
            case _:
                return ""

    def _wrong_end(self, target: Target, wait: StatedWait) -> str:
        """Return how the end of a blackout is wrong: what is denied is no longer, and was until then."""
        if wait.ends_at is None:
            return ""
        end = wait.ends_at.timestamp()
        if self._scan.is_denied(target, end) or not self._scan.is_denied(target, end - _SLACK_S):
            return f"{wait.ends_at} is not its end"
        return ""

    def _wrong_opening(self, target: Target, wait: StatedWait) -> str:
        """Return how the opening of a window is wrong: it is open then, and in no minute before."""
        if wait.ends_at is None or (wait.ends_at - wait.wall).total_seconds() > 2 * 86400.0:
            return ""
        if self._is_beyond(wait.ends_at):
            return ""
        minute, opening = wait.wall.timestamp(), wait.ends_at.timestamp()
        while minute < opening:
            if self._scan.is_open(target, minute):
                return f"it opens by {datetime.fromtimestamp(minute, wait.wall.tzinfo)} already"
            minute += _MINUTE_S
        return "" if self._scan.is_open(target, opening) else f"it is closed at {wait.ends_at}"

    def _is_beyond(self, moment: datetime) -> bool:
        """Return whether the scan, which ends a day after the play, knows nothing of that time."""
        return moment.timestamp() > self._trace.born_at + self._trace.ended_s + 43200.0
