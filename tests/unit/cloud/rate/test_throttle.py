"""The pace of one scope, in virtual time."""

import math

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.cloud.rate.adaptive_rate import PACE_SHARE_MIN
from fleetos.cloud.rate.throttle import (
    AUTO_BURST,
    AUTO_READS_PER_S,
    AUTO_WRITES_PER_S,
    CLOSURE_MAX_S,
    CLOSURE_S,
    RequestClass,
    Throttle,
    Throttled,
    WritePermit,
)
from fleetos.cloud.rate.token_bucket import TokenBucket
from fleetos.model.plan import ApiLimits
from tests.support.chance import FixedChance
from tests.support.clocks import now_s, run


def throttle(
    limits: ApiLimits | None = None, *, loopback: bool = False, chance: float = 0.0, elapsed_s: float = 0.0
) -> Throttle:
    return Throttle(limits or ApiLimits(), lambda: now_s() + elapsed_s, FixedChance(chance), loopback=loopback)


async def read_times(pace: Throttle, count: int, hold_s: float = 0.0) -> list[float]:
    times: list[float] = []

    async def one() -> None:
        async with pace.reading():
            times.append(now_s())
            await anyio.sleep(hold_s)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(one)
    return times


async def write_times(pace: Throttle, count: int) -> list[float]:
    times: list[float] = []
    while len(times) < count:
        permit = pace.permit()
        if permit is None:
            wait_s = pace.permit_in_s()
            assert wait_s > 0
            await anyio.sleep(wait_s)
            continue
        async with pace.writing(permit):
            times.append(now_s())
    return times


@given(
    rate=st.floats(0.01, 100),
    burst=st.floats(1, 50),
    gaps=st.lists(st.floats(0, 10), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate_and_burst(rate: float, burst: float, gaps: list[float]) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    taken: list[float] = []
    at_s = 0.0
    for gap in gaps:
        at_s += gap
        if bucket.wait_s(at_s) == 0:
            bucket.take(at_s)
            taken.append(at_s)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - taken[first]) + 1e-3


def test_a_drained_bucket_saves_nothing_up_before_its_time() -> None:
    bucket = TokenBucket(1.0, 10.0, 0.0)
    bucket.drain(60.0)
    assert bucket.wait_s(50.0) == 0
    bucket.take(60.0)
    assert bucket.wait_s(60.0) == pytest.approx(1.0)


def test_waiting_as_told_is_enough() -> None:
    bucket = TokenBucket(0.3, 1.0, 0.0)
    at_s = 0.0
    for _ in range(50):
        bucket.take(at_s)
        at_s += bucket.wait_s(at_s)
        assert bucket.wait_s(at_s) == 0


def test_auto_reads_burst_and_then_keep_their_rate() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(connections=64))
        assert pace.read_rate_per_s() == AUTO_READS_PER_S
        times = await read_times(pace, 30)
        assert times[: int(AUTO_BURST)] == [0.0] * int(AUTO_BURST)
        assert times[-1] == pytest.approx((30 - AUTO_BURST) / AUTO_READS_PER_S, abs=0.1)

    run(main)


def test_auto_writes_keep_a_rate_of_their_own() -> None:
    async def main() -> None:
        pace = throttle()
        await read_times(pace, 10)
        times = await write_times(pace, 20)
        assert times[int(AUTO_BURST) - 1] == 0.0
        assert times[-1] == pytest.approx((20 - AUTO_BURST) / AUTO_WRITES_PER_S, abs=0.1)

    run(main)


def test_a_stated_rate_is_for_reads_and_writes_together() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(rate_per_s=2.0, burst=4.0))
        assert pace.read_rate_per_s() == 2.0
        await write_times(pace, 4)
        assert pace.permit_in_s() > 0
        times = await read_times(pace, 4)
        assert times == pytest.approx([1.0, 1.5, 2.0, 2.5], abs=0.01)
        assert pace.permit() is not None

    run(main)


def test_a_slow_rate_that_is_shared_lets_a_write_follow_a_look_at_once() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(rate_per_s=0.01, burst=1.0))
        await read_times(pace, 5)
        looked_s = now_s()
        assert pace.permit() is not None
        # And the next look comes when there is enough for one and a write.
        assert await read_times(pace, 1) == pytest.approx([looked_s + 200.0], abs=0.01)

    run(main)


