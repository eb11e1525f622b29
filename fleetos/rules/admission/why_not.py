"""Admission: the one rule that says why a target does not go on. Pure.

It is asked at three points: before the target leaves the queue, before its first effect, and when its change is about
to be sent. The reasons stand in the order in which they count: the first that holds is the one that people read.
"""

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from fleetos.model.run import Target
from fleetos.model.states import AHEAD, QUEUED, RunState, TargetState
from fleetos.rules.admission.pass_facts import Point, Standing
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason
from fleetos.text import counted

_A, _E, _S = Point.ADMIT, Point.EFFECT, Point.SUBMIT


def why_not(target: Target, standing: Standing, point: Point) -> Waiting | None:
    """Return what keeps the target from going on at that point, None if nothing does."""
    for points, rule in _RULES:
        if point in points:
            waiting = rule(target, standing, point)
            if waiting is not None:
                return waiting
    return None


def why_closed(target: Target, standing: Standing) -> Waiting | None:
    """Return what keeps any effect for the target from being sent at this very moment, None if nothing does."""
    rules = (_off_clock, _unreadable, _blackout, _closed)
    return next((waiting for rule in rules if (waiting := rule(target, standing, Point.EFFECT))), None)


def takes_slot(target: Target) -> bool:
    """Return whether the target takes a slot as it is admitted: the outcome of an earlier send is not known."""
    return target.state is TargetState.WAITING and bool(target.attempts)


def choose_first_state(target: Target) -> TargetState:
    """Return the state of an admitted target: one that is retried after a send is inspected first."""
    return TargetState.INSPECTING if takes_slot(target) else TargetState.CHECKING


def find_wait(target: Target, standing: Standing) -> Waiting | None:
    """Return what keeps a target from being admitted, or from going on before its change; None if nothing does."""
    if target.state in QUEUED:
        return why_not(target, standing, Point.ADMIT)
    if standing.run.state not in (RunState.RUNNING, RunState.PAUSED):
        return None
    if target.state is TargetState.READY:
        # One that the cloud turned away is sent again, but not at once.
        waiting, refused = why_not(target, standing, Point.SUBMIT), _backoff(target, standing, Point.SUBMIT)
        queued = waiting is None or waiting.reason in (WaitReason.CONCURRENCY, WaitReason.PACE)
        return refused if refused is not None and queued else waiting
    before_effect = target.state in AHEAD and not target.calls and target.stopped_at is None
    return why_not(target, standing, Point.EFFECT) if before_effect else None


def may_finish(target: Target, standing: Standing) -> bool:
    """Return whether windows let the target go on to its next attempt: a change may have left its server broken."""
    windows = standing.steering.windows
    return windows is not None and windows.retries == "finish" and any(a.accepted for a in target.attempts)


def _aborted(_: Target, standing: Standing, __: Point) -> Waiting | None:
    if standing.run.state in (RunState.RUNNING, RunState.PAUSED):
        return None
    return Waiting(WaitReason.ABORTED, "the run is being ended and starts no more servers")


def _paused(_: Target, standing: Standing, __: Point) -> Waiting | None:
    run = standing.run
    if run.state is not RunState.PAUSED:
        return None
    why = f" ({run.reason})" if run.reason is not None else ""
    return Waiting(WaitReason.PAUSED, f"the run is paused{why}{f' by {run.by}' if run.by else ''}")


def _scheduled(_: Target, standing: Standing, __: Point) -> Waiting | None:
    begin = standing.steering.not_before
    if begin is None or begin <= standing.now:
        return None
    return Waiting(WaitReason.SCHEDULED, f"scheduled for {_clock(begin)}", begin)


def _wave(target: Target, standing: Standing, _: Point) -> Waiting | None:
    if target.wave <= standing.opened:
        return None
    if target.wave > standing.opened + 1:
        return Waiting(WaitReason.WAVE, f"wave {target.wave} waits for wave {target.wave - 1}")
    return standing.next_wave


def _off_clock(_: Target, standing: Standing, __: Point) -> Waiting | None:
    # Without windows and a begin, the run asks no clock whether it may go on.
    if standing.clock_off is None or (standing.steering.windows is None and standing.steering.not_before is None):
        return None
    return Waiting(WaitReason.CLOCK, f"the cloud's clock and this machine's differ by {standing.clock_off}")


