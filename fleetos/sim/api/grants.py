"""What a user may see and do who is granted some enterprise projects, and not the whole project."""

from collections.abc import Iterable, Mapping

from fleetos.sim.scenario.faults import Operation
from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.world.servers import SimServer
from fleetos.sim.world.world import World

ALL_GRANTED = "all_granted_eps"
# Lists that a query narrows to enterprise projects, and reads that know of none.
_LISTS = frozenset({"list", "native-servers", "images", "native-images", "volumes"})
_WHOLE = frozenset({"flavors", "limits", "disk-quota"})


def denied(world: World, operation: Operation, servers: Iterable[str], query: Mapping[str, str]) -> ApiError | None:
    """Return the refusal of a request about these servers, or None if the user may make it.

    A list of the whole project is refused as a whole, whatever it would show (ECS API, "listing details about ECSs",
    query enterprise_project_id).
    """
    granted = world.scenario.granted_enterprise_projects
    if not granted:
        return None
    if operation in _LISTS:
        allowed = query.get("enterprise_project_id") in (ALL_GRANTED, *granted)
    else:
        known = [world.servers[own] for own in servers if own in world.servers]
        allowed = operation not in _WHOLE and all(visible(world, one) for one in known)
    return None if allowed else refusal("Pdp.0001", message=f"Policy doesn't allow {operation} to be performed.")


def visible(world: World, server: SimServer) -> bool:
    """Return whether the user may see the server."""
    granted = world.scenario.granted_enterprise_projects
    return not granted or server.body.enterprise_project in granted
