"""One simulated cloud for each file of tests; every test has servers and a database of its own in it."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runner import SharedCloudRunner
from tests.support.commands import CommandRunner, running_cloud

# More than the tests of one file take together: every command decodes the list of all servers.
SERVERS = 48
SCENARIO = {
    "seed": 11,
    "servers": [{"count": SERVERS, "name": "web-###", "state": "running"}],
    "durations": {"stop": [0.05, 0.15], "start": [0.05, 0.15], "change": [0.2, 0.4], "job_init": [0, 0.05]},
}


@pytest.fixture(scope="module")
def scenario() -> Mapping[str, Any]:
    """The world of the file. One whose servers differ has a fixture of this name of its own."""
    return SCENARIO


@pytest.fixture(scope="module")
def cloud(scenario: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandRunner]:
    """The cloud, with the environment of somebody who may use it."""
    folder = tmp_path_factory.mktemp("cloud")
    with running_cloud(folder, scenario) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def unused_names() -> Iterator[str]:
    """Names of servers that no test of the file has touched yet, in the world that most files have."""
    return iter([f"web-{number:03d}" for number in range(1, SERVERS + 1)])


@pytest.fixture
def runner(cloud: CommandRunner, unused_names: Iterator[str], tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """The cloud without faults, seen from an empty folder."""
    cloud.post("/admin/heal", {})
    with SharedCloudRunner.at(cloud, tmp_path, unused_names) as begun:
        yield begun
