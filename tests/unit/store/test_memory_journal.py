"""The journal in memory, where it can do what a database is not asked to: fail on demand, and be slow."""

import asyncio

import pytest

from fleetos.errors import JournalUnwritable, LeaseLost
from fleetos.model.journal.events import Moved
from fleetos.model.journal.fold import fold_target
from fleetos.model.states import TargetState
from fleetos.store.memory_journal import CommitFault, CommitFaults, MemoryJournal, freeze
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock

RUN = a_run()


async def move(journal: MemoryJournal, number: int) -> None:
    target = some_targets(number + 1)[number]
    event = Moved(target.server_id, TargetState.CHECKING)
    await journal.append(RUN, [event], [fold_target(target, event, START)], START)


@pytest.mark.parametrize(("fault", "written"), [(CommitFault.LOST, 0), (CommitFault.UNKNOWN, 5)])
async def test_a_group_fails_as_a_whole(fault: CommitFault, written: int) -> None:
    run = freeze(RUN, some_targets(5), [], START)
    journal = run.open_journal(ManualClock(), CommitFaults(fault=lambda: fault))
    outcomes = await asyncio.gather(*(move(journal, number) for number in range(5)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [JournalUnwritable] * 5
    moved = [one for one in run.targets.values() if one.state is TargetState.CHECKING]
    assert (len(moved), len(run.records)) == (written, 6 + written)
    with pytest.raises(JournalUnwritable):
        await move(journal, 0)


async def test_faults_are_asked_for_each_commit() -> None:
    run = freeze(RUN, some_targets(2), [], START)
    faults = iter([None, CommitFault.LOST])
    journal = run.open_journal(ManualClock(), CommitFaults(fault=lambda: next(faults)))
    await move(journal, 0)
    with pytest.raises(JournalUnwritable):
        await move(journal, 1)
    assert len(run.records) == 4


async def test_an_engine_that_is_taken_over_during_a_slow_commit_writes_nothing() -> None:
    run = freeze(RUN, some_targets(2), [], START)
    slow = run.open_journal(ManualClock(), CommitFaults(commit_s=lambda: 0.01))
    append = asyncio.create_task(move(slow, 0))
    await asyncio.sleep(0)
    quick = run.open_journal(ManualClock())
    await move(quick, 1)
    with pytest.raises(LeaseLost):
        await append
    assert [one.state for one in run.progress().targets.values()] == [TargetState.WAITING, TargetState.CHECKING]
