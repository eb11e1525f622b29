"""What is promised, and of which writes nothing is: every exemption of the checkers is here, each with its bound.

The numbers are those of the plan and of the protocol, not those that the run was frozen with.
"""

from collections.abc import Iterator, Mapping

from fleetos.model.journal.events import ChangeAnswered, Enlisted, Retried
from fleetos.sim.scenario.faults import Show
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.servers import SimDisk
from tests.simulation.checkers.steps import groups, of_run
from tests.simulation.run_trace import RunTrace
from tests.support.ledger import CHANGES

# The settle time of a plan that names none, on a cloud of this machine and on any other that is not known.
_SETTLE_NEAR_S, _SETTLE_FAR_S = 10.0, 1800.0
# How the cloud answers for a job that it knows, and for one that it does not.
_OK, _NO_SUCH_JOB = 200, (400, 404)
# What a cloud shows may be older than its answer by this.
_STALE_S = 30.0
# Two looks so far apart that show a server stopped prove that a stop is over.
QUIET_S = 30.0
# For so long a server with a send that was never answered is not stopped; by the wall clock, which may have been set.
DAY_S = 22 * 3600.0


def fast_clock(trace: RunTrace) -> float:
    """Return by how much the clocks of this play's machines run ahead at most: 1.0001 s of theirs in a true second."""
    return 1.0 + abs(trace.spec.clocks.drift)


def settle_s(trace: RunTrace) -> float:
    """Return the least true time that a settle of this plan takes."""
    told_s = trace.spec.timeouts.settle_s
    if told_s is None:
        told_s = _SETTLE_NEAR_S if trace.spec.loopback else _SETTLE_FAR_S
    return told_s / fast_clock(trace)


def beyond_promise(trace: RunTrace, write: LedgerEntry) -> bool:
    """Return whether nothing is promised of this delivery: it came a settle or more after it was sent, or twice.

    A client that was told of the first delivery cannot know of the second; only the fence stands before it. So there
    is no exemption for a client that has taken the fence away itself, by a stop in between.
    """
    late = write.at is not None and write.at - write.sent_at >= settle_s(trace)
    return (late or write.copy_of is not None) and not _stopped_between(trace, write)


def _stopped_between(trace: RunTrace, write: LedgerEntry) -> bool:
    """Return whether a client had its server stopped after the write was sent, and before it came."""
    if write.operation not in CHANGES or write.at is None:
        return False
    until = min(write.at, write.sent_at + DAY_S)
    return any(
        stop.operation == "stop"
        and stop.actor == "client"
        and stop.came == "accepted"
        and write.servers[0] in stop.acted_on
        and write.sent_at < stop.sent_at <= until
        for stop in trace.ledger.writes
    )


def overtaken(trace: RunTrace, stop: LedgerEntry, server_id: str) -> bool:
    """Return whether this copy of a stop took the server down when what was sent after that stop was done already.

    A stop is done once its job has ended or two looks half a minute apart say so, and no cloud changes an OS in less.
    What goes on of a second delivery after that nobody is told: a change, or a start that puts the server back, may
    have ended before it acts, however early it came. Both turn the server on, so a copy by which it lies stopped acted
    later.
    """
    if stop.copy_of is None or stop.at is None or stop.at - stop.sent_at >= QUIET_S:
        return False
    return any(
        _turned_on(write, server_id)
        for write in trace.ledger.writes
        if write.came == "accepted" and server_id in write.servers and write.sent_at >= stop.sent_at
    )


def _turned_on(write: LedgerEntry, server_id: str) -> bool:
    """Return whether a start of ours, or a change that succeeded in less than half a minute, turned the server on."""
    if write.operation in CHANGES:
        return write.ended == "success" and write.ended_at is not None and write.ended_at - write.sent_at < QUIET_S
    return write.operation == "start" and write.actor == "client" and server_id in write.acted_on


def held_for_lost(trace: RunTrace, write: LedgerEntry, at: float, within_s: float) -> bool:
    """Return whether a change that was sent so long before a time of the ledger may be taken for lost by then.

    Not if its client had been told of its job and that went on, unless the cloud did not know it for a whole settle.
    """
    if at - write.sent_at < within_s:
        return False
    return not _known_to_run(trace, write, at) or denied_for_a_settle(trace, write, at - trace.born_at)


