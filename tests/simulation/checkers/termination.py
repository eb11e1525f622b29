"""I7: a play comes to its end, and nothing is waited for beyond its time."""

from collections.abc import Iterator

from fleetos.model.journal.events import RunDriverStarted
from fleetos.model.plan import StopMode
from fleetos.model.states import IN_FLIGHT, TargetState
from tests.simulation.checkers.exemptions import settle_s
from tests.simulation.checkers.steps import believed
from tests.simulation.run_trace import RunTrace, Violation


def comes_to_an_end(trace: RunTrace) -> Iterator[Violation]:
    """I7: once the faults have stopped the run ends within its bound, all its targets at rest, by no defect."""
    if not trace.came_to_end:
        told = f"at {trace.ended_s:.0f} s, all faults over since {trace.calm_s:.0f} s, the run is {trace.run.state}"
        yield Violation("I7", f"{told}; the bound was {trace.bound_s:.0f} s")
    yield from _waited_for_too_long(trace)
    for target in trace.targets.values():
        if target.state in IN_FLIGHT:
            yield Violation("I7", f"{target.server_id} is left {target.state}")
    for session in trace.sessions:
        if session.ended == "defect":
            yield Violation("I7", f"process {session.process} ended at {session.ended_s:.3f}: {session.trouble}")


def _waited_for_too_long(trace: RunTrace) -> Iterator[Violation]:
    """Yield the changes that were waited for beyond their deadline and as long again, by a process that met no faults.

    Who takes over a run, or comes to see a change go on, may look for a settle time, however late that is; nothing
    gives a change its time anew.
    """
    began_s, spec, clocks = 0.0, trace.spec, trace.spec.clocks
    slack_s = 2 * clocks.apart_s + sum(abs(jump.by_s) for jump in clocks.jumps) + 5 * spec.polling.max_s
    # A settle lasts twice the longest change that was seen, and one that stops its server takes the time of that too.
    durations = spec.scenario.durations
    longest_s = durations.change[1] + (durations.stop[1] if spec.rollout.stop is StopMode.API else 0.0)
    look_s = max(settle_s(trace), 2 * longest_s)
    since_s: dict[str, float] = {}
    for step in believed(trace):
        written, record, before, after = step.written, step.record, step.before, step.after
        if isinstance(record.event, RunDriverStarted):
            began_s = written.at_s
        attempt = before.attempt if before is not None else None
        if after is None or before is None or attempt is None:
            continue
        if before.state is TargetState.CHANGING and not attempt.job_final and began_s >= trace.calm_s:
            due_s = attempt.deadline.timestamp() - trace.born_at + spec.timeouts.change_s
            late_s = written.at_s - max(due_s, max(began_s, since_s[after.server_id]) + look_s)
            if late_s > slack_s:
                yield Violation("I7", f"record {record.seq} ends a wait for {after.server_id}, {late_s:.0f} s too late")
        if before.state is not TargetState.CHANGING:
            since_s[after.server_id] = written.at_s
