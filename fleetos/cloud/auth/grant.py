"""Who asks: the request for a token, and what IAM grants with it (IAM API, "token through password")."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from fleetos.cloud.auth.credentials import Credentials, Password, fault_in_header, is_project_id
from fleetos.cloud.auth.request_auth import RequestAuth, TokenAuth
from fleetos.cloud.http.addresses import Origin, parse_origin
from fleetos.cloud.http.json_fields import Fields, InvalidJson, parse_object, part, parts, stamp, text
from fleetos.errors import UsageError
from fleetos.limits import REGIONS_LISTED

# Names of a service in the catalog, the best first; ECS is known under several.
_TYPES: Mapping[str, tuple[str, ...]] = {
    "ecs": ("ecs", "ecsv1.1", "ecsv2", "compute", "computev2.1", "compute_legacy"),
    "ims": ("ims", "image", "imagev2"),
    "kms": ("kms",),
    "eps": ("eps",),
    "evs": ("evs", "volumev2", "volumev3", "volume", "block-storage"),
}
# Catalogs of all regions together have some hundred entries; a public address is a short text.
_ENDPOINTS = 5000
_URL_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One entry of the catalog."""

    service: str
    interface: str
    region: str | None
    url: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What requests may show from now on, its life in seconds (None: nobody says), and what came with it."""

    auth: RequestAuth
    life_s: float | None
    project_id: str
    user_id: str | None
    project_name: str | None = None
    catalog: tuple[Endpoint, ...] = ()
    domain_name: str | None = None
    domain_id: str | None = None
    user_name: str | None = None


def token_request(credentials: Credentials, password: Password) -> bytes:
    """Return the body that asks for a token of the project, the catalog included. It holds the password."""
    user: dict[str, object] = {"name": password.username}
    if domain := _named(password.domain_id, password.domain_name):
        user["domain"] = domain
    if password.user_id is not None:
        user = {"id": password.user_id}
    user["password"] = password.password
    project = _named(credentials.project_id, credentials.project_name) or {}
    project_domain = _named(credentials.project_domain_id, credentials.project_domain_name)
    if project_domain and credentials.project_id is None:
        project["domain"] = project_domain
    identity = {"methods": ["password"], "password": {"user": user}}
    return json.dumps({"auth": {"identity": identity, "scope": {"project": project}}}).encode()


def read_grant(headers: Mapping[str, str], body: bytes) -> Grant:
    """Return what IAM granted. Raises Unreadable."""
    token = headers.get("x-subject-token", "")
    if not token or fault_in_header(token) is not None:
        raise InvalidJson("the header X-Subject-Token holds no token")
    described = _described(body)
    issued, expires = stamp(text(described, "issued_at")), stamp(text(described, "expires_at"))
    life_s = (expires - issued).total_seconds() if issued and expires else None
    return _granted(TokenAuth(token), life_s, described)


def read_given(token: str, body: bytes, at: datetime) -> Grant:
    """Return what IAM says of a token that it was shown at that time. Raises Unreadable, UsageError if it serves nobody
    here: it is for no project."""
    described = _described(body)
    if not part(described, "project"):
        raise UsageError("the token that was given to fleetos is for no project", "ask IAM for one of the project")
    expires = stamp(text(described, "expires_at"))
    life_s = max((expires - at).total_seconds(), 0.0) if expires else None
    return _granted(TokenAuth(token, renewable=False), life_s, described)


def _described(body: bytes) -> Fields:
    return part(parse_object(body), "token")


def _granted(badge: RequestAuth, life_s: float | None, described: Fields) -> Grant:
    project = part(described, "project")
    project_id, user = text(project, "id"), part(described, "user")
    if project_id is None:
        raise InvalidJson("the token is not for a project")
    if not is_project_id(project_id):
        raise InvalidJson("the id of the token's project is none")
    domain = part(project, "domain")
    name, domain_id, domain_name = text(project, "name"), text(domain, "id"), text(domain, "name")
    names = (name, _catalog(described), domain_name, domain_id, _shown_name(user))
    return Grant(badge, life_s, project_id, text(user, "id"), *names)


def _shown_name(user: Fields) -> str | None:
    """A name that is only shown, so that a strange one keeps nobody out."""
    try:
        return text(user, "name")
    except InvalidJson:
        return None


def find_endpoint(grant: Grant, credentials: Credentials, service: str) -> Origin | None:
    """Return where a service is, None if the catalog does not have it.

    The path of the catalog's address is not used: it differs between clouds, and ours are written down. Raises
    UsageError when the address is not acceptable or the region must be chosen.
    """
    what = f"the {service} endpoint"
    if (given := credentials.endpoints.get(service)) is not None:
        return parse_origin(given, what, insecure_http=credentials.insecure_http)
    for kind in _TYPES[service]:
        entries = [one for one in grant.catalog if one.service == kind and one.interface == credentials.interface]
        fitting = [one for one in entries if credentials.region is None or one.region in (credentials.region, "*")]
        origins = {parse_origin(one.url, what, insecure_http=credentials.insecure_http) for one in fitting}
        if len(origins) > 1:
            raise UsageError(
                f"{what} is in several regions: {regions_of(fitting)}",
                "name one: region in the plan or the cloud's entry",
            )
        if origins:
            return origins.pop()
    return None


def regions_of(endpoints: Iterable[Endpoint]) -> str:
    """Return the regions of the endpoints in words, those for all regions left out."""
    known = sorted({one.region for one in endpoints if one.region and one.region != "*"})
    more = [f"{len(known) - REGIONS_LISTED} more"] if len(known) > REGIONS_LISTED else []
    return ", ".join(known[:REGIONS_LISTED] + more) or "none"


def _named(by_id: str | None, by_name: str | None) -> dict[str, object] | None:
    if by_id is not None:
        return {"id": by_id}
    return {"name": by_name} if by_name is not None else None


def _catalog(described: Fields) -> tuple[Endpoint, ...]:
    found: list[Endpoint] = []
    for service in parts(described, "catalog"):
        kind = text(service, "type")
        for one in parts(service, "endpoints"):
            url = text(one, "url", _URL_CHARS)
            if kind is not None and url is not None and len(found) < _ENDPOINTS:
                region = text(one, "region") or text(one, "region_id")
                found.append(Endpoint(kind, text(one, "interface") or "", region, url))
    return tuple(found)
