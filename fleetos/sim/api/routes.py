"""Route table: operation and resource of a method and a path."""

import re
from dataclasses import dataclass
from typing import Literal

from fleetos.sim.scenario.faults import Operation

RouteOperation = Operation | Literal["power"]
_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class ApiPath:
    """Line of the table. `power` stands for stop, start and reboot, which only the body tells apart."""

    method: Literal["GET", "POST"]
    operation: RouteOperation
    template: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters in the template, in order."""
        return tuple(_PARAMETER.findall(self.template))

    @property
    def public(self) -> bool:
        """True if it needs no credentials: issuing a token, and listing the versions of an API."""
        return self.operation in ("versions", "version") or (self.operation == "token" and self.method == "POST")

    def pattern(self) -> re.Pattern[str]:
        """Return the pattern of the paths of this line; a parameter matches one segment."""
        parts = _PARAMETER.split(self.template)
        segments = [f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)]
        return re.compile("".join(segments))


@dataclass(frozen=True, slots=True)
class Route:
    """Operation and resource of a request."""

    operation: RouteOperation
    project: str | None = None
    resource_id: str = ""
    api: Literal["v1", "v2"] = "v1"
    public: bool = False
    """It needs no credentials."""
    subresource_id: str = ""


PATHS: tuple[ApiPath, ...] = (
    ApiPath("GET", "list", "/v1/{project}/cloudservers/detail"),
    ApiPath("GET", "flavors", "/v1/{project}/cloudservers/flavors"),
    ApiPath("GET", "limits", "/v1/{project}/cloudservers/limits"),
    ApiPath("GET", "detail", "/v1/{project}/cloudservers/{id}"),
    ApiPath("GET", "job", "/v1/{project}/jobs/{id}"),
    ApiPath("POST", "power", "/v1/{project}/cloudservers/action"),
    ApiPath("POST", "changeos", "/v1/{project}/cloudservers/{id}/changeos"),
    ApiPath("POST", "changeos", "/v2/{project}/cloudservers/{id}/changeos"),
    ApiPath("POST", "reinstallos", "/v1/{project}/cloudservers/{id}/reinstallos"),
    ApiPath("POST", "reinstallos", "/v2/{project}/cloudservers/{id}/reinstallos"),
    ApiPath("POST", "token", "/v3/auth/tokens"),
    ApiPath("GET", "token", "/v3/auth/tokens"),
    ApiPath("GET", "projects", "/v3/projects"),
    ApiPath("GET", "credential", "/v3.0/OS-CREDENTIAL/credentials/{id}"),
    ApiPath("GET", "images", "/v2/cloudimages"),
    ApiPath("GET", "native-images", "/v2/images"),
    ApiPath("GET", "keypairs", "/v2.1/{project}/os-keypairs"),
    ApiPath("GET", "keypair", "/v2.1/{project}/os-keypairs/{id}"),
    ApiPath("GET", "native-servers", "/v2.1/{project}/servers/detail"),
    ApiPath("GET", "actions", "/v2.1/{project}/servers/{id}/os-instance-actions"),
    ApiPath("GET", "action", "/v2.1/{project}/servers/{id}/os-instance-actions/{request}"),
    ApiPath("GET", "block-device", "/v1/{project}/cloudservers/{id}/block_device"),
    ApiPath("GET", "volumes", "/v2/{project}/cloudvolumes/detail"),
    ApiPath("GET", "volume", "/v2/{project}/cloudvolumes/{id}"),
    ApiPath("GET", "disk-quota", "/v2/{project}/os-quota-sets/{id}"),
    ApiPath("POST", "key", "/v1.0/{project}/kms/describe-key"),
    ApiPath("GET", "enterprise-projects", "/v1.0/enterprise-projects"),
    ApiPath("GET", "versions", "/"),
    ApiPath("GET", "version", "/{id}"),
)
_ROUTES = tuple((path, path.pattern()) for path in PATHS)


def find_route(method: str, path: str) -> Route | None:
    """Return the route of a request, or None for an unknown path."""
    for line, pattern in _ROUTES:
        if line.method == method and (match := pattern.fullmatch(path)) is not None:
            parts = match.groupdict()
            api: Literal["v1", "v2"] = "v2" if line.template.startswith("/v2/") else "v1"
            at_id, part_id = parts.get("id") or "", parts.get("request") or ""
            return Route(line.operation, parts.get("project"), at_id, api, line.public, part_id)
    return None
