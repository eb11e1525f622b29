"""Where text for people goes: a terminal with colour and a width, or a file that has neither."""

from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from fleetos.views.terminal.live import LiveView, wants_live
from fleetos.views.terminal.plain import PlainView
from fleetos.views.text.format import printable, printable_lines
from fleetos.views.view import View

Shown = Text | str


class _Console(Console):
    """A console that shows what others wrote, and obeys none of it.

    It tells its caller of a closed pipe, and leaves it to him whether to go on.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The renderable in pieces. Names of others get into texts at many places, so the last one spells them out."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(printable_lines(piece.text), piece.style)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console_on(out: TextIO) -> Console:
    """A console that writes to `out`. Letters that its encoding does not have are written as escapes."""
    reconfigure = getattr(out, "reconfigure", None)
    if out.errors == "strict" and callable(reconfigure):
        reconfigure(errors="backslashreplace")
    return _Console(file=out, highlight=False, markup=False, emoji=False)


def put(text: Shown, out: TextIO) -> None:
    """Writes the text and a line end to `out`. No line is broken, and nothing that others wrote is obeyed.

    A plain text is one line: a line break in it comes from a name, and is spelled out like all that a terminal obeys.
    A text of several lines comes as a `Text`. A document for programs is not for here, since its letters must stay.
    """
    console_on(out).print(_shown(text), soft_wrap=True)


def put_wrapped(text: Shown, out: TextIO) -> None:
    """Writes the text like `put`, but breaks long lines between words where `out` is a terminal."""
    console = console_on(out)
    console.print(_shown(text), soft_wrap=not console.is_terminal)


def put_question(text: str, out: TextIO) -> None:
    """Writes a question like `put_wrapped`, and leaves the cursor behind it."""
    console = console_on(out)
    console.print(Text(printable(text)), soft_wrap=not console.is_terminal, end="")
    out.flush()


def _shown(text: Shown) -> Shown:
    return text if isinstance(text, Text) else Text(printable(text))


def width_of(out: TextIO) -> int | None:
    """The width of the terminal behind `out` in cells; None where nothing limits it."""
    console = console_on(out)
    return console.width if console.is_terminal else None


def height_of(out: TextIO) -> int | None:
    """The rows of the terminal behind `out`; None where nothing limits them."""
    console = console_on(out)
    return console.height if console.is_terminal else None


def view_on(out: TextIO) -> View:
    """The view for people on `out`: live where it is a terminal that can move its cursor, plain lines elsewhere."""
    console = console_on(out)
    return LiveView(console) if wants_live(console) else PlainView(out)
