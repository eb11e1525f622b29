"""The help of every command, on terminals of any width: lines end between words."""

import functools
import json
import re
import subprocess
import sys

import pytest

WIDE = 400
# The width is read when the command begins, so each width takes a process of its own.
ALL_HELP = """
import json
from typer.main import get_command
from typer.testing import CliRunner
from fleetos.cli.main import app

def paths(command, path):
    yield path
    for name in getattr(command, "commands", {}):
        yield from paths(command.commands[name], (*path, name))

def help_of(path):
    return CliRunner().invoke(app, [*path, "--help"]).stdout

print(json.dumps({" ".join(path): help_of(path) for path in paths(get_command(app), ())}))
"""


@functools.cache
def helps(columns: int) -> dict[str, str]:
    """The help of every command, by its name."""
    done = subprocess.run(
        [sys.executable, "-c", ALL_HELP],
        env={"COLUMNS": str(columns), "PATH": "", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def words(text: str) -> set[str]:
    """The words of a help, without frames; `-y, --yes` and `--yes -y` are the same ones."""
    return {word.strip(",") for word in re.sub("[│╭╮╰╯─]", " ", text).split()}


@pytest.mark.parametrize("columns", [20, 45, 60, 80, 120])
def test_help_breaks_no_word_of_any_command(columns: int) -> None:
    whole, narrow = helps(WIDE), helps(columns)
    assert set(narrow) == set(whole)
    assert {"apply", "db backup", "sim reset"} < set(whole)
    for name, text in narrow.items():
        # The list of commands shows beginnings of their descriptions.
        cut = {word for word in words(text) if word.endswith("...")}
        known = words(whole[name]) | words(whole[""]) | {"Usage:", "Options:", "Arguments:", "Commands:"}
        broken = {word for word in words(text) - cut if word not in known}
        assert not broken, (name, broken)


@pytest.mark.parametrize("columns", [45, 60, 80])
def test_no_line_of_help_is_wider_than_its_terminal(columns: int) -> None:
    for name, text in helps(columns).items():
        assert max(len(line) for line in text.splitlines()) <= columns, name
