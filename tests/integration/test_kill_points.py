"""SIGKILL at chosen points: around each commit and each request of a server's way, and around the run's own ends.

Each play has servers and a database of its own in one cloud, and the plays run side by side.
"""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import cast

import pytest

from tests.cli.runner import SharedCloudRunner
from tests.integration.signal_points import Place, Point, ProcessOptions, start
from tests.support.commands import Done, running_cloud, until
from tests.support.ledger import (
    Ledger,
    changes_per_server,
    changes_sent_too_early,
    stopped_by_us,
    successful_disks_destroyed,
    writes_while_changing,
)

pytestmark = pytest.mark.slow

SETTLE_S = 1.0
PACE = f"""
polling: {{min: 200ms, max: 400ms}}
timeouts: {{stop: 2m, change: 2m, settle: {SETTLE_S:g}s, start: 2m}}
"""
# No time-out but the settle decides anything here: each is longer than a loaded machine takes between two sessions.
RUNNING, STOPPED = 2, 1
# More plays at once would only make each other slow.
SIDE_BY_SIDE = 4


@dataclass(frozen=True, slots=True)
class KillPlan:
    """What befalls a run: a kill in each of its sessions but the last. `refused`: the cloud refuses its changes."""

    kills: tuple[Point, ...]
    refused: bool = False

    def __str__(self) -> str:
        return ", then ".join(map(str, self.kills)) + (" (refused)" if self.refused else "")


def around(kind: str, nth: int = 1) -> list[Point]:
    return [Point(Place.BEFORE_COMMIT, kind, nth), Point(Place.AFTER_COMMIT, kind, nth)]


def along(operation: str, nth: int = 1) -> list[Point]:
    return [Point(at, operation, nth) for at in (Place.BEFORE_SEND, Place.AFTER_SEND, Place.ANSWERED)]


def of_a_write(intended: str, operation: str, answered: str) -> list[Point]:
    return [*around(intended), *along(operation), *around(answered)]


KILL_PLANS = [
    *(KillPlan((point,)) for point in of_a_write("power-intended", "stop", "power-answered")),
    *(KillPlan((point,)) for point in of_a_write("change-intended", "changeos", "change-answered")),
    *(KillPlan((point,)) for point in along("changeos", 2)),
    *(KillPlan((point,)) for point in around("run-created")),
    *(KillPlan((point,)) for point in (*around("attempt-ended"), *around("run-moved"))),
    *(KillPlan((point,), refused=True) for point in along("start")),
    # Killed again as it looks at what the first kill left unknown, and as it sends the same attempt once more.
    KillPlan((Point(Place.BEFORE_SEND, "changeos"), Point(Place.AFTER_COMMIT, "run-driver-started"))),
    KillPlan((Point(Place.BEFORE_SEND, "changeos"), Point(Place.AFTER_SEND, "changeos"))),
    KillPlan((Point(Place.AFTER_SEND, "changeos"), Point(Place.BEFORE_COMMIT, "change-answered", 2))),
    KillPlan((Point(Place.AFTER_SEND, "stop"), Point(Place.AFTER_COMMIT, "power-answered"))),
]
# Of each kind one, for every run of the tests: the others are played by the check of a commit.
USUAL = {
    KillPlan((Point(Place.BEFORE_COMMIT, "change-answered"),)),
    KillPlan((Point(Place.AFTER_SEND, "changeos"),)),
    KillPlan((Point(Place.ANSWERED, "start"),), refused=True),
    KillPlan((Point(Place.BEFORE_SEND, "changeos"), Point(Place.AFTER_SEND, "changeos"))),
}
assert set(KILL_PLANS) > USUAL
SCENARIO = {
    "seed": 3,
    "servers": [
        {"count": RUNNING * len(KILL_PLANS), "name": "web-###", "state": "running"},
        {"count": STOPPED * len(KILL_PLANS), "name": "off-###", "state": "stopped"},
    ],
    "durations": {"stop": [0.1, 0.2], "start": [0.1, 0.2], "change": [0.3, 0.5], "job_init": [0, 0.05]},
    # A change looks like a stopped, idle server: who does not wait for the whole settle sends into it.
    "change": {"picture": "idle"},
}


