"""On a real terminal: somebody is asked, colour is used unless refused, and no line is wider than the window."""

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetos.cli.output import ask
from tests.cli.runner import SILENCE_MAX_S, SharedCloudRunner
from tests.support.commands import command, environment
from tests.support.fork_server import ForkedProcess

ESCAPES = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")
COLOURS = re.compile(r"\x1b\[[\d;]*[1-9][\d;]*m")
# Only the terminal that controls a process turns the letter of Ctrl-C into a signal.
TAKE_OVER = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
Process = ForkedProcess | subprocess.Popen[bytes]


@pytest.mark.parametrize(("columns", "name"), [(45, "apply"), (20, "events"), (79, "status")])
def test_help_cuts_no_name_of_an_option(columns: int, name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(name, "--help"),
        env=environment(tmp_path, COLUMNS=str(columns)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"apply": "--expect-wipes N", "events": "--server NAME|ID", "status": "--state STATE"}[name] in done.stdout
    assert not re.search(r"--[a-z-]*…", done.stdout)


class Terminal:
    """What a person sees of a command, and types into it."""

    def __init__(self, process: Process, end: int) -> None:
        self.process = process
        self.seen = ""
        self._end = end

    @property
    def open(self) -> bool:
        """Whether the window is still there."""
        return self._end >= 0

    def until(self, text: str) -> str:
        """All that was shown so far, once it holds the text. Fails if the command ends or falls silent before."""
        while text not in self.seen:
            assert self._read(), f"no {text!r} in {self.seen}"
        return self.seen

    def types(self, text: str) -> None:
        """Types on the keyboard; \\x03 is Ctrl-C."""
        os.write(self._end, text.encode())

    def resized(self, columns: int) -> None:
        """Makes the window so wide, as a person drags it."""
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def closes(self) -> None:
        """Closes the window: the kernel sends SIGHUP, and nothing can be written any more."""
        os.close(self._end)
        self._end = -1

    def ends(self) -> int:
        """The exit code, once everything was shown."""
        while self._read():
            pass
        return self.process.wait(SILENCE_MAX_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._end], [], [], SILENCE_MAX_S)
        assert ready, f"silence after {self.seen}"
        try:
            read = os.read(self._end, 65536)
        except OSError:  # EIO: nobody has the other end open any more
            return False
        self.seen += read.decode()
        return bool(read)


def interpreter(arguments: Sequence[str], folder: Path, env: Mapping[str, str], *, terminal: int) -> Process:
    """Start the command by an interpreter of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", TAKE_OVER, *command(*arguments)],
        cwd=folder,
        env=env,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )


@contextmanager
def terminal(
    runner: SharedCloudRunner,
    *arguments: str,
    columns: int = 100,
    begin: Callable[..., Process] = ForkedProcess,
    **more: str,
) -> Generator[Terminal]:
    ours, theirs = pty.openpty()
    env = {**runner.env, "TERM": "xterm-256color", **more}
    del env["COLUMNS"]
    process = begin(arguments, runner.folder, env, terminal=theirs)
    shown = Terminal(process, ours)
    shown.resized(columns)
    os.close(theirs)
    try:
        yield shown
    finally:
        process.kill()
        process.wait()
        if shown.open:
            os.close(ours)


def pictures(seen: str) -> list[str]:
    """The lines that were drawn while the run was driven: between the cursor's disappearance and its return."""
    drawn = seen.partition("\x1b[?25l")[2].partition("\x1b[?25h")[0]
    return [line for line in re.split(r"[\r\n]+", ESCAPES.sub("", drawn)) if line.strip()]


