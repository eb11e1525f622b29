import stat
from pathlib import Path

import pytest

from fleetos.files import (
    FileTooLarge,
    UnreadableFile,
    create_private,
    decode_text,
    make_private_folder,
    read_bounded,
    write_private,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(FileTooLarge) as caught:
        read_bounded(path, 4)
    assert caught.value.problem(path).expected == "is larger than 4 bytes"


@pytest.mark.parametrize("name", ["", "missing", "a\0b"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile):
        read_bounded(tmp_path / name, 5)


def test_text_is_utf_8_without_control_characters() -> None:
    assert decode_text(b"\xef\xbb\xbfname: x") == "name: x"
    with pytest.raises(UnreadableFile) as caught:
        decode_text(b"a\nb\x1b")
    assert (caught.value.line, caught.value.column) == (2, 2)


def test_a_private_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "frozen.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    with pytest.raises(IsADirectoryError):
        write_private(tmp_path, b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["frozen.json"]


def test_a_private_file_is_not_created_over_another(tmp_path: Path) -> None:
    path = tmp_path / "fleetos.db"
    create_private(path, b"first")
    with pytest.raises(FileExistsError):
        create_private(path, b"second")
    assert (path.read_text(), mode(path)) == ("first", 0o600)
    assert [file.name for file in tmp_path.iterdir()] == ["fleetos.db"]


def test_a_private_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private_folder(folder)
    make_private_folder(folder)
    assert (mode(folder), mode(folder.parent)) == (0o700, 0o700)
    (folder / "file").touch()
    with pytest.raises(FileExistsError):
        make_private_folder(folder / "file")
