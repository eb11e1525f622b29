"""The page about windows is true: its plan loads, its hours are right, and its timers bring a run to its end."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetos.model.steering.windows import CronTimes, Nights, WindowRule
from fleetos.planning.calendars import expand
from fleetos.planning.plan_file.load import load_plan
from fleetos.planning.start_time import SCHEDULE_MAX, parse_start
from tests.cli.runner import SharedCloudRunner
from tests.cli.test_pages import ALL, options
from tests.cli.test_windows import NAMES, opens_in, runner, write_plan
from tests.support.commands import until
from tests.test_readme import blocks, calls

__all__ = ["runner"]

PAGE = (Path(__file__).parents[2] / "docs" / "windows.md").read_text(encoding="utf-8")
FREEZES = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n"
BERLIN = "Europe/Berlin"
FORWARD, BACK = datetime(2027, 3, 27, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)


def test_the_plan_of_the_page_loads(tmp_path: Path) -> None:
    (tmp_path / "freezes.ics").write_text(FREEZES, "utf-8")
    (text,) = blocks(PAGE, "yaml")
    (tmp_path / "plan.yaml").write_text(text, "utf-8")
    windows = load_plan(tmp_path / "plan.yaml").steering.windows
    assert windows is not None
    assert windows.zone == BERLIN
    assert windows.allow is not None
    assert (len(windows.allow), len(windows.deny)) == (3, 2)
    last = max(expand(windows.allow[0], datetime(2026, 11, 30, tzinfo=UTC), deny=False).ends[:4])
    assert last.weekday() == 4


def test_the_page_calls_only_what_is_there() -> None:
    found = set(calls(PAGE))
    assert {words[0] for words, _ in found if words} >= {"apply", "plan", "status", "explain"}
    for words, used in found:
        # The name of a run or of a server may look like a word.
        assert set(used) <= options(ALL[f"fleetos {words[0]}"]), (words, used)


@pytest.mark.parametrize(("since", "night_h"), [(FORWARD, 6), (BACK, 8)])
def test_a_night_has_the_hours_that_the_page_says(since: datetime, night_h: int) -> None:
    assert "six hours when the clocks go forward in March and eight when they go\nback in October" in PAGE
    every_day = tuple(range(7))
    night = expand(WindowRule(Nights(every_day, 22 * 60, 5 * 60), BERLIN), since, deny=False)
    begin = night.first_fit(since, timedelta())
    assert begin is not None
    assert (night.end_at(begin) or begin) - begin == timedelta(hours=night_h)
    short = expand(WindowRule(Nights(every_day, 2 * 60 + 15, 2 * 60 + 45), BERLIN), since, deny=False)
    assert not [begin for begin in short.begins if since <= begin < since + timedelta(hours=20)]


@pytest.mark.parametrize(
    ("cron", "weekday", "days"), [("0 22 * * 2#1", 1, range(1, 8)), ("0 22 * * 5L", 4, range(22, 32))]
)
def test_the_cron_rules_mean_what_the_page_says(cron: str, weekday: int, days: range) -> None:
    assert "`2#1` is the first Tuesday, `5L` the last Friday" in PAGE
    begins = expand(WindowRule(CronTimes(cron, 3600), "UTC"), datetime(2026, 12, 1, tzinfo=UTC), deny=False).begins
    assert len(begins) > 10
    assert all(begin.weekday() == weekday and begin.day in days for begin in begins)


def test_the_starts_of_the_page_are_understood() -> None:
    now = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
    given = re.findall(r"--at (\"[^\"]+\"|[0-9][^\s`]*)$", PAGE, re.MULTILINE)
    instants = [parse_start(text.strip('"'), BERLIN, now).instant for text in given]
    assert instants == [now.replace(hour=21), *[datetime(2026, 12, 1, 21, tzinfo=UTC)] * 2]
    assert f"more than {SCHEDULE_MAX.days} days ahead" in PAGE


def timer_calls() -> Iterator[tuple[str, list[str]]]:
    """The commands that cron and systemd call, without the path of the program."""
    (cron,) = blocks(PAGE, "cron")
    fields = cron.split(maxsplit=5)
    assert len(fields) == 6
    yield "cron", shlex.split(fields[5].partition(" >> ")[0])
    service, _ = blocks(PAGE, "ini")
    (start,) = re.findall(r"^ExecStart=(.*)$", service, re.MULTILINE)
    yield "systemd", shlex.split(start)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "call"), list(timer_calls()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_timers_bring_a_run_to_its_end(runner: SharedCloudRunner, kind: str, call: list[str]) -> None:
    del kind
    assert call[0].rpartition("/")[2] == "fleetos"
    opens = datetime.now(UTC) + timedelta(seconds=5)
    lines = Path(write_plan(runner, opens_in(5, 3600))).read_text(encoding="utf-8").splitlines()
    plan = runner.folder / "timed.yaml"
    plan.write_text("\n".join(line for line in lines if line.partition("name: ")[2] not in NAMES[2:]), "utf-8")
    arguments = [str(plan) if word == "/etc/fleetos/web.yaml" else word for word in call[1:]]
    assert str(plan) in arguments
    codes = [runner.fleetos(*arguments).returncode for _ in range(2)]
    until(lambda: datetime.now(UTC) > opens)
    while codes[-1] == 20 and len(codes) < 60:
        codes.append(runner.fleetos(*arguments).returncode)
    assert codes[0] == 20
    assert codes[-1] == 0
    assert runner.fleetos(*arguments).returncode == 0
    assert runner.changes(NAMES[:2]) == dict.fromkeys(NAMES[:2], 1)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not there")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    service, timer = blocks(PAGE, "ini")
    program = shutil.which("true") or "/bin/true"
    (tmp_path / "fleetos-web.service").write_text(service.replace("/usr/local/bin/fleetos", program), "utf-8")
    (tmp_path / "fleetos-web.timer").write_text(timer, "utf-8")
    units = [str(tmp_path / name) for name in ("fleetos-web.service", "fleetos-web.timer")]
    verify = ["systemd-analyze", "verify", *units]
    said = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
    assert "fleetos-web" not in said.stderr, said.stderr


def test_the_units_say_what_the_page_says() -> None:
    service, timer = blocks(PAGE, "ini")
    assert "SuccessExitStatus=20 143" in service
    assert "OnUnitInactiveSec=10min" in timer
    assert "ten minutes after it has left" in PAGE
