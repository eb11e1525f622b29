"""Runs in the database: freezing, finding, claims between runs, and what is remembered."""

import time
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from sqlalchemy import select, text, update

from fleetos.errors import (
    DatabaseUnusable,
    IllegalMove,
    LeaseLost,
    RunDriven,
    ServerClaimed,
    UnknownRun,
)
from fleetos.model.journal.events import Moved, RunDriverStarted, RunNotified
from fleetos.model.journal.requests import RequestKind
from fleetos.model.plan import Occasion
from fleetos.model.run import Run, Target
from fleetos.model.states import Reason, TargetState
from fleetos.store import history, queries, runs
from fleetos.store.database.database import Database
from fleetos.store.database.tables import targets
from fleetos.store.integrity import RUN_COLUMNS, TARGET_COLUMNS, find_problems
from fleetos.store.journal import SqlJournal
from fleetos.store.rows import run_row, target_row
from tests.support.builders import START, a_run, a_target, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import (
    create,
    drive,
    folded,
    path_to_done,
    path_to_failed,
    path_to_unknown,
    settle,
    watcher,
)

RUN = a_run()


@pytest.mark.slow
async def test_ten_thousand_targets_are_frozen_quickly(sqlite: Database, clock: ManualClock) -> None:
    frozen = some_targets(10_000)
    started = time.process_time()
    await create(sqlite, RUN, frozen, clock)
    # Processor time, so that a busy machine does not fail it; 0.7 s were measured.
    assert time.process_time() - started < 4
    assert len((await queries.load(sqlite, RUN.id)).targets) == 10_000


async def test_nothing_of_a_refused_run_stays(database: Database, clock: ManualClock) -> None:
    await create(database, RUN, some_targets(3), clock)
    with pytest.raises(ServerClaimed):
        await create(database, a_run(2), [a_target(2), a_target(7)], clock)
    assert [one.run.id for one in await queries.newest_runs(database, watcher(clock))] == [RUN.id]
    async with database.reading() as connection:
        assert sorted(server_id for (server_id,) in await connection.rows("SELECT server_id FROM claims")) == [
            one.server_id for one in some_targets(3)
        ]
    bad = Moved("server-0001", TargetState.DONE)
    with pytest.raises(IllegalMove):
        await runs.create_run(database, a_run(2), [a_target(11)], [bad], START, watcher(clock))


async def test_a_claimed_server_names_run_and_way_out(database: Database, clock: ManualClock) -> None:
    await create(database, RUN, some_targets(8), clock)
    with pytest.raises(ServerClaimed) as refused:
        await create(database, a_run(2), [a_target(2)], clock)
    assert RUN.id in refused.value.message
    assert "of plan web-tier is unfinished" in refused.value.message
    assert "holds 1 of these servers: web-0002" in refused.value.message
    assert refused.value.hint is not None
    assert f"fleetos resume {RUN.id}" in refused.value.hint
    assert f"fleetos abort {RUN.id}" in refused.value.hint
    with pytest.raises(ServerClaimed, match=r"holds 8 of these servers: web-0000, .* and 3 more$"):
        await create(database, a_run(2), some_targets(8), clock)
    await create(database, a_run(3, created_at=START), [a_target(9)], clock)
    with pytest.raises(ServerClaimed, match=r"holds 8 of .* and 3 more; 1 other run holds 1 more$"):
        await create(database, a_run(2), some_targets(10), clock)


async def test_a_server_of_a_driven_run_is_21(database: Database, clock: ManualClock) -> None:
    await runs.create_run(database, RUN, some_targets(3), [], START, watcher(clock))
    with pytest.raises(RunDriven, match=f"{RUN.id} .*web-tier and holds 1 of these servers: web-0002") as refused:
        await create(database, a_run(2), [a_target(2)], clock)
    assert "abort" not in str(refused.value.hint)


