"""A driver that sleeps past its lease (SIGSTOP) while another machine takes its run over, and then wakes up (SIGCONT).

The other machine is a process that takes itself for one: it believes nothing but the renewals, and watches for a whole
term. The plays run side by side in one cloud, so that the term passes once for all.
"""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from signal import SIGSTOP

import pytest

from fleetos.limits import LEASE_TERM_S
from fleetos.sim.world.ledger import LedgerEntry
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
from tests.support.postgres import fresh_database, server_ends

pytestmark = pytest.mark.slow

postgres_ends = pytest.fixture(scope="session", autouse=True)(server_ends)
# A term that a loaded machine keeps, for every run of the tests, and the real one for the check of a commit.
TERMS_S = [8.0, pytest.param(LEASE_TERM_S, marks=pytest.mark.proof)]
SETTLE_S = 1.0
PACE = f"""
polling: {{min: 200ms, max: 400ms}}
timeouts: {{stop: 2m, change: 2m, settle: {SETTLE_S:g}s, start: 2m}}
"""
SERVERS = 3


@dataclass(frozen=True, slots=True)
class Suspension:
    """Where the first driver falls asleep, and who comes meanwhile. `postgres`: the database is one."""

    point: Point
    postgres: bool = False
    elsewhere: bool = True

    def __str__(self) -> str:
        where = "another machine" if self.elsewhere else "this machine"
        return f"{self.point}, then {where}{', PostgreSQL' if self.postgres else ''}"


INTENDED = Suspension(Point(Place.AFTER_COMMIT, "change-intended"))
CHANGING = Suspension(Point(Place.AFTER_COMMIT, "change-answered"))
SENDING = Suspension(Point(Place.BEFORE_SEND, "changeos"))
IN_POSTGRES = Suspension(Point(Place.AFTER_COMMIT, "change-intended"), postgres=True)
IN_A_COMMIT = Suspension(Point(Place.BEFORE_COMMIT, "change-answered"), postgres=True)
LOCKING = Suspension(Point(Place.BEFORE_COMMIT, "change-answered"), elsewhere=False)
ALONE = Suspension(Point(Place.AFTER_COMMIT, "change-intended"), elsewhere=False)
PLAYS = (INTENDED, CHANGING, SENDING, IN_POSTGRES, IN_A_COMMIT, LOCKING, ALONE)
SCENARIO = {
    "seed": 17,
    "servers": [{"count": SERVERS * len(PLAYS), "name": "web-###", "state": "running"}],
    "durations": {"stop": [0.1, 0.2], "start": [0.1, 0.2], "change": [0.3, 0.5], "job_init": [0, 0.05]},
    # A change looks like a stopped, idle server: who does not wait for the whole settle sends into it.
    "change": {"picture": "idle"},
}


@dataclass(frozen=True, slots=True)
class RunResult:
    """What was seen of a play: who came meanwhile, how the sleeper ended, and what the cloud was sent by then."""

    frozen: Suspension
    names: list[str]
    runner: SharedCloudRunner
    sleeper: int
    came: Done
    woke: Done
    before: list[LedgerEntry]
    after: list[LedgerEntry]


def tell(frozen: Suspension, runner: SharedCloudRunner, names: list[str], term_s: float) -> RunResult:
    """Plays it to its end."""
    apply = ("apply", runner.write_plan(names, pace=PACE, concurrency=SERVERS), "--yes", "-o", "json")
    first = start(runner.folder, runner.env, *apply, way=ProcessOptions(frozen.point, SIGSTOP, lease_s=term_s))
    try:
        first.until_stopped()
        asleep_s = time.monotonic()
        came = meanwhile(frozen, runner, names, term_s)
        until(lambda: time.monotonic() - asleep_s > term_s + 1)
        before = runner.writes(names)
        first.go_on()
        woke = first.end()
    finally:
        first.kill()
    return RunResult(frozen, names, runner, first.pid, came, woke, before, runner.writes(names))


def meanwhile(frozen: Suspension, runner: SharedCloudRunner, names: list[str], term_s: float) -> Done:
    """What somebody does while the driver sleeps: carry on with the run, or begin another where that cannot be."""
    if frozen is LOCKING:
        other = runner.write_plan(names[:1], "other.yaml", pace=PACE)
        return start(runner.folder, runner.env, "apply", other, "--yes", way=ProcessOptions(lease_s=term_s)).end()
    way = ProcessOptions(elsewhere=frozen.elsewhere, lease_s=term_s)
    return start(runner.folder, runner.env, "resume", way=way).end()


