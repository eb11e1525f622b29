"""Permissions of a user who is granted some enterprise projects instead of the whole project."""

from collections.abc import Iterable, Mapping

from fleetos.sim.scenario.faults import Operation
from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.world.servers import SimServer
from fleetos.sim.world.world import World

ALL_GRANTED = "all_granted_eps"
# Lists that a query can narrow to enterprise projects, and reads that it cannot.
_LISTS = frozenset({"list", "native-servers", "images", "native-images", "volumes"})
_WHOLE = frozenset({"flavors", "limits", "disk-quota"})


def denial(
    world: World, operation: Operation, server_ids: Iterable[str], parameters: Mapping[str, str]
) -> ApiError | None:
    """Return the refusal of a request about these servers, or None if the user may make it.

    A list of the whole project is refused, even if all its servers are granted (ECS API, "listing details about ECSs",
    query enterprise_project_id).
    """
    granted = world.scenario.granted_enterprise_projects
    if not granted:
        return None
    if operation in _LISTS:
        allowed = parameters.get("enterprise_project_id") in (ALL_GRANTED, *granted)
    else:
        servers = [world.servers[server_id] for server_id in server_ids if server_id in world.servers]
        allowed = operation not in _WHOLE and all(is_visible(world, server) for server in servers)
    return None if allowed else refusal("Pdp.0001", message=f"Policy doesn't allow {operation} to be performed.")


def is_visible(world: World, server: SimServer) -> bool:
    """Return whether the user may see the server."""
    granted = world.scenario.granted_enterprise_projects
    return not granted or server.spec.enterprise_project in granted
