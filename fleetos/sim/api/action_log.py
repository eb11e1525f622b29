"""The log of what was done to a server.

Sources: ECS API, "native OpenStack Nova APIs": "listing actions on an ECS", "querying ECS operations by request ID".

That a change of the OS is logged as a rebuild, and what its event is called, is inferred from Nova.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fleetos.sim.api.reads import Answer, ReadQuery
from fleetos.sim.wire.error_codes import refusal
from fleetos.sim.wire.response_types import ActionEventShown, ActionInFullShown, ActionShown
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.servers import stamp
from fleetos.sim.world.world import World

_NAMES = {"changeos": "rebuild", "reinstallos": "rebuild", "change": "rebuild"}
_EVENTS = {"rebuild": "compute_rebuild_instance", "start": "compute_start_instance", "stop": "compute_stop_instance"}


@dataclass(frozen=True, slots=True)
class _Done:
    """An action as the log has it by now."""

    write: LedgerEntry
    name: str
    ended_at: float | None
    result: Literal["Success", "Error"] | None


def listing(world: World, look: ReadQuery) -> Answer:
    """Return what was done to a server, the newest first."""
    if world.server(look.at_id) is None:
        return refusal("Ecs.0114", form="nova")
    return json.dumps({"instanceActions": [_shown(world, look.at_id, done) for done in _logged(world, look)]})


def detail(world: World, look: ReadQuery) -> Answer:
    """Return one action with its events."""
    done = next((one for one in _logged(world, look) if _request_id(one.write) == look.part_id), None)
    if done is None or not world.scenario.action_log.events:
        return refusal("APIGW.0101") if done is not None else refusal("Ecs.0114", form="nova")
    event: ActionEventShown = {
        "event": _EVENTS.get(done.name, f"compute_{done.name}"),
        "start_time": _time(done.write.at or done.write.sent_at),
        "finish_time": None if done.ended_at is None else _time(done.ended_at),
        "result": done.result,
        "traceback": None,
    }
    content: ActionInFullShown = {**_shown(world, look.at_id, done), "events": [event]}
    return json.dumps({"instanceAction": content})


def _logged(world: World, look: ReadQuery) -> Iterator[_Done]:
    until = look.now - world.scenario.action_log.lag_s
    for write in reversed(world.ledger.writes):
        begun_at = write.at if write.at is not None else write.sent_at
        if write.came != "accepted" or look.at_id not in write.servers or begun_at > until:
            continue
        ended_at, failed = _end(world, write, look.at_id)
        ended = ended_at is not None and ended_at <= until
        result: Literal["Success", "Error"] = "Error" if failed else "Success"
        name = _NAMES.get(write.operation, write.operation)
        yield _Done(write, name, ended_at if ended else None, result if ended else None)


def _end(world: World, write: LedgerEntry, server_id: str) -> tuple[float | None, bool]:
    """Return when the action ended, None if it goes on, and whether it failed."""
    job = world.jobs.get(write.job_id or "")
    if job is None:
        return write.ended_at, write.error_code is not None
    task = next((one for one in job.tasks if one.server_id == server_id), None)
    if task is None or job.stuck:
        return None, False
    return task.ended_at, task.error_code is not None


def _shown(world: World, server_id: str, done: _Done) -> ActionShown:
    return {
        "action": done.name,
        "instance_uuid": server_id,
        "request_id": _request_id(done.write),
        "start_time": _time(done.write.at or done.write.sent_at),
        "message": "Error" if done.result == "Error" else None,
        "project_id": world.project_id,
        "user_id": world.user_id if done.write.actor == "client" else world.other_user_id,
    }


def _request_id(write: LedgerEntry) -> str:
    return f"req-{write.request_id}"


def _time(at: float) -> str:
    return stamp(at)[:-1] + ".000000"
