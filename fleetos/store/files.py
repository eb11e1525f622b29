"""The files of an SQLite database: their modes, copies of them, and the process that holds one locked."""

import contextlib
import errno
import os
import sqlite3
import stat
from contextlib import closing
from datetime import datetime
from pathlib import Path

from fleetos.errors import DatabaseUnusable
from fleetos.store.holder import PROC, is_stopped

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_BACKUP_MARK = ".backup-"
# What SQLite keeps beside a database while it is open, and after a crash.
_BESIDE = ("-wal", "-shm", "-journal")


def make_private(path: Path) -> None:
    """Nothing, once the database file is there and only its owner may read it. Raises DatabaseUnusable.

    A folder is made 0700 if it is missing and left as it is otherwise. SQLite gives -wal and -shm the file's mode when
    it makes them; those that a killed process left are closed to others here.
    """
    try:
        _make_folder(path.parent)
        _make_file(path)
        for suffix in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                _close_to_others(path.with_name(path.name + suffix))
        for needed, mode in ((path, os.R_OK | os.W_OK), (path.parent, os.W_OK | os.X_OK)):
            if not os.access(needed, mode):
                raise PermissionError(errno.EACCES, f"{needed} is not writable")
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "give another place with --db, or mend the permissions"
        raise DatabaseUnusable(f"the database {path} cannot be opened: {reason}", hint) from error


def _make_file(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    except FileExistsError:
        # Never opened here: closing a file drops every POSIX lock that this process has on it, SQLite's included.
        if not path.is_file():
            raise DatabaseUnusable(f"{path} is not a file") from None
        _close_to_others(path)


def _close_to_others(path: Path) -> None:
    about = path.stat()
    if stat.S_IMODE(about.st_mode) & ~FILE_MODE and about.st_uid == os.geteuid():
        path.chmod(stat.S_IMODE(about.st_mode) & FILE_MODE)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir(mode=FOLDER_MODE)
    except FileExistsError:
        return
    # A umask can only take bits away, and the owner needs all of his.
    folder.chmod(FOLDER_MODE)
    _make_durable(folder.parent)


def _make_durable(folder: Path) -> None:
    """Nothing, once the names in the folder would survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def backup_name(path: Path, revision: str, now: datetime) -> Path:
    """Where a copy of the database goes that is made before it is migrated from that revision."""
    return path.with_name(f"{path.name}{_BACKUP_MARK}{revision}-{now:%Y%m%dT%H%M%SZ}")


def newest_backup(path: Path) -> Path | None:
    """The newest copy that fleetos left beside the database."""
    beside = path.parent.glob(f"{path.name}{_BACKUP_MARK}*")
    return max(beside, key=lambda one: one.name.rpartition("-")[2], default=None)


def copy_database(path: Path, to: Path) -> None:
    """Nothing, once a durable copy of the last committed database is at `to`, for its owner only.

    Raises FileExistsError, OSError or sqlite3.Error. Blocks: call it in a thread.
    """
    handle = os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(to)) as copy,
        ):
            source.backup(copy)
            # A single file that can be moved: without this the copy would be in WAL mode as its source is.
            copy.execute("PRAGMA journal_mode = DELETE")
        os.fsync(handle)
    except BaseException:
        to.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    _make_durable(to.parent)


def locked_by(path: Path) -> str | None:
    """The process that holds a write lock on the database's files, in words; None if the system does not tell."""
    try:
        lines = (PROC / "locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    inodes = {_inode(path.with_name(path.name + suffix)) for suffix in ("", "-shm")}
    for line in lines:
        # "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 120 120" (proc(5)); a line with "->" only waits for the lock.
        words = line.split()
        if len(words) < 6 or words[1] == "->" or words[3] != "WRITE":
            continue
        pid, inode = words[4], words[5].rpartition(":")[2]
        if inode in inodes and pid.isdigit() and int(pid) not in (0, os.getpid()):
            return f"process {pid}, which is stopped by a signal" if is_stopped(int(pid)) else f"process {pid}"
    return None


def _inode(path: Path) -> str | None:
    try:
        return str(path.stat().st_ino)
    except OSError:
        return None
