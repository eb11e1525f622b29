"""The simulated cloud of a rehearsal shows each server as it was frozen, and takes an order of each."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetos.app.rehearsal.play import play
from fleetos.app.rehearsal.script import Script, make_script
from fleetos.app.rehearsal.world import make_cloud
from fleetos.cloud.api.decode import read_server
from fleetos.model.experience import NO_EXPERIENCE, Experience
from fleetos.model.preview import Band
from fleetos.model.steering.rehearsal import Supposition
from fleetos.sim.scenario.scenario import Scenario
from tests.support.virtual_rollout import freeze_in_virtual_time

BEGIN = datetime(2026, 11, 30, 12, tzinfo=UTC)
OTHER_IMAGE = "11111111-2222-4333-8444-555555555555"
FLEET = Scenario.model_validate(
    {
        "servers": [
            {"count": 3, "name": "web-#", "az": ["a", "b"]},
            {"count": 2, "name": "down-#", "state": "stopped"},
            {"count": 1, "name": "broken-#", "state": "failed"},
            {"count": 1, "name": "locked-#", "locked": True},
            {"count": 1, "name": "hidden-#", "shows_image": False},
            {"count": 1, "name": "metered-#", "image_id": OTHER_IMAGE},
            {"count": 1, "name": "diskless-#", "system_disk": False},
        ]
    }
)
PLAN = """version: 1
name: every-kind
cloud: c
change:
  image: Standard_Debian_12_latest
  adminpass: {env: REHEARSED}
  user_data: {text: "#cloud-config"}
  metadata: {BYOL: "true"}
servers: [{select: {name: "*"}}]
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return the script of a plan for servers of every kind, which get a password."""
    monkeypatch.setenv("REHEARSED", "Gooseberry-42-pie")
    (tmp_path / "plan.yaml").write_text(PLAN, "utf-8")
    plan, frozen = freeze_in_virtual_time(tmp_path / "plan.yaml", FLEET, BEGIN)
    return asyncio.run(make_script(frozen, "anna", plan.api, NO_EXPERIENCE, Band(60.0, 240.0)))


def test_each_server_shows_what_it_showed_at_the_freeze(script: Script) -> None:
    world = make_cloud(script, 1, 0.0, BEGIN.timestamp).world
    assert len(world.servers) == len(script.targets) == 10
    for target in script.targets:
        shown = read_server(json.loads(world.servers[target.server_id].snapshot_at(world.now)))
        assert shown.snapshot == target.baseline, target.name
        assert (shown.id, shown.name, shown.az, shown.flavor) == (
            target.server_id,
            target.name,
            target.az,
            target.flavor,
        )


def test_a_play_changes_all_that_the_run_changes(script: Script) -> None:
    played = play(script, Supposition("as planned", 0.0, 900.0), 1)
    assert (played.stop, played.failed) == (None, 0)
    assert played.writes.number > script.run.wipes >= 7


def test_durations_are_those_of_the_kind_then_of_the_image_then_of_any(script: Script) -> None:
    target = script.targets[0]
    image, kind = target.order.image_id, f"{target.order.image_id}/{target.flavor}/{target.az}"
    known = {"other/f/a": (1.0,), f"{image}/f/a": (2.0,), kind: (3.0,)}
    for learned in (known, dict(list(known.items())[:2]), dict(list(known.items())[:1])):
        experienced = replace(script, known=Experience(changes=learned, stops_s=(0.5,)))
        server = make_cloud(experienced, 1, 0.0, BEGIN.timestamp).world.servers[target.server_id]
        assert server.known_s == {"change": list(learned.values())[-1], "stop": (0.5,)}
