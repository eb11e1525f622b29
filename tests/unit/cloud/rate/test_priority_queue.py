"""Who goes first when the pace is the bottleneck, in virtual time."""

import anyio
import pytest

from fleetos.cloud.rate.priority_queue import Line, Rank
from fleetos.cloud.rate.throttle import Throttle
from fleetos.model.plan import ApiLimits
from tests.unit.cloud.rate.test_throttle import throttle
from tests.unit.cloud.scripted import ScriptedCloud, answer, opened, server_body
from tests.unit.cloud.virtual import now_s, run

# One request a second, for reads and writes together.
SCARCE = ApiLimits(rate_per_s=1.0, burst=1.0)


async def read(pace: Throttle, rank: Rank, done: list[Rank]) -> None:
    async with pace.reading(rank):
        done.append(rank)


async def write(pace: Throttle, done: list[Rank], count: int = 1) -> None:
    """Asks as the engine does: at once, and again when it is told to."""
    for _ in range(count):
        while True:
            permit = pace.permit()
            if permit is not None:
                break
            await anyio.sleep(max(0.005, pace.permit_in_s()))
        async with pace.writing(permit):
            done.append(Rank.WRITE)


async def spend(pace: Throttle) -> None:
    """Take the token that reads may have, and the one that they leave to writes."""
    await read(pace, Rank.POLL, [])
    await write(pace, [])


def test_evidence_goes_before_writes_and_these_before_polls() -> None:
    done: list[Rank] = []

    async def main() -> None:
        pace = throttle(SCARCE)
        await spend(pace)
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(read, pace, Rank.POLL, done)
            await anyio.sleep(0.5)
            group.start_soon(write, pace, done, 2)
            await anyio.sleep(0.1)
            group.start_soon(read, pace, Rank.EVIDENCE, done)

    run(main)
    assert done == [Rank.EVIDENCE] + [Rank.WRITE] * 2 + [Rank.POLL] * 2


def test_nobody_is_passed_over_for_ever() -> None:
    done: list[Rank] = []

    async def main() -> None:
        pace = throttle(SCARCE)
        async with anyio.create_task_group() as group:
            group.start_soon(write, pace, done, 40)
            for rank in (Rank.EVIDENCE, Rank.POLL):
                for _ in range(40):
                    group.start_soon(read, pace, rank, done)

    run(main)
    first = done[:40]
    assert all(first.count(rank) >= 6 for rank in Rank)
    assert first.count(Rank.EVIDENCE) == max(first.count(rank) for rank in Rank)


def test_a_write_that_is_wanted_no_more_holds_nobody_up() -> None:
    async def main() -> None:
        pace = throttle(SCARCE)
        await spend(pace)
        assert pace.permit() is None
        done: list[Rank] = []
        await read(pace, Rank.POLL, done)
        assert now_s() == pytest.approx(2.0, abs=0.01)

    run(main)


def test_a_read_that_is_cancelled_leaves_the_line() -> None:
    async def main() -> None:
        pace = throttle(SCARCE)
        await spend(pace)
        with anyio.move_on_after(0.5):
            await read(pace, Rank.EVIDENCE, [])
        done: list[Rank] = []
        await write(pace, done)
        assert now_s() == pytest.approx(1.0, abs=0.01)

    run(main)


def test_a_line_is_served_by_rank_and_then_by_coming() -> None:
    line = Line()
    with line.standing(Rank.POLL) as poll, line.standing(Rank.EVIDENCE) as early, line.standing(Rank.EVIDENCE):
        assert line.first() is early
        for _ in range(3):
            line.served(Rank.EVIDENCE, line.ranks())
        assert line.first() is poll
        line.served(Rank.POLL, line.ranks())
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