async def test_a_server_with_an_unknown_outcome_stays_claimed_after_the_end(
    database: Database, clock: ManualClock
) -> None:
    (target,) = some_targets(1)
    lease = await create(database, RUN, [target], clock)
    await drive(database, lease, RUN, [(target, path_to_unknown(target.server_id))])
    with pytest.raises(ServerClaimed) as refused:
        await create(database, a_run(2), [target], clock)
    assert refused.value.hint is not None
    assert f"fleetos abort {RUN.id} --release" in refused.value.hint
    assert await history.holders(database, [target.server_id, "other"]) == {target.server_id: RUN.id}
    await settle(database, RUN.id, clock)
    assert await history.holders(database, [target.server_id]) == {}
    # What is remembered goes into the next run's target, and from there nowhere else.
    await create(database, a_run(2), [target], clock)
    loaded = (await queries.load(database, a_run(2).id)).targets[target.server_id]
    assert (loaded.last_unanswered_at, loaded.remembered_at) == (START, START)
    assert await find_problems(database) == []
    assert await history.unanswered_sends(database, [target.server_id, "other"]) == {target.server_id: START}


async def test_a_server_that_is_skipped_at_the_freeze_is_not_claimed(database: Database, clock: ManualClock) -> None:
    first, second = some_targets(2)
    await create(database, RUN, [first], clock)
    skipped = Moved(first.server_id, TargetState.SKIPPED, Reason.ALREADY_ON_IMAGE)
    await runs.create_run(database, a_run(2), [first, second], [skipped], START, watcher(clock))
    assert await find_problems(database) == []


async def test_runs_are_found_by_the_beginning_of_their_id(database: Database, clock: ManualClock) -> None:
    for number in (1, 2, 30):
        later = START + timedelta(minutes=number)
        await create(database, a_run(number, created_at=later), [a_target(number)], clock)
    assert await queries.find_run(database, "run0000001") == "run0000001"
    assert await queries.find_run(database, "run000003") == "run0000030"
    with pytest.raises(UnknownRun, match="several") as several:
        await queries.find_run(database, "run")
    assert several.value.hint == "give more letters: run0000030, run0000002, run0000001"
    with pytest.raises(UnknownRun) as unknown:
        await queries.find_run(database, "run0000003")
    assert unknown.value.hint is not None
    assert "did you mean" in unknown.value.hint
    for odd in ("", "%", "_", "run000000%", "zzz'; DROP TABLE runs"):
        with pytest.raises(UnknownRun):
            await queries.find_run(database, odd)
    for call in (queries.load(database, "gone"), queries.summary(database, "gone", watcher(clock))):
        with pytest.raises(UnknownRun):
            await call


async def test_a_name_means_its_unfinished_run_else_its_newest(database: Database, clock: ManualClock) -> None:
    def named(number: int, name: str) -> Run:
        return replace(a_run(number, created_at=START + timedelta(minutes=number)), name=name)

    paths = [(one, path_to_done(one.server_id)) for one in (a_target(1),)]
    for number in (1, 2):
        run = named(number, "web")
        await drive(database, await create(database, run, [a_target(1)], clock), run, paths)
    assert await queries.find_run(database, "web") == "run0000002"
    await create(database, named(3, "web"), [a_target(3)], clock)
    run = named(4, "web")
    await drive(database, await create(database, run, [a_target(1)], clock), run, paths)
    assert await queries.find_run(database, "web") == "run0000003"
    await create(database, named(5, "web"), [a_target(5)], clock)
    with pytest.raises(UnknownRun, match="2 unfinished runs are named web") as several:
        await queries.find_run(database, "web")
    assert several.value.hint == "give the id of one: run0000005, run0000003"
    # An id goes before a name, a name before the beginning of an id.
    await create(database, named(6, "run0000001"), [a_target(6)], clock)
    await create(database, named(7, "run"), [a_target(7)], clock)
    assert await queries.find_run(database, "run0000001") == "run0000001"
    assert await queries.find_run(database, "run") == "run0000007"
    with pytest.raises(UnknownRun) as unknown:
        await queries.find_run(database, "wep")
    assert unknown.value.hint == "did you mean web?"