@pytest.mark.slow
def test_the_number_of_disks_is_asked_for_and_must_be_right(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    text = runner.write_plan(names)
    with terminal(runner, "apply", text) as shown:
        shown.until("to go on: ")
        shown.types("3\n")
        assert shown.ends() == 13
    assert "not confirmed, nothing was touched" in shown.seen
    with terminal(runner, "apply", text, begin=interpreter) as shown:
        shown.until("to go on: ")
        shown.types("\x03")
        assert shown.ends() == 130
    assert "Traceback" not in shown.seen
    assert "not confirmed, nothing was touched" in shown.seen
    assert "fleetos status" not in shown.seen
    assert runner.writes(names) == []
    assert runner.runs() == []
    with terminal(runner, "apply", text) as shown:
        assert COLOURS.search(shown.until("to go on: "))
        shown.types("2\n")
        assert shown.ends() == 0
    assert "done after" in ESCAPES.sub("", shown.seen)
    assert runner.changes(names) == dict.fromkeys(names, 1)


@pytest.mark.parametrize("columns", [40, 200])
def test_no_drawn_line_is_wider_than_the_window(runner: SharedCloudRunner, columns: int) -> None:
    names = runner.take(4)
    with terminal(
        runner, "apply", runner.write_plan(names, concurrency=2), "--yes", columns=columns, NO_COLOR="1"
    ) as shown:
        assert shown.ends() == 0
    lines = pictures(shown.seen)
    assert len(lines) > 10, "nothing was drawn"
    assert max(map(len, lines)) <= columns
    assert any("100 %" in line or "50 %" in line for line in lines)
    assert not COLOURS.search(re.sub(r"\x1b\[[12]m", "", shown.seen)), "NO_COLOR leaves bold and dim, but no colour"
    # The summary stays behind, broken between words.
    rest = ESCAPES.sub("", shown.seen.partition("\x1b[?25h")[2])
    assert "done after" in rest


def test_no_read_of_an_answer_begins_before_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C that comes just before a read begins would be heard only when that read ends."""
    keyboard, end = os.openpty()
    press = threading.Timer(0.0, os.kill, (os.getpid(), signal.SIGINT))

    class Keyboard(io.StringIO):
        def fileno(self) -> int:
            if press.ident is None:
                press.start()
            return end

        def readline(self, size: int = -1, /) -> str:
            raise AssertionError("a read began in vain")

    monkeypatch.setattr("sys.stdin", Keyboard())
    try:
        with pytest.raises(KeyboardInterrupt):
            ask("Sure? [y/N] ")
    finally:
        os.close(keyboard)
        os.close(end)


@pytest.mark.slow
def test_an_unfinished_run_is_carried_on_only_if_somebody_says_so(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    text = runner.write_plan(names, concurrency=1)
    with terminal(runner, "apply", text, "--yes") as shown:
        shown.until(f"{names[0]} ")
        shown.until("changing")
        shown.types("\x03")
        assert shown.ends() == 130
    assert re.search(r"SIGINT: .*fleetos resume \w+", ESCAPES.sub("", shown.seen).replace("\r\n", " "))
    assert "\x1b[?25h" in shown.seen.rpartition("\x1b[?25l")[2], "the cursor is given back"
    with terminal(runner, "apply", text) as shown:
        shown.until("[y/N] ")
        asked = " ".join(ESCAPES.sub("", shown.seen).split())
        # Ctrl-C may have come before the cloud had taken the change, or after it.
        wipes = "1 system disk for Standard_Debian_12_latest|no further system disk"
        assert re.search(rf"It wipes ({wipes})\. \[y/N\]", asked)
        shown.types("\n")
        assert shown.ends() == 13
    run_id = str(runner.runs()[0]["id"])
    for letters, code in (("n\n", 13), ("\x03", 130)):
        with terminal(runner, "abort", run_id) as shown:
            shown.until(f"Abort run {run_id}? [y/N] ")
            assert "wipes nothing" in shown.seen
            shown.types(letters)
            assert shown.ends() == code
        assert "not confirmed, nothing was touched" in shown.seen
    assert runner.status(run_id)["run"]["state"] == "running"
    with terminal(runner, "apply", text) as shown:
        shown.until("[y/N] ")
        shown.types("y\n")
        assert shown.ends() == 0
    assert runner.changes(names) == dict.fromkeys(names, 1)


@pytest.mark.slow
def test_a_plan_fits_into_the_window_and_is_coloured(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    with terminal(runner, "plan", runner.write_plan(names), columns=72, begin=interpreter) as shown:
        assert shown.ends() == 0
    assert COLOURS.search(shown.seen)
    lines = ESCAPES.sub("", shown.seen).replace("\r", "").split("\n")
    assert max(map(len, lines)) <= 72
    assert lines[0].split() == ["SERVER", "WHAT", "HAPPENS"]
    assert [line.split()[:4] for line in lines[1:4:2]] == [[name, "WIPES", "system", "disk"] for name in names]
    assert "2 servers: 2 to change, 0 to skip, 0 refused" in lines
