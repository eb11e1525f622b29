"""A small fleet in a large project, on a cloud that lists by no ids: sweeps do not walk through everybody's servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetos.sim.api.access import PASSWORD
from tests.cli.runner import SharedCloudRunner
from tests.support.commands import CommandRunner, running_cloud
from tests.support.proxy import running_proxy

FLEET = 18
# Together with the fleets, three pages.
OTHERS = 2400
LAST_PAGE = "/cloudservers/detail?limit=1000&offset=3"
# More names that share nothing than there are texts by which a fleet is asked for.
STRANGE = tuple(f"{letter}x-{letter}" for letter in "abcdefghijklmnopqr")
SCENARIO = {
    "seed": 23,
    "servers": [
        {"count": OTHERS, "name": "other-####"},
        *({"count": 1, "name": name} for name in STRANGE),
        {"count": FLEET, "name": "web-##"},
    ],
    "durations": {"stop": [0.1, 0.2], "start": [0.1, 0.2], "change": [0.5, 1.5], "job_init": [0, 0.05]},
    "list": {"server_id_filter": False},
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandRunner]:
    with running_cloud(tmp_path_factory.mktemp("large"), SCENARIO) as cloud:
        yield cloud


def walks(cloud: CommandRunner, folder: Path, names: list[str]) -> int:
    """How often the list was walked through to its last page, to change these servers."""
    folder.mkdir()
    with running_proxy(cloud.url, PASSWORD) as between, SharedCloudRunner.at(cloud, folder, iter(())) as runner:
        between.told = ""
        runner.env.update(between.environment())
        plan = runner.write_plan(names, concurrency=len(names))
        done = runner.fleetos("apply", plan, "--yes")
        assert done.returncode == 0, done.stderr
        assert set(runner.changes(names).values()) == {1}
        return sum(path.endswith(LAST_PAGE) for path in between.paths)


@pytest.mark.slow
def test_a_fleet_is_swept_by_what_its_names_share(cloud: CommandRunner, tmp_path: Path) -> None:
    alike = walks(cloud, tmp_path / "alike", [f"web-{number:02}" for number in range(1, FLEET + 1)])
    strange = walks(cloud, tmp_path / "strange", [*STRANGE])
    # Both look at the whole project once; however many sweeps there were, those of the first walk through nothing.
    assert alike == 1 < strange
