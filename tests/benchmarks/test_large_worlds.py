"""Worlds with more servers than a scenario file may have."""

from benchmarks.probe import large_world
from fleetos.sim.scenario.scenario import SIM_SERVERS_MAX


def test_a_world_larger_than_a_scenario_file_has_every_name_once() -> None:
    scenario = large_world(SIM_SERVERS_MAX + 5)
    names = [group.name_of(index) for group in scenario.servers for index in range(group.count)]
    assert len(names) == len(set(names)) == SIM_SERVERS_MAX + 5
    assert [group.count for group in scenario.servers] == [SIM_SERVERS_MAX, 5]
