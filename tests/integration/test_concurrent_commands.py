"""Second operators: commands that want the same run, or the same servers, at the very same instant.

Each race is run with SQLite and with PostgreSQL, and the racers wait for each other at the worst place for it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from signal import SIGKILL, SIGSTOP

import pytest

from tests.cli.runner import SharedCloudRunner
from tests.integration.signal_points import Meeting, Place, Point, ProcessOptions, start
from tests.support.commands import CommandRunner, Done, running_cloud
from tests.support.ledger import (
    changes_per_server,
    changes_sent_too_early,
    stopped_by_us,
    successful_disks_destroyed,
    writes_while_changing,
)
from tests.support.postgres import fresh_database, server_ends

pytestmark = pytest.mark.slow

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)
SETTLE_S = 1.0
SERVERS = 60
SCENARIO = {
    "seed": 29,
    "servers": [{"count": SERVERS, "name": "web-###", "state": "running"}],
    "durations": {"stop": [0.1, 0.2], "start": [0.1, 0.2], "change": [0.3, 0.5], "job_init": [0, 0.05]},
    # A change looks like a stopped, idle server: who does not wait for the whole settle sends into it.
    "change": {"picture": "idle"},
}
DRIVER = re.compile(r"is driven by process (\d+) of ")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandRunner]:
    with running_cloud(tmp_path_factory.mktemp("racing"), SCENARIO) as running:
        yield running


@pytest.fixture(scope="module")
def unused() -> Iterator[str]:
    return iter([f"web-{number:03d}" for number in range(1, SERVERS + 1)])


@pytest.fixture(params=["sqlite", "postgresql"])
def runner(
    request: pytest.FixtureRequest, cloud: CommandRunner, unused: Iterator[str], tmp_path: Path
) -> Iterator[SharedCloudRunner]:
    with SharedCloudRunner.at(cloud, tmp_path, unused) as begun:
        if request.param == "postgresql":
            begun.env["FLEETOS_DB"] = fresh_database()
        yield begun
        assert successful_disks_destroyed(cloud.ledger()) == []
        assert changes_sent_too_early(cloud.ledger(), SETTLE_S) == []
        assert writes_while_changing(cloud.ledger()) == []


def race(runner: SharedCloudRunner, commands: Sequence[tuple[str, ...]], meeting: Meeting) -> list[tuple[int, Done]]:
    """The process id of each racer, and how it ended; the winner comes first."""
    way = ProcessOptions(meeting=meeting, party=len(commands))
    racers = [start(runner.folder, runner.env, *one, way=way) for one in commands]
    return sorted(((one.pid, one.end()) for one in racers), key=lambda ended: ended[1].returncode)


def assert_changed_once(runner: SharedCloudRunner, names: Sequence[str]) -> None:
    changes = changes_per_server(runner.ledger())
    ids = [str(runner.servers()[name]["id"]) for name in names]
    assert [[change.ended for change in changes[server_id]] for server_id in ids] == [["success"]] * len(names)
    assert not set(ids).intersection(stopped_by_us(runner.ledger(), runner.truth()))
    assert runner.invoke("db", "check").returncode == 0


@pytest.mark.parametrize("meeting", [Meeting.START, Meeting.LEASE_SEEN])
def test_of_resumes_at_one_instant_one_drives(runner: SharedCloudRunner, meeting: Meeting) -> None:
    names = runner.take(4)
    apply = ("apply", runner.write_plan(names, concurrency=3), "--yes")
    killed = start(runner.folder, runner.env, *apply, way=ProcessOptions(Point(Place.AFTER_SEND, "changeos"))).end()
    assert killed.returncode == -SIGKILL, killed.stderr
    ended = race(runner, [("resume", "-o", "json")] * 3, meeting)
    (winner,) = [pid for pid, done in ended if f"driven by process {pid} of" in done.stderr]
    for pid, done in ended:
        # On a slow machine one that begins with the others may still come when all is over.
        late = meeting is Meeting.START and (
            "there are no unfinished runs" in done.stderr or "has ended" in done.stderr
        )
        assert done.returncode == (0 if pid == winner or late else 21), done.stderr
        if done.returncode == 21:
            assert DRIVER.findall(json.loads(done.stdout)["error"]["message"]) == [str(winner)]
    status = runner.status()
    assert (status["counts"], status["run"]["resumed"]) == ({"total": 4, "done": 4}, 1)
    assert_changed_once(runner, names)


def test_of_applies_at_one_instant_one_makes_the_run(runner: SharedCloudRunner) -> None:
    names = runner.take(4)
    apply = ("apply", runner.write_plan(names, concurrency=3), "--yes", "-o", "json")
    # While one of two makes the file, SQLite lets the other wait for nothing: that is no race for a run.
    assert "no runs yet" in runner.invoke("status").stderr
    (winner, won), (_, lost) = race(runner, [apply] * 2, Meeting.FROZEN)
    assert (won.returncode, lost.returncode) == (0, 21), (won.stderr, lost.stderr)
    assert DRIVER.findall(json.loads(lost.stdout)["error"]["message"]) == [str(winner)]
    assert len(runner.runs()) == 1
    assert_changed_once(runner, names)


@pytest.mark.parametrize("runner", ["postgresql"], indirect=True)
def test_the_real_command_is_killed_and_carries_on(runner: SharedCloudRunner) -> None:
    names = runner.take(4)
    began = runner.begin("apply", runner.write_plan(names, concurrency=2), "--yes")
    began.until("target.changing", 2)
    began.kill()
    assert began.process.returncode == -SIGKILL
    assert runner.status()["run"]["state"] == "running"
    resumed = runner.fleetos("resume", "-o", "json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["counts"] == {"total": 4, "done": 4}
    again = runner.fleetos("resume")
    assert again.returncode == 0
    assert "there are no unfinished runs" in again.stderr
    assert_changed_once(runner, names)


def test_two_operators_with_two_databases_wipe_no_fresh_disk(tmp_path: Path) -> None:
    # A cloud of their own: without a common database they do send into each other's changes, and the fence refuses.
    names = [f"web-{number:03d}" for number in range(1, 7)]
    with running_cloud(tmp_path, SCENARIO) as cloud, SharedCloudRunner.at(cloud, tmp_path, iter(names)) as runner:
        apply = ("apply", runner.write_plan(names, concurrency=len(names)), "--yes", "-o", "json")
        ended = race(runner, [(*apply, "--db", str(tmp_path / f"{number}.db")) for number in (1, 2)], Meeting.FROZEN)
        ledger, truth = cloud.ledger(), cloud.truth()
    # 11: where the other one came first everywhere, the first five servers failed.
    assert {done.returncode for _, done in ended} <= {0, 10, 11, 22}, ended
    assert successful_disks_destroyed(ledger) == []
    changes = changes_per_server(ledger).values()
    assert [[change.ended for change in one] for one in changes] == [["success"]] * len(names)
    targets = [target for _, done in ended for target in json.loads(done.stdout)["targets"]]
    held = {target["server_id"] for target in targets if target["state"] == "held"}
    assert set(stopped_by_us(ledger, truth)) <= held


def test_who_was_slow_to_log_in_finds_the_run_ended(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    apply, resume = ("apply", runner.write_plan(names), "--yes"), ("resume", "-o", "json")
    assert (
        start(runner.folder, runner.env, *apply, way=ProcessOptions(Point(Place.AFTER_SEND, "changeos")))
        .end()
        .returncode
        == -SIGKILL
    )
    slow = start(runner.folder, runner.env, *resume, way=ProcessOptions(Point(Place.ANSWERED, "token"), SIGSTOP))
    try:
        slow.until_stopped()
        assert start(runner.folder, runner.env, *resume).end().returncode == 0
        before = runner.status()
        slow.go_on()
        done = slow.end()
    finally:
        slow.kill()
    assert done.returncode == 0, done.stderr
    assert runner.status() == before == json.loads(done.stdout)
    assert_changed_once(runner, names)
