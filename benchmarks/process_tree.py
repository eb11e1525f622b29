"""A command with all its descendants: what they use of the machine, and how they are killed at one stroke."""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# How often the tree is looked at, and every which look asks for the memory that its processes share.
LOOK_EVERY_S = 0.2
SHARES_EVERY = 5
# prctl(2): orphans of the command become children of this process, and so can be waited for and counted.
_PR_SET_CHILD_SUBREAPER = 36
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_WAIT_STEP_S = 0.02


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command used, its descendants included. Peaks are of all its processes together.

    `peak_rss_bytes` counts a page once for each process that has it, `peak_pss_bytes` once in all. `exit_code` None:
    it was killed.
    """

    exit_code: int | None
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    peak_pss_bytes: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command line with its folder, its environment and the file that takes all that it says."""

    arguments: Sequence[str]
    folder: Path
    env: Mapping[str, str]
    said: Path


class TimedOut(RuntimeError):
    """The command did not end in time, and was killed with all its descendants."""


def run(command: Command, timeout_s: float, strike: Callable[[], bool] | None = None) -> Usage:
    """What the command used until its end, or until `strike` says that the whole tree is to be killed.

    `strike` is asked at every look. Raises TimedOut.
    """
    with _adopting_orphans():
        return _run(command, timeout_s, strike)


@contextlib.contextmanager
def _adopting_orphans() -> Generator[None]:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0)


def _run(command: Command, timeout_s: float, strike: Callable[[], bool] | None) -> Usage:
    began_s = time.monotonic()
    with command.said.open("ab") as said:
        process = subprocess.Popen(
            command.arguments,
            cwd=command.folder,
            env=command.env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    watch = _Watch(process.pid, strike)
    watch.start()
    status, cpu_s, late = _wait(process.pid, began_s + timeout_s)
    wall_s = time.monotonic() - began_s
    watch.over.set()
    watch.join()
    # It was waited for above, together with its usage, which subprocess does not tell.
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s += _reap(watch.seen)
    if late:
        raise TimedOut(f"it had not ended after {timeout_s:g} s")
    code = None if watch.struck else process.returncode
    return Usage(code, wall_s, cpu_s, watch.peak_rss_bytes, watch.peak_pss_bytes)


def _wait(pid: int, deadline_s: float) -> tuple[int, float, bool]:
    """Wait status and CPU time of the process once it has ended, and whether it had to be killed for being late."""
    late = False
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, used.ru_utime + used.ru_stime, late
        if time.monotonic() > deadline_s and not late:
            late = True
            kill_tree(pid)
        time.sleep(_WAIT_STEP_S)


def _reap(pids: set[int]) -> float:
    """The CPU time of those who were left behind as orphans, once they are gone."""
    cpu_s = 0.0
    for pid in pids:
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            # Only a child of this process can be waited for, so no stranger that got the number is met.
            if os.wait4(pid, os.WNOHANG)[0] == 0:
                os.kill(pid, signal.SIGKILL)
                used = os.wait4(pid, 0)[2]
                cpu_s += used.ru_utime + used.ru_stime
    return cpu_s


def kill_tree(pid: int) -> None:
    """Nothing, once the process and all its descendants have been sent SIGKILL: as if the machine lost its power."""
    members = tree(pid)
    # Nobody may notice that another one is gone, and do something about it.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for member in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, number)


def tree(pid: int) -> list[int]:
    """The process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                # The name in parentheses may hold anything; what follows is state and parent (proc(5)).
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


class _Watch(threading.Thread):
    """Looks at the tree of a process until told that it is over, and strikes it when that is asked for."""

    def __init__(self, pid: int, strike: Callable[[], bool] | None) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.struck = False
        self.seen: set[int] = set()
        self.peak_rss_bytes = self.peak_pss_bytes = 0
        self._pid = pid
        self._strike = strike

    def run(self) -> None:
        looks = 0
        while not self.over.wait(LOOK_EVERY_S):
            members = tree(self._pid)
            self.seen.update(members[1:])
            self.peak_rss_bytes = max(self.peak_rss_bytes, sum(map(_rss_bytes, members)))
            if looks % SHARES_EVERY == 0:
                self.peak_pss_bytes = max(self.peak_pss_bytes, sum(map(_pss_bytes, members)))
            looks += 1
            if self._strike is not None and not self.struck and self._strike():
                self.struck = True
                self.seen.update(tree(self._pid)[1:])
                kill_tree(self._pid)


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path("/proc", str(pid), "statm").read_text(encoding="utf-8").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path("/proc", str(pid), "smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
