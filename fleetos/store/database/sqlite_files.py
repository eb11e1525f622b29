"""Modes, copies and locks of SQLite files."""

import contextlib
import errno
import glob
import os
import sqlite3
import stat
from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from fleetos.errors import DatabaseUnusable
from fleetos.files import PRIVATE_FILE, create_private, make_private_folder, sync_folder
from fleetos.store.database.migration import VERSION_TABLE
from fleetos.store.database.open_file import lock_path, refuse_second_names, was_replaced
from fleetos.store.process import PROC, is_stopped

# Copies beside a damaged database that are tried, the newest first.
COPIES_LOOKED_AT = 20
_BACKUP_MARK = ".backup-"
# Files that SQLite keeps beside an open database, and leaves there after a crash.
_LOGS = ("-wal", "-journal")
_COMPANION_SUFFIXES = (*_LOGS, "-shm")


def make_private(path: Path) -> None:
    """Create the database file if it is missing, and let only its owner read it.

    A missing folder is created with mode 0700; an existing one is left as it is. SQLite gives -wal and -shm the mode of
    the file when it creates them; those that a killed process left are closed to others here. Raise as `exists` does.
    """
    with _translate_os_errors(path, "give another place with --db, or make this one writable"):
        make_private_folder(path.parent)
        if not _is_present(path):
            with contextlib.suppress(FileExistsError):
                _make_empty_database(path)
        _make_owner_only(path)
        _require_access(path.parent, os.W_OK | os.X_OK)
        _require_access(path, os.R_OK | os.W_OK)
        for companion in _companions(path):
            # Another process may end and remove them at any moment.
            with contextlib.suppress(FileNotFoundError):
                _make_owner_only(companion)
                _require_access(companion, os.R_OK | os.W_OK)
        _refuse_empty(path)


def exists(path: Path) -> bool:
    """Return whether the database file exists. Create nothing and change nothing.

    Raise DatabaseUnusable, also for what fleetos never leaves behind: an empty file, and a log without its file. Raise
    UsageError if the file has a second name.
    """
    with _translate_os_errors(path, "call fleetos as the user that the database belongs to, or name another with --db"):
        present = _is_present(path)
        if present:
            _require_access(path, os.R_OK)
            _refuse_empty(path)
    return present


@contextlib.contextmanager
def _translate_os_errors(path: Path, hint: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatabaseUnusable(f"the database {path} cannot be opened: {reason}", hint) from error


def _require_access(path: Path, mode: int) -> None:
    if not os.access(path, mode) and path.exists():
        raise PermissionError(errno.EACCES, f"{path} is not {'writable' if mode & os.W_OK else 'readable'}")


def _is_present(path: Path) -> bool:
    """Return whether a file is at `path` that may be a database of fleetos, without opening it.

    Closing a file drops every POSIX lock that this process has on it, those of SQLite included. Raise DatabaseUnusable
    for something that is not a file, or for a database that is gone; UsageError for a file with a second name.
    """
    # Leftovers first: a process that creates the same database now creates the file before its logs.
    leftover = _find_leftover(path)
    if not path.exists():
        if leftover is None:
            return False
        raise DatabaseUnusable(
            f"{path} is gone, {_describe_leftover(leftover)}", f"{_leftover_hint(leftover)}; {damage_hint(path)}"
        )
    if not path.is_file():
        raise DatabaseUnusable(f"{path} is not a file")
    refuse_second_names(path)
    if was_replaced(path):
        lock = lock_path(path)
        raise DatabaseUnusable(
            f"{path} is another file than the one that held servers for its runs: it was replaced",
            f"put that one back; if you have restored this one from a copy, check the servers, then remove {lock}",
        )
    return True


def _refuse_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        # SQLite would take it for a new database and discard a -wal beside it.
        hint = f"{damage_hint(path)}. If it never held a run, remove it"
        raise DatabaseUnusable(f"{path} is empty, which no database of fleetos ever is", hint)


def _find_leftover(path: Path) -> Path | None:
    """Return the log or lock file that proves that a missing database existed; None if there is no such proof.

    A log holds its newest commits. The lock file says that the database held servers when it was last closed.
    """
    leftovers = [
        file for file in (*_companions(path, _LOGS), lock_path(path)) if file.exists() and file.stat().st_size > 0
    ]
    return leftovers[0] if leftovers and not path.exists() else None


def _describe_leftover(leftover: Path) -> str:
    if leftover.name.endswith(_LOGS):
        return f"and {leftover.name}, which holds its newest commits, is there"
    return "and held servers for its runs: it was moved or deleted"


def _leftover_hint(leftover: Path) -> str:
    if leftover.name.endswith(_LOGS):
        return f"put it back, or move {leftover.name} away to begin anew"
    return f"put it back; to begin anew, and forget which servers its runs hold, remove {leftover}"


def _make_empty_database(path: Path) -> None:
    """Create a database without tables at `path`, complete from its first moment: no file is ever empty.

    Raise FileExistsError.
    """
    with closing(sqlite3.connect(":memory:")) as empty:
        # Any write creates the first page, which marks the file as a database.
        empty.execute("PRAGMA user_version = 0")
        content = empty.serialize()
    create_private(path, content)


def _companions(path: Path, suffixes: Sequence[str] = _COMPANION_SUFFIXES) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in suffixes]


