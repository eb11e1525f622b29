"""Token request and what IAM grants with it (IAM API, "token through password")."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from fleetos.cloud.auth.credentials import Credentials, Password, header_fault, is_project_id
from fleetos.cloud.auth.request_auth import RequestAuth, TokenAuth
from fleetos.cloud.http.addresses import Origin, parse_origin
from fleetos.cloud.http.json_fields import Fields, InvalidJson, parse_object, parse_time, part, parts, text
from fleetos.errors import UsageError
from fleetos.limits import REGIONS_LISTED
from fleetos.text import join_some

# Types of a service in the catalog, the preferred one first.
_TYPES: Mapping[str, tuple[str, ...]] = {
    "ecs": ("ecs", "ecsv1.1", "ecsv2", "compute", "computev2.1", "compute_legacy"),
    "ims": ("ims", "image", "imagev2"),
    "kms": ("kms",),
    "eps": ("eps",),
    "evs": ("evs", "volumev2", "volumev3", "volume", "block-storage"),
}
# A catalog of all regions has some hundred entries; an endpoint's address is short.
_ENDPOINTS = 5000
_URL_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Entry of the service catalog."""

    service: str
    interface: str
    region: str | None
    url: str


@dataclass(frozen=True, slots=True)
class Grant:
    """Result of a login: authentication for requests, and what IAM says about its project and user."""

    auth: RequestAuth
    life_s: float | None
    """Seconds until `auth` expires, from the login; None: unknown."""
    project_id: str
    user_id: str | None
    project_name: str | None = None
    catalog: tuple[Endpoint, ...] = ()
    domain_name: str | None = None
    domain_id: str | None = None
    user_name: str | None = None


def token_request(credentials: Credentials, password: Password) -> bytes:
    """Return the body of a request for a token of the project, with the catalog. It contains the password."""
    user: dict[str, object] = {"name": password.username}
    if domain := _id_or_name(password.domain_id, password.domain_name):
        user["domain"] = domain
    if password.user_id is not None:
        user = {"id": password.user_id}
    user["password"] = password.password
    project = _id_or_name(credentials.project_id, credentials.project_name) or {}
    project_domain = _id_or_name(credentials.project_domain_id, credentials.project_domain_name)
    if project_domain and credentials.project_id is None:
        project["domain"] = project_domain
    identity = {"methods": ["password"], "password": {"user": user}}
    return json.dumps({"auth": {"identity": identity, "scope": {"project": project}}}).encode()


def read_grant(headers: Mapping[str, str], body: bytes) -> Grant:
    """Return the grant in IAM's response to a token request. Raise InvalidJson."""
    token = headers.get("x-subject-token", "")
    if not token or header_fault(token) is not None:
        raise InvalidJson("the header X-Subject-Token holds no token")
    description = _parse_token(body)
    issued, expires = parse_time(text(description, "issued_at")), parse_time(text(description, "expires_at"))
    life_s = (expires - issued).total_seconds() if issued and expires else None
    return _build_grant(TokenAuth(token), life_s, description)


def read_given_token(token: str, body: bytes, at: datetime) -> Grant:
    """Return the grant of a token that the user supplied, from IAM's description of it at the time `at`.

    Raise InvalidJson, and UsageError if the token is not for a project.
    """
    description = _parse_token(body)
    if not part(description, "project"):
        raise UsageError("the token that was given to fleetos is for no project", "ask IAM for one of the project")
    expires = parse_time(text(description, "expires_at"))
    life_s = max((expires - at).total_seconds(), 0.0) if expires else None
    return _build_grant(TokenAuth(token, renewable=False), life_s, description)


def _parse_token(body: bytes) -> Fields:
    return part(parse_object(body), "token")


def _build_grant(auth: RequestAuth, life_s: float | None, token: Fields) -> Grant:
    project = part(token, "project")
    project_id, user = text(project, "id"), part(token, "user")
    if project_id is None:
        raise InvalidJson("the token is not for a project")
    if not is_project_id(project_id):
        raise InvalidJson("the id of the token's project is none")
    domain = part(project, "domain")
    name, domain_id, domain_name = text(project, "name"), text(domain, "id"), text(domain, "name")
    names = (name, _parse_catalog(token), domain_name, domain_id, _display_name(user))
    return Grant(auth, life_s, project_id, text(user, "id"), *names)


def _display_name(user: Fields) -> str | None:
    """Return the user's name, None if it is unreadable: it is only displayed, so it must not fail the login."""
    try:
        return text(user, "name")
    except InvalidJson:
        return None


def find_endpoint(grant: Grant, credentials: Credentials, service: str) -> Origin | None:
    """Return the origin of a service, None if neither the settings nor the catalog have it.

    The path in the catalog is ignored: it differs between clouds, and fleetos has its own paths. Raise UsageError if
    the address is not acceptable, or if the service is in several regions and none is chosen.
    """
    name = f"the {service} endpoint"
    if (address := credentials.endpoints.get(service)) is not None:
        return parse_origin(address, name, insecure_http=credentials.insecure_http)
    for service_type in _TYPES[service]:
        entries = [
            endpoint
            for endpoint in grant.catalog
            if endpoint.service == service_type and endpoint.interface == credentials.interface
        ]
        matching = [
            endpoint
            for endpoint in entries
            if credentials.region is None or endpoint.region in (credentials.region, "*")
        ]
        origins = {parse_origin(endpoint.url, name, insecure_http=credentials.insecure_http) for endpoint in matching}
        if len(origins) > 1:
            raise UsageError(
                f"{name} is in several regions: {regions_of(matching)}",
                "name one: region in the plan or the cloud's entry",
            )
        if origins:
            return origins.pop()
    return None


def regions_of(endpoints: Iterable[Endpoint]) -> str:
    """Return the names of the endpoints' regions, without the `*` for all regions; "none" if there are none."""
    regions = sorted({endpoint.region for endpoint in endpoints if endpoint.region and endpoint.region != "*"})
    return join_some(regions, REGIONS_LISTED) or "none"


def _id_or_name(by_id: str | None, by_name: str | None) -> dict[str, object] | None:
    if by_id is not None:
        return {"id": by_id}
    return {"name": by_name} if by_name is not None else None


def _parse_catalog(token: Fields) -> tuple[Endpoint, ...]:
    endpoints: list[Endpoint] = []
    for service in parts(token, "catalog"):
        kind = text(service, "type")
        for endpoint in parts(service, "endpoints"):
            url = text(endpoint, "url", _URL_CHARS)
            if kind is not None and url is not None and len(endpoints) < _ENDPOINTS:
                region = text(endpoint, "region") or text(endpoint, "region_id")
                endpoints.append(Endpoint(kind, text(endpoint, "interface") or "", region, url))
    return tuple(endpoints)
