"""Logging in to a cloud, and out."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx

from fleetos.clock import Clock
from fleetos.cloud.api.project import ProjectEndpoints
from fleetos.cloud.auth.credentials import AccessKey, Credentials, Password
from fleetos.cloud.auth.grant import Grant, find_endpoint, regions_of
from fleetos.cloud.auth.known_clouds import domain_of, iam_of, origin_of
from fleetos.cloud.auth.login import Login
from fleetos.cloud.client import CloudClient
from fleetos.cloud.http.addresses import Origin, parse_origin, proxies_from
from fleetos.cloud.http.transport import open_transport, tls_context
from fleetos.cloud.rate.throttle import Throttle
from fleetos.cloud.session import ReadRequest, Session
from fleetos.errors import InputError, Problem, UsageError
from fleetos.ids import Chance
from fleetos.model.plan import ApiLimits

_ENDPOINT_VARIABLES = {"ecs": "FLEETOS_ECS_ENDPOINT", "ims": "FLEETOS_IMS_ENDPOINT"}

# Letters at the end of an access key that tell people which one it is.
_KEY_SHOWN = 4


@asynccontextmanager
async def open_cloud(
    credentials: Credentials,
    *,
    clock: Clock,
    chance: Chance,
    limits: ApiLimits,
    env: Mapping[str, str],
    inner: httpx.AsyncBaseTransport | None = None,
) -> AsyncGenerator[CloudClient]:
    """Yield the cloud of the credentials, logged in; leaving closes its connections.

    `env` is asked for proxies and for endpoints that override the catalog. `inner` replaces the sockets, for a
    simulated cloud in the same process. Raises AuthenticationFailed, PermissionDenied, CloudUnreachable,
    and UsageError for an address that is not acceptable.
    """
    async with open_session(credentials, clock=clock, chance=chance, limits=limits, env=env, inner=inner) as session:
        place = place_of(await session.login(), overridden(credentials, env))
        if isinstance(credentials.proof, AccessKey):
            await _prove(session, place)
        yield CloudClient(session, place)


@asynccontextmanager
async def open_session(
    credentials: Credentials,
    *,
    clock: Clock,
    chance: Chance,
    limits: ApiLimits,
    env: Mapping[str, str],
    inner: httpx.AsyncBaseTransport | None = None,
) -> AsyncGenerator[Session]:
    """Yield the way to the cloud of the credentials, before any login; else as `open_cloud`. Raises UsageError."""
    address, _ = iam_address(overridden(credentials, env))
    context = _tls(credentials) if inner is None else None
    async with open_transport(proxies=proxies_from(env), context=context, inner=inner) as transport:
        throttle = Throttle(limits, lambda: clock.moment().elapsed_s, chance)
        transport.on_simulated = lambda simulated: throttle.set_pace(loopback=simulated)
        yield Session(Login(credentials, address, transport, throttle, clock), transport, throttle, clock, chance)


def iam_address(credentials: Credentials) -> tuple[str | None, Origin | None]:
    """Return the address of IAM and where it is, None if nothing says so. Raises UsageError if it is not acceptable."""
    address = credentials.auth_url or iam_of(_telling_region(credentials) or "")
    return address, parse_origin(address, "auth_url", insecure_http=credentials.insecure_http) if address else None


def _telling_region(credentials: Credentials) -> str | None:
    """The region by which hosts are found; None where services are said to be in another domain than the region's."""
    domain = domain_of(credentials.region or "")
    if credentials.auth_url is None and domain is not None:
        for service, address in credentials.endpoints.items():
            given = parse_origin(address, f"the {service} endpoint", insecure_http=credentials.insecure_http)
            if not given.host.endswith(f".{domain}"):
                return None
    return credentials.region


def overridden(credentials: Credentials, env: Mapping[str, str]) -> Credentials:
    """Return the credentials with the endpoints that variables name in place of theirs."""
    overrides = {service: env[name] for service, name in _ENDPOINT_VARIABLES.items() if env.get(name)}
    return replace(credentials, endpoints={**credentials.endpoints, **overrides})


async def _prove(session: Session, place: ProjectEndpoints) -> None:
    """Let one request go alone, so that a key that is not accepted is refused once and not by all that come at once."""
    path = f"/v1/{place.project_id}/cloudservers/detail"
    await session.read(ReadRequest("list", place.ecs, path, "the access key", {"limit": "1", "offset": "1"}))


def place_of(grant: Grant, credentials: Credentials) -> ProjectEndpoints:
    """Return where the project's services are. Raises UsageError when one that is needed cannot be found."""
    proof = credentials.proof
    return ProjectEndpoints(
        project_id=grant.project_id,
        region=credentials.region,
        user_id=grant.user_id,
        ecs=_needed(grant, credentials, "ecs"),
        ims=_needed(grant, credentials, "ims"),
        evs=_found(grant, credentials, "evs"),
        kms=_found(grant, credentials, "kms"),
        eps=_found(grant, credentials, "eps"),
        project=grant.project_name or credentials.project_name,
        domain=grant.domain_name or credentials.project_domain_name,
        user=grant.user_name or (proof.username if isinstance(proof, Password) else None),
        access_key=f"…{proof.access[-_KEY_SHOWN:]}" if isinstance(proof, AccessKey) else None,
    )


def _found(grant: Grant, credentials: Credentials, service: str) -> Origin | None:
    origin = find_endpoint(grant, credentials, service)
    if origin is None and isinstance(credentials.proof, AccessKey):
        return origin_of(service, _telling_region(credentials), credentials.auth_url)
    return origin


def _needed(grant: Grant, credentials: Credentials, service: str) -> Origin:
    origin = _found(grant, credentials, service)
    if origin is not None:
        return origin
    where = f" in region {credentials.region}" if credentials.region else ""
    ways = f"set {service}_endpoint_override in the cloud's entry, or {_ENDPOINT_VARIABLES[service]}"
    if isinstance(credentials.proof, AccessKey):
        # Requests show who asks, so a host is guessed in the domain of the address that is given, and in no other.
        found_in, what = credentials.found_in or "the credentials", f"nothing says where {service} is{where}"
        expected = f"{what}: an access key brings no catalog, and a host is guessed in the domain of auth_url alone"
        hint = f"{ways}; or give a region and an auth_url such as https://iam.REGION.DOMAIN/v3"
        raise InputError((Problem(found_in, None, None, "", expected, hint),))
    raise UsageError(
        f"the cloud's catalog has no {service} endpoint{where}",
        f"regions in the catalog: {regions_of(grant.catalog)}; or {ways}",
    )


def _tls(credentials: Credentials) -> ssl.SSLContext:
    try:
        return tls_context(credentials.authorities, verify=credentials.verify)
    except OSError as error:
        raise UsageError(
            f"the certificates in {credentials.authorities} cannot be used: {error.strerror or error}",
            "OS_CACERT and cacert name a file of PEM certificates",
        ) from None
