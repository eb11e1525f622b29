"""What doctor sees of a database and its file: nothing is made or changed by looking."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from fleetos.model.diagnosis import ClaimFacts, RunFacts
from fleetos.store import runs
from fleetos.store.database import open_file
from fleetos.store.database.database import Database
from fleetos.store.database.migration import REVISION
from fleetos.store.diagnostics import claim_facts, file_facts, read_timeline, run_facts, schema_facts
from tests.support.builders import a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import dead_process, watcher


def test_a_place_without_a_file_or_folder(tmp_path: Path) -> None:
    facts = file_facts(tmp_path / "a" / "b" / "f.db")
    assert (facts.size_bytes, facts.mode, facts.refused) == (None, None, None)
    assert (facts.folder, facts.folder_usable) == (str(tmp_path), True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_its_mode_and_its_size(tmp_path: Path) -> None:
    file = tmp_path / "f.db"
    file.write_bytes(b"x" * 10)
    file.chmod(0o640)
    facts = file_facts(file)
    assert (facts.size_bytes, facts.mode, facts.ours, facts.usable) == (10, 0o640, True, True)
    assert facts.free_bytes is not None
    assert not file_facts(tmp_path).usable
    Path(f"{file}-wal").write_bytes(b"x")
    assert file_facts(file).refused is None
    (tmp_path / "second.db").hardlink_to(file)
    assert "a hard link" in str(file_facts(file).refused)
    (tmp_path / "second.db").unlink()
    file.unlink()
    assert f"{file.name}-wal, which holds its newest commits" in str(file_facts(file).refused)


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "a b" / "c"
    shared.mkdir(parents=True)
    place = str(shared.parent).replace(" ", "\\040")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"40 22 0:50 / {place} rw - tmpfs t rw\n"
        f"41 22 0:51 / {place} rw,relatime master:2 - nfs4 host:/x rw\n"
        "no line of a mount\n"
    )
    monkeypatch.setattr(open_file, "PROC", tmp_path)
    assert file_facts(shared / "f.db").file_system == "nfs4"
    assert file_facts(tmp_path / "f.db").file_system == "ext4"
    (tmp_path / "self" / "mountinfo").unlink()
    assert file_facts(tmp_path / "f.db").file_system is None


async def test_the_timeline_is_that_of_a_server(database: Database) -> None:
    assert await read_timeline(database) == (1 if database.dialect == "postgresql" else None)


async def test_runs_with_and_without_a_living_driver(database: Database, clock: ManualClock) -> None:
    frozen = some_targets(2)
    dead, alive = a_run(), replace(a_run(), id="another-run")
    await runs.create_run(database, dead, frozen[:1], [], dead.created_at, watcher(clock, dead_process()))
    await runs.create_run(database, alive, frozen[1:], [], alive.created_at, watcher(clock))
    found = {one.run_id: one for one in await run_facts(database, watcher(clock))}
    assert found[dead.id] == RunFacts(dead.id, dead.name, "running")
    assert (found[alive.id].holder, found[alive.id].life) == (str(watcher(clock).me), "alive")
    assert 0 < found[alive.id].left_s <= 30
    assert await claim_facts(database) == []
    async with database.writing() as connection:
        await connection.execute(text("UPDATE runs SET state = 'done' WHERE id = 'another-run'"))
    assert await claim_facts(database) == [ClaimFacts("another-run", "done", 1)]
    assert [one.run_id for one in await run_facts(database, watcher(clock))] == [dead.id]


async def test_kind_version_and_revision(database: Database) -> None:
    facts = await schema_facts(database)
    assert (facts.revision, facts.known) == (REVISION, True)
    assert facts.version[0].isdigit()
    assert facts.migrates_itself is (facts.kind == "SQLite")
    async with database.writing() as connection:
        await connection.execute(text("UPDATE fleetos_revision SET version_num = '9999'"))
    facts = await schema_facts(database)
    assert (facts.revision, facts.known) == ("9999", False)
