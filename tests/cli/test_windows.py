"""Windows and groups, with the real command and the cloud's ledger as the judge."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import SCENARIO
from tests.cli.runner import SharedCloudRunner
from tests.support.commands import running_cloud

SERVERS = 6
NAMES = [f"web-{number:03d}" for number in range(1, SERVERS + 1)]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """A cloud of its own."""
    for folder in ("cloud", "play"):
        (tmp_path / folder).mkdir()
    with (
        running_cloud(tmp_path / "cloud", {**SCENARIO, "servers": [{"count": SERVERS, "name": "web-###"}]}) as cloud,
        SharedCloudRunner.at(cloud, tmp_path / "play", iter(NAMES)) as begun,
    ):
        yield begun


def write_plan(runner: SharedCloudRunner, more: str, rollout: str = "") -> str:
    path = Path(runner.write_plan(NAMES, concurrency=6, attempts=1, rollout=rollout))
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{more}\n", "utf-8")
    return str(path)


def opens_in(begin_s: float, end_s: float) -> str:
    now = datetime.now(UTC)
    return opens((now + timedelta(seconds=begin_s), now + timedelta(seconds=end_s)))


def opens(*spans: tuple[datetime, datetime]) -> str:
    rules = (f"{{since: {begin:%Y-%m-%dT%H:%M:%SZ}, until: {end:%Y-%m-%dT%H:%M:%SZ}}}" for begin, end in spans)
    return f"windows: {{fit: none, allow: [{', '.join(rules)}]}}"


@pytest.mark.slow
def test_nothing_is_sent_before_the_window_opens_and_status_says_when(runner: SharedCloudRunner) -> None:
    # The first command of a worker imports what all commands import: not while the window's time passes.
    assert runner.fleetos("--version").returncode == 0
    text = write_plan(runner, opens_in(8, 3600))
    opens = datetime.now(UTC) + timedelta(seconds=7)
    began = runner.begin("apply", text, "--yes")
    began.until("run.driver-started")
    status = runner.status()
    assert status["run"]["window"]["open"] is False
    assert status["run"]["window"]["next"] is not None
    waits = [target["waits_for"] for target in status["targets"]]
    assert {wait["reason"] for wait in waits} == {"window"}
    assert waits[0]["detail"].startswith("closed until ")
    assert waits[0]["ends_at"] == status["run"]["window"]["next"]
    began.until("target.checking")
    assert datetime.now(UTC) >= opens
    assert began.end().returncode == 0
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 1)


def test_a_calendar_that_vanishes_closes_the_run_until_it_is_back(runner: SharedCloudRunner) -> None:
    calendar = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n"
    file = runner.folder / "freezes.ics"
    file.write_text(calendar, "utf-8")
    text = write_plan(runner, "windows: {zone: UTC, fit: none, deny: [{ics: freezes.ics}]}")
    file.unlink()
    refused = runner.invoke("validate", text)
    assert refused.returncode == 65
    file.write_text(calendar, "utf-8")
    assert runner.fleetos("apply", text, "--yes").returncode == 0


def test_no_more_are_out_than_may_be_by_the_clouds_own_ledger(runner: SharedCloudRunner) -> None:
    text = write_plan(runner, "", "  max_unavailable: [{per: all, value: 2}]")
    said = runner.invoke("plan", text).stdout
    assert "of all servers at most 2 are out at once" in said
    began = runner.begin("apply", text, "--yes")
    began.until("target.submitting")
    groups = runner.status()["run"]["groups"]
    assert [(group["per"], group["limit"]) for group in groups] == [("all", 2)]
    assert 1 <= groups[0]["out"] <= 2
    assert began.end().returncode == 0
    out: set[str] = set()
    most = 0
    for event in began.events:
        if event["type"] == "target.stopping":
            out.add(event["server"])
        elif event["type"] == "target.done":
            out.discard(event["server"])
        most = max(most, len(out))
    assert most == 2
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 1)


@pytest.mark.proof
def test_a_window_that_closes_over_stopped_servers_has_them_started_again_also_after_a_kill(
    runner: SharedCloudRunner,
) -> None:
    """The cloud takes few changes and refuses the others for their number, so that stopped servers wait for theirs."""
    runner.faults({"on": "changeos", "do": "throttle", "requests": 1, "per_s": 10})
    closes = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=25)
    again = closes + timedelta(seconds=15)
    text = write_plan(runner, opens((closes - timedelta(hours=1), closes), (again, closes.replace(year=2090))))
    began = runner.begin("apply", text, "--yes")
    began.until("target.restoring")
    began.kill()
    runner.faults()
    resumed = runner.fleetos("resume", "-o", "jsonl")
    assert resumed.returncode == 0, resumed.stderr
    assert '"target.waiting"' in resumed.stdout
    sent = [write.sent_at for write in runner.writes(NAMES) if write.operation == "changeos"]
    assert not [sent_at for sent_at in sent if closes.timestamp() <= sent_at < again.timestamp()]
    assert runner.changes(NAMES) == dict.fromkeys(NAMES, 1)
