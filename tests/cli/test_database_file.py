"""A database whose file is moved, deleted, replaced or linked while a run is driven: nobody sends anything more."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.runner import SharedCloudRunner, StartedCommand
from tests.support.commands import Done


def files_of(database: Path) -> list[Path]:
    """What `fleetos.db*` names in a shell."""
    return sorted(database.parent.glob(f"{database.name}*"))


def move_away(database: Path) -> None:
    old = database.parent / "old"
    old.mkdir()
    for one in files_of(database):
        one.rename(old / one.name)


def delete(database: Path) -> None:
    for one in files_of(database):
        one.unlink()


def delete_file_alone(database: Path) -> None:
    database.unlink()


def delete_logs(database: Path) -> None:
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink()


def replace(database: Path) -> None:
    """As a restored copy is put in place."""
    shutil.copyfile(database, database.with_name("copy"))
    database.with_name("copy").replace(database)


def replace_all(database: Path) -> None:
    delete_logs(database)
    replace(database)


def link(database: Path) -> None:
    (database.parent / "two.db").hardlink_to(database)


def driving(runner: SharedCloudRunner, names: list[str]) -> StartedCommand:
    """A run whose first change is under way, and stays so until the cloud is healed."""
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.changing")
    runner.faults({"on": "job", "do": "refuse", "code": "APIGW.0201"})
    return began


def second(runner: SharedCloudRunner, names: list[str], *arguments: str) -> Done:
    return runner.fleetos("apply", runner.write_plan(names, "other.yaml"), "--yes", *arguments)


MISFORTUNES = (move_away, delete, delete_file_alone, delete_logs, replace, replace_all, link)


@pytest.mark.parametrize("misfortune", MISFORTUNES, ids=lambda one: one.__name__)
def test_neither_the_driver_nor_a_second_one_sends_anything_more(
    runner: SharedCloudRunner, misfortune: Callable[[Path], None]
) -> None:
    names = runner.take(2)
    began = driving(runner, names)
    misfortune(runner.database)
    sent = len(runner.writes(names))
    for arguments in ((), ("--db", str(runner.database.parent / "two.db")))[: 1 + (misfortune is link)]:
        other = second(runner, names, *arguments)
        # Where the first has left already and its run is still known, that holds the servers: 20.
        assert other.returncode in (20, 21, 64, 65), other.stderr
        assert "hint" in other.stderr
    runner.post("/admin/heal", {})
    first = began.end()
    assert first.returncode == 21, first.stderr
    assert "while it was in use" in first.stderr
    assert len(runner.writes(names)) == sent


def test_a_run_whose_database_is_put_back_goes_on(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    began = driving(runner, names)
    move_away(runner.database)
    runner.post("/admin/heal", {})
    assert began.end().returncode == 21
    # By now nobody drives it, and still nobody may begin anew at the same place.
    other = second(runner, names)
    assert other.returncode == 65, other.stderr
    assert f"{runner.database} is gone" in other.stderr
    for one in (runner.database.parent / "old").iterdir():
        one.rename(runner.database.parent / one.name)
    assert runner.fleetos("resume").returncode == 0
    assert runner.changes(names) == dict.fromkeys(names, 1)


def test_a_file_that_is_mounted_by_itself_is_refused(runner: SharedCloudRunner, tmp_path: Path) -> None:
    names = runner.take(1)
    assert runner.fleetos("apply", runner.write_plan(names), "--yes").returncode == 0
    mounted = tmp_path / "state of a container" / "fleetos.db"
    mounted.parent.mkdir()
    mounted.touch()
    if subprocess.run(["mount", "--bind", runner.database, mounted], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount")
    try:
        for done in (second(runner, names, "--db", str(mounted)), runner.invoke("runs", "--db", str(mounted))):
            assert done.returncode == 64, done.stderr
            assert "mount point of its own" in done.stderr
            assert "mount the folder" in done.stderr
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_a_symbolic_link_is_followed(runner: SharedCloudRunner, tmp_path: Path) -> None:
    names = runner.take(1)
    assert runner.fleetos("apply", runner.write_plan(names), "--yes").returncode == 0
    (tmp_path / "link.db").symlink_to(runner.database)
    (tmp_path / "folder").symlink_to(runner.database.parent)
    for path in (tmp_path / "link.db", tmp_path / "folder" / "fleetos.db"):
        assert "done" in runner.invoke("runs", "--db", str(path)).stdout
