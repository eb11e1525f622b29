"""Generate docs/reference/commands.md from --help.

Run it as `python -m fleetos.cli.reference docs/reference/commands.md`; with `--check` it changes nothing, and exits
with 1 if the page is outdated.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import typer
from typer.core import TyperCommand, TyperGroup

from fleetos.cli.main import app
from fleetos.errors import UsageError

HEAD = """# The commands

Made from the commands' own `--help` by `python -m fleetos.cli.reference docs/reference/commands.md`; do not edit it.

Data goes to standard output, everything else to standard error. Colour and live lines appear on a terminal only, and
`NO_COLOR` is respected. Exit codes: [exit codes](exit-codes.md). What `-o json` prints: [outputs](outputs.md).
`fleetos -v COMMAND` logs to standard error, and `FLEETOS_LOG=FILE` to a file: [the log](outputs.md#the-log).
"""
_EXAMPLES = re.compile(r"^Examples?:$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """One command and its help. `parameters`: pairs of how it is written, and its meaning."""

    words: str
    usage: str
    text: str
    parameters: Sequence[tuple[str, str]]
    examples: Sequence[str]


def commands() -> list[CommandHelp]:
    """Return all commands, in the order of the help; a group of commands before its members."""
    return list(_of(cast("TyperGroup", typer.main.get_command(app)), None, "fleetos"))


def _of(command: TyperGroup | TyperCommand, parent: typer.Context | None, name: str) -> Iterator[CommandHelp]:
    context = typer.Context(command, parent=parent, info_name=name)
    if parent is not None:
        yield _described(command, context)
    if isinstance(command, TyperGroup):
        for member_name in command.list_commands(context):
            member = command.get_command(context, member_name)
            if isinstance(member, TyperGroup | TyperCommand):
                yield from _of(member, context, member_name)


def _described(command: TyperGroup | TyperCommand, context: typer.Context) -> CommandHelp:
    text, *examples = _EXAMPLES.split(command.help or "")
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    return CommandHelp(
        words=context.command_path,
        usage=" ".join(command.get_usage(context).removeprefix("Usage: ").split()),
        text=text.strip(),
        parameters=[record for record in records if record is not None and "--help" not in record[0]],
        examples=[line.strip() for block in examples for line in block.splitlines() if line.strip()],
    )


def page() -> str:
    """Return the whole page, in Markdown."""
    return "\n".join([HEAD, *(_section(command) for command in commands())])


def _section(command: CommandHelp) -> str:
    parts = [f"## {command.words}", "", command.text, "", "```text", command.usage, "```", ""]
    if command.parameters:
        parts += ["| Parameter | Meaning |", "|---|---|"]
        parts += [f"| `{_cell(written)}` | {_cell(meaning)} |" for written, meaning in command.parameters]
        parts.append("")
    if command.examples:
        parts += ["```sh", *command.examples, "```", ""]
    return "\n".join(parts)


def _cell(text: str) -> str:
    """Return the text for one cell of a table; a bar in it would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: Sequence[str]) -> int:
    """Return the exit code: 0 if the page is current or was written, 1 if `--check` found it outdated."""
    names = [argument for argument in arguments if argument != "--check"]
    if len(names) != 1:
        raise UsageError("one page is needed", "python -m fleetos.cli.reference docs/reference/commands.md [--check]")
    path = Path(names[0])
    if "--check" in arguments:
        return int(not path.exists() or path.read_text(encoding="utf-8") != page())
    path.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
