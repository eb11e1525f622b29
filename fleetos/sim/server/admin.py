"""Admin endpoints: ledger, true state of the servers, fault rules, foreign changes. They require no token."""

import json
from typing import cast

from pydantic import TypeAdapter, ValidationError

from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.wire.messages import SimRequest, SimResponse
from fleetos.sim.world.orders import ForeignOrder, SetFaults
from fleetos.sim.world.servers import SimServer

_FOREIGN = TypeAdapter(ForeignOrder)
_FAULTS = TypeAdapter(SetFaults)


def handle_request(cloud: SimulatedCloud, request: SimRequest, identity: dict[str, object]) -> SimResponse:
    """Return the response to a request below /admin/. `identity` describes the process in /admin/health."""
    now = cloud.advance()
    match request.method, request.path.removeprefix("/admin").strip("/").split("/"):
        case "GET", ["health"]:
            flight = {"changes_in_flight": cloud.world.ledger.changes_in_flight, "servers": len(cloud.world.servers)}
            return _json_response(200, {"v": 1, **identity, **flight})
        case "GET", ["ledger"]:
            return _json_response(200, cloud.world.ledger.as_dict(now))
        case "GET", ["servers"]:
            return _json_response(
                200, {"v": 1, "now": now, "servers": [_show_true_state(s) for s in cloud.world.servers.values()]}
            )
        case "POST", ["faults"]:
            return _set_faults(cloud, request.body)
        case "POST", ["heal"]:
            cloud.execute_order(SetFaults(kind="faults"))
            return _json_response(200, {"rules": 0})
        case "POST", ["servers", server_id]:
            return _apply_foreign_change(cloud, server_id, request.body)
        case _:
            return _json_response(404, {"error": "no such admin path"})


def _set_faults(cloud: SimulatedCloud, body: bytes) -> SimResponse:
    try:
        rules = _FAULTS.validate_python({"kind": "faults", "rules": _parse_rules(body)})
    except (ValidationError, ValueError) as error:
        return _json_response(400, {"error": _describe_error(error)})
    cloud.execute_order(rules)
    return _json_response(200, {"rules": len(rules.rules)})


def _parse_rules(body: bytes) -> object:
    """Return the list of rules, given alone or under the key `faults` as in a scenario. Raises ValueError."""
    content: object = json.loads(body)
    return cast("dict[str, object]", content).get("faults") if isinstance(content, dict) else content


def _apply_foreign_change(cloud: SimulatedCloud, server_id: str, body: bytes) -> SimResponse:
    try:
        content: object = json.loads(body)
        fields = cast("dict[str, object]", content) if isinstance(content, dict) else {}
        order = _FOREIGN.validate_python({**fields, "kind": "foreign", "server_id": server_id})
    except (ValidationError, ValueError) as error:
        return _json_response(400, {"error": _describe_error(error)})
    possible = cloud.execute_order(order)
    return _json_response(200 if possible else 409, {"done": possible})


def _describe_error(error: Exception) -> object:
    if isinstance(error, ValidationError):
        return [
            {"at": [str(part) for part in e["loc"]], "message": e["msg"]} for e in error.errors(include_input=False)
        ]
    return "not JSON"


def _show_true_state(server: SimServer) -> dict[str, object]:
    return {
        "id": server.id,
        "name": server.spec.name,
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


def _json_response(status: int, content: object) -> SimResponse:
    return SimResponse(status, (("Content-Type", "application/json"),), json.dumps(content).encode())
