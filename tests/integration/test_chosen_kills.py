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

from tests.cli.play import Play
from tests.integration.chosen import At, Point, Way, start
from tests.support.commands import Done, stage, until
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
class Story:
    """What befalls a run: a kill in each of its sessions but the last. `refused`: the cloud refuses its changes."""

    kills: tuple[Point, ...]
    refused: bool = False

    def __str__(self) -> str:
        return ", then ".join(map(str, self.kills)) + (" (refused)" if self.refused else "")


def around(kind: str, nth: int = 1) -> list[Point]:
    return [Point(At.BEFORE_COMMIT, kind, nth), Point(At.AFTER_COMMIT, kind, nth)]


def along(operation: str, nth: int = 1) -> list[Point]:
    return [Point(at, operation, nth) for at in (At.BEFORE_SEND, At.AFTER_SEND, At.ANSWERED)]


def of_a_write(intended: str, operation: str, answered: str) -> list[Point]:
    return [*around(intended), *along(operation), *around(answered)]


STORIES = [
    *(Story((point,)) for point in of_a_write("power-intended", "stop", "power-answered")),
    *(Story((point,)) for point in of_a_write("change-intended", "changeos", "change-answered")),
    *(Story((point,)) for point in along("changeos", 2)),
    *(Story((point,)) for point in around("run-created")),
    *(Story((point,)) for point in (*around("attempt-ended"), *around("run-moved"))),
    *(Story((point,), refused=True) for point in along("start")),
    # Killed again as it looks at what the first kill left unknown, and as it sends the same attempt once more.
    Story((Point(At.BEFORE_SEND, "changeos"), Point(At.AFTER_COMMIT, "run-driver-started"))),
    Story((Point(At.BEFORE_SEND, "changeos"), Point(At.AFTER_SEND, "changeos"))),
    Story((Point(At.AFTER_SEND, "changeos"), Point(At.BEFORE_COMMIT, "change-answered", 2))),
    Story((Point(At.AFTER_SEND, "stop"), Point(At.AFTER_COMMIT, "power-answered"))),
]
SCENARIO = {
    "seed": 3,
    "servers": [
        {"count": RUNNING * len(STORIES), "name": "web-###", "state": "running"},
        {"count": STOPPED * len(STORIES), "name": "off-###", "state": "stopped"},
    ],
    "durations": {"stop": [0.1, 0.2], "start": [0.1, 0.2], "change": [0.3, 0.5], "job_init": [0, 0.05]},
    # A change looks like a stopped, idle server: who does not wait for the whole settle sends into it.
    "change": {"picture": "idle"},
}


@dataclass(frozen=True, slots=True)
class Told:
    """What was seen of a play: each killed session, the records in the database after it, and the last session."""

    story: Story
    names: list[str]
    play: Play
    killed: list[Done]
    records: list[Mapping[str, int]]
    sent: list[Mapping[str, int]]
    last: Done


def tell(story: Story, play: Play, names: list[str]) -> Told:
    """Plays it to its end."""
    killed: list[Done] = []
    records: list[Mapping[str, int]] = []
    sent: list[Mapping[str, int]] = []
    apply = ("apply", play.written(names, pace=PACE, concurrency=len(names)), "--yes")
    arguments = apply
    for number, point in enumerate(story.kills):
        killed.append(start(play.folder, play.env, *arguments, way=Way(point)).end())
        records.append(records_in(play.database, play.folder / f"left-{number}"))
        if point.at in (At.AFTER_SEND, At.ANSWERED):
            until_sent(play, names, point.what)
        sent.append(sends(play, names))
        arguments = ("resume",) if records[-1] else apply
    last = start(play.folder, play.env, *arguments, "-o", "json").end()
    return Told(story, names, play, killed, records, sent, last)


def records_in(database: Path, copy: Path) -> Mapping[str, int]:
    """How many records of each kind are durable. Read from a copy: a reader would tidy up what the kill has left."""
    copy.mkdir()
    for file in database.parent.glob(f"{database.name}*"):
        shutil.copy(file, copy)
    with closing(sqlite3.connect(copy / database.name)) as left:
        return dict(left.execute("SELECT kind, count(*) FROM records GROUP BY kind").fetchall())


