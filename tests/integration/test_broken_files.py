"""A killed run whose database has suffered since: nothing is sent, the exit code is the documented one, and the message
says which file it is and where a copy of it lies.

Each case damages a copy of what the kill left. Random bytes are drawn from a seed that is printed; FLEETOS_TEST_SEED
repeats them.
"""

import json
import os
import random
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.cli.runner import PACE, SharedCloudRunner
from tests.integration.signal_points import PLAIN, Place, Point, ProcessOptions, start
from tests.support.commands import Done, running_cloud
from tests.support.ledger import changes_per_server, stopped_by_us, successful_disks_destroyed

SERVERS = 8
NAMES = [f"web-{number:03d}" for number in range(1, SERVERS + 1)]
SCENARIO = {
    "seed": 23,
    "servers": [{"count": SERVERS, "name": "web-###", "state": "running"}],
    "durations": {"stop": [0.1, 0.2], "start": [0.1, 0.2], "change": [0.3, 0.5], "job_init": [0, 0.05]},
    # A change looks like a stopped, idle server: who does not wait for the whole settle sends into it.
    "change": {"picture": "idle"},
}
PAGE = 4096
BOUND = ProcessOptions(bound=True)
COPY = "fleetos.db.before-the-trouble"


@cache
def seed() -> int:
    """The seed of this process: given, or fresh."""
    return int(os.environ.get("FLEETOS_TEST_SEED") or secrets.randbelow(10**6))


def random_bytes(file: Path) -> None:
    print(f"FLEETOS_TEST_SEED={seed()}")
    content = file.read_bytes()
    third = len(content) // 3
    file.write_bytes(content[:third] + random.Random(seed()).randbytes(third) + content[2 * third :])


def cut_in_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def cut_within_a_page(file: Path) -> None:
    os.truncate(file, file.stat().st_size - PAGE // 2)


def cut_to_its_head(file: Path) -> None:
    os.truncate(file, 60)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def no_database(file: Path) -> None:
    file.write_text("servers:\n  - web-001\n" * 1000, encoding="utf-8")


def broken_text(file: Path) -> None:
    # Bytes in the middle of a target, which the database itself has no reason to look at.
    with closing(sqlite3.connect(file)) as database:
        garbled = "CAST(substr(CAST(body AS BLOB), 1, 80) || x'ff00fe' || substr(CAST(body AS BLOB), 84) AS TEXT)"
        database.execute(f"UPDATE targets SET body = {garbled} WHERE position = 3")
        database.commit()


def gone(file: Path) -> None:
    file.unlink()


def read_only(file: Path) -> None:
    file.chmod(0o400)


def read_only_log(file: Path) -> None:
    file.with_name(f"{file.name}-wal").chmod(0o400)


def read_only_folder(file: Path) -> None:
    file.parent.chmod(0o500)


@dataclass(frozen=True, slots=True)
class Case:
    """What happened to the file, what the error says of it, and what is special about the process that meets it.

    `killed`: it is as the kill left it, with the newest commits in its log; else it is whole in one file.
    """

    happens: Callable[[Path], None]
    says: str
    killed: bool = False
    names_copy: bool = True
    way: ProcessOptions = PLAIN

    def __str__(self) -> str:
        return f"{self.happens.__name__}{', with its log' if self.killed else ''}"


CASES = [
    Case(random_bytes, "is damaged"),
    Case(cut_in_half, "is damaged"),
    Case(cut_within_a_page, "is damaged"),
    Case(cut_to_its_head, "is damaged"),
    Case(no_database, "is damaged, or is not a database of fleetos"),
    Case(empty, "is empty"),
    Case(empty, "is empty", killed=True),
    Case(gone, "is gone", killed=True),
    Case(broken_text, "is damaged"),
    Case(read_only, "is not writable", names_copy=False, way=BOUND),
    Case(read_only, "is not writable", killed=True, names_copy=False, way=BOUND),
    Case(read_only_folder, "is not writable", names_copy=False, way=BOUND),
    Case(read_only_folder, "is not writable", killed=True, names_copy=False, way=BOUND),
    Case(read_only_log, "is not writable", killed=True, names_copy=False, way=BOUND),
]


@dataclass(frozen=True, slots=True)
class KilledRun:
    """A killed run. `left` is the folder with what the kill left, `whole` a copy of the database in one file."""

    runner: SharedCloudRunner
    plan: str
    left: Path
    whole: Path

    def cast(self, folder: Path, case: Case) -> Path:
        """The database of a case in that folder, damaged."""
        file = folder / "fleetos.db"
        if case.killed:
            shutil.copytree(self.left, folder, dirs_exist_ok=True)
        else:
            shutil.copy(self.whole, file)
        if case.names_copy:
            shutil.copy(self.whole, folder / COPY)
        case.happens(file)
        return file

    def call(self, folder: Path, file: Path, *arguments: str, way: ProcessOptions = PLAIN) -> Done:
        """The command, called with that database, with its words in that folder."""
        return start(folder, {**self.runner.env, "FLEETOS_DB": str(file)}, *arguments, way=way).end()

    def commands(self) -> Mapping[str, tuple[str, ...]]:
        """The two commands that would carry the run on."""
        return {"resume": ("resume", "-o", "json"), "apply": ("apply", self.plan, "--yes", "-o", "json")}


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KilledRun]:
    folder = tmp_path_factory.mktemp("broken")
    with running_cloud(folder, SCENARIO) as cloud, SharedCloudRunner.at(cloud, folder, iter(())) as runner:
        plan = runner.write_plan(NAMES, pace=PACE, concurrency=SERVERS)
        point = Point(Place.AFTER_SEND, "changeos", 2)
        killed = start(folder, runner.env, "apply", plan, "--yes", way=ProcessOptions(point)).end()
        assert killed.returncode == -SIGKILL, killed.stderr
        left = folder / "left"
        # Without its lock, which tells a copy from the file itself.
        shutil.copytree(runner.database.parent, left, ignore=shutil.ignore_patterns("*.lock"))
        assert (left / "fleetos.db-wal").stat().st_size > 0
        assert runner.invoke("db", "backup", str(folder / "whole.db")).returncode == 0
        yield KilledRun(runner, plan, left, folder / "whole.db")


