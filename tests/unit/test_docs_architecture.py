"""The architecture page tells the truth: about the rooms, the law of states, and every file that it names."""

import re
from pathlib import Path

import pytest

from fleetos.model.states import MOVES, RUN_MOVES
from fleetos.views.state_diagram import law, main

HOUSE = Path(__file__).parents[2]
PAGE = HOUSE / "docs" / "architecture.md"
GLOSSARY = HOUSE / "docs" / "glossary.md"


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_law_of_states_is_up_to_date() -> None:
    hint = "run: python -m fleetos.views.state_diagram docs/architecture.md"
    assert main([str(PAGE), "--check"]) == 0, hint
    assert law() in page()


def test_the_page_lists_exactly_the_rooms_of_the_package() -> None:
    listed = re.findall(r"^\| `fleetos/(\w+)/` \|", page(), re.MULTILINE)
    there = {folder.parent.name for folder in (HOUSE / "fleetos").glob("*/__init__.py")}
    assert len(listed) == len(set(listed))
    assert set(listed) == there


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(fleetos/[\w/]+\.py)`", page()))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (HOUSE / name).is_file()] == []


def test_every_invariant_has_its_place() -> None:
    rows = re.findall(r"^\| I(\d+) \| (.+?) \| (.+?) \|$", page(), re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 15))
    assert all("`" in where for _, _, where in rows)


def test_names_from_the_law_that_the_page_uses_are_in_it() -> None:
    law_file = (HOUSE / "fleetos" / "model" / "states.py").read_text(encoding="utf-8")
    for name in re.findall(r"`([A-Z_]{5,})`", page()):
        assert f"\n{name} = " in law_file


def test_every_way_out_of_a_state_is_on_the_page() -> None:
    text = page()
    rows = re.findall(r"^\| `([a-z]+)` \| `([a-z]+)` \| .+ \|$", text, re.MULTILINE)
    moves = [
        (str(before), str(after))
        for table in (MOVES, RUN_MOVES)
        for before, afters in table.items()
        for after in afters
    ]
    assert rows == moves


@pytest.mark.parametrize("document", [PAGE, GLOSSARY], ids=["architecture", "glossary"])
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_each_word_of_the_glossary_is_explained_once() -> None:
    words = re.findall(r"^\*\*([\w -]+)\*\* — \S", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(words) > 40
    assert len(words) == len(set(words))
