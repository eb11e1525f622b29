"""The paths of the simulated cloud: which operation a method and a path mean, and on what."""

import re
from dataclasses import dataclass
from typing import Literal

from fleetos.sim.faults import Operation

_ID = r"(?P<id>[^/]+)"
_PROJECT = r"(?P<project>[^/]+)"
_V = r"/(?P<api>v1|v2)"


@dataclass(frozen=True, slots=True)
class Route:
    """What a request is about. `power` stands for stop, start and reboot: only the body tells which."""

    operation: Operation | Literal["power"]
    project: str | None = None
    at_id: str = ""
    api: Literal["v1", "v2"] = "v1"


_PATTERNS: tuple[tuple[str, Operation | Literal["power"], str], ...] = (
    ("GET", "list", rf"/v1/{_PROJECT}/cloudservers/detail"),
    ("GET", "flavors", rf"/v1/{_PROJECT}/cloudservers/flavors"),
    ("GET", "limits", rf"/v1/{_PROJECT}/cloudservers/limits"),
    ("GET", "detail", rf"/v1/{_PROJECT}/cloudservers/{_ID}"),
    ("GET", "job", rf"/v1/{_PROJECT}/jobs/{_ID}"),
    ("POST", "power", rf"/v1/{_PROJECT}/cloudservers/action"),
    ("POST", "changeos", rf"{_V}/{_PROJECT}/cloudservers/{_ID}/changeos"),
    ("POST", "reinstallos", rf"{_V}/{_PROJECT}/cloudservers/{_ID}/reinstallos"),
    ("POST", "token", r"/v3/auth/tokens"),
    ("GET", "images", r"/v2/cloudimages"),
    ("GET", "keypairs", rf"/v2\.1/{_PROJECT}/os-keypairs"),
    ("GET", "keypair", rf"/v2\.1/{_PROJECT}/os-keypairs/{_ID}"),
    ("GET", "actions", rf"/v2\.1/{_PROJECT}/servers/{_ID}/os-instance-actions"),
    ("GET", "block-device", rf"/v1/{_PROJECT}/cloudservers/{_ID}/block_device"),
    ("GET", "volumes", rf"/v2/{_PROJECT}/cloudvolumes/detail"),
    ("GET", "volume", rf"/v2/{_PROJECT}/cloudvolumes/{_ID}"),
    ("GET", "disk-quota", rf"/v2/{_PROJECT}/os-quota-sets/{_ID}"),
)
_ROUTES: tuple[tuple[str, Operation | Literal["power"], re.Pattern[str]], ...] = tuple(
    (method, operation, re.compile(pattern)) for method, operation, pattern in _PATTERNS
)


def find(method: str, path: str) -> Route | None:
    """Return the route of a request, or None for a path that the cloud does not have."""
    for wanted, operation, pattern in _ROUTES:
        if wanted == method and (match := pattern.fullmatch(path)) is not None:
            parts = match.groupdict()
            api: Literal["v1", "v2"] = "v2" if parts.get("api") == "v2" else "v1"
            return Route(operation, parts.get("project"), parts.get("id") or "", api)
    return None