@dataclass(frozen=True, slots=True)
class RunResult:
    """What was seen of a play: each killed session, the records in the database after it, and the last session."""

    kill_plan: KillPlan
    names: list[str]
    runner: SharedCloudRunner
    killed: list[Done]
    records: list[Mapping[str, int]]
    sent: list[Mapping[str, int]]
    last: Done


def tell(kill_plan: KillPlan, runner: SharedCloudRunner, names: list[str]) -> RunResult:
    """Plays it to its end."""
    killed: list[Done] = []
    records: list[Mapping[str, int]] = []
    sent: list[Mapping[str, int]] = []
    apply = ("apply", runner.write_plan(names, pace=PACE, concurrency=len(names)), "--yes")
    arguments = apply
    for number, point in enumerate(kill_plan.kills):
        killed.append(start(runner.folder, runner.env, *arguments, way=ProcessOptions(point)).end())
        records.append(records_in(runner.database, runner.folder / f"left-{number}"))
        if point.at in (Place.AFTER_SEND, Place.ANSWERED):
            until_sent(runner, names, point.what)
        sent.append(sends(runner, names))
        arguments = ("resume",) if records[-1] else apply
    last = start(runner.folder, runner.env, *arguments, "-o", "json").end()
    return RunResult(kill_plan, names, runner, killed, records, sent, last)


def records_in(database: Path, copy: Path) -> Mapping[str, int]:
    """How many records of each kind are durable. Read from a copy: a reader would tidy up what the kill has left."""
    copy.mkdir()
    for file in database.parent.glob(f"{database.name}*"):
        shutil.copy(file, copy)
    with closing(sqlite3.connect(copy / database.name)) as left:
        return dict(left.execute("SELECT kind, count(*) FROM records GROUP BY kind").fetchall())


def until_sent(runner: SharedCloudRunner, names: list[str], operation: str) -> None:
    """Nothing, once the cloud has seen what a process handed to the system before it was killed."""
    until(lambda: sends(runner, names).get(operation, 0) > 0)


def sends(runner: SharedCloudRunner, names: list[str]) -> Mapping[str, int]:
    """How many writes of each operation the cloud was sent for these servers."""
    counts: dict[str, int] = {}
    for write in runner.writes(names):
        counts[write.operation] = counts.get(write.operation, 0) + 1
    return counts


@dataclass(frozen=True, slots=True)
class AllRuns:
    """All plays, and what the cloud knows in the end."""

    told: Mapping[KillPlan, RunResult]
    ledger: Ledger
    truth: Mapping[str, object]
    servers: Mapping[str, Mapping[str, object]]


def kill_plan_of(item: pytest.Item) -> KillPlan | None:
    """Return the plan that a collected test is about."""
    named = (
        item.callspec.params.get("told") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    )
    return named if isinstance(named, KillPlan) else None


@pytest.fixture(scope="module")
def all_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllRuns]:
    """All plays that a test of this run asks for."""
    folder = tmp_path_factory.mktemp("kills")
    running = [f"web-{number:03d}" for number in range(1, RUNNING * len(KILL_PLANS) + 1)]
    stopped = [f"off-{number:03d}" for number in range(1, STOPPED * len(KILL_PLANS) + 1)]
    asked = {kill_plan_of(item) for item in request.session.items}
    casts = {
        kill_plan: running[place * RUNNING :][:RUNNING] + stopped[place * STOPPED :][:STOPPED]
        for place, kill_plan in enumerate(KILL_PLANS)
        if kill_plan in asked
    }
    with running_cloud(folder, SCENARIO) as cloud, ExitStack() as stack:
        turned_away = [name for kill_plan, names in casts.items() if kill_plan.refused for name in names]
        refusal = {"do": "refuse", "on": "changeos", "code": "Ecs.0005", "status": 400, "servers": turned_away}
        cloud.post("/admin/faults", [refusal])
        plays: dict[KillPlan, SharedCloudRunner] = {}
        for place, kill_plan in enumerate(casts):
            (folder / str(place)).mkdir()
            plays[kill_plan] = stack.enter_context(SharedCloudRunner.at(cloud, folder / str(place), iter(())))
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            telling = {
                kill_plan: pool.submit(tell, kill_plan, plays[kill_plan], names) for kill_plan, names in casts.items()
            }
        told = {kill_plan: one.result() for kill_plan, one in telling.items()}
        yield AllRuns(told, cloud.ledger(), cloud.truth(), cloud.servers())


