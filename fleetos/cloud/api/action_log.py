"""Action log and volumes: evidence for a lost reply.

The sources are the Nova action log (`os-instance-actions`) and the creation times of the server's volumes (EVS). A
cloud may offer neither, and a missing entry proves nothing. Fields and names of actions: ECS API, "native OpenStack
Nova APIs", "listing actions on an ECS" and "querying ECS operations by request ID". That a change of the OS is logged
as a rebuild is inferred from Nova; one that is logged by another name is a trace like any other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetos.cloud.http.error_body import sanitize
from fleetos.cloud.http.json_fields import Fields, parse_time, part, parts, text
from fleetos.limits import TRACE_SKEW_S
from fleetos.model.traces import LoggedChange, LoggedEnd

# Traces of one kind that an event lists for a server: a single one holds the server.
TRACES_LISTED = 5
# Actions on power, and actions that touch no disk. Every other action, unknown ones included, is a trace.
_POWER = frozenset({"stop", "start", "reboot", "pause", "unpause", "suspend", "resume"})
_ELSEWHERE = frozenset({"lock", "unlock", "attach_interface", "detach_interface", "addSecurityGroup", "createImage"})


# The name of a change of the OS.
_CHANGE = "rebuild"
_ENDS = {"success": LoggedEnd.SUCCESS, "error": LoggedEnd.ERROR}


@dataclass(frozen=True, slots=True)
class Action:
    """Entry of the action log that may have touched a disk."""

    name: str
    request_id: str | None
    user_id: str | None
    started_at: datetime | None

    @property
    def description(self) -> str:
        """Description of the entry."""
        return f"action {self.name or 'without a name'} at {_format_time(self.started_at)}"


def disk_actions(fields: Fields, since: datetime) -> Sequence[Action]:
    """Return the actions since `since` that may have touched a disk. Raise InvalidJson."""
    actions: list[Action] = []
    for entry in parts(fields, "instanceActions"):
        name, started_at = text(entry, "action") or "", parse_time(text(entry, "start_time"))
        if name not in _POWER | _ELSEWHERE and _may_be_since(started_at, since):
            actions.append(Action(name, text(entry, "request_id"), text(entry, "user_id"), started_at))
    return actions


def find_own_change(actions: Sequence[Action], user_id: str | None) -> Action | None:
    """Return the action if it is the only one and a change of the OS by that user; None in any doubt."""
    if len(actions) != 1 or user_id is None or actions[0].name != _CHANGE or actions[0].user_id != user_id:
        return None
    return actions[0] if actions[0].request_id is not None and actions[0].started_at is not None else None


def read_change_end(fields: Fields, action: Action) -> LoggedChange | None:
    """Return the end of the action according to its events; None if the response is about another action.

    Raise InvalidJson.
    """
    entry = part(fields, "instanceAction")
    if action.started_at is None or text(entry, "request_id") != action.request_id:
        return None
    events = parts(entry, "events")
    results = {(text(event, "result") or "").casefold() for event in events}
    if not events:
        return LoggedChange(action.started_at, LoggedEnd.UNTOLD)
    if any(parse_time(text(event, "finish_time")) is None for event in events):
        return LoggedChange(action.started_at, LoggedEnd.RUNNING)
    # One failed step is a failure, but only if all steps have ended with known results.
    end = LoggedEnd.UNTOLD if results - _ENDS.keys() else _ENDS["error" if "error" in results else "success"]
    return LoggedChange(action.started_at, end)


def volume_traces(fields: Fields, server_id: str, since: datetime) -> tuple[str, ...]:
    """Return descriptions of the volumes attached to the server and created since `since`. Raise InvalidJson."""
    traces: list[str] = []
    for volume in parts(fields, "volumes"):
        created_at = parse_time(text(volume, "created_at"))
        if (
            server_id in _attached_servers(parts(volume, "attachments"))
            and created_at is not None
            and _may_be_since(created_at, since)
        ):
            traces.append(f"volume {sanitize(text(volume, 'id') or '')} made at {_format_time(created_at)}")
    return tuple(traces)


def limit_traces(traces: Sequence[str]) -> tuple[str, ...]:
    """Return at most TRACES_TOLD traces and the number of the rest: the list is unbounded, one is evidence enough."""
    omitted = len(traces) - TRACES_LISTED
    return (*traces[:TRACES_LISTED], f"{omitted} more") if omitted > 0 else tuple(traces)


def _attached_servers(attachments: Iterable[Fields]) -> set[str | None]:
    return {text(attachment, "server_id") for attachment in attachments}


def _may_be_since(at: datetime | None, since: datetime) -> bool:
    """Return whether `at` is not clearly before `since`; an unreadable time is not."""
    return at is None or at >= since - timedelta(seconds=TRACE_SKEW_S)


def _format_time(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at is not None else "an unknown time"
