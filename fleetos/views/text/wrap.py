"""Lines that fit a terminal: broken between words, and what follows is indented."""

from collections.abc import Iterable

from rich.cells import cell_len
from rich.text import Text

_INDENT = 2


def wrapped(lines: Iterable[Text], width: int | None) -> list[Text]:
    """Return the lines with each that is wider than `width` cells broken between words; None: as they are."""
    return [piece for line in lines for piece in ([line] if width is None else _pieces(line, max(1, width)))]


def _pieces(line: Text, width: int) -> Iterable[Text]:
    own = line.cell_len - len(line.plain.lstrip(" "))
    indent = " " * min(max(0, own) + _INDENT, width // 3)
    while line.cell_len > width:
        cut = _cut_at(line.plain, width)
        first, line = line[:cut], line[cut:]
        first.rstrip()
        yield first
        blanks = len(line.plain) - len(line.plain.lstrip(" "))
        line = Text(indent).append_text(line[blanks:])
    yield line


def _cut_at(words: str, width: int) -> int:
    """Where to break: at the last blank that fits, else within a word that is wider than the line."""
    fits = 0
    for place in range(1, len(words) + 1):
        if cell_len(words[:place]) > width:
            break
        fits = place
    begin = len(words) - len(words.lstrip(" "))
    blank = words.rfind(" ", begin, fits + 1)
    return blank if blank > begin else max(fits, begin + 1)
