"""JSON of an explanation, with the fields of its page."""

import json
import re
from pathlib import Path
from zoneinfo import ZoneInfo

from fleetos.views.documents.explanation import explanation_document
from fleetos.views.text.explanation import DiskFate, EndedBy, Stands, explain
from tests.unit.views.steered import ALIVE, CLOSED, EVERYTHING, facts, members, steered

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "outputs.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## Why a server does not move\n")[1].split("\n## ")[0]


def test_the_document_has_the_fields_of_the_page() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    shown, target = facts(history, CLOSED), history.one(0)
    told = explain(history.progress, shown.standing, target, ALIVE)
    document = explanation_document(shown, target, ALIVE, told, history.records[2:3], ZoneInfo("Europe/Berlin"))
    example = json.loads(SECTION.split("```json\n")[1].split("```")[0])
    assert list(document) == list(example)
    assert set(document["run"]) == set(example["run"])
    assert set(example["target"]) <= set(document["target"])
    assert set(document["disk"]) == set(example["disk"])
    assert document["ends_at"] == "2026-03-01T17:00:00.000Z"
    assert document["ends_at_local"] == "2026-03-01T18:00:00+01:00"
    assert (document["wave"]["number"], document["wave"]["state"]) == (1, "waiting")
    assert document["window"] == {"open": False, "until": None, "next": "2026-03-01T17:00:00.000Z"}
    assert document["groups"] == [{"per": "az", "value": "eu-de-01", "out": 0, "limit": 1}]
    assert [event["type"] for event in document["events"]] == ["target.enlisted"]
    assert json.loads(json.dumps(document)) == document


def test_the_page_names_every_value() -> None:
    named = set(re.findall(r"`([a-z-]+)`", SECTION))
    for values in (Stands, EndedBy, DiskFate):
        assert {value.value for value in values} <= named


def test_without_a_zone_no_local_time_is_told() -> None:
    history = steered(EVERYTHING, members(1, 2, 2, 2))
    shown = facts(history, CLOSED)
    told = explain(history.progress, shown.standing, history.one(0), ALIVE)
    assert explanation_document(shown, history.one(0), ALIVE, told, (), None)["ends_at_local"] is None
