"""Earlier runs: what they changed, in which order, and whom a next pass leaves alone for it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.errors import ServerTouched, StoreError
from fleetos.model.journal.events import Moved, Retried, RunPassStarted, TargetEvent
from fleetos.model.states import Reason, TargetState
from fleetos.store import history, queries, runs
from fleetos.store.database.database import Database
from fleetos.store.integrity import find_problems
from fleetos.store.journal import SqlJournal
from tests.support.builders import START, a_run, a_target, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import (
    dead_process,
    folded,
    path_to_done,
    path_to_failed,
    path_to_unknown,
    settle,
    watcher,
)
from tests.unit.store.test_runs import RUN, create, drive


@pytest.mark.parametrize("path", [path_to_done, path_to_failed, path_to_unknown])
async def test_a_next_pass_leaves_what_a_newer_run_has_changed(
    database: Database, clock: ManualClock, path: Callable[[str], list[TargetEvent]]
) -> None:
    theirs, ours = some_targets(2)
    lease = await create(database, RUN, [theirs, ours], clock)
    await drive(database, lease, RUN, [(one, path_to_failed(one.server_id)) for one in (theirs, ours)])
    # Its clock goes slow: by the times alone the newer run was first.
    newer = a_run(2, created_at=START + timedelta(seconds=1))
    lease = await create(database, newer, [theirs], clock)
    late = replace(newer, created_at=START - timedelta(hours=1))
    await drive(database, lease, late, [(theirs, path(theirs.server_id))])
    await settle(database, newer.id, clock)
    ids = [theirs.server_id, ours.server_id]
    assert await history.touched_since(database, RUN.id, ids) == {theirs.server_id: newer.id}
    begins = RunPassStarted(2)
    for server_id in ids:
        again = [begins, Retried(server_id, "disk-old")]
        if server_id == theirs.server_id:
            with pytest.raises(StoreError, match=f"{newer.id}|unanswered"):
                await runs.begin_pass(database, RUN.id, again, START, watcher(clock))
        else:
            await runs.begin_pass(database, RUN.id, again, START, watcher(clock))


async def test_an_older_run_counts_if_it_changed_the_server_later(database: Database, clock: ManualClock) -> None:
    (target,) = some_targets(1)
    lease = await create(database, RUN, [target], clock)
    await drive(database, lease, RUN, [(target, path_to_failed(target.server_id))])
    newer = a_run(2, created_at=START + timedelta(hours=1))
    held = Moved(target.server_id, TargetState.HELD, Reason.LOCKED)
    await drive(database, await create(database, newer, [target], clock), newer, [(target, [held])])
    assert await history.touched_since(database, RUN.id, [target.server_id]) == {}
    assert await history.touched_since(database, newer.id, [target.server_id]) == {}
    at = START + timedelta(hours=2)
    again = [RunPassStarted(2), Retried(target.server_id, "disk-old")]
    lease = await runs.begin_pass(database, RUN.id, again, at, watcher(clock))
    tried = folded((await queries.load(database, RUN.id)).targets[target.server_id], [], at)
    tried = replace(tried, attempts=tuple(replace(one, sent_at=at) for one in tried.attempts))
    await SqlJournal(database, lease, clock).append((await queries.load(database, RUN.id)).run, [], [tried], at)
    assert await history.touched_since(database, newer.id, [target.server_id]) == {target.server_id: RUN.id}


@pytest.mark.parametrize("hours", [-5, 0, 5])
async def test_what_was_committed_later_is_later_whatever_the_clocks_say(
    database: Database, clock: ManualClock, hours: int
) -> None:
    mended, spoilt = some_targets(2)
    first, second = a_run(1), a_run(2, created_at=START + timedelta(hours=hours))
    lease = await create(database, first, [mended, spoilt], clock)
    paths = [(mended, path_to_failed(mended.server_id)), (spoilt, path_to_done(spoilt.server_id))]
    await drive(database, lease, first, paths)
    renamed = replace(mended, name="new-name")
    lease = await create(database, second, [renamed, spoilt], clock)
    paths = [(renamed, path_to_done(mended.server_id)), (spoilt, path_to_failed(spoilt.server_id))]
    await drive(database, lease, second, paths)
    both = [mended.server_id, spoilt.server_id]
    asking = watcher(clock)
    assert [one.run.id for one in await queries.runs_of_digest(database, first.digest, asking)] == [second.id, first.id]
    assert [one.run.id for one in await queries.newest_runs(database, asking, limit=1)] == [second.id]
    assert await history.bad_attempts(database, both) == {spoilt.server_id}
    assert (await history.last_changes(database, both))[mended.server_id].run_id == second.id
    assert (await history.former_servers(database, both, []))[mended.server_id] == "new-name"
    # The older run may not take up again what the newer one has changed.
    again = [RunPassStarted(2), Retried(mended.server_id, "disk-old")]
    at = second.created_at - timedelta(hours=1)
    with pytest.raises(ServerTouched, match=second.id):
        await runs.begin_pass(database, first.id, again, at, watcher(clock, dead_process()))
    assert await find_problems(database) == []


async def test_servers_that_are_gone_are_remembered(database: Database, clock: ManualClock) -> None:
    first, second = some_targets(2)
    await create(database, RUN, [first, second], clock)
    later = a_run(2, created_at=START + timedelta(days=1))
    named_alike = replace(a_target(7), name=second.name)
    await create(database, later, [named_alike], clock)
    known = await history.former_servers(database, [first.server_id, "other"], [second.name, "nobody"])
    assert known == {first.server_id: first.name, named_alike.server_id: second.name}
    assert await history.former_servers(database, [], []) == {}
