"""The paths of the simulated cloud: which operation a method and a path mean, and on what."""

import re
from dataclasses import dataclass
from typing import Literal

from fleetos.sim.scenario.faults import Operation

RouteOperation = Operation | Literal["power"]
_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Path:
    """One line of the table. `power` stands for stop, start and reboot: only the body tells which."""

    method: Literal["GET", "POST"]
    operation: RouteOperation
    template: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the template, in their order."""
        return tuple(_PARAMETER.findall(self.template))

    @property
    def open(self) -> bool:
        """Whether it is for anybody: to have a token, and to learn which versions of an API there are."""
        return self.operation in ("versions", "version") or (self.operation == "token" and self.method == "POST")

    def pattern(self) -> re.Pattern[str]:
        """Return what matches a path of this line; a parameter is one segment."""
        parts = _PARAMETER.split(self.template)
        segments = [f"(?P<{part}>[^/]+)" if place % 2 else re.escape(part) for place, part in enumerate(parts)]
        return re.compile("".join(segments))


@dataclass(frozen=True, slots=True)
class Route:
    """What a request is about."""

    operation: RouteOperation
    project: str | None = None
    at_id: str = ""
    api: Literal["v1", "v2"] = "v1"
    open: bool = False
    part_id: str = ""


PATHS: tuple[Path, ...] = (
    Path("GET", "list", "/v1/{project}/cloudservers/detail"),
    Path("GET", "flavors", "/v1/{project}/cloudservers/flavors"),
    Path("GET", "limits", "/v1/{project}/cloudservers/limits"),
    Path("GET", "detail", "/v1/{project}/cloudservers/{id}"),
    Path("GET", "job", "/v1/{project}/jobs/{id}"),
    Path("POST", "power", "/v1/{project}/cloudservers/action"),
    Path("POST", "changeos", "/v1/{project}/cloudservers/{id}/changeos"),
    Path("POST", "changeos", "/v2/{project}/cloudservers/{id}/changeos"),
    Path("POST", "reinstallos", "/v1/{project}/cloudservers/{id}/reinstallos"),
    Path("POST", "reinstallos", "/v2/{project}/cloudservers/{id}/reinstallos"),
    Path("POST", "token", "/v3/auth/tokens"),
    Path("GET", "token", "/v3/auth/tokens"),
    Path("GET", "projects", "/v3/projects"),
    Path("GET", "credential", "/v3.0/OS-CREDENTIAL/credentials/{id}"),
    Path("GET", "images", "/v2/cloudimages"),
    Path("GET", "native-images", "/v2/images"),
    Path("GET", "keypairs", "/v2.1/{project}/os-keypairs"),
    Path("GET", "keypair", "/v2.1/{project}/os-keypairs/{id}"),
    Path("GET", "native-servers", "/v2.1/{project}/servers/detail"),
    Path("GET", "actions", "/v2.1/{project}/servers/{id}/os-instance-actions"),
    Path("GET", "action", "/v2.1/{project}/servers/{id}/os-instance-actions/{request}"),
    Path("GET", "block-device", "/v1/{project}/cloudservers/{id}/block_device"),
    Path("GET", "volumes", "/v2/{project}/cloudvolumes/detail"),
    Path("GET", "volume", "/v2/{project}/cloudvolumes/{id}"),
    Path("GET", "disk-quota", "/v2/{project}/os-quota-sets/{id}"),
    Path("POST", "key", "/v1.0/{project}/kms/describe-key"),
    Path("GET", "enterprise-projects", "/v1.0/enterprise-projects"),
    Path("GET", "versions", "/"),
    Path("GET", "version", "/{id}"),
)
_ROUTES = tuple((path, path.pattern()) for path in PATHS)


def find(method: str, path: str) -> Route | None:
    """Return the route of a request, or None for a path that the cloud does not have."""
    for line, pattern in _ROUTES:
        if line.method == method and (match := pattern.fullmatch(path)) is not None:
            parts = match.groupdict()
            api: Literal["v1", "v2"] = "v2" if line.template.startswith("/v2/") else "v1"
            at_id, part_id = parts.get("id") or "", parts.get("request") or ""
            return Route(line.operation, parts.get("project"), at_id, api, line.open, part_id)
    return None
