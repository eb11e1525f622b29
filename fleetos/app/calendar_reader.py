"""Read the calendar files of a run that is driven or shown."""

from pathlib import Path

from fleetos.files import UnreadableFile, read_bounded
from fleetos.planning.calendar_file import CALENDAR_MAX_BYTES
from fleetos.threads import run_abandonable


class CalendarReader:
    """Reader of calendar files, which may change while a run goes on."""

    async def read(self, path: str) -> str | None:
        """Return the content of the file; None if it cannot be read."""

        def read() -> str | None:
            try:
                return read_bounded(Path(path), CALENDAR_MAX_BYTES).decode()
            except (UnreadableFile, UnicodeDecodeError, OSError):
                return None

        return await run_abandonable(read)
