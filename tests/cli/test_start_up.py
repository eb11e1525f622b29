"""What a command imports: help, version and completion nothing of the work, and each command only what it uses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60
# Libraries and rooms of the work.
DATABASE = {"sqlalchemy", "alembic", "aiosqlite", "fleetos.store"}
CLOUD = {"aiohttp", "httpx", "httpx_aiohttp", "fleetos.cloud"}
SIMULATOR = {"starlette", "uvicorn", "fleetos.sim.api.gateway"}
PLANS = {"ruamel", "fleetos.planning"}
RUNS = {"asyncio", "fleetos.app", "fleetos.engine", "fleetos.views", "fleetos.model.run"}
WORK = DATABASE | CLOUD | SIMULATOR | PLANS | RUNS
# The parser of the command line builds some options with it.
CHECKS = {"pydantic"}
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
    assert not modules & (CHECKS | WORK)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_imports_nothing_of_its_work(tmp_path: Path, command: list[str]) -> None:
    modules, printed = imported(tmp_path, *command, "--help")
    assert " ".join(["fleetos", *command]) in printed
    assert not modules & WORK


@pytest.mark.parametrize(
    ("words", "offered"), [("fleetos ", "apply"), ("fleetos apply --", "--expect-wipes"), ("fleetos db ", "upgrade")]
)
def test_completion_imports_nothing_of_the_work(tmp_path: Path, words: str, offered: str) -> None:
    last = str(len(words.split(" ")) - 1)
    modules, printed = imported(tmp_path, _FLEETOS_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=last)
    assert offered in printed.split()
    assert not modules & WORK


def test_a_plan_is_checked_without_database_and_cloud(tmp_path: Path) -> None:
    modules, printed = imported(tmp_path, "validate", "plans/demo.yaml")
    assert "plans/demo.yaml is valid" in printed
    assert not modules & (DATABASE | CLOUD | SIMULATOR)


@pytest.mark.parametrize("command", ["status", "runs", "events"])
def test_runs_are_shown_without_cloud_and_engine(tmp_path: Path, command: str) -> None:
    modules, _ = imported(tmp_path, command)
    assert "fleetos.store.queries" in modules
    assert not modules & (CLOUD | SIMULATOR | {"alembic", "fleetos.engine", "sqlalchemy.dialects.postgresql"})