async def test_events_are_chosen_by_time_and_server(database: Database, clock: ManualClock) -> None:
    targets = some_targets(2)
    await create(database, RUN, targets, clock)
    events = await queries.events(database, RUN.id)
    assert [one.seq for one in events] == [1, 2, 3]
    of_one = await queries.events(database, RUN.id, servers=[targets[1].server_id])
    assert [one.seq for one in of_one] == [3]
    assert await queries.events(database, RUN.id, servers=[]) == []
    assert await queries.events(database, RUN.id, since=START) == events
    assert await queries.events(database, RUN.id, since=START + timedelta(seconds=1)) == []


async def test_an_empty_database_says_so(database: Database) -> None:
    with pytest.raises(UnknownRun) as unknown:
        await queries.find_run(database, "abc")
    assert unknown.value.hint == "this database holds no runs yet"


async def test_lists_of_runs(database: Database, clock: ManualClock) -> None:
    days = [START + timedelta(days=number) for number in range(3)]
    frozen = [
        a_run(number, digest, created_at=days[number])
        for number, digest in enumerate(("sha256:x", "sha256:x", "sha256:y"))
    ]
    for number, run in enumerate(frozen):
        lease = await create(database, run, [a_target(number), a_target(number + 10)], clock)
        if number == 1:
            paths = [(one, path_to_done(one.server_id)) for one in (a_target(1), a_target(11))]
            frozen[1] = await drive(database, lease, run, paths)
    asking = watcher(clock)
    shown = await queries.newest_runs(database, asking)
    assert [one.run for one in shown] == frozen[::-1]
    assert [dict(one.counts) for one in shown] == [
        {TargetState.WAITING: 2},
        {TargetState.DONE: 2},
        {TargetState.WAITING: 2},
    ]
    assert [one.run for one in await queries.unfinished_runs(database, asking)] == [frozen[2], frozen[0]]
    assert [one.run for one in await queries.runs_of_digest(database, "sha256:x", asking)] == [frozen[1], frozen[0]]
    assert (await queries.summary(database, frozen[1].id, asking)).run == frozen[1]


async def test_records_come_in_pages(database: Database, clock: ManualClock) -> None:
    await create(database, RUN, some_targets(5), clock)
    assert [one.seq for one in await queries.events(database, RUN.id)] == [1, 2, 3, 4, 5, 6]
    assert [one.seq for one in await queries.events(database, RUN.id, after_seq=2, limit=3)] == [3, 4, 5]
    assert await queries.events(database, RUN.id, after_seq=6) == []


async def test_requests_need_a_run(database: Database, clock: ManualClock) -> None:
    for call in (
        runs.add_request(database, "gone", RequestKind.ABORT, "me", START),
        runs.take_run(database, "gone", watcher(clock)),
        runs.begin_pass(database, "gone", [], START, watcher(clock)),
    ):
        with pytest.raises(UnknownRun):
            await call


async def test_the_latest_attempt_that_may_have_done_something_speaks(database: Database, clock: ManualClock) -> None:
    done, failed, unknown, untouched, mended = some_targets(5)
    lease = await create(database, RUN, [done, failed, unknown, untouched, mended], clock)
    paths = [
        (done, path_to_done(done.server_id)),
        (failed, path_to_failed(failed.server_id)),
        (unknown, path_to_unknown(unknown.server_id)),
        (mended, path_to_failed(mended.server_id)),
    ]
    await drive(database, lease, RUN, paths)
    everybody = [one.server_id for one in some_targets(5)]
    assert await history.bad_attempts(database, everybody) == {one.server_id for one in (failed, unknown, mended)}
    later = a_run(2, created_at=START + timedelta(days=1))
    lease = await create(database, later, [mended], clock)
    await drive(database, lease, later, [(mended, path_to_done(mended.server_id))])
    assert await history.bad_attempts(database, everybody) == {failed.server_id, unknown.server_id}
    assert await history.bad_attempts(database, [failed.server_id]) == {failed.server_id}
    assert await history.bad_attempts(database, []) == frozenset()
    changes = await history.last_changes(database, everybody)
    assert {server_id: one.run_id for server_id, one in changes.items()} == {
        done.server_id: RUN.id,
        mended.server_id: later.id,
    }
    assert {one.image_id for one in changes.values()} == {"image-new"}
    assert await history.last_changes(database, [failed.server_id]) == {}


