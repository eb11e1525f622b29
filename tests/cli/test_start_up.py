"""What a command imports: help, version and completion nothing of the work, and each command only what it uses."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetos.clock import SystemClock
from fleetos.store.connect import open_database
from fleetos.store.database.location import locate
from fleetos.store.lease_rows import LeaseRequester
from fleetos.store.process import this_process
from fleetos.store.runs import create_run
from tests.support.builders import a_run, some_targets

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60
# Libraries and rooms of the work.
DATABASE = {"sqlalchemy", "alembic", "aiosqlite", "fleetos.store"}
CLOUD = {"aiohttp", "httpx", "httpx_aiohttp", "fleetos.cloud"}
SIMULATOR = {"starlette", "uvicorn", "fleetos.sim.api.gateway"}
PLANS = {"ruamel", "fleetos.planning"}
VIEWS = {"fleetos.views.documents", "fleetos.views.text", "fleetos.views.view", "fleetos.views.terminal.console"}
RUNS = {"asyncio", "fleetos.app", "fleetos.engine", "fleetos.model.run", *VIEWS}
WORK = DATABASE | CLOUD | SIMULATOR | PLANS | RUNS
# The parser of the command line checks values with it.
CHECKS = {"pydantic"}
# Typer's module for help, and what is heavy in it.
HEAVY_HELP = {"typer.rich_utils", "rich.markdown", "rich.syntax", "rich.traceback", "markdown_it", "pygments"}
# What only drivers of a run use.
DRIVERS = {"sqlalchemy", "aiosqlite", "alembic", "fleetos.engine", "fleetos.views.terminal.live"}
COMMANDS = [["validate"], ["plan"], ["apply"], ["status"], ["events"], ["doctor"], ["sim"], ["db", "check"]]


def imported(folder: Path, *arguments: str, **env: str) -> tuple[set[str], str]:
    """Return the modules that the command imports, in a process of its own, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "fleetos", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "100", **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    return modules, done.stdout


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_help_and_version_import_nothing_of_the_work(tmp_path: Path, argument: str) -> None:
    modules, printed = imported(tmp_path, argument)
    assert "fleetos" in printed
    assert not modules & (CHECKS | HEAVY_HELP | WORK)
    assert ("rich" in modules) == (argument == "--help")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_imports_nothing_of_its_work(tmp_path: Path, command: list[str]) -> None:
    modules, printed = imported(tmp_path, *command, "--help")
    assert " ".join(["fleetos", *command]) in printed
    assert not modules & (CHECKS | HEAVY_HELP | WORK)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("fleetos ", "apply"),
        ("fleetos apply --", "--expect-wipes"),
        ("fleetos apply plans/demo.yaml --expect-wipes 3 -", "--yes"),
        ("fleetos events --tail x --type", "--type"),
        ("fleetos status --state he", "held"),
        ("fleetos db ", "upgrade"),
    ],
)
def test_completion_imports_nothing_of_the_work(tmp_path: Path, words: str, offered: str) -> None:
    last = str(len(words.split(" ")) - 1)
    modules, printed = imported(tmp_path, _FLEETOS_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=last)
    assert offered in printed.split()
    assert not modules & (CHECKS | {"rich"} | WORK)


def test_a_plan_is_checked_without_database_cloud_and_runs(tmp_path: Path) -> None:
    modules, printed = imported(tmp_path, "validate", "plans/demo.yaml")
    assert "plans/demo.yaml is valid" in printed
    assert not modules & (DATABASE | CLOUD | SIMULATOR | HEAVY_HELP | RUNS - VIEWS)
    assert not modules & {"anyio", "fleetos.model.inventory", "fleetos.views.view", "fleetos.views.terminal.live"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a run."""
    path = tmp_path_factory.mktemp("start-up") / "fleetos.db"
    asyncio.run(make_database(path))
    return path


async def make_database(path: Path) -> None:
    clock = SystemClock()
    watcher = LeaseRequester(this_process(), clock)
    opened = await open_database(locate(path), watcher)
    await create_run(opened, a_run(created_at=clock.now()), some_targets(3), (), clock.now(), watcher)
    await opened.close()


@pytest.mark.parametrize("command", ["status", "runs", "events"])
def test_runs_are_shown_without_cloud_engine_and_sqlalchemy(tmp_path: Path, database: Path, command: str) -> None:
    modules, printed = imported(tmp_path, command, FLEETOS_DB=str(database))
    assert printed.count("\n") > 1
    assert "fleetos.store.queries" in modules
    assert not modules & (CLOUD | SIMULATOR | DRIVERS | HEAVY_HELP)


def test_a_value_of_the_journal_has_no_codec_until_it_is_read() -> None:
    program = """
from fleetos.model.journal import codec
import fleetos.store.queries
print([name for name, value in vars(codec).items() if isinstance(value, codec._Codec) and "_adapter" in vars(value)])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
