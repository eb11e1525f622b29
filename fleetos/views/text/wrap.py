"""Break lines between words so that they fit a terminal, and indent what follows."""

from collections.abc import Iterable

from rich.cells import cell_len
from rich.text import Text

_INDENT = 2


def wrap_lines(lines: Iterable[Text], width: int | None) -> list[Text]:
    """Return the lines, with those wider than `width` cells broken between words; None: no limit."""
    return [piece for line in lines for piece in ([line] if width is None else _wrap_line(line, max(1, width)))]


def _wrap_line(line: Text, width: int) -> Iterable[Text]:
    indent_width = line.cell_len - len(line.plain.lstrip(" "))
    indent = " " * min(max(0, indent_width) + _INDENT, width // 3)
    while line.cell_len > width:
        cut = _break_position(line.plain, width)
        first, line = line[:cut], line[cut:]
        first.rstrip()
        yield first
        blanks = len(line.plain) - len(line.plain.lstrip(" "))
        line = Text(indent).append_text(line[blanks:])
    yield line


def _break_position(words: str, width: int) -> int:
    """Return where to break: at the last blank that fits, else within a word that is wider than the line."""
    fits = 0
    for place in range(1, len(words) + 1):
        if cell_len(words[:place]) > width:
            break
        fits = place
    begin = len(words) - len(words.lstrip(" "))
    blank = words.rfind(" ", begin, fits + 1)
    return blank if blank > begin else max(fits, begin + 1)
