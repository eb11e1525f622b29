"""Ctrl-C, SIGTERM and SIGHUP: what is on the wire is waited for, the rest can be resumed, and the message says how."""

import re
import signal
import subprocess
import sys

import pytest

from tests.cli.runner import SILENCE_MAX_S, SharedCloudRunner, StartedCommand
from tests.cli.test_terminal import terminal
from tests.support.commands import command, until

# Far beyond what a loaded machine takes, and far below what hangs in these tests.
LEAVES_WITHIN_S = 60.0
HANGS_S = 600.0


def until_taken(runner: SharedCloudRunner, began: StartedCommand, name: str) -> None:
    """Nothing, once the cloud has taken the change of that server. Fails if the command ends before."""
    until(lambda: runner.changes([name])[name] > 0 or began.process.poll() is not None)
    assert began.process.poll() is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_admits_no_more_and_says_how_to_go_on(
    runner: SharedCloudRunner, number: signal.Signals, code: int
) -> None:
    names = runner.take(3)
    runner.faults({"on": "job", "do": "latency", "seconds": [0.5, 0.5]})
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.changing")
    # Whatever job is under way stays so for as long as it cannot be read.
    runner.faults({"on": "job", "do": "refuse", "code": "APIGW.0201"})
    began.process.send_signal(number)
    done = began.end(LEAVES_WITHIN_S)
    assert done.returncode == code
    heard = re.search(rf"{number.name}: .*?(\d+) servers? .*powered off .*fleetos resume (\w+)", done.stderr)
    assert heard is not None, done.stderr
    assert heard.groups() == ("1", began.run_id)
    told = {"type": "run.driver-ended", "why": "signal", "detail": number.name}
    assert told.items() <= began.events[-1].items()
    assert sum(runner.changes(names).values()) == 1
    run = runner.status()["run"]
    assert (run["state"], run["driver"], run["lease"]) == ("running", None, None)
    assert (run["condition"], run["exit_code"], run["left"]["detail"]) == ("interrupted", 20, number.name)
    shown = runner.invoke("status").stdout
    assert f"interrupted ({number.name} to process {began.process.pid} of " in shown
    assert shown.count("no driver") == 3
    runner.post("/admin/heal", {})
    assert runner.fleetos("resume").returncode == 0
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_the_second_ctrl_c_leaves_a_request_on_the_wire(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    runner.faults({"on": "changeos", "do": "hang-after", "seconds": HANGS_S, "nth": [1], "servers": [names[0]]})
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    # The cloud has it and does not answer.
    until_taken(runner, began, names[0])
    began.process.send_signal(signal.SIGINT)
    assert began.process.stderr is not None
    while "SIGINT" not in (line := began.process.stderr.readline()):
        assert line, "the first signal was not answered"
    began.process.send_signal(signal.SIGINT)
    assert began.end(LEAVES_WITHIN_S).returncode == 130
    began.until("target.submitting")
    assert runner.status()["run"]["left"]["detail"] == "SIGINT, then SIGINT"
    assert runner.status()["targets"][0]["attempts"][0]["outcome"] is None
    done = runner.fleetos("resume", began.run_id)
    assert done.returncode == 0, done.stderr
    # The request had arrived after all: seen, not sent again.
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_ctrl_c_before_the_run_leaves_none_behind(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    runner.faults({"on": "list", "do": "latency", "seconds": [HANGS_S, HANGS_S]})
    asked = runner.ledger().requests["list"]
    process = runner.start("apply", runner.write_plan(names), "--yes")
    try:
        until(lambda: runner.ledger().requests["list"] > asked or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LEAVES_WITHIN_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped by Ctrl-C" in said
    assert "Traceback" not in said
    assert runner.runs() == []
    assert runner.writes(names) == []


@pytest.mark.parametrize("hangup_first", [False, True], ids=["behind", "before"])
def test_a_hangup_beside_another_signal_does_not_end_the_wait(runner: SharedCloudRunner, hangup_first: bool) -> None:
    """Of signals that come together, any may be taken first."""
    names = runner.take(1)
    runner.faults({"on": "changeos", "do": "hang-after", "seconds": SILENCE_MAX_S})
    began = runner.begin("apply", runner.write_plan(names), "--yes")
    until_taken(runner, began, names[0])
    if hangup_first:
        began.process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            began.process.wait(0.5)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGHUP):
        began.process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        began.process.wait(2)
    began.process.send_signal(signal.SIGTERM)
    assert began.end(LEAVES_WITHIN_S).returncode == 143
    assert runner.status()["run"]["left"]["detail"] == "SIGTERM, then SIGTERM"


def test_nohup_keeps_a_run_going(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", ignoring, *command("apply", runner.write_plan(names), "--yes", "-o", "jsonl")],
        env=runner.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    began = StartedCommand(process)
    runner.began.append(began)
    began.until("target.changing")
    process.send_signal(signal.SIGHUP)
    assert began.end().returncode == 0
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_a_terminal_that_is_closed_leaves_the_end_in_the_journal(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    runner.faults({"on": "job", "do": "latency", "seconds": [0.5, 0.5]})
    with terminal(runner, "apply", runner.write_plan(names, concurrency=1), "--yes") as shown:
        shown.until("changing")
        shown.closes()
        assert shown.process.wait(LEAVES_WITHIN_S) == 129
    left = runner.status()["run"]["left"]
    assert (left["why"], left["detail"]) == ("signal", "SIGHUP")
    runner.post("/admin/heal", {})
    assert runner.fleetos("resume").returncode == 0
    assert runner.changes(names) == dict.fromkeys(names, 1)
