"""The situations that few worlds can come to: what their clouds and plans are like, and what the operator did."""

from collections.abc import Iterator

from fleetos.model.journal.events import Enlisted, Moved, NotDelivered, Retried, Settled
from fleetos.model.run import Outcome, Target
from fleetos.model.states import TargetState
from tests.simulation.checkers.exemptions import settle_s
from tests.simulation.checkers.steps import believed
from tests.simulation.run_trace import RunTrace
from tests.support.ledger import CHANGES


def of_few(trace: RunTrace) -> Iterator[str]:
    """Yield each situation as often as the run came to it."""
    yield from _of_ledger(trace)
    if trace.earlier is not None:
        yield "second-run"
    for step in believed(trace):
        before = step.before
        match step.record.event:
            case Enlisted(target=target) if target.last_unanswered_at is not None:
                yield "second-run-remembers-a-send"
            case Settled():
                yield "outcome-let-rest"
            case Retried() if before is not None and before.attempts and before.attempts[-1].outcome is Outcome.UNKNOWN:
                yield "retry-of-what-was-let-rest"
            case NotDelivered() if not trace.spec.scenario.logs:
                yield "resend-without-logs"
            case Moved(to=TargetState.INSPECTING) if before is not None and _runs(trace, before, step.written.at_s):
                yield "running-job-unknown"
            case _:
                pass


def _of_ledger(trace: RunTrace) -> Iterator[str]:
    for write in trace.ledger.writes:
        if write.operation not in CHANGES or write.actor != "client" or write.came != "accepted":
            continue
        if write.sent_at < trace.began_at:
            continue
        if write.copy_of is not None:
            yield "change-accepted-twice"
        elif write.image_before is None:
            yield "changed-without-an-image"
        elif write.operation == "changeos" and write.image_before == write.image_id:
            yield "changed-to-its-own-image"
        if write.ended_at is not None and write.at is not None and write.ended_at - write.at > settle_s(trace):
            yield "change-longer-than-a-settle"
    for disk in trace.ledger.disks:
        foreign = disk.made_by is not None and trace.ledger.write(disk.made_by).actor == "foreign"
        if foreign and disk.successful is False and disk.made_at >= trace.began_at:
            yield "foreign-change-fails"


def _runs(trace: RunTrace, target: Target, at_s: float) -> bool:
    """Return whether a job that its client holds for unknown goes on."""
    job_id = target.attempts[-1].job_id if target.state is TargetState.CHANGING and target.attempts else None
    job = trace.world.jobs.get(job_id or "")
    return job is not None and (job.ended_at is None or job.ended_at > trace.born_at + at_s)
