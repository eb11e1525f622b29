"""Who may take a lease, when, and what he is told otherwise."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fleetos.errors import LeaseLost, RunDriven
from fleetos.limits import LEASE_TERM_S
from fleetos.model.journal.events import RunDriverEnded
from fleetos.model.run import LeftBy
from fleetos.store import leases, queries, runs
from fleetos.store.database.database import Database
from fleetos.store.journal import SqlJournal
from fleetos.store.lease_rows import read_held_leases, read_lease
from fleetos.store.leases import wait_until_takeable
from fleetos.store.process import Holder, Life, this_process
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import dead_process, foreign_process, watcher
from tests.unit.store.test_process import holder_of

RUN = a_run()


async def begin(database: Database, clock: ManualClock, me: Holder) -> SqlJournal:
    lease = await runs.create_run(database, RUN, some_targets(2), [], START, watcher(clock, me))
    assert (lease.epoch, lease.last_seq) == (1, 3)
    return SqlJournal(database, lease, clock)


async def test_a_lease_that_was_given_back_is_taken_at_once(database: Database, clock: ManualClock) -> None:
    journal = await begin(database, clock, this_process())
    await journal.release()
    lease = await runs.take_run(database, RUN.id, watcher(clock))
    assert lease.epoch == 2
    assert clock.now() == START


async def test_a_dead_holder_is_followed_at_once(database: Database, clock: ManualClock) -> None:
    await begin(database, clock, dead_process())
    assert (await runs.take_run(database, RUN.id, watcher(clock))).epoch == 2
    assert clock.now() == START


async def test_a_live_process_keeps_its_run(database: Database, clock: ManualClock) -> None:
    await begin(database, clock, this_process())
    clock.move(10 * LEASE_TERM_S)
    with pytest.raises(RunDriven) as refused:
        await runs.take_run(database, RUN.id, watcher(clock))
    me = this_process()
    for part in (RUN.id, f"process {me.pid}", me.host, me.user):
        assert part in refused.value.message


async def test_a_silent_holder_elsewhere_is_watched_for_the_whole_term(sqlite: Database, clock: ManualClock) -> None:
    await begin(sqlite, clock, foreign_process())
    waits: list[float] = []

    def told(holder: Holder, left_s: float) -> None:
        assert holder == replace(foreign_process(), since=holder.since)
        waits.append(left_s)

    asking = replace(watcher(clock), on_wait=told)
    started = clock.elapsed_s
    assert (await runs.take_run(sqlite, RUN.id, asking)).epoch == 2
    assert LEASE_TERM_S < clock.elapsed_s - started < LEASE_TERM_S + 2
    assert waits == sorted(waits, reverse=True)
    assert waits[0] == LEASE_TERM_S


async def test_the_age_of_a_renewal_is_no_evidence_without_a_common_clock(sqlite: Database, clock: ManualClock) -> None:
    await begin(sqlite, clock, foreign_process())
    clock.move(1000 * LEASE_TERM_S)
    started = clock.elapsed_s
    await runs.take_run(sqlite, RUN.id, watcher(clock))
    assert clock.elapsed_s - started > LEASE_TERM_S


async def test_a_holder_elsewhere_that_renews_is_seen_to_live(database: Database, clock: ManualClock) -> None:
    journal = await begin(database, clock, foreign_process())

    async def renewed_meanwhile(seconds: float) -> None:
        clock.move(seconds)
        if clock.elapsed_s > 1005:
            await journal.append(RUN, [], [], START)

    asking = replace(watcher(clock), sleep=renewed_meanwhile)
    with pytest.raises(RunDriven, match="other-host"):
        await runs.take_run(database, RUN.id, asking)
    assert clock.elapsed_s < 1010


async def test_postgres_tells_by_its_own_clock(postgres: Database, clock: ManualClock) -> None:
    await begin(postgres, clock, foreign_process())
    clock.move(100 * LEASE_TERM_S)
    async with postgres.reading() as connection:
        assert (await read_lease(connection, RUN.id, clock)).age_s < 10
        assert (await read_held_leases(connection, clock))[RUN.id].age_s < 10
    # By the server's clock the term of no length is over, although this one has not moved.
    seen = await wait_until_takeable(postgres, RUN.id, replace(watcher(ManualClock()), term_s=0.0))
    assert seen.epoch == 1


async def test_of_two_takers_one_wins(database: Database, clock: ManualClock) -> None:
    await begin(database, clock, dead_process())
    first, second = watcher(clock), watcher(clock)
    seen = [await wait_until_takeable(database, RUN.id, one) for one in (first, second)]
    async with database.writing() as connection:
        assert await leases.take(connection, seen[0], first) == 2
    with pytest.raises(RunDriven):
        async with database.writing() as connection:
            await leases.take(connection, seen[1], second)


async def test_a_holder_that_wakes_up_in_time_keeps_its_run(database: Database, clock: ManualClock) -> None:
    journal = await begin(database, clock, dead_process())
    asking = watcher(clock)
    seen = await wait_until_takeable(database, RUN.id, asking)
    await journal.append(RUN, [], [], START)
    with pytest.raises(RunDriven):
        async with database.writing() as connection:
            await leases.take(connection, seen, asking)
    await journal.append(RUN, [], [], START)


async def test_who_lost_the_lease_is_told_to_whom(database: Database, clock: ManualClock) -> None:
    journal = await begin(database, clock, dead_process())
    await runs.take_run(database, RUN.id, watcher(clock))
    with pytest.raises(LeaseLost, match=f"process {this_process().pid}"):
        await journal.append(RUN, [], [], START)
    # Giving back what is not ours any more takes nothing from the other.
    with pytest.raises(LeaseLost):
        await journal.release(RunDriverEnded("the first", LeftBy.SIGNAL, "SIGTERM"))
    assert (await queries.load(database, RUN.id)).run.left is None
    await journal.release()
    async with database.reading() as connection:
        assert (await read_lease(connection, RUN.id, clock)).holder == replace(this_process(), since=clock.now())


@pytest.fixture
def stopped() -> Iterator[Holder]:
    """A process that a signal holds."""
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        yield holder_of(process.pid)
        process.kill()


async def test_a_driver_that_a_signal_holds_is_told_from_one_that_runs(
    sqlite: Database, clock: ManualClock, stopped: Holder
) -> None:
    await begin(sqlite, clock, stopped)
    clock.move(50)
    shown = (await queries.summary(sqlite, RUN.id, watcher(clock))).driver
    assert shown is not None
    assert (shown.life, shown.renewed_at) == (Life.STOPPED, START)
