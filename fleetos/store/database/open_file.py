"""File of an open SQLite database: one name, one place, the same file from opening on.

SQLite names its write-ahead log after the database. A file with a second name, or one that was moved while it is open,
is two databases: each name has its own log, and a commit in one log is not seen through the other name.
"""

import contextlib
import fcntl
import glob
import os
import re
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import anyio

from fleetos.errors import DatabaseReplaced, RunDriven, UsageError
from fleetos.files import PRIVATE_FILE
from fleetos.store.process import PROC

LOGS = ("-wal", "-shm")
# Wait for another process that connects a writer, or closes one: it may wait for the file as long as SQLite does.
CONNECT_LOCK_S = 20.0
_RETRY_S = 0.02
# Escape of mountinfo for a blank, a tab, a line break or a backslash in a path (proc(5)).
_OCTAL = re.compile(r"\\([0-7]{3})")
# "12 1 0:5 ROOT MOUNT_POINT OPTIONS ... - KIND SOURCE" (proc(5), mountinfo).
_MOUNT_POINT = 4


def refuse_second_names(path: Path) -> None:
    """Raise UsageError if the file has a hard link, or is mounted by itself. Raise OSError if it is not there."""
    if path.stat().st_nlink > 1:
        _drop_leftovers(path)
    if path.stat().st_nlink > 1:
        raise UsageError(
            f"the database {path} has a second name (a hard link): each name would be a database of its own",
            f"find the names with: find / -xdev -samefile {path}; remove all but one, or link with `ln -s`",
        )
    if str(path) in read_mounts():
        raise UsageError(
            f"the database {path} is a mount point of its own: its log would stay outside of the mount",
            "mount the folder of the database, not the file",
        )


def _drop_leftovers(path: Path) -> None:
    """Remove the names that a killed process left: it made the database under another name and gave it this one."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with contextlib.suppress(OSError):
            if leftover.samefile(path):
                leftover.unlink()


def read_mounts() -> Mapping[str, str]:
    """Return the kinds of file systems by mount point; empty where the system does not tell.

    Of several entries at one mount point the last one counts (proc(5)).
    """
    try:
        lines = (PROC / "self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    kinds: dict[str, str] = {}
    for line in lines:
        words, _, rest = line.partition(" - ")
        fields = words.split()
        if len(fields) > _MOUNT_POINT and rest:
            kinds[_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[_MOUNT_POINT])] = rest.split()[0]
    return kinds


def lock_path(path: Path) -> Path:
    """Return the lock file of the database. `mv fleetos.db*` and `rm fleetos.db*` leave it where it is.

    It names the files that its holders use, and keeps their names when they have ended, unless no server is held.
    """
    return path.with_name(f".{path.name}.lock")


def connect_lock_path(path: Path) -> Path:
    """Return the file that is locked while a writer connects or is closed. It is always empty."""
    return path.with_name(f".{path.name}.connect.lock")


def was_replaced(path: Path) -> bool:
    """Return whether the file is another one than that which held servers when it was closed last."""
    try:
        inodes = lock_path(path).read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return bool(inodes) and inodes[0] != str(path.stat().st_ino)


class OpenFile:
    """File that a database was opened as, and the logs that its writer uses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = _inode(path)
        self._logs: list[tuple[int, int] | None] | None = None
        self._lock: int | None = None
        # Stays open as long as the lock file is held: to close a database needs no file that may be gone by then.
        self._connect_lock: int | None = None

    def describe_loss(self) -> str | None:
        """Return what has become of the file or its logs; None while they are unchanged."""
        path = self._path
        try:
            current = path.stat()
        except OSError:
            return f"the database {path} was moved or deleted"
        if (current.st_dev, current.st_ino) != self._inode:
            return f"the database {path} was replaced by another file"
        if current.st_nlink > 1:
            return f"the database {path} was given a second name (a hard link)"
        if self._logs is not None and self._logs != self._log_inodes():
            return f"the log beside the database {path} (-wal, -shm) was moved, deleted or replaced"
        return None

    def check(self) -> None:
        """Raise DatabaseReplaced unless the file and its logs are unchanged."""
        loss = self.describe_loss()
        if loss is not None:
            raise DatabaseReplaced(
                f"{loss} while it was in use",
                "this process sends nothing more; put the database back as it was, then: fleetos resume",
            )

    @contextlib.asynccontextmanager
    async def connect_lock(self) -> AsyncGenerator[bool]:
        """Keep all other processes from connecting a writer, and from closing one, until the block ends.

        Yield False if one of them keeps this one from it for CONNECT_LOCK_S.
        """
        if self._connect_lock is None:
            self._connect_lock = self._open_private(connect_lock_path(self._path))
        deadline_s = anyio.current_time() + CONNECT_LOCK_S
        try:
            held = _try_exclusive(self._connect_lock)
            # Not a wait in the kernel: the holder may be a task of this very thread.
            while not held and anyio.current_time() < deadline_s:
                await anyio.sleep(_RETRY_S)
                held = _try_exclusive(self._connect_lock)
            yield held
        finally:
            fcntl.flock(self._connect_lock, fcntl.LOCK_UN)
            if self._lock is None:
                os.close(self._connect_lock)
                self._connect_lock = None

    def share(self) -> None:
        """Hold the lock file together with all who use the same files. The connect lock is held.

        Raise RunDriven if another process uses this database with another file or other logs: that one had it open
        when they were moved or deleted, may still drive a run in them, and saves its commits only when it closes them.
        """
        if self._lock is None:
            self._lock = self._open_private(lock_path(self._path))
        alone = _try_exclusive(self._lock)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        if not alone and _read_line(self._lock) != self._describe_inodes():
            self.release()
            raise RunDriven(
                f"another process still uses a database that was at {self._path} and was moved, deleted or replaced",
                "put that file back, or wait for the process to end; no command may write here until then",
            )

    def note_logs(self) -> None:
        """Remember the logs of a writer that has just connected, and name them in the lock file."""
        self._logs = self._log_inodes()
        self.check()
        if self._lock is not None:
            os.pwrite(self._lock, self._describe_inodes().encode().ljust(len(_read_line(self._lock))), 0)

    def _describe_inodes(self) -> str:
        return " ".join(str(inode and inode[1]) for inode in (self._inode, *self._log_inodes()))

    def _log_inodes(self) -> list[tuple[int, int] | None]:
        return [_inode(self._path.with_name(self._path.name + suffix)) for suffix in LOGS]

    def _open_private(self, path: Path) -> int:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
        owner = self._path.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            # As SQLite does for its logs: the owner must be able to open a file that root has created.
            os.fchown(handle, owner.st_uid, owner.st_gid)
        return handle

    @property
    def locked(self) -> bool:
        """True while this process holds the lock file."""
        return self._lock is not None

    def release(self, *, idle: bool = False) -> None:
        """Release the lock file.

        An `idle` database holds no server: its names are removed from the lock file, so that it may be deleted.
        """
        if self._lock is None:
            return
        if idle and _try_exclusive(self._lock):
            os.ftruncate(self._lock, 0)
        os.close(self._lock)
        self._lock = None


def _try_exclusive(lock: int) -> bool:
    """Return whether nobody else holds the lock. If somebody does, this process holds it no longer (flock(2))."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_line(lock: int) -> str:
    return os.pread(lock, 200, 0).decode("ascii", "replace").strip()


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        file_stat = path.stat()
    except OSError:
        return None
    return file_stat.st_dev, file_stat.st_ino
