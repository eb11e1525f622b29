"""The turn of the ring, without any waiting: who may start, who decides what, which reads are due."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from fleetos.clock import Moment
from fleetos.engine.books import Books, trace_key
from fleetos.engine.turn import Turn
from fleetos.limits import POLL_TOGETHER
from fleetos.model.events import RunDriverStarted, RunMoved
from fleetos.model.plan import StopMode
from fleetos.model.run import PowerOutcome, Settings
from fleetos.model.states import QUEUED, Command, Reason, RunState, TargetState, ends_pause
from fleetos.rules import polling
from fleetos.rules.answers import change_forgotten, power_forgotten
from fleetos.rules.needs import Need, Wait
from fleetos.rules.schedule import Room, admit


def begin(books: Books, turn: Turn, driver: str, command: Command) -> None:
    """Writes that this process drives the run, and what a process that died in mid-send has left unknown.

    A pause that the command may not end stays.
    """
    turn.write(RunDriverStarted(driver))
    if turn.run.state is RunState.PAUSED and ends_pause(command, turn.run.reason):
        turn.write(RunMoved(RunState.RUNNING))
    for target in books.progress.targets.values():
        if target.ended:
            continue
        if target.state in QUEUED:
            if turn.run.state is RunState.FINISHING:
                books.touch((target.server_id,))
            continue
        books.open(target.server_id)
        for call in target.calls:
            if call.outcome is PowerOutcome.PENDING:
                books.write(turn, power_forgotten(target, call))
        attempt = target.attempt
        if target.state is TargetState.SUBMITTING and attempt is not None:
            books.write(turn, change_forgotten(target, attempt))


def decide(
    books: Books,
    turn: Turn,
    reads_per_s: float | None,
    sweep_calls: Callable[[int], int],
    writes_per_s: float | None = None,
) -> list[polling.Read]:
    """Lets every target that is due decide, admits whom the slots allow, and returns the reads that are due.

    The rates are those that the cloud bears, None for any.
    """
    now, settings = books.now, turn.run.settings
    books.poll_s = polling.interval_s(turn.slots_taken, reads_per_s, settings, books.fraction())
    together_s = settings.poll_min_s * POLL_TOGETHER
    _choose_instrument(books, sweep_calls)
    due = books.agenda.due(now.elapsed_s, together_s)
    books.touch(server_id for server_id, need in due if isinstance(need, Wait))
    soon = books.watch.soon(now)
    books.allowance = books.allowance.at(now.elapsed_s, writes_per_s, books.watch.lead_s)
    while True:
        for server_id in tuple(books.dirty):
            books.settle(turn, server_id)
        _pause_if_overdue(books, turn)
        room = Room(turn.slots_taken, turn.ahead, soon, books.allowance.places(turn.ready))
        moves = admit(books.queue, turn.run, turn.target, room, now.wall)
        if not moves:
            break
        books.allowance = books.allowance.less(len(moves))
        for move in moves:
            books.write(turn, move)
    late = books.agenda.due(now.elapsed_s, together_s)
    books.touch(server_id for server_id, need in late if isinstance(need, Wait))
    due += late
    reads = list(_not_under_way(books, polling.reads(_still_wanted(books, turn, due))))
    _beat(books, turn, sweep_calls)
    return [*reads, *_next_sweep(books, settings, sweep_calls)]


def _choose_instrument(books: Books, sweep_calls: Callable[[int], int]) -> None:
    """Watches the changes by sweeps when that takes fewer requests than asking each job."""
    changes = len(books.watch.since_s)
    by_sweep = changes > sweep_calls(changes)
    if by_sweep is not books.watch.by_sweep:
        books.watch.by_sweep = by_sweep
        books.touch(books.watch.since_s)


def _beat(books: Books, turn: Turn, sweep_calls: Callable[[int], int]) -> None:
    """Lets those who follow the sweep be swept when their time has come.

    Those who may show something new; the others come along where they fit. Where it is nobody's time, all of them are
    seen: a change that fails may end earlier than any that succeeded.
    """
    watch, following, settings = books.watch, books.agenda.following, turn.run.settings
    if not following:
        watch.beat_at_s = None
        return
    if watch.beat_at_s is None:
        watch.foresee(books.now)
        watch.swept(sweep_calls(len(following)), books.now, settings, books.fraction())
    if books.riders:
        watch.hurry(settings)
    if watch.beat_at_s is not None and books.now.elapsed_s >= watch.beat_at_s and not books.sweeping:
        watch.foresee(books.now)
        others = [one for one in following if one not in books.reading]
        fresh = _worth_a_look(books, others) or others
        if not fresh and not books.unswept:
            # All of them are being read already; a beat that stays due would turn the ring without a pause.
            watch.swept(sweep_calls(len(following)), books.now, settings, books.fraction())
        books.unswept += fresh
        books.reading.update(fresh)


def _worth_a_look(books: Books, servers: Iterable[str]) -> list[str]:
    """Those of the servers that may show something new."""
    return [one for one in servers if books.watch.may_have_ended(one, books.now)]


def conclude(turn: Turn) -> None:
    """Writes the end of a run whose targets have all ended."""
    run = turn.run
    if run.state is RunState.FINISHING and not turn.under_way:
        turn.write(RunMoved(RunState.ABORTED, run.reason, run.detail, run.by))
    elif run.state is RunState.RUNNING and not turn.under_way:
        # A pass after an abort does not change those that the abort left: the run is no more done than before it.
        turn.write(RunMoved(RunState.ABORTED, Reason.ABORTED) if turn.cancelled else RunMoved(RunState.DONE))


def _pause_if_overdue(books: Books, turn: Turn) -> None:
    """Pauses the run when one more change is overdue and as many are as may be in flight, before others are admitted.

    A run that somebody resumed in spite of them goes on, and so does one in which nobody is left to be spared.
    """
    run = turn.run
    more = turn.overdue > books.progress.overdue
    if run.state is RunState.RUNNING and turn.under_way and more and turn.overdue >= run.settings.concurrency:
        are = "change is" if turn.overdue == 1 else "changes are"
        detail = f"{turn.overdue} {are} overdue, as many as may be in flight at once"
        books.write(turn, RunMoved(RunState.PAUSED, Reason.TOO_MANY_OVERDUE, detail))


def next_due_s(books: Books, now: Moment) -> float | None:
    """When the next target is due, on the elapsed clock; None when nothing is."""
    if books.dirty:
        return now.elapsed_s
    beat_s = None if books.sweeping else books.watch.beat_at_s
    dues = [due for due in (books.agenda.next_s(), _queue_due_s(books, now), beat_s) if due is not None]
    return min(dues) if dues else None


def _queue_due_s(books: Books, now: Moment) -> float | None:
    at, progress = books.queue.next_at(), books.progress
    if at is None or progress.run.state is not RunState.RUNNING:
        return None
    if progress.slots_taken + progress.ahead >= progress.run.settings.concurrency:
        return None
    in_s = books.allowance.again_in_s(now.elapsed_s, progress.ready)
    return now.elapsed_s + max(in_s, (at - now.wall).total_seconds())


def _still_wanted(books: Books, turn: Turn, due: list[tuple[str, Need]]) -> Iterator[tuple[str, Need]]:
    for server_id, need in due:
        if books.sighting(server_id) is not None and not turn.target(server_id).ended:
            yield server_id, need


def _next_sweep(books: Books, settings: Settings, sweep_calls: Callable[[int], int]) -> Iterator[polling.Sweep]:
    """The sweep for all that waits for one. One at a time: what comes due meanwhile shares the pages of the next.

    Whoever may show something new comes along where that takes no request more, then those who are next in the queue,
    then all others who follow.
    """
    if not books.unswept or books.sweeping:
        return
    wanted, books.unswept = dict.fromkeys(books.unswept), []
    calls, glimpsed = sweep_calls(len(wanted)), list[str]()

    def fits(more: list[str]) -> list[str]:
        shown = len(wanted) + len(glimpsed)
        return more[: bisect_right(range(len(more)), calls, key=lambda place: sweep_calls(shown + place + 1))]

    others = [one for one in books.agenda.following if one not in books.reading and one not in wanted]
    worth = _worth_a_look(books, others)
    wanted.update(dict.fromkeys(fits(worth)))
    if wanted.keys() >= set(worth):
        books.watch.foresee(books.now)
        books.watch.swept(calls, books.now, settings, books.fraction())
    glimpsed = fits(_next_in_line(books)) if settings.stop is not StopMode.API else []
    wanted.update(dict.fromkeys(fits([one for one in others if one not in wanted])))
    books.reading.update(wanted)
    books.glimpse(glimpsed)
    books.sweeping.update(wanted)
    yield polling.Sweep((*wanted, *glimpsed))


def _next_in_line(books: Books) -> list[str]:
    """Those in the queue who may be admitted before the next sweep: seen along, they can be stopped then."""
    soon = math.ceil(2 * books.watch.soon(books.now)) if books.watch.by_sweep else 0
    return [one for one in books.queue.first(soon, books.now.wall) if one not in books.reading]


def _not_under_way(books: Books, reads: list[polling.Read]) -> Iterator[polling.Read]:
    """The reads that are not under way already, marked as being so."""
    for read in reads:
        match read:
            case polling.Sweep():
                wanted = tuple(one for one in read.server_ids if one not in books.reading)
                books.reading.update(wanted)
                books.unswept += wanted
            case polling.ReadJob(job_id=key) if key in books.reading:
                books.waiting_for(key, read.server_ids)
            case polling.ReadServer(server_id=key) | polling.ReadJob(job_id=key):
                if key not in books.reading:
                    books.reading.add(key)
                    yield read
            case polling.ReadTraces():
                key = trace_key(read.server_id)
                if key not in books.reading:
                    books.reading.add(key)
                    yield read