def is_companion_name(path: Path) -> bool:
    """Return whether the name is one of a log or lock: a file of that name is taken for part of a database."""
    return path.name.endswith(_COMPANION_SUFFIXES) or (path.name.startswith(".") and path.name.endswith(".lock"))


def _make_owner_only(path: Path) -> None:
    file_stat = path.stat()
    if stat.S_IMODE(file_stat.st_mode) & ~PRIVATE_FILE and file_stat.st_uid == os.geteuid():
        path.chmod(stat.S_IMODE(file_stat.st_mode) & PRIVATE_FILE)


def backup_name(path: Path, revision: str, now: datetime) -> Path:
    """Return the path of the copy that is made before the database is migrated from that revision."""
    return path.with_name(f"{path.name}{_BACKUP_MARK}{revision}-{now:%Y%m%dT%H%M%SZ}")


def damage_hint(path: Path | None) -> str:
    """Return a hint for a database that cannot be used any more; `path` None: it is not a file."""
    backup = path and newest_backup(path)
    if backup is None:
        return "restore it from a copy, or give another with --db"
    return f"the newest copy is {backup}; what was done after it was made is not in it"


def newest_backup(path: Path) -> Path | None:
    """Return the newest sound copy beside the database whose name begins like its own, whatever made it."""
    candidates: list[tuple[int, str, Path]] = []
    for candidate in path.parent.glob(f"{glob.escape(path.stem)}*"):
        with contextlib.suppress(OSError):
            file_stat = candidate.stat()
            # Opening and closing another name of the same file would drop our locks on it.
            is_same_file = path.exists() and candidate.samefile(path)
            if stat.S_ISREG(file_stat.st_mode) and not is_same_file and candidate not in _companions(path):
                # The time in the name orders copies that were made within one tick of the clock.
                candidates.append((file_stat.st_mtime_ns, candidate.name.rpartition("-")[2], candidate))
    newest = (candidate for _, _, candidate in sorted(candidates, reverse=True)[:COPIES_LOOKED_AT])
    return next((candidate for candidate in newest if _is_sound_copy(candidate)), None)


def _is_sound_copy(path: Path) -> bool:
    try:
        # Immutable: reading the copy creates no files beside it.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
            has_version_table = copy.execute(
                "SELECT count(*) FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)
            ).fetchone() == (1,)
            return has_version_table and copy.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error:
        return False


def copy_database(path: Path, to: Path) -> None:
    """Write a durable copy of the last committed database to `to`, readable by its owner only.

    Raise FileExistsError, OSError or sqlite3.Error. It blocks: call it in a thread.
    """
    handle = os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(to)) as copy,
        ):
            source.backup(copy)
            # A single file that can be moved: otherwise the copy would be in WAL mode like its source.
            copy.execute("PRAGMA journal_mode = DELETE")
        os.fsync(handle)
    except BaseException:
        to.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    sync_folder(to.parent)


def find_lock_holder(path: Path) -> str | None:
    """Describe the process that holds a write lock on the database's files; None if the system does not tell."""
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
