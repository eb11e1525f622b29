"""The log by itself: its lines, and silence without it."""

import io
import json
import logging
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fleetos.clock import SystemClock
from fleetos.errors import JournalUnwritable, LeaseLost, StoreError
from fleetos.files import UnreadableFile, append_private
from fleetos.logs import fields, json_lines, short_lines, written_to
from fleetos.store.group_commit import GroupCommit, PendingAppend
from tests.support.builders import START

LOGGER = logging.getLogger("fleetos.cloud.sample")


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text: str, /) -> int:
        raise OSError(28, f"no space for {len(text)} letters")


def test_a_record_is_one_json_object_a_line() -> None:
    out = io.StringIO()
    with written_to([json_lines(out, SystemClock())]):
        LOGGER.info("request %s", "answered", extra=fields(status=200, path="/ü\n\x1b", failure=None))
        LOGGER.warning("lease lost")
        LOGGER.debug("too much")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first.pop("time") <= second["time"]
    assert first == {
        "level": "info",
        "logger": "fleetos.cloud.sample",
        "message": "request answered",
        "status": 200,
        "path": "/ü\n\x1b",
        "failure": None,
    }
    assert (second["level"], second["message"]) == ("warning", "lease lost")


def test_a_short_line_breaks_no_terminal() -> None:
    out = io.StringIO()
    with written_to([short_lines(out, SystemClock())]):
        LOGGER.info("request answered", extra=fields(status=200, path="/ü\n\x1b", failure=None))
    (line,) = out.getvalue().splitlines()
    assert line.partition(" ")[2] == r'info request answered: status=200 path="/\u00fc\n\u001b"'


def test_nothing_is_written_before_and_after(capfd: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    with written_to([json_lines(out, SystemClock())]):
        pass
    LOGGER.warning("unheard")
    assert (out.getvalue(), *capfd.readouterr()) == ("", "", "")
    assert not LOGGER.isEnabledFor(logging.INFO)


def test_a_warning_without_a_log_is_not_written_by_the_last_resort() -> None:
    script = "import logging, fleetos.store.group_commit; logging.getLogger('fleetos.store').warning('unheard')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_full_disk_and_a_broken_record_disturb_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    with written_to([json_lines(Full(), SystemClock()), json_lines(out, SystemClock())]):
        LOGGER.info("kept")
        LOGGER.info("a number, %d", "and no number")
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == ["kept"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "message"), [(LeaseLost("gone"), "lease lost"), (JournalUnwritable("full"), "journal unwritable")]
)
async def test_the_end_of_a_journal_is_logged_once(error: StoreError, message: str) -> None:
    out = io.StringIO()
    group = GroupCommit()
    with written_to([json_lines(out, SystemClock())]):
        for _ in range(2):
            with pytest.raises(type(error)):
                async with group.commit(PendingAppend(None, (), (), START, ())):
                    raise error
    (record,) = map(json.loads, out.getvalue().splitlines())
    assert (record["message"], record["level"], record["failure"]) == (message, "warning", error.message)


def test_a_log_file_is_appended_to_and_private(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    path.chmod(0o644)
    with append_private(path) as file:
        file.write("after\n")
    assert path.read_text() == "before\nafter\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_path_that_cannot_be_is_refused() -> None:
    with pytest.raises(UnreadableFile):
        append_private(Path("a\0b"))
