"""The turn of the ring, without any waiting: who may start, who decides what, which reads are due."""

from collections.abc import Iterator

from fleetos.clock import Moment
from fleetos.engine.tracker import Tracker
from fleetos.engine.turn import Turn
from fleetos.limits import POLL_GROUP_SHARE
from fleetos.model.journal.events import RunDriverStarted, RunMoved
from fleetos.model.run import PowerOutcome
from fleetos.model.states import QUEUED, Command, Reason, RunState, TargetState, ends_pause
from fleetos.rules import polling
from fleetos.rules.needs import Need
from fleetos.rules.replies import change_forgotten, power_forgotten


def begin(books: Tracker, turn: Turn, driver: str, command: Command) -> None:
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
                books.mark_dirty((target.server_id,))
            continue
        books.adopt(target.server_id)
        for call in target.calls:
            if call.outcome is PowerOutcome.PENDING:
                books.write(turn, power_forgotten(target, call))
        attempt = target.attempt
        if target.state is TargetState.SUBMITTING and attempt is not None:
            books.write(turn, change_forgotten(target, attempt))


def reconcile(
    books: Tracker, turn: Turn, reads_per_s: float | None, writes_per_s: float | None = None
) -> list[polling.Read]:
    """Let every target that is due decide, admit whom the slots allow, and return the reads that are due.

    The rates are those that the cloud bears, None for any.
    """
    now, settings, sweeps = books.now, turn.run.settings, books.sweeps
    sweeps.set_poll_interval(turn.slots_taken, reads_per_s, settings)
    together_s = settings.poll_min_s * POLL_GROUP_SHARE
    if sweeps.choose_method():
        books.mark_dirty(books.watch.since_s)
    due = books.take_due(together_s)
    slots_freed_soon = books.watch.slots_freed_soon(now)
    books.refill_allowance(writes_per_s)
    admitting = True
    while admitting:
        for server_id in tuple(books.dirty):
            books.settle(turn, server_id)
        _pause_if_overdue(books, turn)
        admitting = books.admit(turn, slots_freed_soon)
    due += books.take_due(together_s)
    reads = list(sweeps.start_reads(polling.reads(_still_wanted(books, turn, due))))
    sweeps.schedule(now, settings)
    batch = sweeps.next_batch(now, settings)
    if batch is not None:
        books.observe_queued(batch.queued)
        reads.append(polling.Sweep((*batch.server_ids, *batch.queued)))
    return reads


def conclude(turn: Turn) -> None:
    """Writes the end of a run whose targets have all ended."""
    run = turn.run
    if run.state is RunState.FINISHING and not turn.under_way:
        turn.write(RunMoved(RunState.ABORTED, run.reason, run.detail, run.by))
    elif run.state is RunState.RUNNING and not turn.under_way:
        # A pass after an abort does not change those that the abort left: the run is no more done than before it.
        turn.write(RunMoved(RunState.ABORTED, Reason.ABORTED) if turn.cancelled else RunMoved(RunState.DONE))


def _pause_if_overdue(books: Tracker, turn: Turn) -> None:
    """Pauses the run when one more change is overdue and as many are as may be in flight, before others are admitted.

    A run that somebody resumed in spite of them goes on, and so does one in which nobody is left to be spared.
    """
    run = turn.run
    more = turn.overdue > books.progress.overdue
    if run.state is RunState.RUNNING and turn.under_way and more and turn.overdue >= run.settings.concurrency:
        are = "change is" if turn.overdue == 1 else "changes are"
        detail = f"{turn.overdue} {are} overdue, as many as may be in flight at once"
        books.write(turn, RunMoved(RunState.PAUSED, Reason.TOO_MANY_OVERDUE, detail))


def next_due_s(books: Tracker, now: Moment) -> float | None:
    """Return when the next target is due, on the elapsed clock; None when nothing is."""
    if books.dirty:
        return now.elapsed_s
    dues = (books.agenda.next_s(), books.next_admission_s(now), books.sweeps.next_due_s)
    return min((due_s for due_s in dues if due_s is not None), default=None)


def _still_wanted(books: Tracker, turn: Turn, due: list[tuple[str, Need]]) -> Iterator[tuple[str, Need]]:
    for server_id, need in due:
        if books.observations_of(server_id) is not None and not turn.target(server_id).ended:
            yield server_id, need
