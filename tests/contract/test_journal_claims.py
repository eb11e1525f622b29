"""Claims that an append takes anew, for servers that their run had given up: in its own commit, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fleetos.engine.protocols import Journal
from fleetos.errors import JournalUnwritable, ServerClaimed
from fleetos.model.journal.events import Event, Moved, Record, Released, Retried
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.requests import RequestKind
from fleetos.model.run import Target
from fleetos.model.states import Reason, TargetState
from fleetos.store import claims, history, queries, runs
from tests.contract.journal_factories import OTHER, JournalFactory, SqlJournalFactory, build_house
from tests.contract.test_journal_contract import assert_consistent, walk
from tests.support.builders import START, a_run, some_targets
from tests.support.postgres import server_ends
from tests.unit.store.stored_runs import dead_process, drive, path_to_done, path_to_failed, settle, watcher

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)
RUN = a_run()
HELD = TargetState.HELD


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def factory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JournalFactory]:
    built = await build_house(str(request.param), tmp_path)
    yield built
    await built.close()


async def hold(journal: Journal, target: Target) -> Target:
    return await walk(journal, target, [Moved(target.server_id, HELD, Reason.OPERATOR)])


async def release(journal: Journal, held: Sequence[Target], answered: Sequence[int] = ()) -> Sequence[Record]:
    events = [Released(target.server_id, TargetState.WAITING) for target in held]
    after = [fold_target(target, event, START) for target, event in zip(held, events, strict=True)]
    return await journal.append(RUN, events, after, START, answered)


async def held_by_us(factory: JournalFactory) -> set[str]:
    return {server_id for server_id, (is_held, _) in (await factory.claims()).items() if is_held}


async def test_a_release_takes_the_claims_in_its_own_commit(factory: JournalFactory) -> None:
    targets = some_targets(3)
    journal = await factory.create(RUN, targets)
    held = [await hold(journal, target) for target in targets[:2]]
    assert await held_by_us(factory) == {targets[2].server_id}
    await release(journal, held)
    assert await held_by_us(factory) == {target.server_id for target in targets}
    await factory.reopen()
    await assert_consistent(factory)


async def test_a_retry_takes_the_claim_of_a_server_that_failed(factory: JournalFactory) -> None:
    (target,) = some_targets(1)
    journal = await factory.create(RUN, [target])
    failed = await walk(journal, target, path_to_failed(target.server_id))
    event = Retried(target.server_id, failed.last_disk)
    await journal.append(RUN, [event], [fold_target(failed, event, START)], START)
    assert await held_by_us(factory) == {target.server_id}
    await assert_consistent(factory)


async def test_of_servers_that_another_run_has_none_is_taken(factory: JournalFactory) -> None:
    targets = some_targets(3)
    journal = await factory.create(RUN, targets)
    held = [await hold(journal, target) for target in targets[:2]]
    other = await factory.claim_elsewhere(targets[1])
    await factory.ask(RequestKind.RELEASE)
    (request,) = await journal.requests()
    before = await factory.records()
    with pytest.raises(ServerClaimed, match=other):
        await release(journal, held, [request.id])
    assert list(await factory.records()) == list(before)
    assert list(await journal.requests()) == [request]
    assert await held_by_us(factory) == {targets[2].server_id}
    # The journal goes on, and the number of the records as well.
    await release(journal, held[:1])
    await journal.append(RUN, [], [], START, [request.id])
    assert list(await journal.requests()) == []
    await assert_consistent(factory)


async def test_who_waits_for_the_same_commit_is_not_refused(factory: JournalFactory) -> None:
    targets = some_targets(4)
    journal = await factory.create(RUN, targets)
    held = await hold(journal, targets[0])
    await factory.claim_elsewhere(targets[0])
    events = [Moved(target.server_id, TargetState.CHECKING) for target in targets[1:]]
    after = [fold_target(target, event, START) for target, event in zip(targets[1:], events, strict=True)]
    first, refused, last = await asyncio.gather(
        journal.append(RUN, events[:1], after[:1], START),
        release(journal, [held]),
        journal.append(RUN, events[1:], after[1:], START),
        return_exceptions=True,
    )
    assert isinstance(refused, ServerClaimed)
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)
    assert [record.event for record in (*first, *last)] == events
    await assert_consistent(factory)


async def test_a_commit_that_fails_takes_no_claim(factory: JournalFactory) -> None:
    (target,) = some_targets(1)
    journal = await factory.create(RUN, [target])
    held = await hold(journal, target)
    await factory.break_commits()
    with pytest.raises(JournalUnwritable):
        await release(journal, [held])
    await factory.mend_commits()
    assert await held_by_us(factory) == set()
    await assert_consistent(factory)


@pytest.fixture(params=["sqlite", "postgresql"])
async def sql(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlJournalFactory]:
    """A database that several runs share."""
    built = await build_house(str(request.param), tmp_path)
    assert isinstance(built, SqlJournalFactory)
    yield built
    await built.close()


async def test_a_server_that_another_run_has_changed_is_not_taken_up(sql: SqlJournalFactory) -> None:
    (target,) = some_targets(1)
    journal = await sql.create(RUN, [target])
    held = await hold(journal, target)
    requester = watcher(sql.clock, dead_process(9))
    lease = await runs.create_run(sql.database, OTHER, [target], [], START, requester)
    await drive(sql.database, lease, OTHER, [(target, path_to_done(target.server_id))])
    await settle(sql.database, OTHER.id, sql.clock)
    assert await sql.claims() == {}
    with pytest.raises(ServerClaimed, match=f"run {OTHER.id} has changed {target.name} "):
        await release(journal, [held])
    assert await sql.claims() == {}


async def test_a_refusal_that_belongs_to_no_append_ends_the_journal(
    sql: SqlJournalFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the commit would be tried again for ever: nobody is left out of the next one."""
    (target,) = some_targets(1)
    journal = await sql.create(RUN, [target])
    tries = iter([ServerClaimed("run x holds one of these servers")])

    async def refuse(*_: object) -> None:
        raise next(tries, AssertionError("the commit is tried again"))

    monkeypatch.setattr(claims, "update_claims", refuse)
    with pytest.raises(JournalUnwritable, match="run x holds"):
        await hold(journal, target)
    with pytest.raises(JournalUnwritable):
        await journal.append(RUN, [], [], START)


