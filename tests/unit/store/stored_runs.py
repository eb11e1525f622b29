"""Runs in a database, and the events that lead them there, for the tests of the store."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import (
    AttemptEnded,
    ChangeAnswered,
    ChangeIntended,
    JobEnded,
    Moved,
    RunMoved,
    Settled,
    TargetEvent,
)
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.run import Outcome, Run, Target
from fleetos.model.states import RunState, TargetState
from fleetos.store import queries, runs
from fleetos.store.database.database import Database
from fleetos.store.journal import SqlJournal
from fleetos.store.lease_rows import LeaseRequester
from fleetos.store.leases import Lease
from fleetos.store.process import Holder, this_process
from tests.support.builders import START, STOPPED
from tests.support.clocks import ManualClock


def path_to_done(server_id: str, job_id: str = "job-1") -> list[TargetEvent]:
    """The events of one server that is changed at the first attempt."""
    deadline = START + timedelta(hours=1)
    return [
        Moved(server_id, TargetState.CHECKING),
        Moved(server_id, TargetState.READY),
        ChangeIntended(server_id, 1, STOPPED, deadline),
        ChangeAnswered(server_id, 1, TargetState.CHANGING, "accepted", job_id=job_id, status=200),
        JobEnded(server_id, 1, job_id, JobStatus.SUCCESS),
        AttemptEnded(server_id, 1, Outcome.SUCCEEDED, TargetState.DONE, disk="disk-new", image="image-new"),
    ]


def path_to_unknown(server_id: str) -> list[TargetEvent]:
    """The events of one server whose only send was never answered, up to the end that waits for a human."""
    deadline = START + timedelta(hours=1)
    return [
        Moved(server_id, TargetState.CHECKING),
        Moved(server_id, TargetState.READY),
        ChangeIntended(server_id, 1, STOPPED, deadline),
        ChangeAnswered(server_id, 1, TargetState.INSPECTING, "ambiguous"),
        AttemptEnded(server_id, 1, Outcome.UNKNOWN, TargetState.HELD),
    ]


def path_to_failed(server_id: str) -> list[TargetEvent]:
    """The events of one server whose only attempt was accepted and failed."""
    deadline = START + timedelta(hours=1)
    return [
        Moved(server_id, TargetState.CHECKING),
        Moved(server_id, TargetState.READY),
        ChangeIntended(server_id, 1, STOPPED, deadline),
        ChangeAnswered(server_id, 1, TargetState.CHANGING, "accepted", job_id="job-1", status=200),
        AttemptEnded(server_id, 1, Outcome.FAILED, TargetState.HELD, disk="disk-old", image="image-old"),
    ]


def folded(target: Target, events: list[TargetEvent], at: datetime) -> Target:
    """The target after all of the events."""
    for event in events:
        target = fold_target(target, event, at)
    return target


def dead_process(number: int = 1) -> Holder:
    """A process of this machine that has ended: its id is ours, its start is not."""
    return replace(this_process(), started=number)


def foreign_process() -> Holder:
    """A process of another machine."""
    return replace(this_process(), machine="another", boot="another", host="other-host", pid=4711)


def watcher(clock: ManualClock, me: Holder | None = None) -> LeaseRequester:
    """Who asks for leases on that clock: this process, or the one that is given."""
    return LeaseRequester(me or this_process(), clock, sleep=clock.sleep)


async def create(database: Database, run: Run, frozen: Sequence[Target], clock: ManualClock) -> Lease:
    """A run whose driver has died since."""
    return await runs.create_run(database, run, frozen, [], run.created_at, watcher(clock, dead_process()))


async def drive(database: Database, lease: Lease, run: Run, paths: Sequence[tuple[Target, list[TargetEvent]]]) -> Run:
    """The run after all targets have walked their paths, all ended when those have."""
    journal = SqlJournal(database, lease, ManualClock())
    ended = True
    for target, path in paths:
        after = folded(target, path, run.created_at)
        ended = ended and after.ended
        await journal.append(run, path, [after], run.created_at)
    if ended:
        after_all = fold_run(run, RunMoved(RunState.DONE), run.created_at)
        await journal.append(after_all, [RunMoved(RunState.DONE)], [], run.created_at)
        run = after_all
    await journal.release()
    return run


async def settle(database: Database, run_id: str, clock: ManualClock) -> None:
    """Settle the unknown outcomes of a run that has ended, so that it holds no server any more."""
    targets = (await queries.load(database, run_id)).targets.values()
    events = [Settled(target.server_id) for target in targets if target.ended and target.unsettled]
    if events:
        lease = await runs.begin_pass(database, run_id, events, START, watcher(clock))
        await SqlJournal(database, lease, clock).release()