def test_a_simulated_cloud_has_no_rate_unless_one_is_stated() -> None:
    async def main() -> None:
        pace = throttle(loopback=True)
        assert pace.read_rate_per_s() is None
        await read_times(pace, 500)
        await write_times(pace, 500)
        assert now_s() == 0.0
        assert throttle(ApiLimits(rate_per_s=1.0), loopback=True).read_rate_per_s() == 1.0

    run(main)


def test_the_login_decides_the_pace() -> None:
    async def main() -> None:
        pace = throttle(loopback=True)
        pace.set_rates(loopback=False)
        assert pace.read_rate_per_s() == AUTO_READS_PER_S
        pace.pause(Throttled(RequestClass.READ, 0.0))
        assert pace.closed_for_s() == CLOSURE_S

    run(main)


def test_places_are_halved_between_reads_and_writes() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(connections=4), loopback=True)
        held = [pace.permit(), pace.permit()]
        assert None not in held
        assert pace.permit() is None
        assert pace.permit_in_s() == math.inf
        # Whoever holds a permit can still read before it writes.
        assert await read_times(pace, 4, hold_s=1.0) == [0.0, 0.0, 1.0, 1.0]
        assert held[0] is not None
        held[0].give_back()
        assert pace.permit() is not None

    run(main)


def test_one_connection_serves_both_in_turn() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(connections=1), loopback=True)
        permit = pace.permit()
        assert permit is not None
        await read_times(pace, 2)
        async with pace.writing(permit):
            assert pace.permit() is None
        assert pace.permit() is not None

    run(main)


def test_a_permit_is_used_once() -> None:
    async def main() -> None:
        pace = throttle(loopback=True)
        permit = pace.permit()
        assert permit is not None
        async with pace.writing(permit):
            pass
        with pytest.raises(ValueError, match="not used before"):
            async with pace.writing(permit):
                pass
        given_back = pace.permit()
        assert given_back is not None
        given_back.give_back()
        given_back.give_back()
        with pytest.raises(ValueError, match="not used before"):
            async with pace.writing(given_back):
                pass
        stranger = WritePermit(lambda _: None)
        with pytest.raises(ValueError, match="of this cloud"):
            async with pace.writing(stranger):
                pass

    run(main)


def test_a_permit_given_back_returns_its_token() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(rate_per_s=0.001, burst=2.0))
        permit = pace.permit()
        assert permit is not None
        assert pace.permit() is not None
        assert pace.permit() is None
        permit.give_back()
        assert pace.permit() is not None

    run(main)


def test_a_place_comes_back_when_a_write_is_cancelled() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(connections=2), loopback=True)
        permit = pace.permit()
        assert permit is not None
        with anyio.move_on_after(1):
            async with pace.writing(permit):
                await anyio.sleep(100)
        assert pace.permit() is not None

    run(main)


def test_a_read_that_is_cancelled_while_it_waits_leaves_its_turn() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(rate_per_s=0.1, burst=1.0, connections=2))
        await read_times(pace, 1)
        with anyio.move_on_after(1):
            await read_times(pace, 1)
        assert await read_times(pace, 1) == pytest.approx([10.0], abs=0.01)

    run(main)


def test_a_429_closes_everything_for_everybody() -> None:
    async def main() -> None:
        pace = throttle()
        pace.pause(Throttled(RequestClass.READ, now_s()))
        assert pace.permit() is None
        assert pace.permit_in_s() == CLOSURE_S
        times = await read_times(pace, 1)
        assert times[0] >= CLOSURE_S
        assert pace.closed_for_s() == 0.0

    run(main)


def test_closures_double_up_to_their_bound() -> None:
    async def main() -> None:
        pace = throttle()
        closures: list[float] = []
        for _ in range(7):
            await pace.wait_until_open()
            await anyio.sleep(1)
            pace.pause(Throttled(RequestClass.WRITE, now_s()))
            closures.append(pace.closed_for_s())
        assert closures == pytest.approx([60, 120, 240, 480, 960, CLOSURE_MAX_S, CLOSURE_MAX_S])

    run(main)


