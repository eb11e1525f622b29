"""The JSON of a rehearsal has the fields that its page shows."""

import json
from pathlib import Path
from typing import Any, cast

from fleetos.app.rehearsal.rehearse import Programme, rehearse
from fleetos.views.documents.rehearsal import rehearsal_document
from tests.unit.app.rehearsal.scripts import BEGIN, NIGHT, PLANNED, WAVES, script, world, write

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "outputs.md").read_text(encoding="utf-8")
EXAMPLE = json.loads(PAGE.partition("## What a rehearsal says")[2].partition("```json\n")[2].partition("```")[0])


def keys(value: object) -> object:
    """Return the keys of all objects in a document; of a list those of its first item."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: keys(fields[name]) for name in sorted(fields)}
    return [keys(item) for item in cast("list[Any]", value)[:1]] if isinstance(value, list) else None


def test_it_has_the_fields_of_its_page(tmp_path: Path) -> None:
    groups = f"{WAVES}, max_unavailable: [{{per: az, value: 1}}]"
    rehearsed = script(write(tmp_path, groups, more=NIGHT), scenario=world(5))
    document = rehearsal_document(rehearse(rehearsed, Programme((PLANNED,), 1, BEGIN), lambda: None))
    assert document["cases"][0]["misses_deadline"] is True
    document["cases"][0]["never_fit"] = EXAMPLE["cases"][0]["never_fit"]
    assert keys(document) == keys(EXAMPLE)
    assert json.loads(json.dumps(document)) == document