def _unreadable(target: Target, standing: Standing, _: Point) -> Waiting | None:
    file = standing.find_window(target).unreadable
    return None if file is None else Waiting(WaitReason.CALENDAR, f"the calendar {file} cannot be read")


def _blackout(target: Target, standing: Standing, _: Point) -> Waiting | None:
    end = standing.find_window(target).denied.end_at(standing.now)
    return None if end is None else Waiting(WaitReason.BLACKOUT, f"denied until {_clock(end)}", end)


def _closed(target: Target, standing: Standing, _: Point) -> Waiting | None:
    opened = standing.find_window(target).opened
    if opened.end_at(standing.now) is not None or may_finish(target, standing):
        return None
    begin = opened.first_fit(standing.now, timedelta())
    words = "closed, and no opening is known" if begin is None else f"closed until {_clock(begin)}"
    return Waiting(WaitReason.WINDOW, words, begin)


def _does_not_fit(target: Target, standing: Standing, point: Point) -> Waiting | None:
    opened = standing.find_window(target).opened
    end = opened.end_at(standing.now)
    need = timedelta(seconds=standing.need_s(standing.kind_of(target), point))
    if end is None or need <= end - standing.now or may_finish(target, standing):
        return None
    begin = opened.first_fit(standing.now, need)
    then = "no window that long is known" if begin is None else f"next {_clock(begin)}"
    words = f"needs {_minutes(need)}, {_minutes(end - standing.now)} left: {then}"
    return Waiting(WaitReason.FIT, words, begin)


def _backoff(target: Target, standing: Standing, _: Point) -> Waiting | None:
    if target.not_before is None or target.not_before <= standing.now:
        return None
    return Waiting(WaitReason.BACKOFF, f"retry at {target.not_before:%H:%M:%SZ}", target.not_before)


def _unavailable(target: Target, standing: Standing, _: Point) -> Waiting | None:
    for group in standing.groups.of_server(target.server_id):
        if not group.has_room(target.server_id):
            return Waiting(WaitReason.UNAVAILABLE, group.words, group=group.key)
    return None


def _unseen(target: Target, standing: Standing, _: Point) -> Waiting | None:
    for group in standing.groups.of_server(target.server_id):
        out = group.out.get(target.server_id)
        if not (out is not None and out.free) and group.is_unseen(standing.now):
            return Waiting(WaitReason.UNSEEN, f"{group.name}: not all of its servers were seen lately", group=group.key)
    return None


def _no_slot(target: Target, standing: Standing, point: Point) -> Waiting | None:
    if point is Point.SUBMIT or takes_slot(target):
        blocked = standing.free <= 0
    else:
        blocked = standing.places <= 0 and standing.free <= standing.ahead
    if not blocked:
        return None
    limit = standing.run.settings.concurrency
    taken = limit - standing.free
    nearer = f", {counted(standing.ahead, 'server')} ahead" if standing.ahead and point is Point.ADMIT else ""
    return Waiting(WaitReason.CONCURRENCY, f"queued: {taken} of {limit} slots in use{nearer}")


def _too_fast(_: Target, standing: Standing, point: Point) -> Waiting | None:
    if point is Point.SUBMIT:
        if standing.may_send:
            return None
        return Waiting(WaitReason.PACE, "queued: changes are sent as fast as the cloud allows")
    if standing.places > 0:
        return None
    return Waiting(WaitReason.PACE, "queued: no more servers are stopped than changes can be sent")


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%MZ}"


def _minutes(length: timedelta) -> str:
    hours, minutes = divmod(math.ceil(length / timedelta(minutes=1)), 60)
    return f"{hours}h{minutes}m" if hours else f"{minutes}m"


_Rule = Callable[[Target, Standing, Point], Waiting | None]
_RULES: tuple[tuple[tuple[Point, ...], _Rule], ...] = (
    ((_A, _E, _S), _aborted),
    ((_A, _E, _S), _paused),
    ((_A,), _scheduled),
    ((_A,), _wave),
    ((_A, _E, _S), _off_clock),
    ((_A, _E, _S), _unreadable),
    ((_A, _E, _S), _blackout),
    ((_A, _E, _S), _closed),
    ((_A, _S), _does_not_fit),
    ((_A,), _backoff),
    ((_A, _E), _unavailable),
    ((_A, _E), _unseen),
    ((_A, _S), _no_slot),
    ((_A, _S), _too_fast),
)
