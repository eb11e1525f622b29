"""One pass of the control loop, without I/O: admit, decide, collect due reads."""

from collections.abc import Iterator

from fleetos.clock import Moment
from fleetos.engine.tracker import Tracker
from fleetos.engine.turn import Turn
from fleetos.model.journal.events import RunDriverStarted, RunMoved
from fleetos.model.run import PowerOutcome
from fleetos.model.states import QUEUED, Command, Reason, RunState, TargetState, ends_pause
from fleetos.rules import polling
from fleetos.rules.needs import Need
from fleetos.rules.replies import end_forgotten_change, end_forgotten_power_call

# Reads that are due this soon are sent together with those due now (share of polling.min).
POLL_GROUP_SHARE = 0.25


def begin(tracker: Tracker, turn: Turn, driver: str, command: Command) -> None:
    """Write that this process drives the run, and which outcomes a process that died in mid-send has left unknown.

    A pause that the command may not end stays.
    """
    turn.write_event(RunDriverStarted(driver))
    if turn.run.state is RunState.PAUSED and ends_pause(command, turn.run.reason):
        tracker.write_event(turn, RunMoved(RunState.RUNNING))
    for target in tracker.progress.targets.values():
        if target.ended:
            continue
        if target.state in QUEUED:
            if turn.run.state is RunState.FINISHING:
                tracker.mark_dirty((target.server_id,))
            continue
        tracker.adopt(target.server_id)
        for call in target.calls:
            if call.outcome is PowerOutcome.PENDING:
                tracker.write_event(turn, end_forgotten_power_call(target, call))
        attempt = target.attempt
        if target.state is TargetState.SUBMITTING and attempt is not None:
            tracker.write_event(turn, end_forgotten_change(target, attempt))
    # Servers may have failed while the run was paused for another cause.
    tracker.stop_over_budget(turn)


def reconcile(
    tracker: Tracker, turn: Turn, reads_per_s: float | None, writes_per_s: float | None = None
) -> list[polling.DueRead]:
    """Let every due target decide, admit as many as the slots allow, and return the reads that are due.

    The rates are those that the cloud allows; None: unlimited.
    """
    now, settings, sweeps = tracker.now, turn.run.settings, tracker.sweeps
    sweeps.set_poll_interval(turn.slots_taken, reads_per_s, settings)
    together_s = settings.poll_min_s * POLL_GROUP_SHARE
    if sweeps.choose_method():
        tracker.mark_dirty(tracker.changes.began_s)
    due = tracker.take_due(together_s)
    slots_freed_soon = tracker.changes.slots_freed_soon(now)
    tracker.refill_stop_rate(writes_per_s)
    tracker.check_admitted(turn)
    admitting = True
    while admitting:
        for server_id in tuple(tracker.dirty):
            tracker.evaluate(turn, server_id)
        _pause_if_overdue(tracker, turn)
        admitting = tracker.admit(turn, slots_freed_soon)
    _pause_if_stuck(tracker, turn)
    due += tracker.take_due(together_s)
    reads = list(sweeps.start_reads(polling.plan_reads(_still_wanted(tracker, turn, due))))
    sweeps.schedule(now, settings)
    batch = sweeps.next_batch(now, settings)
    if batch is not None:
        tracker.observe_queued(batch.queued)
        reads.append(polling.Sweep((*batch.server_ids, *batch.queued)))
    reads += tracker.rollout.plan_looks(turn)
    return reads


def conclude(tracker: Tracker, turn: Turn) -> None:
    """Write the ends of waves, and the end of a run whose targets have all ended, after its last bake."""
    for event in tracker.rollout.wave_events(turn):
        tracker.write_event(turn, event)
    run = turn.run
    if run.state is RunState.FINISHING and not turn.under_way:
        by_budget = run.reason is Reason.BUDGET
        turn.write_event(RunMoved(RunState.FAILED if by_budget else RunState.ABORTED, run.reason, run.detail, run.by))
    elif run.state is RunState.RUNNING and not turn.under_way and tracker.rollout.bakes_until(run, turn.at) is None:
        # A pass after an abort does not change those that the abort left: the run is no more done than before it.
        turn.write_event(RunMoved(RunState.ABORTED, Reason.ABORTED) if turn.cancelled else RunMoved(RunState.DONE))


def _pause_if_overdue(tracker: Tracker, turn: Turn) -> None:
    """Pause the run before it admits more, when one more change is overdue and as many are as may be in flight.

    A run that an operator resumed in spite of them goes on, and so does one in which no target is left to be spared.
    """
    run = turn.run
    increased = turn.overdue > tracker.progress.overdue
    if run.state is RunState.RUNNING and turn.under_way and increased and turn.overdue >= run.settings.concurrency:
        are = "change is" if turn.overdue == 1 else "changes are"
        detail = f"{turn.overdue} {are} overdue, as many as may be in flight at once"
        tracker.write_event(turn, RunMoved(RunState.PAUSED, Reason.TOO_MANY_OVERDUE, detail))


def _pause_if_stuck(tracker: Tracker, turn: Turn) -> None:
    """Pause a run in which everybody waits for what no time ends."""
    waiting = tracker.rollout.find_stuck(turn)
    if waiting is not None:
        tracker.write_event(turn, RunMoved(RunState.PAUSED, Reason.STUCK, waiting.words))


def next_due_s(tracker: Tracker, now: Moment) -> float | None:
    """Return when the next target is due, on the elapsed clock; None when nothing is."""
    if tracker.dirty:
        return now.elapsed_s
    run, rollout = tracker.progress.run, tracker.rollout
    times = [at for at in (rollout.bakes_until(run, now.wall), rollout.next_check_at(run)) if at is not None]
    steered_s = now.elapsed_s + (min(times) - now.wall).total_seconds() if times else None
    dues = (tracker.agenda.next_due_s(), tracker.next_admission_s(now), tracker.sweeps.next_due_s, steered_s)
    return min((due_s for due_s in dues if due_s is not None), default=None)


def _still_wanted(tracker: Tracker, turn: Turn, due: list[tuple[str, Need]]) -> Iterator[tuple[str, Need]]:
    for server_id, need in due:
        if tracker.observations_of(server_id) is not None and not turn.target(server_id).ended:
            yield server_id, need
