"""I17: nothing is admitted, stopped or changed outside of its window, by a scan of minutes.

What a change has left broken gets its next attempt outside too, where the plan lets it; but never in what is denied.
"""

from collections.abc import Iterator

from fleetos.model.journal.events import ChangeIntended, PowerIntended
from fleetos.model.run import Target
from fleetos.model.steering.windows import CalendarFile
from tests.simulation.checkers.steering.minute_scan import MinuteScan
from tests.simulation.checkers.steps import admits, believed
from tests.simulation.run_trace import RunTrace, Step, Violation
from tests.support.ledger import CHANGES

# A calendar file is read each minute, by a process that may have something else to do.
_READ_EVERY_S = 75.0
# A write may leave so long after it was decided upon.
_SENT_LATE_S = 6.0


def nothing_outside_its_window(trace: RunTrace) -> Iterator[Violation]:
    """I17: at each admission, at the first stop, at each change, and for each of them as it leaves."""
    steering = trace.spec.steering
    if steering is None or steering.plan.windows is None:
        return
    judge = _Judge(trace)
    for step in believed(trace):
        after = step.after
        if after is None:
            continue
        what = _begun(step)
        if what:
            why = judge.why_closed(step.before or after, step.record.at.timestamp(), step.written.at_s, what)
            if why:
                yield Violation("I17", f"record {step.record.seq} {what} {after.server_id}: {why}")
    yield from judge.sent()


def _begun(step: Step) -> str:
    """Return what the record begins: an admission, a first stop, or a change; empty for everything else."""
    event, before = step.record.event, step.before
    if admits(step):
        return "admits"
    if isinstance(event, PowerIntended) and event.verb == "stop" and before is not None:
        first = not before.calls and before.stopped_at is None and before.then is None
        return "stops" if first else ""
    return "changes" if isinstance(event, ChangeIntended) else ""


class _Judge:
    """Windows of one play, and who may go on outside of them."""

    def __init__(self, trace: RunTrace) -> None:
        self._trace, self._scan = trace, MinuteScan(trace)
        steering = trace.spec.steering
        self._unreadable = () if steering is None else steering.unreadable
        windows = self._scan.windows
        self._fit_s = 0.0 if windows is None else windows.fit.seconds or 0.0
        self._finishes = windows is not None and windows.retries == "finish"
        self._by_file = windows is not None and any(isinstance(rule.when, CalendarFile) for rule in windows.deny)

    def why_closed(self, target: Target, wall: float, at_s: float, what: str) -> str:
        """Return why nothing may begin at that time of the machine's clock, empty if it may."""
        if self._scan.is_denied(target, wall):
            return f"{wall:.3f} is denied"
        if self._by_file and any(since + _READ_EVERY_S < at_s < until for since, until in self._unreadable):
            return f"the calendar cannot be read at {at_s:.3f}"
        if self._may_finish(target):
            return ""
        if not self._scan.is_open(target, wall):
            return f"{wall:.3f} is in no window"
        if what != "stops" and self._fit_s and not self._scan.is_open_for(target, wall, self._fit_s):
            return f"at {wall:.3f} less than {self._fit_s:g} s are left"
        return ""

    def _may_finish(self, target: Target) -> bool:
        """Return whether an attempt of the target was accepted, and the plan lets it finish."""
        accepted = any(attempt.accepted_at is not None or attempt.adopted for attempt in target.attempts)
        return self._finishes and accepted

    def sent(self) -> Iterator[Violation]:
        """Yield the changes that left in what is denied, or in no window."""
        for sent in self._trace.sent:
            target = sent.targets.get(sent.servers[0])
            if sent.operation not in CHANGES or target is None or sent.wall is None:
                continue
            wall = sent.wall.timestamp()
            moments = (wall, wall - _SENT_LATE_S)
            if all(self._scan.is_denied(target, moment) for moment in moments):
                yield Violation("I17", f"a change of {target.server_id} left at {sent.at_s:.3f}, which is denied")
            elif not self._may_finish(target) and not any(self._scan.is_open(target, moment) for moment in moments):
                yield Violation("I17", f"a change of {target.server_id} left at {sent.at_s:.3f}, outside of its window")
