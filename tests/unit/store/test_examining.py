"""What doctor sees of a database's file: nothing is made or changed by looking."""

from pathlib import Path

import pytest

from fleetos.store import examining
from fleetos.store.examining import file_facts


def test_a_place_without_a_file_or_folder(tmp_path: Path) -> None:
    facts = file_facts(tmp_path / "a" / "b" / "f.db")
    assert (facts.size_bytes, facts.mode, facts.log) == (None, None, None)
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
    assert file_facts(file).log is None
    file.unlink()
    assert file_facts(file).log == f"{file}-wal"


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
    monkeypatch.setattr(examining, "PROC", tmp_path)
    assert file_facts(shared / "f.db").file_system == "nfs4"
    assert file_facts(tmp_path / "f.db").file_system == "ext4"
    (tmp_path / "self" / "mountinfo").unlink()
    assert file_facts(tmp_path / "f.db").file_system is None
