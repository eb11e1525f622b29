"""Endpoints of the action log of a server.

Sources: ECS API, "native OpenStack Nova APIs": "listing actions on an ECS", "querying ECS operations by request ID".
That an OS change is logged as a rebuild, and the name of its event, is inferred from Nova.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fleetos.sim.api.reads import ReadQuery, ReadResult
from fleetos.sim.wire.error_codes import refusal
from fleetos.sim.wire.response_types import ActionEventShown, ActionInFullShown, ActionShown
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.servers import format_time
from fleetos.sim.world.world import World

_NAMES = {"changeos": "rebuild", "reinstallos": "rebuild", "change": "rebuild"}
_EVENTS = {"rebuild": "compute_rebuild_instance", "start": "compute_start_instance", "stop": "compute_stop_instance"}


@dataclass(frozen=True, slots=True)
class _Action:
    """Action as the log shows it, `lag_s` behind the world."""

    write: LedgerEntry
    name: str
    ended_at: float | None
    result: Literal["Success", "Error"] | None


def listing(world: World, query: ReadQuery) -> ReadResult:
    """Return the actions on a server, newest first."""
    if world.find_server(query.resource_id) is None:
        return refusal("Ecs.0114", form="nova")
    actions = [_show_action(world, query.resource_id, action) for action in _logged_actions(world, query)]
    return json.dumps({"instanceActions": actions})


def detail(world: World, query: ReadQuery) -> ReadResult:
    """Return one action with its events."""
    actions = _logged_actions(world, query)
    action = next((action for action in actions if _request_id(action.write) == query.subresource_id), None)
    if action is None or not world.scenario.action_log.events:
        return refusal("APIGW.0101") if action is not None else refusal("Ecs.0114", form="nova")
    event: ActionEventShown = {
        "event": _EVENTS.get(action.name, f"compute_{action.name}"),
        "start_time": _format_time(action.write.at or action.write.sent_at),
        "finish_time": None if action.ended_at is None else _format_time(action.ended_at),
        "result": action.result,
        "traceback": None,
    }
    content: ActionInFullShown = {**_show_action(world, query.resource_id, action), "events": [event]}
    return json.dumps({"instanceAction": content})


def _logged_actions(world: World, query: ReadQuery) -> Iterator[_Action]:
    log_time_s = query.now - world.scenario.action_log.lag_s
    for write in reversed(world.ledger.writes):
        begun_at = write.at if write.at is not None else write.sent_at
        if write.came != "accepted" or query.resource_id not in write.servers or begun_at > log_time_s:
            continue
        ended_at, failed = _end_of_action(world, write, query.resource_id)
        ended = ended_at is not None and ended_at <= log_time_s
        result: Literal["Success", "Error"] = "Error" if failed else "Success"
        name = _NAMES.get(write.operation, write.operation)
        yield _Action(write, name, ended_at if ended else None, result if ended else None)


def _end_of_action(world: World, write: LedgerEntry, server_id: str) -> tuple[float | None, bool]:
    """Return the time at which the action ended, None while it runs, and whether it failed."""
    job = world.jobs.get(write.job_id or "")
    if job is None:
        return write.ended_at, write.error_code is not None
    task = next((task for task in job.tasks if task.server_id == server_id), None)
    if task is None or job.stuck:
        return None, False
    return task.ended_at, task.error_code is not None


def _show_action(world: World, server_id: str, action: _Action) -> ActionShown:
    return {
        "action": action.name,
        "instance_uuid": server_id,
        "request_id": _request_id(action.write),
        "start_time": _format_time(action.write.at or action.write.sent_at),
        "message": "Error" if action.result == "Error" else None,
        "project_id": world.project_id,
        "user_id": world.user_id if action.write.actor == "client" else world.other_user_id,
    }


def _request_id(write: LedgerEntry) -> str:
    return f"req-{write.request_id}"


def _format_time(time_s: float) -> str:
    return format_time(time_s)[:-1] + ".000000"
