"""README.md and the guide are true: their commands run, their plans load; and the links of all pages lead somewhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetos.cli.main import app
from fleetos.errors import InputError
from fleetos.planning.plan_file.load import load_plan

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Decisions and changes tell of the files of their own time.
PRESENT = [page for page in PAGES if page.name != "CHANGELOG.md" and not page.is_relative_to(ROOT / "docs" / "adr")]
SCRIPT_TIMEOUT_S = 60
# What somebody reads before they decide to go on; everything else has a page in docs.
README_LINES = 120

DEMO = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/fleetos apply plans/demo.yaml --yes"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest -q"

Words = tuple[str, ...]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code(text: str) -> Iterator[str]:
    """Everything that is written as code: inline, and each line of the shell blocks."""
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    for block in blocks(text, "sh"):
        yield from block.splitlines()


def calls(text: str) -> Iterator[tuple[Words, Words]]:
    """Each call of fleetos that a page writes as code: the words of its command, and the options it is given."""
    for one in code(text):
        for call in re.findall(r"(?:^|[\s/])fleetos ([a-z][^&|;]*)", one):
            tokens = call.replace("[", " ").replace("]", " ").split()
            words: list[str] = []
            for token in tokens:
                if not re.fullmatch(r"[a-z]+", token):
                    break
                words.append(token)
            yield tuple(words), tuple(token for token in tokens if token.startswith("-"))


@cache
def help_of(words: Words) -> str:
    """What the command says of itself. Fails if there is no such command."""
    env = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    done = CliRunner(env=env).invoke(app, [*words, "--help"], prog_name="fleetos", terminal_width=200)
    assert done.exit_code == 0, f"fleetos {' '.join(words)} --help: {done.output}"
    return done.stdout


def commands_in(text: str) -> set[str]:
    """The names in the panels of a help text that list commands."""
    found: set[str] = set()
    for title, rows in re.findall(r"^╭─ ([^─]+) ─+╮\n(.*?)^╰", text, re.MULTILINE | re.DOTALL):
        if title not in ("Options", "Arguments"):
            found.update(re.findall(r"^│ ([a-z]+)  +\S", rows, re.MULTILINE))
    return found


def dead_links(page: Path, text: str) -> Iterator[str]:
    """Links of a page that lead to no file, or to no heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8") if path else text):
            yield f"{target}: no such heading"


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def words_of_the_source() -> frozenset[str]:
    """Every name in the program."""
    files = (ROOT / "fleetos").rglob("*.py")
    return frozenset(word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8")))


def test_the_first_shell_block_is_what_ci_runs() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "readme_commands.py")]
    printed = subprocess.run(script, check=True, capture_output=True, text=True, timeout=SCRIPT_TIMEOUT_S).stdout
    assert printed.splitlines() == [DEMO, TESTS]
    assert blocks(README, "sh")[0] == f"{DEMO}\n{TESTS}\n"


def test_the_commands_named_are_those_there_are() -> None:
    found = set(calls(README)) | set(calls(GUIDE))
    named = {words for words, _ in found}
    texts = {words: help_of(words) for words in named}
    wrong = [
        f"{' '.join(words)} {option}"
        for words, options in found
        for option in options
        if not re.search(rf"(^|[\s,]){re.escape(option)}\b", texts[words], re.MULTILINE)
    ]
    assert not wrong, f"options that are not there: {wrong}"
    there = {(name,) for name in commands_in(help_of(()))}
    groups = {words[:1] for words in named if len(words) > 1}
    below = {(*group, name) for group in groups for name in commands_in(help_of(group))}
    assert len(there) > 8
    assert len(below) > 3
    beginnings = {words[:size] for words in named for size in (1, 2)}
    assert not (there | below) - beginnings, "commands that neither README.md nor the guide names"


def test_calls_are_found_where_code_is() -> None:
    page = (
        "Run `fleetos abort RUN --release` or `fleetos sim reset`, not fleetos itself.\n"
        "```sh\n.venv/bin/fleetos apply a.yaml --yes && ls -l\n```\n"
    )
    assert list(calls(page)) == [(("abort",), ("--release",)), (("sim", "reset"), ()), (("apply",), ("--yes",))]


def test_a_command_that_is_not_there_is_seen() -> None:
    with pytest.raises(AssertionError, match="fleetos explode --help"):
        help_of(("explode",))


@pytest.mark.parametrize(("page", "servers"), [(README, 1), (GUIDE, 4)], ids=["readme", "guide"])
def test_the_plan_loads(page: str, servers: int, tmp_path: Path) -> None:
    text, *_ = blocks(page, "yaml")
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    assert len(load_plan(path).servers) == servers
    path.write_text(text.replace("keyname: KeyPair-350b", "keynam: KeyPair-350b"), encoding="utf-8")
    with pytest.raises(InputError, match="keyname"):
        load_plan(path)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert not list(dead_links(page, page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:fleetos|tests|scripts|plans|benchmarks)/[\w/.-]+)", page.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_constants_and_methods_that_a_page_names_exist(page: Path) -> None:
    beside_a_file = re.findall(r"`([A-Z][\w.]*)`[^`|]{0,20}`fleetos/", page.read_text(encoding="utf-8"))
    assert [name for name in beside_a_file if not words_of_the_source().issuperset(name.split("."))] == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(ROOT / target).resolve() for target in re.findall(r"\]\(([^)\s#]+)\)", README)}
    pages = [page for page in (*PRESENT, ROOT / "CHANGELOG.md") if page.name != "README.md"]
    assert len(pages) > 4
    assert not [str(page.relative_to(ROOT)) for page in pages if page not in linked]


def test_a_dead_link_is_seen() -> None:
    page = ROOT / "README.md"
    assert not list(dead_links(page, "# A page\n[x](docs/adr) [y](https://example.com/nowhere) [z](#a-page)"))
    assert len(list(dead_links(page, "# A page\n[x](docs/nowhere.md) [z](#another-page) [y](LICENSE#nowhere)"))) == 3
