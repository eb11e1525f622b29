"""Worlds: the same seed gives the same one, and each fault script comes to what it is for."""

import pytest

from tests.simulation.checkers import check
from tests.simulation.scenario_run import run_scenario
from tests.simulation.situations import situations
from tests.simulation.worlds import SMALL_EVERY, world
from tests.support.ledger import CHANGES


def test_the_same_seed_gives_the_same_world() -> None:
    assert [world(seed) for seed in range(1, 50)] == [world(seed) for seed in range(1, 50)]


def test_one_world_in_so_many_is_small() -> None:
    assert [seed for seed in range(1, 100) if world(seed).enumerate] == list(range(SMALL_EVERY, 100, SMALL_EVERY))


def test_in_some_worlds_servers_get_the_image_that_they_run() -> None:
    again = [seed for seed in range(1, 200) if world(seed).reinstall]
    assert 8 <= len(again) <= 24
    assert not any("changeos" in rule.on for seed in again for rule in world(seed).faults)
    trace = run_scenario(next(world(seed) for seed in again if world(seed).enumerate))
    changes = {write.operation for write in trace.ledger.writes if write.operation in CHANGES}
    assert (changes, check(trace)) == ({"reinstallos"}, [])
    (image,) = {target.order.image_id for target in trace.targets.values()}
    assert {disk.image_id for disk in trace.ledger.disks if disk.boot and disk.made_by is not None} == {image}


@pytest.mark.parametrize(
    ("first", "situation"),
    [
        pytest.param(115, "write-kept-back-by-a-pause", id="forbidden"),
        pytest.param(7, "held-unanswered-send", id="started"),
        pytest.param(11, "power-stopped-again", id="put-back"),
        pytest.param(15, "held-foreign-change", id="queueing"),
        pytest.param(19, "held-still-changing", id="overdue"),
        pytest.param(23, "resend-after-settle", id="doubtful"),
        pytest.param(27, "held-foreign-change", id="blinded"),
    ],
)
def test_a_plot_comes_to_what_it_is_for(first: int, situation: str) -> None:
    run_traces = [run_scenario(world(seed)) for seed in (first, first + 28, first + 56)]
    assert [check(trace) for trace in run_traces] == [[], [], []]
    assert sum(situations(trace)[situation] for trace in run_traces) > 0