async def test_a_check_finds_what_does_not_fit(database: Database, clock: ManualClock) -> None:
    await create(database, RUN, some_targets(3), clock)
    await create(database, a_run(2), [a_target(7)], clock)
    await create(database, a_run(3), [a_target(8)], clock)
    assert await find_problems(database) == []
    other = a_target(1)
    async with database.writing() as connection:
        ((body,),) = await connection.rows("SELECT body FROM targets WHERE server_id = 'server-0001'")
        moved = body.replace('"state":"waiting"', '"state":"done"')
        assert moved != body
        await connection.execute(update(targets).where(targets.c.server_id == other.server_id).values(body=moved))
        await connection.execute(text("DELETE FROM records WHERE run_id = 'run0000002' AND seq = 1"))
        await connection.execute(text("DELETE FROM claims WHERE server_id = 'server-0008'"))
    assert list(await find_problems(database)) == [
        "run run0000001, server server-0001: its row is not what the journal tells",
        "run run0000002: its journal has gaps",
        "run run0000003, server server-0008: under way without a claim",
    ]


async def test_a_value_that_cannot_be_read_is_not_shown(database: Database, clock: ManualClock) -> None:
    await create(database, RUN, some_targets(1), clock)
    async with database.writing() as connection:
        await connection.execute(update(targets).values(body='{"geheim": 42}'))
    with pytest.raises(DatabaseUnusable) as refused:
        await queries.load(database, RUN.id)
    assert "geheim" not in f"{refused.value} {refused.value.hint}"
    (problem,) = await find_problems(database)
    assert "geheim" not in problem


async def test_the_columns_say_what_the_bodies_say(database: Database, clock: ManualClock) -> None:
    target = a_target(3, name="web")
    lease = await create(database, RUN, [target], clock)
    path = path_to_done(target.server_id, "job-77")[:4]
    after = folded(target, path, START)
    await SqlJournal(database, lease, clock).append(replace(RUN), path, [after], START)
    columns = (targets.c.position, targets.c.name, targets.c.state, targets.c.attempt, targets.c.job_id, targets.c.disk)
    async with database.reading() as connection:
        assert tuple((await connection.execute(select(*columns))).one()) == (
            3,
            "web",
            "changing",
            1,
            "job-77",
            "disk-old",
        )


def test_a_check_compares_every_column_that_is_written() -> None:
    assert {*RUN_COLUMNS, "body"} == run_row(RUN).keys()
    assert {*TARGET_COLUMNS, "body"} == target_row(RUN.id, a_target(0)).keys()


async def test_a_note_stands_beside_what_is_appended_and_changes_no_run(sqlite: Database, clock: ManualClock) -> None:
    lease = await create(sqlite, RUN, some_targets(1), clock)
    journal = SqlJournal(sqlite, lease, clock)
    notified, changed = RunNotified(1, "slack", Occasion.STARTED, "", START, "sent", 1), list[Target]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.note, [notified, notified])
        tasks.start_soon(journal.append, replace(RUN, sessions=1), [RunDriverStarted("x")], changed, START)
    assert (await queries.load(sqlite, RUN.id)).run.sessions == 1
    kinds = ("run-notified", "run-driver-started")
    records = await queries.events_of_kinds(sqlite, RUN.id, kinds, 0, lease.last_seq + 3)
    assert [record.seq for record in records] == [lease.last_seq + number for number in (1, 2, 3)]
    assert [record.event for record in records].count(notified) == 2
    assert await queries.events_of_kinds(sqlite, RUN.id, kinds, 0, lease.last_seq) == []
    await journal.release()
    with pytest.raises(LeaseLost):
        await journal.note([notified])
