"""Identify a process, so exactly that another process can tell whether it is still alive."""

import getpass
import os
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

PROC = Path("/proc")
MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_STOPPED = frozenset("Tt")
_GONE = frozenset("ZXx")


class Life(StrEnum):
    """Liveness of a holder, as far as this process can tell."""

    ALIVE = "alive"
    STOPPED = "stopped"  # alive, but stopped by a signal: it may continue at any moment
    DEAD = "dead"
    ELSEWHERE = "elsewhere"  # another machine, boot or pid namespace: it can only be judged by its renewals


@dataclass(frozen=True, slots=True)
class Holder:
    """Process that holds a lease, or asks for one. None in a field: the system does not tell."""

    machine: str
    """Machine id, or the host name where there is none."""
    boot: str | None
    """Id of the boot: pids of an earlier boot mean nothing."""
    namespace: str | None
    """Pid namespace, as a link of /proc names it: each container has pids of its own."""
    pid: int
    started: int | None
    """Start of the process in clock ticks since boot, from /proc: tells it from a later one with the same pid."""
    host: str
    user: str
    since: datetime | None = None
    """When the process took the lease that names it, in UTC."""

    def __str__(self) -> str:
        return f"process {self.pid} of {self.person}"

    @property
    def person(self) -> str:
        """User who started it, and the host."""
        return f"{self.user} on {self.host}"


@cache
def _codec() -> TypeAdapter[Holder]:
    """Return the codec, built on first use: most leases are free."""
    return TypeAdapter(Holder)


def holder_json(holder: Holder) -> str:
    """Return the holder as one line of JSON."""
    return _codec().dump_json(holder).decode()


def holder_from(text: str) -> Holder:
    """Decode a holder. Raise ValueError."""
    return _codec().validate_json(text)


def this_process() -> Holder:
    """Identify the calling process."""
    host = _escape_bytes(os.uname().nodename)
    stat = _read_stat(os.getpid())
    return Holder(
        machine=_first_line(*MACHINE_ID_FILES) or host,
        boot=_first_line(PROC / "sys/kernel/random/boot_id"),
        namespace=_namespace(),
        pid=os.getpid(),
        started=None if stat is None else stat[1],
        host=host,
        user=_user(),
    )


def life_of(holder: Holder, me: Holder) -> Life:
    """Return the liveness of the holder as `me` can tell it. In doubt ELSEWHERE, never DEAD."""
    is_complete = None not in (holder.boot, holder.namespace, holder.started)
    is_local = (holder.machine, holder.boot, holder.namespace) == (me.machine, me.boot, me.namespace)
    if not (is_complete and is_local):
        return Life.ELSEWHERE
    stat = _read_stat(holder.pid)
    if stat is None:
        # A /proc mounted with hidepid shows no process of another user, but a signal still finds it.
        return Life.ELSEWHERE if _process_exists(holder.pid) else Life.DEAD
    if stat[1] != holder.started or stat[0] in _GONE:
        return Life.DEAD
    return Life.STOPPED if stat[0] in _STOPPED else Life.ALIVE


def is_stopped(pid: int) -> bool:
    """Return whether that process of this machine is stopped by a signal."""
    stat = _read_stat(pid)
    return stat is not None and stat[0] in _STOPPED


def _read_stat(pid: int) -> tuple[str, int] | None:
    """Return state letter and start time of a process, from /proc/PID/stat (proc(5), fields 3 and 22)."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        # The name in brackets may itself hold blanks and brackets.
        fields = text[text.rindex(")") + 1 :].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _namespace() -> str | None:
    try:
        return str((PROC / "self/ns/pid").readlink())
    except OSError:
        return None


def _first_line(*paths: Path) -> str | None:
    for path in paths:
        try:
            line = path.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
        if line:
            return line
    return None


def _user() -> str:
    try:
        return _escape_bytes(getpass.getuser())
    except (KeyError, OSError):
        return str(os.getuid())


def _escape_bytes(name: str) -> str:
    """Escape the bytes of the name that are not UTF-8.

    A name from the environment may hold any bytes, a column of the database may not.
    """
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
