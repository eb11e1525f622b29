"""Limits that nobody states: they are found by what is refused, shared with others, and remembered."""

from datetime import timedelta

import anyio
import pytest

from fleetos.cloud.rate.adaptive_rate import PACE_SHARE, PACE_SHARE_MIN
from fleetos.cloud.rate.throttle import AUTO_READS_PER_S, RequestClass, Throttle, Throttled
from fleetos.limits import LIMIT_FORGOTTEN_LOOPBACK_S, LIMIT_FORGOTTEN_S
from fleetos.model.experience import Limit
from fleetos.model.plan import ApiLimits
from tests.support.clocks import VIRTUAL_START, VirtualClock, now_s, run
from tests.support.clouds.limited import Counted, busy, limited
from tests.unit.cloud.rate.test_throttle import read_times, throttle

SLOW = Limit(2.0, 1.0, VIRTUAL_START - timedelta(days=1))


@pytest.mark.slow
@pytest.mark.parametrize("span_s", [120.0, pytest.param(600.0, marks=pytest.mark.proof)])
def test_a_limit_that_nobody_states_is_found_and_kept(span_s: float) -> None:
    counted: list[Counted] = []

    async def main() -> None:
        counted.append(await busy(limited(20, 1.0), span_s))

    run(main)
    (one,) = counted
    assert one.refused_share < 0.01
    # Little is lost by it.
    assert one.statuses[200] > 0.75 * 20 * span_s


# Within five minutes they find the limit and share it.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "span_s"),
    [(2, 300.0), *(pytest.param(*longer, marks=pytest.mark.proof) for longer in [(2, 600.0), (4, 300.0), (4, 600.0)])],
)
def test_processes_that_share_a_limit_share_it_evenly(processes: int, span_s: float) -> None:
    counted: list[Counted] = []

    async def main() -> None:
        cloud = limited(20, 1.0)

        async def one(seed: int) -> None:
            counted.append(await busy(cloud, span_s, seed=seed))

        async with anyio.create_task_group() as group:
            for seed in range(processes):
                group.start_soon(one, seed + 1)

    run(main)
    served = [one.statuses[200] for one in counted]
    assert max(served) < 2 * min(served)
    assert sum(served) > 0.7 * 20 * span_s
    assert all(one.refused_share < 0.03 for one in counted)


def test_a_refusal_lowers_the_pace_to_a_share_of_what_was_sent() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(rate_per_s=10.0, burst=1.0, connections=64))
        await read_times(pace, 51)
        pace.pause(Throttled(RequestClass.READ, now_s()))
        assert pace.read_rate_per_s() == pytest.approx(10 * PACE_SHARE)
        await pace.wait_until_open()
        # Nothing was sent since: others use the limit up.
        await anyio.sleep(3600)
        pace.pause(Throttled(RequestClass.READ, now_s()))
        assert pace.read_rate_per_s() == pytest.approx(10 * PACE_SHARE * PACE_SHARE_MIN)

    run(main)


def test_the_echo_of_a_refusal_lowers_nothing_more_and_a_login_nothing_at_all() -> None:
    async def main() -> None:
        pace = throttle()
        pace.pause(Throttled(RequestClass.LOGIN, now_s()))
        assert pace.read_rate_per_s() == AUTO_READS_PER_S
        await pace.wait_until_open()
        await anyio.sleep(1)
        left_s = now_s()
        for _ in range(5):
            pace.pause(Throttled(RequestClass.READ, left_s))
        assert pace.read_rate_per_s() == AUTO_READS_PER_S * PACE_SHARE_MIN

    run(main)


@pytest.mark.slow
def test_the_pace_rises_with_every_request_up_to_the_budget_and_not_by_waiting() -> None:
    async def main() -> None:
        pace = throttle(ApiLimits(connections=64))
        pace.pause(Throttled(RequestClass.READ, now_s()))
        await anyio.sleep(86400)
        low = pace.read_rate_per_s()
        assert low is not None
        assert low == AUTO_READS_PER_S * PACE_SHARE_MIN
        await read_times(pace, 1000)
        higher = pace.read_rate_per_s()
        assert higher is not None
        assert low < higher < AUTO_READS_PER_S
        await read_times(pace, 10_000)
        assert pace.read_rate_per_s() == AUTO_READS_PER_S
        assert pace.learned(VirtualClock().now()) == {}

    run(main)


def test_a_first_refusal_without_a_rate_is_no_standstill() -> None:
    async def main() -> None:
        pace = throttle(loopback=True)
        pace.pause(Throttled(RequestClass.READ, now_s()))
        assert pace.read_rate_per_s() == AUTO_READS_PER_S * PACE_SHARE

    run(main)


def begun(pace: Throttle, **limits: Limit) -> float | None:
    pace.recall(limits, VirtualClock().now())
    return pace.read_rate_per_s()


def test_what_was_learned_only_ever_lowers_the_pace() -> None:
    async def main() -> None:
        assert begun(throttle(), read=SLOW) == 2.0
        assert begun(throttle(), write=SLOW) == AUTO_READS_PER_S
        assert begun(throttle(), read=Limit(50.0, 5.0, VIRTUAL_START)) == AUTO_READS_PER_S
        assert begun(throttle(ApiLimits(rate_per_s=1.0)), read=SLOW) == 1.0
        assert begun(throttle(ApiLimits(rate_per_s=9.0)), read=SLOW) == 2.0

    run(main)


def test_what_was_learned_is_forgotten_in_time() -> None:
    async def main() -> None:
        for loopback, kept_s in ((False, LIMIT_FORGOTTEN_S), (True, LIMIT_FORGOTTEN_LOOPBACK_S)):
            usual = None if loopback else AUTO_READS_PER_S
            for age_s, rate in ((kept_s - 1, 2.0), (kept_s + 1, usual), (-3600.0, 2.0)):
                limit = Limit(2.0, 1.0, VIRTUAL_START - timedelta(seconds=age_s))
                assert begun(throttle(loopback=loopback), read=limit) == rate

    run(main)


def test_what_is_told_is_remembered_as_it_was_and_does_not_rise() -> None:
    async def main() -> None:
        pace = throttle()
        pace.pause(Throttled(RequestClass.READ, now_s(), limit=(200, 300.0)))
        learned = pace.learned(VirtualClock().now())
        assert learned == {"read": Limit(0.6, 10.0, VIRTUAL_START, told=True)}
        await anyio.sleep(3600)
        next_run = throttle(ApiLimits(connections=64))
        assert begun(next_run, **learned) == 0.6
        await read_times(next_run, 200)
        assert next_run.read_rate_per_s() == 0.6
        # Still as old as it was, so that it is forgotten in time.
        assert next_run.learned(VirtualClock().now())["read"].learned_at == VIRTUAL_START

    run(main)


def test_a_limit_that_others_use_up_too_is_shared_with_them() -> None:
    async def main() -> None:
        pace = throttle()
        for _ in range(2):
            await pace.wait_until_open()
            await anyio.sleep(1)
            pace.pause(Throttled(RequestClass.READ, now_s(), limit=(200, 300.0)))
        assert pace.read_rate_per_s() == pytest.approx(0.6 * PACE_SHARE_MIN)
        await pace.wait_until_open()
        await read_times(pace, 2000)
        assert pace.read_rate_per_s() == 0.6

    run(main)
