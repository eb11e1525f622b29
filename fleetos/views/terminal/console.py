"""Terminal or plain file: width and colour."""

from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from fleetos.views.text.format import printable, printable_lines

Shown = Text | str


class _Console(Console):
    """Console that escapes control sequences in what it prints, and raises BrokenPipeError for a closed pipe."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the renderable in pieces, made printable: names from outside get into texts at many places."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(printable_lines(piece.text), piece.style)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console_on(out: TextIO) -> Console:
    """Return a console that writes to `out`. Letters that its encoding does not have are written as escapes."""
    reconfigure = getattr(out, "reconfigure", None)
    if out.errors == "strict" and callable(reconfigure):
        reconfigure(errors="backslashreplace")
    return _Console(file=out, highlight=False, markup=False, emoji=False)


def put(text: Shown, out: TextIO) -> None:
    """Write the text and a line end to `out`. No line is broken, and control sequences are escaped.

    A `str` is one line: a line break in it comes from a name, and is escaped. Several lines come as a `Text`. Documents
    for programs must not be written here: their letters must stay as they are.
    """
    console_on(out).print(_shown(text), soft_wrap=True)


def put_wrapped(text: Shown, out: TextIO) -> None:
    """Write the text like `put`, but break long lines between words if `out` is a terminal."""
    console = console_on(out)
    console.print(_shown(text), soft_wrap=not console.is_terminal)


def put_question(text: str, out: TextIO) -> None:
    """Write a question like `put_wrapped`, and leave the cursor behind it."""
    console = console_on(out)
    console.print(Text(printable(text)), soft_wrap=not console.is_terminal, end="")
    out.flush()


def _shown(text: Shown) -> Shown:
    return text if isinstance(text, Text) else Text(printable(text))


def width_of(out: TextIO) -> int | None:
    """Return the width of the terminal behind `out` in cells; None if `out` is no terminal."""
    console = console_on(out)
    return console.width if console.is_terminal else None


def height_of(out: TextIO) -> int | None:
    """Return the number of rows of the terminal behind `out`; None if `out` is no terminal."""
    console = console_on(out)
    return console.height if console.is_terminal else None