def until_sent(play: Play, names: list[str], operation: str) -> None:
    """Nothing, once the cloud has seen what a process handed to the system before it was killed."""
    until(lambda: sends(play, names).get(operation, 0) > 0)


def sends(play: Play, names: list[str]) -> Mapping[str, int]:
    """How many writes of each operation the cloud was sent for these servers."""
    counts: dict[str, int] = {}
    for write in play.writes(names):
        counts[write.operation] = counts.get(write.operation, 0) + 1
    return counts


@dataclass(frozen=True, slots=True)
class Evening:
    """All plays, and what the cloud knows in the end."""

    told: Mapping[Story, Told]
    ledger: Ledger
    truth: Mapping[str, object]
    servers: Mapping[str, Mapping[str, object]]


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    folder = tmp_path_factory.mktemp("kills")
    running = [f"web-{number:03d}" for number in range(1, RUNNING * len(STORIES) + 1)]
    stopped = [f"off-{number:03d}" for number in range(1, STOPPED * len(STORIES) + 1)]
    casts = {
        story: running[place * RUNNING :][:RUNNING] + stopped[place * STOPPED :][:STOPPED]
        for place, story in enumerate(STORIES)
    }
    with stage(folder, SCENARIO) as cloud, ExitStack() as stack:
        turned_away = [name for story, names in casts.items() if story.refused for name in names]
        refusal = {"do": "refuse", "on": "changeos", "code": "Ecs.0005", "status": 400, "servers": turned_away}
        cloud.post("/admin/faults", [refusal])
        plays: dict[Story, Play] = {}
        for place, story in enumerate(STORIES):
            (folder / str(place)).mkdir()
            plays[story] = stack.enter_context(Play.at(cloud, folder / str(place), iter(())))
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            telling = {story: pool.submit(tell, story, plays[story], names) for story, names in casts.items()}
        told = {story: one.result() for story, one in telling.items()}
        yield Evening(told, cloud.ledger(), cloud.truth(), cloud.servers())


@pytest.fixture(params=STORIES, ids=str)
def told(request: pytest.FixtureRequest, evening: Evening) -> Told:
    return evening.told[cast("Story", request.param)]


def test_the_kill_came_exactly_there(told: Told) -> None:
    for point, done in zip(told.story.kills, told.killed, strict=True):
        assert done.returncode == -SIGKILL, done.stderr
        assert done.stderr.endswith(f"SIGKILL {point}\n")
    (point, *_), (records, *_), (sent, *_) = told.story.kills, told.records, told.sent
    if point.nth > 1:
        return
    if point.at in (At.BEFORE_COMMIT, At.AFTER_COMMIT):
        assert (records.get(point.what, 0) > 0) == (point.at is At.AFTER_COMMIT)
    else:
        assert (sent.get(point.what, 0) > 0) == (point.at is not At.BEFORE_SEND)
    # Whatever the cloud was sent had its intent on disk.
    assert sent.get("changeos", 0) <= records.get("change-intended", 0)
    assert "stop" not in sent or "power-intended" in records


def test_each_server_is_changed_once_or_put_back(told: Told, evening: Evening) -> None:
    assert told.last.returncode == (10 if told.story.refused else 0), told.last.stderr
    ids = {str(evening.servers[name]["id"]): name for name in told.names}
    targets = {target["server_id"]: target for target in told.play.status()["targets"]}
    assert targets.keys() == ids.keys()
    changes = changes_per_server(evening.ledger)
    for server_id, name in ids.items():
        if told.story.refused:
            assert (targets[server_id]["state"], targets[server_id]["reason"]) == ("failed", "refused")
            assert server_id not in changes
        else:
            assert targets[server_id]["state"] == "done"
            (change,) = changes[server_id]
            assert change.ended == "success"
        # One that was stopped before stays so when it is not changed.
        left_alone = told.story.refused and name.startswith("off-")
        assert evening.servers[name]["status"] == ("SHUTOFF" if left_alone else "ACTIVE")
    assert told.play.called("db", "check").returncode == 0


def test_nothing_is_lost_by_the_word_of_the_cloud(evening: Evening) -> None:
    assert successful_disks_destroyed(evening.ledger) == []
    assert changes_sent_too_early(evening.ledger, SETTLE_S) == []
    assert writes_while_changing(evening.ledger) == []
    assert stopped_by_us(evening.ledger, evening.truth) == []