async def test_a_server_that_is_taken_up_counts_as_the_latest_pass(sql: SqlJournalFactory) -> None:
    """Or the other run would not see that its server was changed after its own pass."""
    (target,) = some_targets(1)
    journal = await sql.create(RUN, [target])
    held = await hold(journal, target)
    requester = watcher(sql.clock, dead_process(9))
    lease = await runs.create_run(sql.database, OTHER, [target], [], START, requester)
    gone = Moved(target.server_id, TargetState.CHECKING), Moved(target.server_id, TargetState.FAILED, Reason.GONE)
    await drive(sql.database, lease, OTHER, [(target, list(gone))])
    await release(journal, [held])
    released = fold_target(held, Released(target.server_id, TargetState.WAITING), START)
    await walk(journal, replace(released, pass_no=1), path_to_done(target.server_id))
    assert await history.touched_since(sql.database, OTHER.id, [target.server_id]) == {target.server_id: RUN.id}


async def test_of_a_release_and_a_new_run_at_once_one_gets_the_server(sql: SqlJournalFactory) -> None:
    (target,) = some_targets(1)
    journal = await sql.create(RUN, [target])
    held = await hold(journal, target)
    requester = watcher(sql.clock, dead_process(9))
    created = runs.create_run(sql.database, OTHER, [target], [], START + timedelta(seconds=1), requester)
    outcomes = await asyncio.gather(release(journal, [held]), created, return_exceptions=True)
    assert sum(isinstance(outcome, ServerClaimed) for outcome in outcomes) == 1
    holder = await history.holders(sql.database, [target.server_id])
    state = (await queries.load(sql.database, RUN.id)).targets[target.server_id].state
    assert (holder == {target.server_id: RUN.id}) is (state is TargetState.WAITING)


def test_the_events_that_queue_a_target_again_are_those_that_leave_an_end() -> None:
    target = some_targets(1)[0]
    events: list[Event] = [Released(target.server_id, TargetState.WAITING), Retried(target.server_id, "disk-old")]
    held = fold_target(target, Moved(target.server_id, HELD, Reason.OPERATOR), START)
    assert held.ended
    assert not held.keeps_claim
    for event in events:
        assert isinstance(event, Released | Retried)
        assert fold_target(held, event, START).keeps_claim