@pytest.fixture(
    params=[one if one in USUAL else pytest.param(one, marks=pytest.mark.proof) for one in KILL_PLANS], ids=str
)
def told(request: pytest.FixtureRequest, all_runs: AllRuns) -> RunResult:
    return all_runs.told[cast("KillPlan", request.param)]


def test_the_kill_came_exactly_there(told: RunResult) -> None:
    for point, done in zip(told.kill_plan.kills, told.killed, strict=True):
        assert done.returncode == -SIGKILL, done.stderr
        assert done.stderr.endswith(f"SIGKILL {point}\n")
    (point, *_), (records, *_), (sent, *_) = told.kill_plan.kills, told.records, told.sent
    if point.nth > 1:
        return
    if point.at in (Place.BEFORE_COMMIT, Place.AFTER_COMMIT):
        assert (records.get(point.what, 0) > 0) == (point.at is Place.AFTER_COMMIT)
    else:
        assert (sent.get(point.what, 0) > 0) == (point.at is not Place.BEFORE_SEND)
    # Whatever the cloud was sent had its intent on disk.
    assert sent.get("changeos", 0) <= records.get("change-intended", 0)
    assert "stop" not in sent or "power-intended" in records


def left_unanswered(told: RunResult) -> bool:
    """Whether a kill left a change of which an intent is durable and no answer."""
    return any(records.get("change-intended", 0) > records.get("change-answered", 0) for records in told.records)


def test_each_server_is_changed_once_or_put_back(told: RunResult, all_runs: AllRuns) -> None:
    # A change that was under way as the driver died was perhaps accepted, and a later refusal proves nothing of it.
    refused = (10, 22) if left_unanswered(told) else (10,)
    assert told.last.returncode in (refused if told.kill_plan.refused else (0,)), told.last.stderr
    ids = {str(all_runs.servers[name]["id"]): name for name in told.names}
    targets = {target["server_id"]: target for target in told.runner.status()["targets"]}
    assert targets.keys() == ids.keys()
    changes = changes_per_server(all_runs.ledger)
    for server_id, name in ids.items():
        if told.kill_plan.refused:
            assert (targets[server_id]["state"], targets[server_id]["reason"]) == ("failed", "refused")
            assert server_id not in changes
        else:
            assert targets[server_id]["state"] == "done"
            (change,) = changes[server_id]
            assert change.ended == "success"
        # One that was stopped before stays so when it is not changed.
        left_alone = told.kill_plan.refused and name.startswith("off-")
        assert all_runs.servers[name]["status"] == ("SHUTOFF" if left_alone else "ACTIVE")
    assert told.runner.invoke("db", "check").returncode == 0


@pytest.mark.parametrize("_plays", ["usual", pytest.param("others", marks=pytest.mark.proof)])
def test_nothing_is_lost_by_the_word_of_the_cloud(all_runs: AllRuns, _plays: str) -> None:
    assert all_runs.told
    assert successful_disks_destroyed(all_runs.ledger) == []
    assert changes_sent_too_early(all_runs.ledger, SETTLE_S) == []
    assert writes_while_changing(all_runs.ledger) == []
    assert stopped_by_us(all_runs.ledger, all_runs.truth) == []
