"""The page about rehearsals is true: its plan is rehearsed, and the table looks as it says."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetos.app.rehearsal.rehearse import Programme, rehearse
from fleetos.app.rehearsal.script import make_script
from fleetos.model.experience import NO_EXPERIENCE
from fleetos.model.preview import Band
from fleetos.model.steering.rehearsal import EndFigures, GroupFigures, PlayStop, Rehearsal, Supposition
from fleetos.sim.scenario.scenario import Scenario
from fleetos.views.rehearsal_table import rehearsal_text
from tests.support.virtual_rollout import freeze_in_virtual_time

PAGE = (Path(__file__).parents[3] / "docs" / "rehearsal.md").read_text(encoding="utf-8")
(PLAN,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(TABLE,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TUESDAY = datetime(2026, 12, 1, 14, 30, tzinfo=UTC)
DEADLINE = datetime(2026, 12, 2, 1, tzinfo=UTC)
FLEET = Scenario.model_validate({"servers": [{"count": 12, "name": "web-##", "az": ["eu-de-01", "eu-de-02"]}]})
# Each plays whole rollouts.
pytestmark = pytest.mark.slow


def rehearse_page(folder: Path, seeds: int) -> Rehearsal:
    (folder / "plan.yaml").write_text(PLAN, "utf-8")
    plan, frozen = freeze_in_virtual_time(folder / "plan.yaml", FLEET, TUESDAY)
    script = asyncio.run(make_script(frozen, "anna", plan.api, NO_EXPERIENCE, Band(60.0, 240.0)))
    slower = Supposition("concurrency=2", 0.05, 900.0, 2)
    programme = Programme((Supposition("as planned", 0.05, 900.0), slower), seeds, DEADLINE)
    return rehearse(script, programme, lambda: None)


def shape(table: str) -> list[str]:
    """Return the lines of a table without its numbers and where it was made; the engine's pace may change them."""
    lines = [re.sub(r"[0-9][0-9,]*", "0", line) for line in table.splitlines() if "project" not in line]
    return [re.sub(r" +", " ", line) for line in lines]


@pytest.mark.parametrize("seeds", [3, pytest.param(20, marks=pytest.mark.proof)])
def test_the_page_shows_what_the_rehearsal_of_its_plan_looks_like(tmp_path: Path, seeds: int) -> None:
    rehearsal = rehearse_page(tmp_path, seeds)
    assert shape(rehearsal_text(rehearsal, 80).plain) == shape(TABLE)
    assert rehearsal.misses is False


def test_its_table_fits_a_terminal_of_80_columns(tmp_path: Path) -> None:
    rehearsal = rehearse_page(tmp_path, 2)
    unlimited = rehearsal_text(rehearsal, None).plain.partition("Rehearsed")[0]
    assert rehearsal_text(rehearsal, 80).plain.startswith(unlimited)


def test_what_stops_plays_is_said_and_of_a_label_only_the_tightest_value_is_shown(tmp_path: Path) -> None:
    rehearsal = rehearse_page(tmp_path, 2)
    groups = [GroupFigures("label:pair", "a", 1, 2), GroupFigures("label:pair", "b", 2, 2)]
    case = replace(
        rehearsal.cases[0],
        groups=groups,
        stops={PlayStop.BUDGET: 1, PlayStop.STUCK: 1},
        end=EndFigures(None, None),
        never_fit={"web-2": 1, "web-1": 2},
        misses=True,
    )
    lines = rehearsal_text(replace(rehearsal, cases=[case]), 80).plain.splitlines()
    assert [line.split() for line in lines if line.startswith("label")] == [["label:pair", "b", "2", "2"]]
    assert "all   12       not reached           not reached" in lines
    assert "  a budget stops the run in 1 of 2" in lines
    assert "  the run waits in vain for a window or a group in 1 of 2" in lines
    assert "  never fit in a window: web-1, web-2" in lines
    assert "  the deadline, Wed 2026-12-02 02:00, is missed (P95)" in lines
    assert not any(line.startswith("WHAT IF") for line in lines)
