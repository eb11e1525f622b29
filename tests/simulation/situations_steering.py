"""The situations of what steers a run: nights, closing windows, budgets, waves and groups."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from fleetos.model.journal.events import RunMoved
from fleetos.model.run import Target
from fleetos.model.states import AHEAD, ENDS, IN_FLIGHT, QUEUED, RunState, TargetState
from fleetos.model.steering.rollout import BetweenWaves
from fleetos.model.steering.windows import CalendarFile, Nights
from tests.simulation.checkers.failure_count import FailureCount, stops_by_budget
from tests.simulation.checkers.steering.budgets import exceeded_budgets, number_of
from tests.simulation.checkers.steering.groups import group_of
from tests.simulation.checkers.steering.minute_scan import MinuteScan
from tests.simulation.checkers.steering.waves import WaveHistory
from tests.simulation.checkers.steps import admits, believed
from tests.simulation.run_trace import RunTrace, Step
from tests.simulation.spec_steering import SteeringSpec


def of_steering(trace: RunTrace) -> Iterator[str]:
    """Yield each situation as often as the run came to it."""
    steering = trace.spec.steering
    if steering is None:
        return
    if steering.plan.windows is not None:
        yield from _of_windows(trace, steering)
    yield from _of_budgets(trace)
    if steering.plan.waves:
        yield from _of_waves(trace, steering.plan.waves[0].between)
    if steering.plan.groups:
        yield from _of_groups(trace, steering)


def _of_windows(trace: RunTrace, steering: SteeringSpec) -> Iterator[str]:
    scan, windows = MinuteScan(trace), steering.plan.windows
    rules = () if windows is None else (*(windows.allow or ()), *windows.deny)
    nights = any(isinstance(rule.when, Nights) for rule in rules)
    for step in believed(trace):
        if step.after is not None and admits(step) and nights:
            yield from _of_night(step.record.at)
    for target, state, since_s, until_s in _stays(trace):
        closings = scan.closings(target)
        after, before = (trace.born_at + at_s for at_s in (since_s, until_s))
        for closing in closings[bisect_right(closings, after) : bisect_left(closings, before)]:
            denied = scan.is_denied(target, closing)
            yield f"{'blackout' if denied else 'window-closes'}-over-{_stage(state)}"
        if state in QUEUED and windows is not None and any(isinstance(one.when, CalendarFile) for one in windows.deny):
            for begin_s, end_s in steering.unreadable:
                if max(since_s, begin_s) < min(until_s, end_s):
                    yield "calendar-unreadable-while-one-waits"


def _of_night(at: datetime) -> Iterator[str]:
    """Yield the night in which the clocks are set, if this is one."""
    zone = ZoneInfo("Europe/Berlin")
    begin, end = (moment.astimezone(zone).utcoffset() for moment in (at - timedelta(hours=7), at + timedelta(hours=7)))
    if begin is not None and end is not None and begin != end:
        yield "admitted-in-the-night-of-spring" if end > begin else "admitted-in-the-night-of-autumn"


def _stage(state: TargetState) -> str:
    if state in AHEAD:
        return "ahead"
    if state is TargetState.BACKOFF:
        return "backoff"
    return "flight" if state in IN_FLIGHT else "queue"


def _stays(trace: RunTrace) -> Iterator[tuple[Target, TargetState, float, float]]:
    """Yield each stay of a target in a state that is no end: from when until when, in seconds of the play."""
    since: dict[str, tuple[Target, float]] = {}
    for step in believed(trace):
        after = step.after
        if after is None:
            continue
        at_s = step.record.at.timestamp() - trace.born_at
        before, since_s = since.get(after.server_id, (after, at_s))
        if before.state is not after.state:
            if before.state not in ENDS:
                yield before, before.state, since_s, at_s
            since_s = at_s
        since[after.server_id] = (after, since_s)
    for target, since_s in since.values():
        if target.state not in ENDS:
            yield target, target.state, since_s, trace.ended_s


def _of_budgets(trace: RunTrace) -> Iterator[str]:
    count = FailureCount()
    for step in believed(trace):
        event = step.record.event
        if stops_by_budget(event):
            names = [words.partition(":")[0] for words in exceeded_budgets(trace, count)]
            names += ["first"] * count.exceeds_first(trace.spec.failure.first)
            yield f"stopped-by-{names[0]}-alone" if len(names) == 1 else "stopped-by-several-budgets"
            if event.to is RunState.FINISHING:
                yield "ended-by-a-budget"
        if isinstance(event, RunMoved) and event.to is RunState.RUNNING:
            yield "steered-run-resumed"
        count.step(step)


def _of_waves(trace: RunTrace, between: BetweenWaves) -> Iterator[str]:
    waves = WaveHistory()
    for step in believed(trace):
        after = step.after
        if after is not None and admits(step) and after.wave > waves.opened > 0:
            yield from _of_opening(waves, after.wave, step.record.at, between)
        waves.step(step)


def _of_opening(waves: WaveHistory, wave: int, at: datetime, between: BetweenWaves) -> Iterator[str]:
    """Yield what a wave waited for that opens now."""
    before, rule = wave - 1, between.approval
    ended_at = waves.ended_at.get(before, at)
    if before in waves.promoted:
        yield "wave-opens-though-some-are-left" if waves.left(before) else "wave-opens-in-its-bake"
    else:
        yield "wave-opens-after-its-bake" if at - ended_at > timedelta(minutes=1) else "wave-opens-at-once"
    if rule is not None:
        expired = any(given < at - timedelta(seconds=rule.valid_s) for given in waves.approvals(rule, wave))
        yield "wave-opens-after-an-approval-has-expired" if expired else "wave-opens-approved"


def _of_groups(trace: RunTrace, steering: SteeringSpec) -> Iterator[str]:
    targets: dict[str, Target] = {}
    stops = [
        (write.at - trace.born_at, server_id)
        for write in trace.ledger.writes
        if write.actor == "foreign" and write.operation == "stop" and write.at is not None
        for server_id in write.acted_on
    ]
    for step in believed(trace):
        after = step.after
        while stops and stops[0][0] < step.written.at_s:
            _, server_id = stops.pop(0)
            if server_id in targets and any(one.state in QUEUED for one in targets.values()):
                yield "foreign-stop-while-others-of-its-group-wait"
        if after is not None and step.before is not None and admits(step):
            yield from _of_admission(steering, step, targets)
        if after is not None:
            targets[after.server_id] = after


def _of_admission(steering: SteeringSpec, step: Step, targets: Mapping[str, Target]) -> Iterator[str]:
    """Yield how full the groups of a server are that is admitted."""
    target, written = step.before, step.written
    for rule in steering.plan.groups:
        value = None if target is None else group_of(rule, target)
        members = [one for one in targets.values() if value is not None and group_of(rule, one) == value]
        down = {one for one, (_, until_s) in written.down.items() if until_s >= written.at_s}
        out = [one for one in members if one is not target and (one.state in IN_FLIGHT or one.server_id in down)]
        if target is None or not members:
            continue
        limit, per = number_of(rule.value, len(members), at_least=1), rule.per.partition(":")[0]
        if len(out) + 1 == limit:
            yield f"group-filled-{per}"
        elif len(out) >= limit and target.server_id in down:
            yield f"out-already-in-a-full-group-{per}"
