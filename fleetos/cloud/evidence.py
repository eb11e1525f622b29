"""Traces of what was done to a server's disks, for a request whose answer was lost.

The Nova action log (`os-instance-actions`) and the creation times of the server's volumes (EVS). A cloud may offer
neither, and what it does not show proves nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from fleetos.cloud.errors import plain
from fleetos.cloud.fields import Fields, parts, stamp, text
from fleetos.limits import TRACE_SKEW_S, TRACES_TOLD

# What fleetos and operators do to power, and what touches no disk. Anything else, unknown words included, is a trace.
_POWER = frozenset({"stop", "start", "reboot", "pause", "unpause", "suspend", "resume"})
_ELSEWHERE = frozenset({"lock", "unlock", "attach_interface", "detach_interface", "addSecurityGroup", "createImage"})


def action_traces(fields: Fields, since: datetime) -> tuple[str, ...]:
    """Return the actions since then that may have touched a disk, in words, the first few of them.

    Raises Unreadable.
    """
    found: list[str] = []
    for one in parts(fields, "instanceActions"):
        action, at = text(one, "action") or "", stamp(text(one, "start_time"))
        if action not in _POWER | _ELSEWHERE and _since(at, since):
            found.append(f"action {action or 'without a name'} at {_words(at)}")
    return _first(found)


def volume_traces(fields: Fields, server_id: str, since: datetime) -> tuple[str, ...]:
    """Return the volumes attached to the server that were made since then, in words, the first few of them.

    Raises Unreadable.
    """
    found: list[str] = []
    for one in parts(fields, "volumes"):
        at = stamp(text(one, "created_at"))
        if server_id in _servers(parts(one, "attachments")) and at is not None and _since(at, since):
            found.append(f"volume {plain(text(one, 'id') or '')} made at {_words(at)}")
    return _first(found)


def _first(found: Sequence[str]) -> tuple[str, ...]:
    """Those that are told of a number that only the cloud bounds: a single one is evidence enough."""
    more = len(found) - TRACES_TOLD
    return (*found[:TRACES_TOLD], f"{more} more") if more > 0 else tuple(found)


def _servers(attachments: Iterable[Fields]) -> set[str | None]:
    return {text(one, "server_id") for one in attachments}


def _since(at: datetime | None, since: datetime) -> bool:
    """Whether something happened since then; what has no readable time may have."""
    return at is None or at >= since - timedelta(seconds=TRACE_SKEW_S)


def _words(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at is not None else "an unknown time"
