"""Who goes first when the pace is the bottleneck, in virtual time."""

import anyio
import pytest

from fleetos.cloud.rate.priority_queue import Priority, PriorityQueue
from fleetos.cloud.rate.throttle import Throttle
from fleetos.model.plan import ApiLimits
from tests.support.clocks import now_s, run
from tests.support.clouds.scripted import ScriptedCloud, answer, opened, server_body
from tests.unit.cloud.rate.test_throttle import throttle

# One request a second, for reads and writes together.
SCARCE = ApiLimits(rate_per_s=1.0, burst=1.0)


async def read(pace: Throttle, rank: Priority, done: list[Priority]) -> None:
    async with pace.reading(rank):
        done.append(rank)


async def write(pace: Throttle, done: list[Priority], count: int = 1) -> None:
    """Asks as the engine does: at once, and again when it is told to."""
    for _ in range(count):
        while True:
            permit = pace.permit()
            if permit is not None:
                break
            await anyio.sleep(max(0.005, pace.permit_in_s()))
        async with pace.writing(permit):
            done.append(Priority.WRITE)


async def spend(pace: Throttle) -> None:
    """Take the token that reads may have, and the one that they leave to writes."""
    await read(pace, Priority.POLL, [])
    await write(pace, [])


def test_evidence_goes_before_writes_and_these_before_polls() -> None:
    done: list[Priority] = []

    async def main() -> None:
        pace = throttle(SCARCE)
        await spend(pace)
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(read, pace, Priority.POLL, done)
            await anyio.sleep(0.5)
            group.start_soon(write, pace, done, 2)
            await anyio.sleep(0.1)
            group.start_soon(read, pace, Priority.EVIDENCE, done)

    run(main)
    assert done == [Priority.EVIDENCE] + [Priority.WRITE] * 2 + [Priority.POLL] * 2


def test_nobody_is_passed_over_for_ever() -> None:
    done: list[Priority] = []

    async def main() -> None:
        pace = throttle(SCARCE)
        async with anyio.create_task_group() as group:
            group.start_soon(write, pace, done, 40)
            for rank in (Priority.EVIDENCE, Priority.POLL):
                for _ in range(40):
                    group.start_soon(read, pace, rank, done)

    run(main)
    first = done[:40]
    assert all(first.count(rank) >= 6 for rank in Priority)
    assert first.count(Priority.EVIDENCE) == max(first.count(rank) for rank in Priority)


def test_a_write_that_is_wanted_no_more_holds_nobody_up() -> None:
    async def main() -> None:
        pace = throttle(SCARCE)
        await spend(pace)
        assert pace.permit() is None
        done: list[Priority] = []
        await read(pace, Priority.POLL, done)
        assert now_s() == pytest.approx(2.0, abs=0.01)

    run(main)


def test_a_read_that_is_cancelled_leaves_the_line() -> None:
    async def main() -> None:
        pace = throttle(SCARCE)
        await spend(pace)
        with anyio.move_on_after(0.5):
            await read(pace, Priority.EVIDENCE, [])
        done: list[Priority] = []
        await write(pace, done)
        assert now_s() == pytest.approx(1.0, abs=0.01)

    run(main)


def test_a_line_is_served_by_rank_and_then_by_coming() -> None:
    line = PriorityQueue()
    with (
        line.enqueued(Priority.POLL) as poll,
        line.enqueued(Priority.EVIDENCE) as early,
        line.enqueued(Priority.EVIDENCE),
    ):
        assert line.first() is early
        for _ in range(3):
            line.record_served(Priority.EVIDENCE, line.priorities())
        assert line.first() is poll
        line.record_served(Priority.POLL, line.priorities())
        assert line.first() is early
    assert line.first() is None


def test_a_single_look_is_evidence_and_a_sweep_is_a_poll() -> None:
    cloud = ScriptedCloud(lambda request: answer(200, {"server": server_body(request.url.path.rsplit("/", 1)[-1])}))

    async def main() -> None:
        async with opened(cloud, limits=SCARCE) as client, anyio.create_task_group() as group:
            group.start_soon(client.sweep, ["s1", "s2", "s3"])
            await anyio.sleep(0.5)
            group.start_soon(client.server, "wanted")

    run(main)
    assert [call.path.rsplit("/", 1)[-1] for call in cloud.calls].index("wanted") == 1
