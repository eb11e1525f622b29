"""A small fleet in a large project, on a cloud that lists by no ids: sweeps do not walk through everybody's servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.play import Play
from tests.stage import Stage, stage

FLEET = 18
# Together with the fleets, three pages.
OTHERS = 2400
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
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("large"), SCENARIO) as cloud:
        yield cloud


def pages_walked(cloud: Stage, folder: Path, names: list[str]) -> int:
    """How many pages of the list it took to change these servers."""
    before = cloud.ledger().requests.get("list", 0)
    folder.mkdir()
    with Play.at(cloud, folder, iter(())) as play:
        done = play.fleetos("apply", play.written(names, concurrency=len(names)), "--yes")
        assert done.returncode == 0, done.stderr
        assert set(play.changes(names).values()) == {1}
    return cloud.ledger().requests.get("list", 0) - before


def test_a_fleet_is_swept_by_what_its_names_share(cloud: Stage, tmp_path: Path) -> None:
    alike = pages_walked(cloud, tmp_path / "alike", [f"web-{number:02}" for number in range(1, FLEET + 1)])
    strange = pages_walked(cloud, tmp_path / "strange", [*STRANGE])
    survey = 3
    # Both look at the whole project once, and are swept some ten times: in one page, or in all that there are.
    assert alike - survey < (strange - survey) / 2, (alike, strange)
