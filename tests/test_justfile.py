"""The justfile is true: each recipe calls what is there, and the pages name no recipe that is not."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.test_readme import PAGES, code

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent
JUST = TOOLS / "just"
WANTED = {"coverage", "setup", "test", "test-one", "check", "lint", "sim", "mutations", "demo", "docs"}


def recipes(text: str) -> Mapping[str, list[str]]:
    """The commands of each recipe."""
    found: dict[str, list[str]] = {}
    for block in re.finditer(r"^([a-z][a-z-]*)[^\n:]*:[^\n]*\n((?:    [^\n]+\n)+)", text, re.MULTILINE):
        found[block[1]] = [line.strip().removeprefix("@") for line in block[2].splitlines()]
    return found


RECIPES = recipes((ROOT / "justfile").read_text(encoding="utf-8"))


def missing(command: str) -> Iterator[str]:
    """What a command names that is not there: its program, the module that it runs, files of the project."""
    program, *words = shlex.split(command)
    if program.startswith(".venv/bin/"):
        there = (TOOLS / program.removeprefix(".venv/bin/")).exists()
    else:
        there = (ROOT / program).is_file() if "/" in program else program == "just" or shutil.which(program) is not None
    if not there:
        yield program
    if "-m" in words and program.endswith("python"):
        module = words[words.index("-m") + 1]
        if importlib.util.find_spec(module) is None:
            yield module
    yield from (word for word in words if re.fullmatch(r"[\w-]+(/[\w.-]+)+", word) and not (ROOT / word).exists())


def test_the_recipes_are_there() -> None:
    assert set(RECIPES) >= WANTED


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_calls_what_is_there(name: str) -> None:
    assert [one for command in RECIPES[name] for one in missing(command)] == []


def test_a_command_that_is_not_there_is_seen() -> None:
    assert list(missing(".venv/bin/nothing tests/nowhere.py")) == [".venv/bin/nothing", "tests/nowhere.py"]
    assert list(missing(".venv/bin/python -m tests.nothing")) == ["tests.nothing"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_pages_name_only_recipes_that_are_there(page: Path) -> None:
    named = {call for one in code(page.read_text(encoding="utf-8")) for call in re.findall(r"^just ([a-z-]+)", one)}
    assert named <= set(RECIPES)


def test_just_reads_it() -> None:
    listed = subprocess.run([JUST, "--summary"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert set(listed.stdout.split()) == set(RECIPES)
