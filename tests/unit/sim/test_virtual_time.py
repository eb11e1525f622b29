"""Virtual time: it jumps to the next timer, keeps the order of things, and tells when nothing will ever happen."""

import anyio
import anyio.lowlevel
import pytest

from fleetos.sim.virtual_time import Deadlock, VirtualLoop, now_s, run


def test_a_day_passes_in_no_time_and_in_order() -> None:
    heard: list[tuple[str, int]] = []

    async def say(word: str, after_s: float) -> None:
        await anyio.sleep(after_s)
        heard.append((word, round(now_s())))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say, "last", 86_400.0)
            tasks.start_soon(say, "first", 60.0)
            tasks.start_soon(say, "then", 3600.0)

    run(main)
    assert heard == [("first", 60), ("then", 3600), ("last", 86_400)]


def test_deadlines_are_kept() -> None:
    async def main() -> None:
        with anyio.move_on_after(30.0) as deadline:
            await anyio.sleep(31.0)
        assert deadline.cancelled_caught
        assert round(now_s()) == 30

    run(main)


def test_rounds_that_take_time_do_not_stop_it() -> None:
    async def main() -> None:
        rounds = 0
        while now_s() < 0.01:
            await anyio.lowlevel.checkpoint()
            rounds += 1
        assert rounds > 100

    run(main, lambda: VirtualLoop(round_s=1e-6))


def test_a_wait_for_nothing_is_a_deadlock() -> None:
    async def main() -> None:
        await anyio.Event().wait()

    with pytest.raises(Deadlock):
        run(main)
