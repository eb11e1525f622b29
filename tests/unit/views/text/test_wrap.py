"""Lines are broken between words, and what follows is indented."""

import pytest
from rich.cells import cell_len
from rich.text import Text

from fleetos.views.text.wrap import wrap_lines


def broken(text: str, width: int | None) -> list[str]:
    return [line.plain for line in wrap_lines([Text(text)], width)]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", None, ["one two three"]),
        ("one two three", 13, ["one two three"]),
        ("one two three", 9, ["one two", "  three"]),
        ("  one two three", 9, ["  one two", "   three"]),
        ("verylongword", 5, ["veryl", " ongw", " ord"]),
        ("a verylongword", 6, ["a", "  very", "  long", "  word"]),
        ("", 5, [""]),
        ("ウェブ サーバ", 6, ["ウェブ", "  サー", "  バ"]),
    ],
)
def test_where_lines_are_broken(text: str, width: int | None, lines: list[str]) -> None:
    assert broken(text, width) == lines


@pytest.mark.parametrize("width", range(6, 30))
def test_nothing_is_lost_and_no_line_is_wider(width: int) -> None:
    text = "    to do: Have the disk attached again by the support desk; then `fleetos retry 2b7c0m1x4q`."
    lines = broken(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(line) <= width for line in lines)
