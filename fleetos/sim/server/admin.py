"""The back door of the simulated cloud: its truth, its fault rules and the foreign actor. No token is asked for."""

import json
from typing import cast

from pydantic import TypeAdapter, ValidationError

from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.wire.messages import SimRequest, SimResponse
from fleetos.sim.world.orders import Foreign, SetFaults
from fleetos.sim.world.servers import SimServer

_FOREIGN = TypeAdapter(Foreign)
_FAULTS = TypeAdapter(SetFaults)


def answer(cloud: SimulatedCloud, request: SimRequest, identity: dict[str, object]) -> SimResponse:
    """Return the answer to a request below /admin/. `identity` is what /admin/health says of the process."""
    now = cloud.settle()
    match request.method, request.path.removeprefix("/admin").strip("/").split("/"):
        case "GET", ["health"]:
            flight = {"changes_in_flight": cloud.world.ledger.changes_in_flight, "servers": len(cloud.world.servers)}
            return _json(200, {"v": 1, **identity, **flight})
        case "GET", ["ledger"]:
            return _json(200, cloud.world.ledger.as_dict(now))
        case "GET", ["servers"]:
            return _json(200, {"v": 1, "now": now, "servers": [_truth(s) for s in cloud.world.servers.values()]})
        case "POST", ["faults"]:
            return _set_faults(cloud, request.body)
        case "POST", ["heal"]:
            cloud.order(SetFaults(kind="faults"))
            return _json(200, {"rules": 0})
        case "POST", ["servers", server_id]:
            return _act(cloud, server_id, request.body)
        case _:
            return _json(404, {"error": "no such admin path"})


def _set_faults(cloud: SimulatedCloud, body: bytes) -> SimResponse:
    try:
        rules = _FAULTS.validate_python({"kind": "faults", "rules": _rules(body)})
    except (ValidationError, ValueError) as error:
        return _json(400, {"error": _said(error)})
    cloud.order(rules)
    return _json(200, {"rules": len(rules.rules)})


def _rules(body: bytes) -> object:
    """Return the list of rules, which may stand alone or under `faults` as in a scenario."""
    content: object = json.loads(body)
    return cast("dict[str, object]", content).get("faults") if isinstance(content, dict) else content


def _act(cloud: SimulatedCloud, server_id: str, body: bytes) -> SimResponse:
    try:
        content: object = json.loads(body)
        fields = cast("dict[str, object]", content) if isinstance(content, dict) else {}
        order = _FOREIGN.validate_python({**fields, "kind": "foreign", "server_id": server_id})
    except (ValidationError, ValueError) as error:
        return _json(400, {"error": _said(error)})
    done = cloud.order(order)
    return _json(200 if done else 409, {"done": done})


def _said(error: Exception) -> object:
    if isinstance(error, ValidationError):
        return [
            {"at": [str(part) for part in e["loc"]], "message": e["msg"]} for e in error.errors(include_input=False)
        ]
    return "not JSON"


def _truth(server: SimServer) -> dict[str, object]:
    return {
        "id": server.id,
        "name": server.body.name,
        "status": server.status,
        "vm_state": server.vm_state,
        "task_state": server.task_state,
        "image_id": server.image.id if server.image is not None else None,
        "system_disk": server.system_disk.id if server.system_disk is not None else None,
        "locked": server.locked,
        "failed_change": server.failed_change,
        "endless": server.endless,
        "changes": server.changes,
        "stopped_by": server.stopped_by,
    }


def _json(status: int, content: object) -> SimResponse:
    return SimResponse(status, (("Content-Type", "application/json"),), json.dumps(content).encode())
