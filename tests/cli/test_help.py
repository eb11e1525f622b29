"""The help of every command, on terminals of any width: lines end between words."""

import functools
import json
import re
import subprocess
import sys

import pytest

WIDE = 400
USUAL_WIDTHS, OTHER_WIDTHS = (20, 60), (45, 80, 120)
WIDTHS = (*USUAL_WIDTHS, *(pytest.param(columns, marks=pytest.mark.proof) for columns in OTHER_WIDTHS))
# The width is read as the command is imported, so each width has a process of its own: a fork of one that has imported
# what does not depend on it.
ALL_HELP = """
import json, os, sys
from typer import rich_utils
from typer.main import get_command
from typer.testing import CliRunner
import fleetos.app.context, fleetos.cli.usage, fleetos.planning.plan_file.load

def paths(command, path):
    yield path
    for name in getattr(command, "commands", {}):
        yield from paths(command.commands[name], (*path, name))

for columns in sys.argv[1:]:
    if os.fork() == 0:
        os.environ["COLUMNS"] = columns
        assert "fleetos.cli.main" not in sys.modules
        from fleetos.cli.main import app
        helps = {
            " ".join(path): CliRunner().invoke(app, [*path, "--help"]).stdout for path in paths(get_command(app), ())
        }
        print(json.dumps([int(columns), helps]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def every_help(columns: int) -> dict[str, str]:
    """Return the help of every command by its name, for that width."""
    return help_at((*USUAL_WIDTHS, WIDE) if columns in (*USUAL_WIDTHS, WIDE) else OTHER_WIDTHS)[columns]


@functools.cache
def help_at(widths: tuple[int, ...]) -> dict[int, dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-c", ALL_HELP, *map(str, widths)],
        env={"PATH": "", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(line) for line in done.stdout.splitlines())


def words(text: str) -> set[str]:
    """The words of a help, without frames; `-y, --yes` and `--yes -y` are the same ones."""
    return {word.strip(",") for word in re.sub("[│╭╮╰╯─]", " ", text).split()}


@pytest.mark.slow
@pytest.mark.parametrize("columns", WIDTHS)
def test_help_breaks_no_word_of_any_command(columns: int) -> None:
    whole, narrow = every_help(WIDE), every_help(columns)
    assert set(narrow) == set(whole)
    assert {"apply", "db backup", "sim reset"} < set(whole)
    for name, text in narrow.items():
        # The list of commands shows beginnings of their descriptions.
        cut = {word for word in words(text) if word.endswith("...")}
        known = words(whole[name]) | words(whole[""]) | {"Usage:", "Options:", "Arguments:", "Commands:"}
        broken = {word for word in words(text) - cut if word not in known}
        assert not broken, (name, broken)


@pytest.mark.slow
@pytest.mark.parametrize("columns", WIDTHS[1:])
def test_no_line_of_help_is_wider_than_its_terminal(columns: int) -> None:
    for name, text in every_help(columns).items():
        assert max(len(line) for line in text.splitlines()) <= columns, name


@pytest.mark.slow
def test_a_paragraph_breaks_where_the_terminal_ends_and_nowhere_else() -> None:
    for name, text in every_help(WIDE).items():
        description = text.split("╭")[0].split("Examples:")[0].splitlines()
        paragraphs = "\n".join(line.strip() for line in description).split("\n\n")
        broken = [paragraph for paragraph in paragraphs if len(paragraph) < WIDE and "\n" in paragraph.strip()]
        assert not broken, name


BOTH_HELPS = """
import json
from typer import rich_utils
from typer.main import get_command
from typer.testing import CliRunner
from fleetos.cli import help_text
from fleetos.cli.main import app

def paths(command, path):
    yield path
    for name in getattr(command, "commands", {}):
        yield from paths(command.commands[name], (*path, name))

def helps():
    runner = CliRunner()
    return {" ".join(path): runner.invoke(app, [*path, "--help"]).stdout for path in paths(get_command(app), ())}

ours = helps()
help_text._print_panels = lambda command, ctx, _: rich_utils.rich_format_help(
    obj=command, ctx=ctx, markup_mode="rich"
)
print(json.dumps([ours, helps()]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, pytest.param(120, marks=pytest.mark.proof)])
def test_panels_look_as_typer_draws_them(columns: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOTH_HELPS],
        env={"PATH": "", "LANG": "C.UTF-8", "COLUMNS": str(columns), "FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    ours, typers = json.loads(done.stdout)
    assert "\x1b[" in ours["apply"]
    assert ours == typers
