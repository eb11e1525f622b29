"""The files of an SQLite database: their modes, copies of them, and the process that holds one locked."""

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
from fleetos.limits import COPIES_LOOKED_AT
from fleetos.store.database.migration import VERSION_TABLE
from fleetos.store.database.open_file import lock_of, refuse_second_names, was_replaced
from fleetos.store.process import PROC, is_stopped

_BACKUP_MARK = ".backup-"
# What SQLite keeps beside a database while it is open, and after a crash.
_LOGS = ("-wal", "-journal")
_BESIDE = (*_LOGS, "-shm")


def make_private(path: Path) -> None:
    """Nothing, once the database file is there and only its owner may read it.

    A folder is made 0700 if it is missing and left as it is otherwise. SQLite gives -wal and -shm the file's mode when
    it makes them; those that a killed process left are closed to others here. Raises as `exists` does.
    """
    with _opening(path, "give another place with --db, or make this one writable"):
        make_private_folder(path.parent)
        if not is_there(path):
            with contextlib.suppress(FileExistsError):
                _make_empty_database(path)
        _close_to_others(path)
        _need(path.parent, os.W_OK | os.X_OK)
        _need(path, os.R_OK | os.W_OK)
        for left in _beside(path):
            # Another process may end, and tidy up, at any moment.
            with contextlib.suppress(FileNotFoundError):
                _close_to_others(left)
                _need(left, os.R_OK | os.W_OK)
        _refuse_empty(path)


def exists(path: Path) -> bool:
    """Return whether the database file is there. Make nothing and change nothing.

    Raise DatabaseUnusable, also for what fleetos never leaves behind: an empty file, and a log without its file; raise
    UsageError if the file has a second name.
    """
    with _opening(path, "call fleetos as the user that the database belongs to, or name another with --db"):
        found = is_there(path)
        if found:
            _need(path, os.R_OK)
            _refuse_empty(path)
    return found


@contextlib.contextmanager
def _opening(path: Path, hint: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatabaseUnusable(f"the database {path} cannot be opened: {reason}", hint) from error


def _need(path: Path, mode: int) -> None:
    if not os.access(path, mode) and path.exists():
        raise PermissionError(errno.EACCES, f"{path} is not {'writable' if mode & os.W_OK else 'readable'}")


def is_there(path: Path) -> bool:
    """Return whether a file is at `path` that may be a database of fleetos; it is not opened.

    To close a file again drops every POSIX lock that this process has on it, SQLite's included. Raise DatabaseUnusable
    for what is not a file, or is gone though it was here; UsageError for a file with a second name.
    """
    # Looked for first: whoever makes the same database at this moment makes it before what lies beside it.
    left = left_without_file(path)
    if not path.exists():
        if left is None:
            return False
        raise DatabaseUnusable(f"{path} is gone, {_told_by(left)}", f"{_put_back(left)}; {damage_hint(path)}")
    if not path.is_file():
        raise DatabaseUnusable(f"{path} is not a file")
    refuse_second_names(path)
    if was_replaced(path):
        lock = lock_of(path)
        raise DatabaseUnusable(
            f"{path} is another file than the one that held servers for its runs: it was replaced",
            f"put that one back; if you have restored this one from a copy, check the servers, then remove {lock}",
        )
    return True


def _refuse_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        # SQLite would take it for a new database, and throw a -wal beside it away.
        hint = f"{damage_hint(path)}. If it never held a run, remove it"
        raise DatabaseUnusable(f"{path} is empty, which no database of fleetos ever is", hint)


def left_without_file(path: Path) -> Path | None:
    """Return what tells that a database was at `path` and is gone; None if it is there, or nothing tells of one.

    A log holds its newest commits. The lock file says that it held servers when it was closed last.
    """
    left = [one for one in (*_beside(path, _LOGS), lock_of(path)) if one.exists() and one.stat().st_size > 0]
    return left[0] if left and not path.exists() else None


def _told_by(left: Path) -> str:
    if left.name.endswith(_LOGS):
        return f"and {left.name}, which holds its newest commits, is there"
    return "and held servers for its runs: it was moved or deleted"


def _put_back(left: Path) -> str:
    if left.name.endswith(_LOGS):
        return f"put it back, or move {left.name} away to begin anew"
    return f"put it back; to begin anew, and forget which servers its runs hold, remove {left}"


def _make_empty_database(path: Path) -> None:
    """Nothing, once a database without tables is at `path`, whole from its first moment: fleetos makes no empty file.

    Raises FileExistsError.
    """
    with closing(sqlite3.connect(":memory:")) as empty:
        # Any write makes the first page, which says that this is a database.
        empty.execute("PRAGMA user_version = 0")
        content = empty.serialize()
    create_private(path, content)


def _beside(path: Path, suffixes: Sequence[str] = _BESIDE) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in suffixes]


def is_kept_beside(path: Path) -> bool:
    """Return whether a file of that name belongs to a database: what is put there is taken for its log or lock."""
    return path.name.endswith(_BESIDE) or (path.name.startswith(".") and path.name.endswith(".lock"))


def _close_to_others(path: Path) -> None:
    about = path.stat()
    if stat.S_IMODE(about.st_mode) & ~PRIVATE_FILE and about.st_uid == os.geteuid():
        path.chmod(stat.S_IMODE(about.st_mode) & PRIVATE_FILE)


def backup_name(path: Path, revision: str, now: datetime) -> Path:
    """Where a copy of the database goes that is made before it is migrated from that revision."""
    return path.with_name(f"{path.name}{_BACKUP_MARK}{revision}-{now:%Y%m%dT%H%M%SZ}")


def damage_hint(path: Path | None) -> str:
    """What to do about a database that cannot be used any more; `path` None: it is no file."""
    backup = path and newest_backup(path)
    if backup is None:
        return "restore it from a copy, or give another with --db"
    return f"the newest copy is {backup}; what was done after it was made is not in it"


def newest_backup(path: Path) -> Path | None:
    """The newest sound copy beside the database whose name begins as the database's does, whoever made it."""
    found: list[tuple[int, str, Path]] = []
    for one in path.parent.glob(f"{glob.escape(path.stem)}*"):
        with contextlib.suppress(OSError):
            about = one.stat()
            # To open another name of the same file would, when it is closed again, take our locks off it.
            same = path.exists() and one.samefile(path)
            if stat.S_ISREG(about.st_mode) and not same and one not in _beside(path):
                # Copies that were made within one tick of the clock are told apart by the time in their names.
                found.append((about.st_mtime_ns, one.name.rpartition("-")[2], one))
    newest = (one for _, _, one in sorted(found, reverse=True)[:COPIES_LOOKED_AT])
    return next((one for one in newest if _is_sound_copy(one)), None)


def _is_sound_copy(path: Path) -> bool:
    try:
        # Immutable: looking at a copy leaves nothing beside it.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
            ours = copy.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)).fetchone() == (
                1,
            )
            return ours and copy.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error:
        return False


def copy_database(path: Path, to: Path) -> None:
    """Nothing, once a durable copy of the last committed database is at `to`, for its owner only.

    Raises FileExistsError, OSError or sqlite3.Error. Blocks: call it in a thread.
    """
    handle = os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
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
    sync_folder(to.parent)


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
