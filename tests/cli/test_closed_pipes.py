"""Nobody has to read what fleetos prints: neither a run nor an exit code depends on it."""

import os
import subprocess
import sys

import pytest

from tests.cli.runner import SILENCE_MAX_S, SharedCloudRunner
from tests.support.fork_server import ForkedProcess


def unread(runner: SharedCloudRunner, *arguments: str, both: bool = False) -> tuple[int, str]:
    """Exit code and standard error of a call whose standard output, or both, lead into a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    process = ForkedProcess(arguments, runner.folder, runner.env, stdout=writing, stderr=writing if both else None)
    os.close(writing)
    _, errors = process.communicate(timeout=SILENCE_MAX_S)
    return process.returncode, errors


@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_a_run_that_nobody_reads_of_is_driven_to_its_end_and_leaves_with_its_code(
    runner: SharedCloudRunner, output: str
) -> None:
    names = runner.take(2)
    runner.act(names[1], act="lock")
    code, _ = unread(runner, "apply", runner.write_plan(names), "--yes", "-o", output, both=True)
    assert code == 10
    assert runner.status()["counts"] == {"total": 2, "done": 1, "held": 1}


@pytest.mark.slow
def test_the_exit_code_is_kept_when_nobody_reads(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    plan = runner.write_plan(names)
    bad = runner.plan("version: 1\nname: x\n", "bad.yaml")
    frozen = runner.folder / "frozen.json"
    for arguments, code in (
        (("doctor", "--cloud", "nowhere"), 65),
        (("doctor", "--cloud", "nowhere", "-o", "jsonl"), 65),
        (("plan", plan, "--detailed-exitcode", "--out", str(frozen)), 2),
        (("drift", plan, "-o", "json"), 2),
        (("validate", bad, "-o", "json"), 65),
        (("plan", bad, "-o", "json"), 65),
        (("status", "no-such-run", "-o", "jsonl"), 64),
    ):
        assert unread(runner, *arguments)[0] == code, arguments
    assert frozen.exists()


@pytest.mark.slow
def test_a_reader_who_has_enough_is_no_failure(runner: SharedCloudRunner) -> None:
    runner.fleetos("apply", runner.write_plan(runner.take(1)), "--yes")
    for arguments in (("events",), ("events", "-o", "jsonl"), ("status",), ("schema",)):
        assert unread(runner, *arguments) == (0, ""), arguments


def test_an_interpreter_of_its_own_keeps_the_exit_code_too(runner: SharedCloudRunner) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "fleetos", "validate", runner.plan("version: 1\nname: x\n"), "-o", "json"]
    assert subprocess.run(command, env=runner.env, stdout=writing, stderr=writing, check=False).returncode == 65
    os.close(writing)


def test_a_standard_output_that_was_never_open_is_none_either(runner: SharedCloudRunner) -> None:
    command = f"{sys.executable} -m fleetos runs -o json >&-"
    done = subprocess.run(command, shell=True, env=runner.env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