@dataclass(frozen=True, slots=True)
class AllRuns:
    """All plays, and what the cloud knows in the end."""

    told: Mapping[Suspension, RunResult]
    ledger: Ledger
    truth: Mapping[str, object]
    ids: Mapping[str, str]


@pytest.fixture(scope="module", params=TERMS_S)
def all_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllRuns]:
    folder = tmp_path_factory.mktemp("frozen")
    names = [f"web-{number:03d}" for number in range(1, SERVERS * len(PLAYS) + 1)]
    with running_cloud(folder, SCENARIO) as cloud, ExitStack() as stack, ThreadPoolExecutor(len(PLAYS)) as pool:
        telling: dict[Suspension, Future[RunResult]] = {}
        for place, frozen in enumerate(PLAYS):
            (folder / str(place)).mkdir()
            runner = stack.enter_context(SharedCloudRunner.at(cloud, folder / str(place), iter(())))
            if frozen.postgres:
                runner.env["FLEETOS_DB"] = fresh_database()
            telling[frozen] = pool.submit(tell, frozen, runner, names[place * SERVERS :][:SERVERS], request.param)
        told = {frozen: one.result() for frozen, one in telling.items()}
        ids = {name: str(server["id"]) for name, server in cloud.servers().items()}
        yield AllRuns(told, cloud.ledger(), cloud.truth(), ids)


def told_of(all_runs: AllRuns, frozen: Suspension) -> RunResult:
    told = all_runs.told[frozen]
    assert f"SIGSTOP {frozen.point}\n" in told.woke.stderr
    return told


@pytest.mark.parametrize("frozen", [INTENDED, CHANGING, IN_POSTGRES], ids=str)
def test_who_was_taken_over_sends_nothing_more_and_says_why(all_runs: AllRuns, frozen: Suspension) -> None:
    told = told_of(all_runs, frozen)
    assert told.came.returncode == 0, told.came.stderr
    assert f"until it is certain that process {told.sleeper} of" in told.came.stderr
    assert told.after == told.before
    assert told.woke.returncode == 21, told.woke.stderr
    assert "was taken over" in told.woke.stderr
    assert "this process has stopped sending" in told.woke.stderr
    assert json.loads(told.woke.stdout)["error"]["exit_code"] == 21


def test_what_leaves_after_the_last_look_is_refused_by_the_changed_server(all_runs: AllRuns) -> None:
    told = told_of(all_runs, SENDING)
    assert (told.came.returncode, told.woke.returncode) == (0, 21), told.woke.stderr
    late = told.after[len(told.before) :]
    assert [(write.operation, write.came) for write in late] == [("changeos", "refused")]


def test_a_commit_that_was_slept_through_is_none(all_runs: AllRuns) -> None:
    told = told_of(all_runs, IN_A_COMMIT)
    assert told.came.returncode == 0, told.came.stderr
    assert told.after == told.before
    assert told.woke.returncode == 20, told.woke.stderr
    assert "cannot be written" in told.woke.stderr
    assert "fleetos resume" in told.woke.stderr


def test_a_sleeper_of_this_machine_keeps_run_and_database(all_runs: AllRuns) -> None:
    alone, locking = told_of(all_runs, ALONE), told_of(all_runs, LOCKING)
    assert alone.came.returncode == 21
    assert f"driven by process {alone.sleeper} " in alone.came.stderr
    assert locking.came.returncode == 21
    assert f"locked by process {locking.sleeper}, which is stopped by a signal" in locking.came.stderr
    for told in (alone, locking):
        assert "stopped by a signal" in told.came.stderr
        assert told.woke.returncode == 0, told.woke.stderr


@pytest.mark.parametrize("frozen", PLAYS, ids=str)
def test_each_server_is_changed_once(all_runs: AllRuns, frozen: Suspension) -> None:
    told = told_of(all_runs, frozen)
    changes = changes_per_server(all_runs.ledger)
    assert [[change.ended for change in changes[all_runs.ids[name]]] for name in told.names] == [["success"]] * SERVERS
    status = told.runner.status()
    assert (status["run"]["state"], status["counts"]) == ("done", {"total": SERVERS, "done": SERVERS})
    assert told.runner.invoke("db", "check").returncode == 0


def test_nothing_is_lost_by_the_word_of_the_cloud(all_runs: AllRuns) -> None:
    assert successful_disks_destroyed(all_runs.ledger) == []
    assert changes_sent_too_early(all_runs.ledger, SETTLE_S) == []
    assert writes_while_changing(all_runs.ledger) == []
    assert stopped_by_us(all_runs.ledger, all_runs.truth) == []
