"""Traces of what was done to a server's disks, for a request whose answer was lost.

The Nova action log (`os-instance-actions`) and the creation times of the server's volumes (EVS). A cloud may offer
neither, and what it does not show proves nothing. Fields and names of actions: ECS API, "native OpenStack Nova APIs",
"listing actions on an ECS" and "querying ECS operations by request ID". That a change of the OS is logged as a rebuild
is inferred from Nova; one that is logged by another name is a trace like any other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetos.cloud.http.error_body import plain
from fleetos.cloud.http.json_fields import Fields, part, parts, stamp, text
from fleetos.limits import TRACE_SKEW_S, TRACES_TOLD
from fleetos.model.traces import LoggedChange, LoggedEnd

# What fleetos and operators do to power, and what touches no disk. Anything else, unknown words included, is a trace.
_POWER = frozenset({"stop", "start", "reboot", "pause", "unpause", "suspend", "resume"})
_ELSEWHERE = frozenset({"lock", "unlock", "attach_interface", "detach_interface", "addSecurityGroup", "createImage"})


# The name of a change of the OS.
_CHANGE = "rebuild"
_ENDS = {"success": LoggedEnd.SUCCESS, "error": LoggedEnd.ERROR}


@dataclass(frozen=True, slots=True)
class Action:
    """An entry of the log that may have touched a disk."""

    name: str
    request_id: str | None
    user_id: str | None
    started_at: datetime | None

    @property
    def words(self) -> str:
        """The entry in words."""
        return f"action {self.name or 'without a name'} at {_words(self.started_at)}"


def actions(fields: Fields, since: datetime) -> Sequence[Action]:
    """Return the actions since then that may have touched a disk. Raises Unreadable."""
    found: list[Action] = []
    for one in parts(fields, "instanceActions"):
        name, at = text(one, "action") or "", stamp(text(one, "start_time"))
        if name not in _POWER | _ELSEWHERE and _since(at, since):
            found.append(Action(name, text(one, "request_id"), text(one, "user_id"), at))
    return found


def change_of(found: Sequence[Action], user_id: str | None) -> Action | None:
    """Return the one action of all, where it is a change of the OS by that user; None in any doubt."""
    if len(found) != 1 or user_id is None or found[0].name != _CHANGE or found[0].user_id != user_id:
        return None
    return found[0] if found[0].request_id is not None and found[0].started_at is not None else None


def end_of(fields: Fields, action: Action) -> LoggedChange | None:
    """Return how the action ended, by its events; None for an answer about another one. Raises Unreadable."""
    shown = part(fields, "instanceAction")
    if action.started_at is None or text(shown, "request_id") != action.request_id:
        return None
    events = parts(shown, "events")
    finished = [stamp(text(event, "finish_time")) for event in events]
    results = {(text(event, "result") or "").casefold() for event in events}
    last = max((at for at in finished if at is not None), default=None)
    if not events:
        return LoggedChange(action.started_at, LoggedEnd.UNTOLD)
    if None in finished:
        return LoggedChange(action.started_at, LoggedEnd.RUNNING)
    # One step that failed is a failure, if all have ended and every result is one that is known.
    end = LoggedEnd.UNTOLD if results - _ENDS.keys() else _ENDS["error" if "error" in results else "success"]
    return LoggedChange(action.started_at, end, last)


def volume_traces(fields: Fields, server_id: str, since: datetime) -> tuple[str, ...]:
    """Return the volumes attached to the server that were made since then, in words.

    Raises Unreadable.
    """
    found: list[str] = []
    for one in parts(fields, "volumes"):
        at = stamp(text(one, "created_at"))
        if server_id in _servers(parts(one, "attachments")) and at is not None and _since(at, since):
            found.append(f"volume {plain(text(one, 'id') or '')} made at {_words(at)}")
    return tuple(found)


def told(found: Sequence[str]) -> tuple[str, ...]:
    """Return those that are told of a number that only the cloud bounds: a single one is evidence enough."""
    more = len(found) - TRACES_TOLD
    return (*found[:TRACES_TOLD], f"{more} more") if more > 0 else tuple(found)


def _servers(attachments: Iterable[Fields]) -> set[str | None]:
    return {text(one, "server_id") for one in attachments}


def _since(at: datetime | None, since: datetime) -> bool:
    """Whether something happened since then; what has no readable time may have."""
    return at is None or at >= since - timedelta(seconds=TRACE_SKEW_S)


def _words(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at is not None else "an unknown time"