def contents(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.startswith("fleetos.db")}


@pytest.mark.parametrize("command", ["resume", "apply"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_refused_and_left_as_it_is(killed_run: KilledRun, case: Case, command: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    file = killed_run.cast(tmp_path / "state", case)
    before, sent = contents(file.parent), killed_run.runner.ledger()
    done = killed_run.call(tmp_path, file, *killed_run.commands()[command], way=case.way)
    after, ledger = contents(file.parent), killed_run.runner.ledger()
    assert done.returncode == 65, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 65
    assert case.says in error["message"]
    assert str(file) in error["message"] or str(file.parent) in error["message"]
    assert (COPY in error["hint"]) == case.names_copy
    assert "Traceback" not in done.stderr
    assert len(ledger.writes) == len(sent.writes)
    if case.happens is not broken_text:
        assert ledger.requests == sent.requests
        assert after == before
    file.parent.chmod(0o700)


@pytest.mark.parametrize("command", ["resume", "apply"])
@pytest.mark.parametrize("killed", [True, False], ids=["with its log", "in one file"])
def test_on_a_full_disk_nothing_is_sent(killed_run: KilledRun, killed: bool, command: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    file = killed_run.cast(tmp_path / "state", Case(lambda _: None, "", killed=killed, names_copy=False))
    before = len(killed_run.runner.ledger().writes)
    # Either nothing that is there can grow, or there is no room for a log at all.
    largest = max(one.stat().st_size for one in file.parent.iterdir())
    way = ProcessOptions(file_bytes_max=largest if killed else PAGE)
    done = killed_run.call(tmp_path, file, *killed_run.commands()[command], way=way)
    assert done.returncode == 20, done.stderr
    error = json.loads(done.stdout)["error"]
    assert f"the database {file} cannot be written" in error["message"]
    assert "then call fleetos again" in error["hint"]
    assert "Traceback" not in done.stderr
    assert len(killed_run.runner.ledger().writes) == before


def test_the_copy_that_is_named_leads_to_the_end(killed_run: KilledRun, tmp_path: Path) -> None:
    runner = killed_run.runner
    (tmp_path / "state").mkdir()
    file = killed_run.cast(tmp_path / "state", Case(random_bytes, ""))
    done = killed_run.call(tmp_path, file, *killed_run.commands()["resume"])
    named = json.loads(done.stdout)["error"]["hint"].removeprefix("the newest copy is ").partition(";")[0]
    shutil.copy(named, file)
    resumed = killed_run.call(tmp_path, file, "resume")
    assert resumed.returncode == 0, resumed.stderr
    changes = changes_per_server(runner.ledger())
    assert sorted(len(sent) for sent in changes.values()) == [1] * SERVERS
    assert successful_disks_destroyed(runner.ledger()) == []
    assert stopped_by_us(runner.ledger(), runner.truth()) == []
