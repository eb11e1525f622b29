"""The world that a home keeps: made once, and from then on the fold of its journal."""

from collections.abc import Callable
from pathlib import Path

from fleetos.sim.api.gateway import Cloud
from fleetos.sim.random_draws import Chance
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.world.journal import FORMAT, Header, create, load


def open_world(path: Path, scenario: Scenario, now: Callable[[], float]) -> tuple[Cloud, str]:
    """Return the cloud whose world a journal keeps, and the world's name; without one a new world of the scenario."""
    if path.exists():
        journal, entries = load(path)
    else:
        born_at = now()
        world = Chance(scenario.seed).hex("world", str(born_at))
        header = Header(format=FORMAT, world=world, born_at=born_at, scenario=scenario)
        journal, entries = create(path, header), iter(())
    cloud = Cloud(journal.header.scenario, journal.header.born_at, now, journal)
    for entry in entries:
        cloud.replay(entry)
    return cloud, journal.header.world
