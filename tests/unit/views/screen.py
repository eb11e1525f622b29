"""A small terminal: what somebody sees after the bytes that a view wrote, the scrolled lines included."""

import re
from io import StringIO

from rich.cells import cell_len
from rich.console import Console

_TOKEN = re.compile(r"\x1b\[(?P<args>[?\d;]*)(?P<code>[A-Za-z])|(?P<text>[^\x1b])", re.DOTALL)


class Screen:
    """Lines from the top of the scrollback on; it wraps at its width, and a narrower one wraps what it shows."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.lines = [""]
        self.row = 0
        self.column = 0
        self.cursor_shown = True
        self._out = StringIO()
        self.console = Console(
            file=self._out, force_terminal=True, width=width, height=height, color_system="truecolor"
        )

    def resize(self, width: int) -> None:
        """Wraps every line anew, as terminals do that reflow."""
        self.show()
        after: list[str] = []
        for index, line in enumerate(self.lines):
            parts = [line[start : start + width] for start in range(0, len(line), width)] or [""]
            if index == self.row:
                part = min(max(self.column - 1, 0) // width, len(parts) - 1)
                row, column = len(after) + part, self.column - part * width
                self.row, self.column = row, column
                after += parts
            else:
                after += parts
        self.lines, self.width = after, width
        self.console.width = width

    def show(self) -> list[str]:
        """The lines that are on the screen now, without the empty ones at the end."""
        written = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        for token in _TOKEN.finditer(written):
            if token["text"]:
                self._put(token["text"])
            else:
                self._obey(token["code"], token["args"])
        shown = [line.rstrip() for line in self.lines]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self._down(1)
            self.column = 0
        else:
            assert cell_len(letter) == 1, "this terminal knows narrow letters only"
            if self.column == self.width:
                self._down(1)
                self.column = 0
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
            self.column += 1

    def _obey(self, code: str, args: str) -> None:
        count = int(args) if args.isdigit() else 1
        match code:
            case "A":
                self.row = max(0, self.row - count)
            case "B":
                self._down(count)
            case "K":
                assert args == "2"
                self.lines[self.row] = ""
            case "h" | "l":
                assert args == "?25"
                self.cursor_shown = code == "h"
            case "m":
                pass
            case _:
                raise AssertionError(f"a view must not send {code!r}")

    def _down(self, count: int) -> None:
        self.row += count
        while len(self.lines) <= self.row:
            self.lines.append("")
