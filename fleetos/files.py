"""Safe files: bounded reads, atomic private writes, private folders."""

import codecs
import contextlib
import errno
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import TextIO

from fleetos.errors import Problem

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Control characters without tabs and line ends; U+0085 is a line end.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")


class UnreadableFile(Exception):
    """A file that cannot be used: `expected` says why; line and column count from 1, None if unknown."""

    def __init__(
        self, expected: str, hint: str | None = None, *, line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint
        self.line = line
        self.column = column

    def problem(self, path: Path) -> Problem:
        """Return the problem for a message."""
        expected = self.expected.removeprefix(f"{path} ")
        return Problem(str(path), self.line, self.column, "", expected, self.hint)


class FileTooLarge(UnreadableFile):
    """A file that is larger than its bound."""


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a regular file of at most `max_bytes`.

    Raise UnreadableFile. A pipe or a device is refused: it cannot be read again when a run is resumed.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableFile(f"{path} is not a regular file")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror or 'unknown error'}") from None
    except ValueError:
        raise UnreadableFile("the path holds a character that no path can hold") from None
    if len(data) > max_bytes:
        raise FileTooLarge(f"{path} is larger than {max_bytes} bytes")
    return data


def decode_text(data: bytes) -> str:
    """Return the text of UTF-8 bytes, without a byte order mark.

    Raise UnreadableFile, with the place, for other encodings and for control characters.
    """
    if data.startswith(_UTF16):
        raise UnreadableFile("the file must be UTF-8, it is UTF-16", "save it as UTF-8", line=1, column=1)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position_after(data[: error.start].decode("utf-8-sig", "replace"))
        raise UnreadableFile("the file must be UTF-8", "save it as UTF-8", line=line, column=column) from None
    control = _CONTROL.search(text)
    if control is not None:
        line, column = _position_after(text[: control.start()])
        raise UnreadableFile(f"control character U+{ord(control.group()):04X}", "remove it", line=line, column=column)
    return text


def _position_after(text: str) -> tuple[int, int]:
    return text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1


def write_private(path: Path, content: bytes) -> None:
    """Replace the file, whole or not at all, with one that only its owner can read. Raise OSError or ValueError."""
    partial = _write_beside(path, content)
    try:
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def create_private(path: Path, content: bytes) -> None:
    """Create the file, whole from its first moment and readable by its owner only. Raise FileExistsError or OSError."""
    partial = _write_beside(path, content)
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links. A process that finds the file before it is filled must try again.
        _fill(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE), content)
    finally:
        # Another process that found two names of the file may have removed this one.
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def _write_beside(path: Path, content: bytes) -> Path:
    """Write a temporary file in the same folder, so that renaming it to `path` is atomic. mkstemp makes it 0600."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        _fill(handle, content)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    return Path(name)


def _fill(handle: int, content: bytes) -> None:
    with open(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)


def append_private(path: Path) -> TextIO:
    """Open a file to append to, readable by its owner only. Raise UnreadableFile.

    A link is not followed, and another user's file is not written: either may be laid there to catch what is written.
    """
    # O_NONBLOCK: a pipe that nobody reads is refused instead of waited for.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, PRIVATE_FILE)
    except OSError as error:
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror or "unknown error"
        raise UnreadableFile(f"{path} cannot be written: {why}") from None
    except ValueError:
        raise UnreadableFile("the path holds a character that no path can hold") from None
    refusal = _why_not_own(os.fstat(handle))
    if refusal is not None:
        os.close(handle)
        raise UnreadableFile(f"{path} {refusal}", "name a file of your own, or one that does not exist yet")
    os.fchmod(handle, PRIVATE_FILE)
    return os.fdopen(handle, "a", encoding="utf-8")


def _why_not_own(status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_uid != os.geteuid():
        return "belongs to another user"
    return "is a hard link" if status.st_nlink > 1 else None


def make_private_folder(folder: Path) -> None:
    """Create the folder and its missing parents, each for its owner only. Leave a folder that exists as it is."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    try:
        folder.mkdir(mode=PRIVATE_FOLDER)
    except FileExistsError:
        # Another process created it first, unless the name belongs to a file.
        if not folder.is_dir():
            raise
        return
    # A umask may have removed bits that the owner needs.
    folder.chmod(PRIVATE_FOLDER)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Write the names in the folder to the disk, so that they survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
