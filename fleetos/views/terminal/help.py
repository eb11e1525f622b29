"""Help of a command: its usage, its description, and panels of arguments, options and commands.

It looks as typer draws it, whose own module for it imports Markdown, syntax colours and tracebacks as well: those take
longer than the help itself.
"""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.align import Align
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.highlighter import RegexHighlighter
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

_THEME = Theme(
    {"option": "bold cyan", "switch": "bold green", "types": "bold yellow", "types_sep": "dim", "usage": "yellow"}
)


class _Options(RegexHighlighter):
    """Highlighter of the names of options."""

    highlights: ClassVar[Sequence[str]] = [
        r"(^|\W)(?P<switch>\-\w+)(?![a-zA-Z0-9])",
        r"(^|\W)(?P<option>\-\-[\w\-]+)(?![a-zA-Z0-9])",
        r"(?P<types>\<[^\>]+\>)",
        r"(?P<usage>Usage: )",
    ]


class _Forms(RegexHighlighter):
    """Highlighter of what stands between the alternatives of a value."""

    highlights: ClassVar[Sequence[str]] = [
        r"^(?P<types_sep>(\[|<))",
        r"(?P<types_sep>\|)",
        r"(?P<types_sep>(\]|>))(\.\.\.)?$",
    ]


_options, _forms = _Options(), _Forms()


@dataclass(frozen=True, slots=True)
class Parameter:
    """Argument or option of a command. Empty texts are left out."""

    long_names: str
    short_names: str
    """Short names of an option, or the name of an argument."""
    form: str
    """Form of its value; empty for a flag."""
    meaning: str
    env_var: str
    """Variable of the environment that stands for it."""
    default: str
    required: bool


def print_help(
    usage: str,
    description: str,
    parameters: Mapping[str, Sequence[Parameter]],
    commands: Mapping[str, Sequence[tuple[str, str]]],
) -> None:
    """Print the help to stdout. Parameters, and names and descriptions of commands, come by the titles of panels."""
    console = _console()
    console.print(Padding(_options(usage), 1), style="bold")
    if description:
        console.print(Padding(Align(Group(*_paragraphs(description)), pad=False), (0, 1, 1, 1)))
    name_width = max((len(name) for listed in commands.values() for name, _ in listed), default=0)
    tables = {title: _parameter_table(listed) for title, listed in parameters.items()}
    tables |= {title: _command_table(listed, name_width) for title, listed in commands.items()}
    for title, table in tables.items():
        if table.row_count:
            console.print(Panel(table, border_style="dim", title=title, title_align="left"))


def _console() -> Console:
    """Return the console, as the variables of typer set it."""
    width = os.environ.get("TERMINAL_WIDTH")
    colour = any(map(os.environ.get, ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS")))
    return Console(
        theme=_THEME, highlighter=_options, force_terminal=colour or None, width=int(width) if width else None
    )


def _marked(text: str, style: str = "") -> Text:
    return _options(Text.from_markup(inspect.cleandoc(text), style=style))


def _paragraphs(description: str) -> Iterator[Text]:
    first, *rest = inspect.cleandoc(description).split("\n\n")
    yield _marked(first.replace("\n", " ").strip())
    if rest:
        yield Text("")
        yield _marked("\n\n".join(rest), "dim")


def _parameter_table(parameters: Sequence[Parameter]) -> Table:
    table = Table(highlight=True, show_header=False, expand=True, box=None, pad_edge=False)
    for parameter in parameters:
        # The two empty columns are those of names that switch an option off.
        names = [_options(parameter.long_names), _options(parameter.short_names), "", ""]
        row = [*names, _forms(Text(parameter.form, style="bold yellow", overflow="fold")), _meaning(parameter)]
        table.add_row(*([_star(parameter)] if any(other.required for other in parameters) else []), *row)
    return table


def _star(parameter: Parameter) -> RenderableType:
    return Text("*", style="red") if parameter.required else ""


def _meaning(parameter: Parameter) -> Columns:
    meaning = [_marked(parameter.meaning.replace("\n", " ").strip())] if parameter.meaning else []
    notes = (
        (f"[env var: {parameter.env_var}]" if parameter.env_var else "", "dim yellow"),
        (f"[default: {parameter.default}]" if parameter.default else "", "dim"),
        ("[required]" if parameter.required else "", "dim red"),
    )
    return Columns([*meaning, *(Text(note, style=style) for note, style in notes if note)])


def _command_table(commands: Sequence[tuple[str, str]], name_width: int) -> Table:
    table = Table(show_header=False, expand=True, box=None, pad_edge=False)
    table.add_column(style="bold cyan", no_wrap=True, width=name_width)
    table.add_column(ratio=10)
    for name, description in commands:
        table.add_row(Text(name), _marked(inspect.cleandoc(description).split("\n\n")[0].strip()))
    return table
