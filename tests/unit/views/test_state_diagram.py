"""The diagrams hold every legal move, and the page is written between its markers only."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import pytest

from fleetos.errors import UsageError
from fleetos.model.states import MOVES, RUN_MOVES
from fleetos.views.state_diagram import BEGIN, END, law, main, update_page

_State = TypeVar("_State", bound=StrEnum)
PAGE = f"# Top\n\n{BEGIN}\nold\n{END}\n\nbelow\n"


def _listed(moves: Mapping[_State, Mapping[_State, str]]) -> list[tuple[str, str, str]]:
    return [(before, after, when) for before, afters in moves.items() for after, when in afters.items()]


def test_every_move_is_drawn_and_listed_once() -> None:
    text = law()
    moves = [*_listed(MOVES), *_listed(RUN_MOVES)]
    for before, after, when in moves:
        assert text.count(f"\n    {before} --> {after}\n") >= 1
        assert f"| `{before}` | `{after}` | {when} |" in text
    assert text.count(" --> ") == len(moves) + 2 + 5 + 3, "two beginnings, five ends of targets, three of runs"


def test_only_what_is_between_the_markers_changes() -> None:
    after = update_page(PAGE)
    assert after.startswith(f"# Top\n\n{BEGIN}\n\n### Targets")
    assert after.endswith(f"{END}\n\nbelow\n")
    assert update_page(after) == after


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(UsageError, match="markers"):
        update_page(page)


def test_check_changes_nothing_and_tells(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    assert main([str(page), "--check"]) == 1
    assert page.read_text(encoding="utf-8") == PAGE
    assert main([str(page)]) == 0
    assert main(["--check", str(page)]) == 0


def test_one_page_is_needed() -> None:
    with pytest.raises(UsageError):
        main(["--check"])