def _known_to_run(trace: RunTrace, write: LedgerEntry, at: float) -> bool:
    job = trace.world.jobs.get(write.job_id or "")
    told_at = None if job is None else told_jobs(trace).get(job.id)
    if job is None or told_at is None or trace.born_at + told_at > at:
        return False
    visible = at >= job.begun_at + job.visible_after_s
    return visible and (job.ended_at is None or job.ended_at > at)


def denied_for_a_settle(trace: RunTrace, write: LedgerEntry, at_s: float) -> bool:
    """Return whether all that the cloud said of a job for a settle, up to then, was that it knows none.

    Answers that say nothing of a job, be they of a gateway or too many requests, do not count.
    """
    answers = sorted(
        (one.answered_s, one.status in _NO_SUCH_JOB)
        for one in trace.asked
        if one.about == write.job_id and one.status in (_OK, *_NO_SUCH_JOB) and one.answered_s is not None
    )
    denied_s: list[float] = []
    for answered_s, denied in answers:
        if answered_s <= at_s:
            denied_s = [*denied_s, answered_s] if denied else []
    return bool(denied_s) and denied_s[-1] - denied_s[0] >= settle_s(trace)


def told_of_end(trace: RunTrace, change: LedgerEntry) -> bool:
    """Return whether the cloud has answered for the job of a change once that had ended."""
    job = trace.world.jobs.get(change.job_id or "")
    if job is None or job.ended_at is None:
        return False
    ended_s = job.ended_at - trace.born_at
    return any(one.about == job.id and one.status == _OK and one.at_s >= ended_s for one in trace.asked)


def told_jobs(trace: RunTrace) -> Mapping[str, float]:
    """Return the jobs of changes that are on record, and when they became durable, in seconds of the play."""
    return {
        record.event.job_id: written.at_s
        for written, records in groups(trace)
        for record in records
        if isinstance(record.event, ChangeAnswered) and record.event.job_id is not None
    }


def looks_finished(trace: RunTrace, change: LedgerEntry) -> bool:
    """Return whether somebody started the server in the middle of a change whose job nobody knows.

    From then on it runs with the new disk, as after a success, until the change fails and takes the disk away.
    """
    started = any(
        write.actor == "foreign" and write.operation == "start" and change.seq in write.during
        for write in trace.ledger.writes
    )
    return started and change.job_id not in told_jobs(trace)


def image_shown_late(trace: RunTrace) -> bool:
    """Return whether the new image may show only when a settle is over: then nobody can tell that it ever did.

    It shows so much later than the server runs, and a read may be older than its answer by half a minute.
    """
    manner = trace.spec.scenario.change
    kinds = (manner.image_flips, *(rule.image_flips for rule in trace.spec.faults if isinstance(rule, Show)))
    late = any(kind == "late" or (isinstance(kind, tuple) and "late" in kind) for kind in kinds)
    return late and manner.flip_lag_s + _STALE_S >= settle_s(trace)


def left_no_trace(trace: RunTrace, write: LedgerEntry) -> bool:
    """Return whether nothing tells that a change was ever accepted: no answer, no log, and the server as it was.

    A log that is behind shows nothing where that and the delay of the request reach a settle time together.
    """
    cloud = trace.spec.scenario
    unseen = write.ended in ("failed", "no-effect") and write.disk_before not in write.disks_destroyed
    delay_s = 0.0 if write.at is None else write.at - write.sent_at
    unlogged = not cloud.logs or (cloud.action_log.lag_s > 0 and delay_s + cloud.action_log.lag_s >= settle_s(trace))
    return unseen and unlogged and write.job_id not in told_jobs(trace)


def named_by_operator(trace: RunTrace, disk: SimDisk, before_s: float) -> bool:
    """Return whether the operator named the disk as one to be wiped, before that second of the play.

    A retry names the last disk of its server that is known, and a new run those that earlier ones have left.
    """
    return any(
        server_id == disk.server_id and disk_id == disk.id and at_s <= before_s
        for at_s, server_id, disk_id in _named(trace, earlier=not of_run(trace, disk.made_by))
    )


def _named(trace: RunTrace, *, earlier: bool) -> Iterator[tuple[float, str, str | None]]:
    for written, records in groups(trace):
        for record in records:
            match record.event:
                case Retried(server_id=server_id, disk=disk):
                    yield written.at_s, server_id, disk
                case Enlisted(target=target) if earlier:
                    yield written.at_s, target.server_id, target.disk
                case _:
                    pass
