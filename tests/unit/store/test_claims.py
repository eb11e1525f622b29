"""The next pass of a run in the database: lease, claims and events together, or nothing."""

from datetime import timedelta

import pytest

from fleetos.errors import (
    ServerClaimed,
    ServerTouched,
    UsageError,
)
from fleetos.model.journal.events import Moved, Retried, RunMoved, RunPassStarted, TargetEvent
from fleetos.model.journal.requests import RequestKind
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.store import queries, runs
from fleetos.store.database.database import Database
from fleetos.store.integrity import find_problems
from fleetos.store.journal import SqlJournal
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import (
    create,
    dead_process,
    drive,
    path_to_done,
    path_to_failed,
    path_to_unknown,
    settle,
    watcher,
)

RUN = a_run()


async def test_a_next_pass_takes_lease_and_claims_together(database: Database, clock: ManualClock) -> None:
    failed, done = some_targets(2)
    lease = await create(database, RUN, [failed, done], clock)
    paths = [(failed, path_to_failed(failed.server_id)), (done, path_to_done(done.server_id))]
    await drive(database, lease, RUN, paths)
    again = [RunPassStarted(2), Retried(failed.server_id, "disk-old")]
    lease = await runs.begin_pass(database, RUN.id, again, START, watcher(clock, dead_process()))
    progress = await queries.load(database, RUN.id)
    assert (progress.run.state, progress.run.passes) == (RunState.RUNNING, 2)
    assert progress.targets[failed.server_id].state is TargetState.WAITING
    assert await find_problems(database) == []
    with pytest.raises(ServerClaimed):
        await create(database, a_run(2), [failed], clock)
    await SqlJournal(database, lease, clock).append(progress.run, [RunMoved(RunState.PAUSED)], [], START)
    assert [one.seq for one in await queries.events(database, RUN.id)] == list(range(1, lease.last_seq + 2))


async def test_a_next_pass_does_not_hear_an_abort_that_came_too_late_for_the_one_before(
    database: Database, clock: ManualClock
) -> None:
    (failed,) = some_targets(1)
    lease = await create(database, RUN, [failed], clock)
    await drive(database, lease, RUN, [(failed, path_to_failed(failed.server_id))])
    await runs.add_request(database, RUN.id, RequestKind.ABORT, "me", START)
    again = [RunPassStarted(2), Retried(failed.server_id, "disk-old")]
    lease = await runs.begin_pass(database, RUN.id, again, START, watcher(clock))
    journal = SqlJournal(database, lease, clock)
    assert await journal.requests() == []
    await runs.add_request(database, RUN.id, RequestKind.ABORT, "me", START)
    assert [one.kind for one in await journal.requests()] == [RequestKind.ABORT]


async def test_a_next_pass_is_refused_as_a_whole(database: Database, clock: ManualClock) -> None:
    failed, done = some_targets(2)
    lease = await create(database, RUN, [failed, done], clock)
    paths = [(failed, path_to_failed(failed.server_id)), (done, path_to_done(done.server_id))]
    await drive(database, lease, RUN, paths)
    before = await queries.load(database, RUN.id)
    both = [RunPassStarted(2), Retried(failed.server_id, "disk-old"), Retried(done.server_id, "disk-new")]
    with pytest.raises(UsageError, match="has changed since this command read it"):
        await runs.begin_pass(database, RUN.id, both, START, watcher(clock))
    await create(database, a_run(2), [failed], clock)
    again = [RunPassStarted(2), Retried(failed.server_id, "disk-old")]
    with pytest.raises(ServerClaimed):
        await runs.begin_pass(database, RUN.id, again, START, watcher(clock))
    after = await queries.load(database, RUN.id)
    assert (after.run, dict(after.targets)) == (before.run, dict(before.targets))
    assert (await queries.summary(database, RUN.id, watcher(clock))).driver is None


async def test_of_two_retries_of_what_both_have_read_the_later_one_is_wrong_usage(
    database: Database, clock: ManualClock
) -> None:
    first, second = some_targets(2)
    lease = await create(database, RUN, [first, second], clock)
    await drive(database, lease, RUN, [(one, path_to_failed(one.server_id)) for one in (first, second)])
    read = [[RunPassStarted(2), Retried(one.server_id, "disk-old")] for one in (first, second)]
    lease = await runs.begin_pass(database, RUN.id, read[0], START, watcher(clock, dead_process()))
    # Its process died, and then it was aborted: whoever listed the servers before that is late, for whichever of them.
    for _ in range(2):
        for events in read:
            with pytest.raises(UsageError, match="has changed since this command read it") as caught:
                await runs.begin_pass(database, RUN.id, events, START, watcher(clock, dead_process(2)))
            assert (caught.value.exit_code, caught.value.hint) == (64, f"fleetos status {RUN.id} says how it is now")
        running = await queries.load(database, RUN.id)
        if running.run.state is RunState.RUNNING:
            path: list[TargetEvent] = [Moved(first.server_id, TargetState.HELD, reason=Reason.ABORTED)]
            await drive(database, lease, running.run, [(running.targets[first.server_id], path)])
    assert (await queries.load(database, RUN.id)).run.passes == 2
    assert await find_problems(database) == []


async def test_a_next_pass_heeds_the_unanswered_send_of_another_run(database: Database, clock: ManualClock) -> None:
    (target,) = some_targets(1)
    lease = await create(database, RUN, [target], clock)
    await drive(database, lease, RUN, [(target, path_to_failed(target.server_id))])
    other = a_run(2, created_at=START + timedelta(hours=1))
    lease = await create(database, other, [target], clock)
    await drive(database, lease, other, [(target, path_to_unknown(target.server_id))])
    await settle(database, other.id, clock)
    again = [RunPassStarted(2), Retried(target.server_id, "disk-old")]
    with pytest.raises(ServerClaimed, match="unanswered"):
        await runs.begin_pass(database, RUN.id, again, START + timedelta(hours=2), watcher(clock))
    # After that day it is still a server that the other run has touched since.
    with pytest.raises(ServerTouched, match=f"run {other.id} has changed {target.name} "):
        await runs.begin_pass(database, RUN.id, again, START + timedelta(hours=26), watcher(clock))
