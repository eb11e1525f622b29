"""Calendar files are read anew each time; one that cannot be read says so by None."""

from pathlib import Path

from fleetos.app.calendar_reader import CalendarReader
from fleetos.planning.calendar_file import CALENDAR_MAX_BYTES


async def test_a_file_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "freezes.ics"
    path.write_text("one", encoding="utf-8")
    reader = CalendarReader()
    assert await reader.read(str(path)) == "one"
    path.write_text("another", encoding="utf-8")
    assert await reader.read(str(path)) == "another"


async def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.ics", tmp_path / "binary.ics"
    large.write_bytes(b"x" * (CALENDAR_MAX_BYTES + 1))
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.ics", tmp_path, large, binary):
        assert await CalendarReader().read(str(path)) is None