def test_the_echo_of_one_burst_is_one_strike() -> None:
    async def main() -> None:
        pace = throttle()
        left_s = now_s()
        for _ in range(20):
            pace.pause(Throttled(RequestClass.READ, left_s))
        assert pace.closed_for_s() == CLOSURE_S
        await anyio.sleep(5)
        pace.pause(Throttled(RequestClass.READ, left_s))
        assert pace.closed_for_s() == CLOSURE_S - 5

    run(main)


def test_a_quiet_time_as_long_as_the_closure_is_forgiven() -> None:
    async def main() -> None:
        pace = throttle()
        for _ in range(3):
            await pace.wait_until_open()
            await anyio.sleep(1)
            pace.pause(Throttled(RequestClass.READ, now_s()))
        assert pace.closed_for_s() == 240
        await pace.wait_until_open()
        await anyio.sleep(241)
        pace.pause(Throttled(RequestClass.READ, now_s()))
        assert pace.closed_for_s() == CLOSURE_S

    run(main)


@pytest.mark.parametrize(
    ("refusal", "closed_s"),
    [
        (Throttled(RequestClass.READ, 0.0, retry_after_s=90.0), 90.0),
        (Throttled(RequestClass.READ, 0.0, retry_after_s=5.0), 60.0),
        (Throttled(RequestClass.READ, 0.0, limit=(200, 300.0)), 300.0),
        (Throttled(RequestClass.READ, 0.0, retry_after_s=400.0, limit=(200, 300.0)), 400.0),
        (Throttled(RequestClass.READ, 0.0, limit=(10, 86400.0)), 3600.0),
    ],
)
def test_the_longest_of_all_that_is_told_counts(refusal: Throttled, closed_s: float) -> None:
    async def main() -> None:
        pace = throttle()
        pace.pause(refusal)
        assert pace.closed_for_s() == closed_s

    run(main)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.99])
def test_the_opening_is_jittered_but_never_early(chance: float) -> None:
    async def main() -> None:
        pace = throttle(chance=chance)
        pace.pause(Throttled(RequestClass.READ, 0.0, retry_after_s=100.0))
        assert pace.closed_for_s() == pytest.approx(100 * (1 + chance / 4))

    run(main)


def test_a_named_limit_is_kept_from_then_on_by_its_kind_alone() -> None:
    async def main() -> None:
        pace = throttle()
        pace.pause(Throttled(RequestClass.WRITE, 0.0, limit=(30, 300.0)))
        await pace.wait_until_open()
        times = await write_times(pace, 100)
        for first in range(100):
            assert sum(times[first] <= at < times[first] + 300.0 for at in times) <= 30
        assert pace.read_rate_per_s() == AUTO_READS_PER_S
        # A limit above the rate that is refused all the same is used up by others as well.
        pace.pause(Throttled(RequestClass.READ, now_s(), limit=(10_000, 1.0)))
        assert pace.read_rate_per_s() == AUTO_READS_PER_S * PACE_SHARE_MIN

    run(main)


def test_after_a_closure_writes_go_first_and_nothing_was_saved_up() -> None:
    async def main() -> None:
        pace = throttle()
        pace.pause(Throttled(RequestClass.READ, 0.0))
        reads: list[float] = []
        writes: list[float] = []

        async def read() -> None:
            reads.extend(await read_times(pace, 12))

        async def write() -> None:
            writes.extend(await write_times(pace, 3))

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(write)
        assert writes[0] < reads[0]
        assert writes == pytest.approx([CLOSURE_S, CLOSURE_S + 1, CLOSURE_S + 2], abs=0.01)
        # One token is there at the opening, and what collects until the reads may start.
        assert sum(at < reads[0] + 0.01 for at in reads) <= 7

    run(main)


def test_closures_on_this_machine_begin_at_a_second() -> None:
    async def main() -> None:
        pace = throttle(loopback=True)
        pace.pause(Throttled(RequestClass.READ, 0.0))
        assert pace.closed_for_s() == 1.0
        pace.pause(Throttled(RequestClass.READ, 0.0, limit=(1, 300.0)))
        assert pace.closed_for_s() == 300.0

    run(main)
