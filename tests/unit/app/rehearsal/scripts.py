"""Scripts of small plans, frozen in virtual time."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleetos.app.rehearsal.script import Script, make_script
from fleetos.model.experience import NO_EXPERIENCE, Experience
from fleetos.model.preview import Band
from fleetos.model.steering.rehearsal import Supposition
from fleetos.sim.scenario.scenario import Scenario
from tests.support.virtual_rollout import freeze_in_virtual_time

BEGIN = datetime(2026, 11, 30, 12, tzinfo=UTC)
PLANNED = Supposition("as planned", 0.0, 900.0)
SURE = Supposition("all fail", 1.0, 900.0)
CHANGE_S = Band(60.0, 240.0)
TEXT = """version: 1
name: rehearsed
cloud: c
change: {{image: Standard_Debian_12_latest, keyname: KeyPair-350b}}
servers: [{{select: {{name: "web-*"}}}}]
rollout: {{concurrency: 4, {rollout}}}
failure: {{attempts: 2, {failure}}}
{more}
"""
NIGHT = 'windows: {zone: UTC, allow: [{days: [mon-sun], from: "22:00", to: "05:00"}]}'
WAVES = "waves: [1, 3, 100%], between_waves: {bake: 30m, approval: {by: other, of: 2}}"


def write(folder: Path, rollout: str = "", failure: str = "", more: str = "") -> Path:
    path = folder / "plan.yaml"
    path.write_text(TEXT.format(rollout=rollout, failure=failure, more=more), "utf-8")
    return path


def world(servers: int = 12, **more: Any) -> Scenario:
    group: Mapping[str, Any] = {"count": servers, "name": "web-##", "az": ["az-1", "az-2"], **more}
    return Scenario.model_validate({"seed": 1, "servers": [group]})


def script(path: Path, known: Experience = NO_EXPERIENCE, scenario: Scenario | None = None) -> Script:
    plan, frozen = freeze_in_virtual_time(path, scenario or world(), BEGIN)
    return asyncio.run(make_script(frozen, "anna", plan.api, known, CHANGE_S))
