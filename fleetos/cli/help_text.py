"""Help of the commands: no type beside a flag, which takes no value, and lines broken between words."""

import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

import typer
from typer._click.formatting import HelpFormatter
from typer.core import TyperCommand, TyperGroup, TyperOption

# Where descriptions have fewer columns than this beside the names, they stand below them.
_BESIDE_NEEDS = 30
_BELOW = " " * 6
_GAP = 2


class WholeWords(HelpFormatter):
    """Plain help whose lines end between words: a word that is wider than its line stays whole on a line of its own."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how the command is called."""
        first = f"{'Usage: ' if prefix is None else prefix}{prog} "
        self._write_wrapped(args, first, " " * (self.current_indent + 2 * _GAP))

    def write_text(self, text: str) -> None:
        """Write paragraphs, each with the indent that it has."""
        paragraphs = [part for part in text.expandtabs().split("\n\n") if part.strip()]
        for number, part in enumerate(paragraphs):
            own_indent = len(part.lstrip("\n")) - len(part.lstrip())
            indent = " " * (self.current_indent + own_indent)
            self.write("\n" if number else "")
            self._write_wrapped(part.strip(), indent, indent)

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = _GAP) -> None:
        """Write names and what they mean: side by side, or on a narrow terminal one below the other."""
        rows = list(rows)
        margin = " " * self.current_indent
        longest = max((len(name) for name, _ in rows if len(name) <= col_max), default=0)
        column = margin + " " * (longest + col_spacing)
        beside = self.width - len(column) >= _BESIDE_NEEDS
        for name, meaning in rows:
            if beside and len(name) <= longest:
                self._write_wrapped(meaning, f"{margin}{name}".ljust(len(column)), column)
                continue
            self.write(f"{margin}{name}\n")
            below = column if beside else margin + _BELOW
            self._write_wrapped(meaning, below, below)

    def _write_wrapped(self, text: str, first: str, rest: str) -> None:
        lines = textwrap.wrap(
            text,
            self.width,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.write("".join(f"{line.rstrip()}\n" for line in lines or [first]))


class _Context(typer.Context):
    formatter_class = WholeWords


class PlainGroup(TyperGroup):
    """Group of commands whose help shows a type only where a value is given."""

    context_class = _Context

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the group itself."""
        return _adapt_flags(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help into the formatter, or print it in panels."""
        if self.rich_markup_mode is None:
            super().format_help(ctx, formatter)
        else:
            _print_panels(self, ctx, [self.commands[name] for name in self.list_commands(ctx)])


class PlainCommand(TyperCommand):
    """Command whose help shows a type only where a value is given."""

    context_class = _Context

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = _join_lines(self.help or "")

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the arguments and options of the command."""
        return _adapt_flags(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Store the values of the command line in the context, and return the rest of it.

        For completion the values stay as they are written: checking them imports pydantic, which takes as long as all
        the rest.
        """
        if not ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        values, ctx.args, _ = self.make_parser(ctx).parse_args(args)
        for param in self.get_params(ctx):
            ctx.params[param.name], source = param.consume_value(ctx, values)
            ctx.set_parameter_source(param.name, source)
        return ctx.args

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help into the formatter, or print it in panels."""
        if self.rich_markup_mode is None:
            super().format_help(ctx, formatter)
        else:
            _print_panels(self, ctx, ())


def _join_lines(text: str) -> str:
    """Return the text with each paragraph in one line: terminals differ in width from the source. Examples stay."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(part if part.startswith(" ") else " ".join(part.split("\n")) for part in paragraphs)


def _adapt_flags(params: list[Any]) -> list[Any]:
    """Return the parameters, with no type shown beside a flag, and no flag without a value.

    Those that typer adds to install completion have none, and to check that imports pydantic.
    """
    for param in params:
        if isinstance(param, TyperOption) and param.is_bool_flag:
            param.metavar = ""
            param.default = bool(param.default)
    return params


def _print_panels(command: Any, ctx: Any, subcommands: Sequence[Any]) -> None:
    """Print the help in panels. What draws them is imported here: commands and completion need none of it."""
    from fleetos.views.terminal.help import Parameter, print_help

    parameters: dict[str, list[Parameter]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        is_option = isinstance(param, TyperOption)
        shown = Parameter(
            long_names=",".join(name for name in param.opts if name.startswith("--")),
            short_names=",".join(name for name in param.opts if not name.startswith("--"))
            if is_option
            else param.display_name_raw,
            form=param.display_type_rich(ctx) + _bounds(param.min, param.max),
            meaning=param.help or "",
            env_var=param.envvar or "",
            default=_default(param, ctx),
            required=param.required,
        )
        parameters["Options" if is_option else "Arguments"].append(shown)
    commands: dict[str, list[tuple[str, str]]] = {}
    for subcommand in subcommands:
        panel = commands.setdefault(subcommand.rich_help_panel or "Commands", [])
        panel.append((subcommand.name, subcommand.help or ""))
    print_help(command.get_usage(ctx), command.help or "", parameters, commands)


def _bounds(least: float | None, greatest: float | None) -> str:
    if least is None:
        return "" if greatest is None else f" [x<={greatest}]"
    return f" [x>={least}]" if greatest is None else f" [{least}<=x<={greatest}]"


def _default(param: Any, ctx: Any) -> str:
    value = param.get_default(ctx, call=False) if param.show_default else None
    return "" if value is None or value is False else str(getattr(value, "value", value))
