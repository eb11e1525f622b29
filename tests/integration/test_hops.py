"""A write passes few functions on its way out, and its answer few on its way into the journal."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from fleetos.sim.api.access import Access
from tests.integration.hops import DURABLE, JUDGED, POST
from tests.support.commands import COMMAND_TIMEOUT_S, environment

FRAMES, FILES = 12, 8
ROOT = Path(__file__).parents[2]
# Frames above the function of a command, which all commands share, and those of the sockets that this run does without.
SHARED = frozenset({"cli/main.py", "cli/lazy.py", "cli/output.py"})
WITHOUT_SOCKETS = "InProcess.handle_async_request"


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str]]]:
    """The stacks of one run, from the function of the command on: file and function."""
    folder = tmp_path_factory.mktemp("hops")
    env = environment(folder, PYTHONPATH=str(ROOT), **Access("http://127.0.0.1:9").environment())
    command = [sys.executable, "-m", "tests.integration.hops"]
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    told = cast("dict[str, Any]", json.loads(done.stderr.splitlines()[-1]))
    assert told.pop("code") == 0, done.stderr
    return {
        what: [(file, function) for file, function in stack if file not in SHARED and function != WITHOUT_SOCKETS]
        for what, stack in told.items()
    }


def frugal(frames: list[tuple[str, str]]) -> bool:
    """Whether these are few functions in few files, from the command's on."""
    files = {file for file, _ in frames}
    assert frames[0] == ("cli/commands/apply.py", "apply"), frames
    assert any(file.startswith("engine/") for file in files), frames
    return len(frames) <= FRAMES and len(files) <= FILES


def test_a_write_passes_few_functions_on_its_way_out(stacks: dict[str, list[tuple[str, str]]]) -> None:
    assert frugal(stacks[POST]), stacks[POST]
    assert any(file.startswith("cloud/") for file, _ in stacks[POST])


def test_an_answer_passes_few_functions_on_its_way_into_the_journal(stacks: dict[str, list[tuple[str, str]]]) -> None:
    passed = list(dict.fromkeys((*stacks[JUDGED], *stacks[DURABLE])))
    assert frugal(passed), str(passed)
    assert any(file.startswith("store/") for file, _ in passed)
