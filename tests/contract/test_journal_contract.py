"""What every journal owes the engine, whatever it is made of."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from fleetos.engine.protocols import Journal
from fleetos.errors import JournalUnwritable, LeaseLost, StoreError
from fleetos.limits import LEASE_BEAT_S, LEASE_TERM_S
from fleetos.model.journal.events import Event, Moved, Record, RunDriverEnded, RunDriverStarted, RunMoved, TargetEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import RequestKind
from fleetos.model.progress import Progress, replay
from fleetos.model.run import LeftBy, Run, Target
from fleetos.model.states import Reason, RunState, TargetState
from tests.contract.journal_factories import JournalFactory, build_house
from tests.support.builders import START, a_run, a_target, some_targets
from tests.support.postgres import server_ends
from tests.unit.store.stored_runs import path_to_done, path_to_failed, path_to_unknown

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)
RUN = a_run()
CHECKING = TargetState.CHECKING


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def factory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JournalFactory]:
    built = await build_house(str(request.param), tmp_path)
    yield built
    await built.close()


def told(records: Sequence[Record]) -> Progress:
    return replay((record.at, record.event) for record in records)


async def walk(journal: Journal, target: Target, events: Sequence[TargetEvent]) -> Target:
    """Appends the events one by one, a minute apart."""
    at = START
    for event in events:
        at += timedelta(minutes=1)
        target = fold_target(target, event, at)
        await journal.append(RUN, [event], [target], at)
    return target


async def move(journal: Journal, target: Target) -> Sequence[Record]:
    event = Moved(target.server_id, CHECKING)
    return await journal.append(RUN, [event], [fold_target(target, event, START)], START)


async def assert_consistent(factory: JournalFactory) -> None:
    """The journal has no gap, and its replay is what the tables say."""
    records = await factory.records()
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    kept, replayed = await factory.progress(), told(records)
    assert kept.run == replayed.run
    assert dict(kept.targets) == dict(replayed.targets)
    held = {server_id for server_id, (is_held, _) in (await factory.claims()).items() if is_held}
    assert held == {one.server_id for one in kept.targets.values() if one.keeps_claim}


async def test_a_new_run_is_all_there(factory: JournalFactory) -> None:
    targets = some_targets(3)
    await factory.create(RUN, targets, [Moved(targets[1].server_id, TargetState.SKIPPED, Reason.ALREADY_ON_IMAGE)])
    await factory.reopen()
    progress = await factory.progress()
    assert [one.state for one in progress.targets.values()] == ["waiting", "skipped", "waiting"]
    assert list(progress.targets) == [one.server_id for one in targets]
    await assert_consistent(factory)


async def test_what_was_appended_survives(factory: JournalFactory) -> None:
    targets = some_targets(3)
    journal = await factory.create(RUN, targets)
    done = await walk(journal, targets[0], path_to_done(targets[0].server_id))
    failed = await walk(journal, targets[1], path_to_failed(targets[1].server_id))
    unknown = await walk(journal, targets[2], path_to_unknown(targets[2].server_id))
    await factory.reopen()
    assert list((await factory.progress()).targets.values()) == [done, failed, unknown]
    await assert_consistent(factory)


async def test_the_run_moves_with_its_records(factory: JournalFactory) -> None:
    journal = await factory.create(RUN, some_targets(1))
    events = [RunDriverStarted("somebody"), RunMoved(RunState.PAUSED, Reason.UNREACHABLE, "no answer")]
    run = RUN
    for event in events:
        run = fold_run(run, event, START)
    await journal.append(run, events, [], START)
    assert (await factory.progress()).run == run
    await assert_consistent(factory)


async def test_records_are_numbered_on_over_drivers(factory: JournalFactory) -> None:
    targets = some_targets(2)
    first = await factory.create(RUN, targets)
    assert [record.seq for record in await move(first, targets[0])] == [4]
    await factory.reopen()
    second = await factory.take()
    assert [record.seq for record in await move(second, targets[1])] == [5]
    await assert_consistent(factory)


async def test_an_append_of_several_events_keeps_their_order(factory: JournalFactory) -> None:
    target = a_target(1)
    journal = await factory.create(RUN, [target])
    events = path_to_done(target.server_id)
    for event in events:
        target = fold_target(target, event, START)
    records = await journal.append(RUN, events, [target], START)
    assert [record.event for record in records] == events
    assert [record.seq for record in records] == [3, 4, 5, 6, 7, 8]
    assert {record.at for record in records} == {START}
    await assert_consistent(factory)


async def test_waiting_appends_become_one_commit(factory: JournalFactory) -> None:
    targets = some_targets(50)
    journal = await factory.create(RUN, targets)
    before = await factory.commits()
    parts = await asyncio.gather(*(move(journal, target) for target in targets))
    assert await factory.commits() - before <= 3
    for target, records in zip(targets, parts, strict=True):
        assert [record.event for record in records] == [Moved(target.server_id, CHECKING)]
    await assert_consistent(factory)


async def test_the_later_value_of_one_group_wins(factory: JournalFactory) -> None:
    target = a_target(1)
    journal = await factory.create(RUN, [target])
    at = [START + timedelta(seconds=second) for second in range(6)]
    values = [target]
    events = path_to_done(target.server_id)
    for event, when in zip(events, at, strict=True):
        values.append(fold_target(values[-1], event, when))
    appends = zip(events, values[1:], at, strict=True)
    await asyncio.gather(*(journal.append(RUN, [event], [value], when) for event, value, when in appends))
    assert (await factory.progress()).targets[target.server_id] == values[-1]
    await assert_consistent(factory)


async def test_the_newest_run_of_one_group_is_kept(factory: JournalFactory) -> None:
    target = a_target(1)
    journal = await factory.create(RUN, [target])
    run, appends = RUN, list[tuple[Run, RunMoved]]()
    # The first is committed alone; the others wait meanwhile, and become durable together.
    for state in (RunState.PAUSED, RunState.RUNNING, RunState.PAUSED, RunState.FINISHING):
        moved = RunMoved(state)
        run = fold_run(run, moved, START)
        appends.append((run, moved))
    await asyncio.gather(*(journal.append(one, [moved], [], START) for one, moved in appends))
    assert (await factory.progress()).run == run
    await assert_consistent(factory)


@pytest.mark.parametrize("factory", ["sqlite", "postgresql"], indirect=True)
async def test_a_commit_that_fails_renews_no_lease(factory: JournalFactory) -> None:
    """The lease is proven in the very transaction that writes, or another could drive between the two."""
    journal = await factory.create(RUN, some_targets(1))
    before = await factory.commits()
    await factory.break_commits()
    with pytest.raises(JournalUnwritable):
        await move(journal, a_target(0))
    assert await factory.commits() == before


async def test_a_driver_who_was_taken_over_writes_nothing_more(factory: JournalFactory) -> None:
    targets = some_targets(2)
    old = await factory.create(RUN, targets)
    new = await factory.take()
    before = await factory.records()
    with pytest.raises(LeaseLost):
        await move(old, targets[0])
    assert list(await factory.records()) == list(before)
    assert not old.lease_valid(factory.clock.moment())
    with pytest.raises(LeaseLost):
        await old.append(RUN, [], [], START)
    await move(new, targets[1])
    await assert_consistent(factory)


async def test_a_lost_epoch_fails_the_whole_group(factory: JournalFactory) -> None:
    targets = some_targets(20)
    old = await factory.create(RUN, targets)
    await factory.take()
    outcomes = await asyncio.gather(*(move(old, target) for target in targets), return_exceptions=True)
    assert [type(one) for one in outcomes] == [LeaseLost] * 20
    assert len(await factory.records()) == 21
    assert {one.state for one in (await factory.progress()).targets.values()} == {TargetState.WAITING}


async def test_a_failed_commit_ends_the_journal(factory: JournalFactory) -> None:
    targets = some_targets(20)
    journal = await factory.create(RUN, targets)
    await factory.break_commits()
    outcomes = await asyncio.gather(*(move(journal, target) for target in targets), return_exceptions=True)
    assert [type(one) for one in outcomes] == [JournalUnwritable] * 20
    await factory.mend_commits()
    with pytest.raises(JournalUnwritable):
        await move(journal, targets[0])
    assert not journal.lease_valid(factory.clock.moment())
    assert len(await factory.records()) == 21
    await assert_consistent(factory)
    await move(await factory.take(), targets[0])
    await assert_consistent(factory)


async def test_an_append_that_is_cancelled_harms_no_other(factory: JournalFactory) -> None:
    targets = some_targets(6)
    journal = await factory.create(RUN, targets)
    first = asyncio.create_task(move(journal, targets[0]))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not first.done()
    cancelled = [asyncio.create_task(move(journal, target)) for target in targets[1:3]]
    kept = [asyncio.create_task(move(journal, target)) for target in targets[3:]]
    await asyncio.sleep(0)
    for task in cancelled:
        task.cancel()
    parts = await asyncio.gather(*kept)
    await first
    assert [record.event for part in parts for record in part] == [
        Moved(one.server_id, CHECKING) for one in targets[3:]
    ]
    await journal.append(RUN, [], [], START)
    # Those that were cancelled while another one's commit was under way were never written.
    moved = {one.server_id for one in (await factory.progress()).targets.values() if one.state is CHECKING}
    assert moved == {one.server_id for one in (targets[0], *targets[3:])}
    await assert_consistent(factory)


async def test_a_claim_goes_with_a_known_outcome_and_stays_with_an_unknown_one(factory: JournalFactory) -> None:
    targets = some_targets(4)
    journal = await factory.create(RUN, targets)
    assert set((await factory.claims()).values()) == {(True, None)}
    await walk(journal, targets[0], path_to_done(targets[0].server_id))
    await walk(journal, targets[1], path_to_failed(targets[1].server_id))
    unknown = await walk(journal, targets[2], path_to_unknown(targets[2].server_id))
    assert unknown.last_unanswered_at is not None
    assert await factory.claims() == {
        targets[2].server_id: (True, unknown.last_unanswered_at),
        targets[3].server_id: (True, None),
    }


async def test_an_unanswered_send_of_an_earlier_run_is_remembered_after_the_end(factory: JournalFactory) -> None:
    sent_at = START - timedelta(hours=3)
    target = a_target(1, last_unanswered_at=sent_at)
    journal = await factory.create(RUN, [target])
    await walk(journal, target, [Moved(target.server_id, TargetState.HELD, Reason.UNANSWERED_SEND)])
    assert await factory.claims() == {target.server_id: (False, sent_at)}


async def test_requests_wait_until_they_are_answered(factory: JournalFactory) -> None:
    journal = await factory.create(RUN, some_targets(1))
    assert list(await journal.requests()) == []
    await factory.ask(RequestKind.ABORT)
    await factory.ask(RequestKind.ABORT)
    first, second = await journal.requests()
    assert (first.kind, first.by) == (RequestKind.ABORT, "operator")
    assert first.id < second.id
    run = fold_run(RUN, RunMoved(RunState.FINISHING), START)
    await journal.append(run, [RunMoved(RunState.FINISHING)], [], START, answered=[first.id])
    assert list(await journal.requests()) == [second]
    await factory.reopen()
    assert list(await (await factory.take()).requests()) == [second]


async def test_a_request_is_not_done_when_the_commit_failed(factory: JournalFactory) -> None:
    target = a_target(1)
    journal = await factory.create(RUN, [target])
    await factory.ask(RequestKind.ABORT)
    (request,) = await journal.requests()
    await factory.break_commits()
    event = Moved(target.server_id, CHECKING)
    with pytest.raises(JournalUnwritable):
        await journal.append(RUN, [event], [fold_target(target, event, START)], START, answered=[request.id])
    await factory.mend_commits()
    assert list(await (await factory.take()).requests()) == [request]


async def test_a_lease_is_valid_for_a_term_after_each_commit(factory: JournalFactory) -> None:
    clock = factory.clock
    journal = await factory.create(RUN, some_targets(1))
    clock.move(LEASE_TERM_S - 1)
    assert journal.lease_valid(clock.moment())
    clock.move(2)
    assert not journal.lease_valid(clock.moment())
    await journal.append(RUN, [], [], START)
    assert journal.lease_valid(clock.moment())
    set_back = replace(clock.moment(), wall=clock.wall - timedelta(seconds=60))
    assert not journal.lease_valid(set_back)


async def test_keeping_the_lease_ends_when_it_is_lost(factory: JournalFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    old = await factory.create(RUN, some_targets(1))
    beats = 0

    async def soon(seconds: float) -> None:
        nonlocal beats
        beats += seconds == LEASE_BEAT_S
        if beats == 3 and seconds == LEASE_BEAT_S:
            await factory.take()
        await anyio.lowlevel.checkpoint()

    before = await factory.commits()
    monkeypatch.setattr("fleetos.store.journal.anyio.sleep", soon)
    with pytest.raises(LeaseLost):
        await old.keep_lease()
    assert beats == 3
    assert await factory.commits() - before >= 2


async def test_a_journal_takes_no_other_run(factory: JournalFactory) -> None:
    journal = await factory.create(RUN, some_targets(1))
    with pytest.raises(ValueError, match="not the one of this journal"):
        await journal.append(a_run(2), [], [], START)
    await journal.append(RUN, [], [], START)


async def test_a_journal_that_was_given_back_writes_nothing_more(factory: JournalFactory) -> None:
    targets = some_targets(2)
    journal = await factory.create(RUN, targets)
    await journal.release()
    with pytest.raises(StoreError):
        await move(journal, targets[0])
    await move(await factory.take(), targets[1])
    await assert_consistent(factory)


async def test_the_end_of_driving_is_recorded_as_the_lease_is_given_back(factory: JournalFactory) -> None:
    targets = some_targets(1)
    journal = await factory.create(RUN, targets)
    last = RunDriverEnded("process 1 of root on vm", LeftBy.SIGNAL, "SIGTERM")
    (told,) = await journal.release(last)
    assert (told.event, told) == (last, (await factory.records())[-1])
    await assert_consistent(factory)
    # A run that has ended is driven by nobody, and of that its end tells.
    second = await factory.take()
    ended = RunMoved(RunState.DONE)
    await second.append(fold_run((await factory.progress()).run, ended, START), [ended], [], START)
    assert not await second.release(last)
    assert (await factory.records())[-1].event == ended
    await assert_consistent(factory)


async def test_every_event_comes_back_as_it_was(factory: JournalFactory) -> None:
    target = a_target(1, name="名前 \x7f ' \" \\ \u2028", detail="ein Täßchen")
    journal = await factory.create(RUN, [target])
    events: list[Event] = [Moved(target.server_id, TargetState.HELD, Reason.LOCKED, detail="a\nb\x00c" * 300)]
    held = fold_target(
        target, Moved(target.server_id, TargetState.HELD, Reason.LOCKED, detail="a\nb\x00c" * 300), START
    )
    await journal.append(RUN, events, [held], START)
    await factory.reopen()
    assert [record.event for record in await factory.records()][2:] == events
    assert (await factory.progress()).targets[target.server_id] == held
