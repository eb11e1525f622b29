"""Who holds a lease: one process, named so exactly that another one can tell whether it still lives."""

import getpass
import os
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter

PROC = Path("/proc")
MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_STOPPED = frozenset("Tt")
_GONE = frozenset("ZXx")


class Life(StrEnum):
    """What this process can tell of a holder."""

    ALIVE = "alive"
    STOPPED = "stopped"  # alive, but a signal holds it: it may go on at any moment
    DEAD = "dead"
    ELSEWHERE = "elsewhere"  # another machine, boot or pid namespace: only its renewals speak for it


@dataclass(frozen=True, slots=True)
class Holder:
    """A process. `started` is its start in clock ticks since boot, from /proc; None where the system has no such.

    `since` is when it took the lease that it is named in, in UTC.
    """

    machine: str
    boot: str | None
    namespace: str | None
    pid: int
    started: int | None
    host: str
    user: str
    since: datetime | None = None

    def __str__(self) -> str:
        return f"process {self.pid} of {self.person}"

    @property
    def person(self) -> str:
        """Return who started it, and where."""
        return f"{self.user} on {self.host}"


_HOLDER: TypeAdapter[Holder] = TypeAdapter(Holder)


def holder_json(holder: Holder) -> str:
    """The holder as one line of JSON."""
    return _HOLDER.dump_json(holder).decode()


def holder_from(text: str) -> Holder:
    """The holder that the JSON tells. Raises ValueError."""
    return _HOLDER.validate_json(text)


def this_process() -> Holder:
    """The process that asks."""
    host = _storable(os.uname().nodename)
    stat = _stat(os.getpid())
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
    """What `me` can tell of the holder. In doubt ELSEWHERE, never DEAD."""
    known = None not in (holder.boot, holder.namespace, holder.started)
    here = (holder.machine, holder.boot, holder.namespace) == (me.machine, me.boot, me.namespace)
    if not (known and here):
        return Life.ELSEWHERE
    stat = _stat(holder.pid)
    if stat is None:
        # A /proc mounted with hidepid shows no process of another user, but a signal still finds it.
        return Life.ELSEWHERE if _exists(holder.pid) else Life.DEAD
    if stat[1] != holder.started or stat[0] in _GONE:
        return Life.DEAD
    return Life.STOPPED if stat[0] in _STOPPED else Life.ALIVE


def is_stopped(pid: int) -> bool:
    """Whether that process of this machine is held by a signal."""
    stat = _stat(pid)
    return stat is not None and stat[0] in _STOPPED


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time of a process, from /proc/PID/stat (proc(5), fields 3 and 22)."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        # The name in brackets may itself hold blanks and brackets.
        fields = text[text.rindex(")") + 1 :].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _exists(pid: int) -> bool:
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
        return _storable(getpass.getuser())
    except (KeyError, OSError):
        return str(os.getuid())


def _storable(name: str) -> str:
    """The name with bytes that are no UTF-8 as escapes: a name from the environment may hold any, a database none."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
