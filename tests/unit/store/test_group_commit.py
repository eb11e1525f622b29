"""Group commit: who commits, what waits, and what a failure ends."""

import asyncio
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.errors import FleetosError, JournalUnwritable, LeaseLost
from fleetos.store.group_commit import GroupCommit, PendingAppend
from tests.support.builders import START


class Recorder:
    """A commit that takes three turns of the loop and remembers its groups: the request that each append answers."""

    def __init__(self) -> None:
        self.group = GroupCommit()
        self.groups: list[list[int]] = []
        self.under_way = 0
        self.failure: BaseException | None = None

    async def make_durable(self, number: int) -> None:
        pending = PendingAppend(None, (), (), START, (number,))
        async with self.group.commit(pending) as group:
            if group:
                await self._write(group)
        assert pending.durable

    async def _write(self, group: Sequence[PendingAppend]) -> None:
        assert self.under_way == 0, "two commits at a time"
        self.under_way += 1
        for _ in range(3):
            await asyncio.sleep(0)
        self.under_way -= 1
        if self.failure is not None:
            raise self.failure
        self.groups.append([number for pending in group for number in pending.answered])


@given(turns=st.lists(st.integers(0, 12), min_size=1, max_size=30))
def test_every_item_is_committed_once_in_the_order_of_calls(turns: list[int]) -> None:
    recorder = Recorder()
    called: list[int] = []

    async def call(item: int, turns_before: int) -> None:
        for _ in range(turns_before):
            await asyncio.sleep(0)
        called.append(item)
        await recorder.make_durable(item)

    async def everything() -> None:
        await asyncio.gather(*(call(item, before) for item, before in enumerate(turns)))

    asyncio.run(everything())
    assert [item for group in recorder.groups for item in group] == called


async def test_what_waits_is_committed_together() -> None:
    recorder = Recorder()
    first = asyncio.create_task(recorder.make_durable(0))
    for _ in range(3):
        await asyncio.sleep(0)
    await asyncio.gather(*(recorder.make_durable(item) for item in range(1, 50)))
    await first
    assert recorder.groups == [[0], list(range(1, 50))]


@pytest.mark.parametrize("failure", [LeaseLost("gone", "look"), JournalUnwritable("full", "free some")])
async def test_a_failure_reaches_everybody_and_lasts(failure: FleetosError) -> None:
    recorder = Recorder()
    recorder.failure = failure
    outcomes = await asyncio.gather(*(recorder.make_durable(item) for item in range(5)), return_exceptions=True)
    assert [(type(one), str(one)) for one in outcomes] == [(type(failure), failure.message)] * 5
    recorder.failure = None
    with pytest.raises(type(failure)) as later:
        await recorder.make_durable(9)
    assert (later.value.message, later.value.hint) == (failure.message, failure.hint)
    assert recorder.group.closed
    assert recorder.groups == []


async def test_a_defect_in_a_commit_ends_the_journal_too() -> None:
    recorder = Recorder()
    recorder.failure = ZeroDivisionError("defect")
    outcomes = await asyncio.gather(*(recorder.make_durable(item) for item in range(3)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [ZeroDivisionError, JournalUnwritable, JournalUnwritable]


async def test_a_scope_that_is_cancelled_waits_for_the_commit_of_the_others() -> None:
    recorder = Recorder()
    async with anyio.create_task_group() as hurried:
        hurried.start_soon(recorder.make_durable, 1)
        for _ in range(2):
            await asyncio.sleep(0)
        hurried.cancel_scope.cancel()
    assert recorder.groups == [[1]]
    await recorder.make_durable(2)


async def test_a_commit_that_is_torn_apart_ends_the_journal() -> None:
    recorder = Recorder()
    task = asyncio.create_task(recorder.make_durable(1))
    for _ in range(2):
        await asyncio.sleep(0)
    # What a signal handler of asyncio does: no shield of a scope holds it back.
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(JournalUnwritable, match="interrupted"):
        await recorder.make_durable(2)


async def test_the_first_end_is_the_one_that_is_told() -> None:
    recorder = Recorder()
    recorder.group.close(LeaseLost("first"))
    recorder.group.close(JournalUnwritable("second"))
    with pytest.raises(LeaseLost, match="first"):
        await recorder.make_durable(1)
