"""Log in to a project and build its client; log out."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx

from fleetos.clock import Clock
from fleetos.cloud.api.project import ProjectEndpoints
from fleetos.cloud.auth.credentials import AccessKey, Credentials, Password
from fleetos.cloud.auth.grant import Grant, find_endpoint, regions_of
from fleetos.cloud.auth.known_clouds import derive_origin, domain_of, iam_of
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

# Letters at the end of an access key that identify it to people.
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
    """Log in with the credentials and yield the client; leaving closes its connections.

    `env` may name proxies, and endpoints that override the catalog. `inner` replaces the sockets, for a simulated cloud
    in the same process. Raise AuthenticationFailed, PermissionDenied, CloudUnreachable, and UsageError for an address
    that is not acceptable.
    """
    async with open_session(credentials, clock=clock, chance=chance, limits=limits, env=env, inner=inner) as session:
        place = project_endpoints(await session.login(), with_overrides(credentials, env))
        if isinstance(credentials.proof, AccessKey):
            await _try_access_key(session, place)
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
    """Yield a session that has not logged in yet; parameters as for `open_cloud`. Raise UsageError."""
    address, _ = iam_address(with_overrides(credentials, env))
    context = _tls(credentials) if inner is None else None
    async with open_transport(proxies=proxies_from(env), context=context, inner=inner) as transport:
        throttle = Throttle(limits, lambda: clock.moment().elapsed_s, chance)
        transport.on_simulated = lambda simulated: throttle.set_rates(loopback=simulated)
        yield Session(Login(credentials, address, transport, throttle, clock), transport, throttle, clock, chance)


def iam_address(credentials: Credentials) -> tuple[str | None, Origin | None]:
    """Return the address of IAM and its origin, None if unknown. Raise UsageError if it is not acceptable."""
    address = credentials.auth_url or iam_of(_host_region(credentials) or "")
    return address, parse_origin(address, "auth_url", insecure_http=credentials.insecure_http) if address else None


def _host_region(credentials: Credentials) -> str | None:
    """Return the region that hosts may be derived from; None if an endpoint is outside the domain of the region."""
    domain = domain_of(credentials.region or "")
    if credentials.auth_url is None and domain is not None:
        for service, address in credentials.endpoints.items():
            origin = parse_origin(address, f"the {service} endpoint", insecure_http=credentials.insecure_http)
            if not origin.host.endswith(f".{domain}"):
                return None
    return credentials.region


def with_overrides(credentials: Credentials, env: Mapping[str, str]) -> Credentials:
    """Return the credentials with the endpoints that environment variables override."""
    overrides = {service: env[name] for service, name in _ENDPOINT_VARIABLES.items() if env.get(name)}
    return replace(credentials, endpoints={**credentials.endpoints, **overrides})


async def _try_access_key(session: Session, place: ProjectEndpoints) -> None:
    """Send one request alone: a key that the cloud does not accept is then refused once, not once per first request."""
    path = f"/v1/{place.project_id}/cloudservers/detail"
    await session.read(ReadRequest("list", place.ecs, path, "the access key", {"limit": "1", "offset": "1"}))


def project_endpoints(grant: Grant, credentials: Credentials) -> ProjectEndpoints:
    """Return the endpoints of the project. Raise UsageError if one that fleetos needs cannot be found."""
    proof = credentials.proof
    return ProjectEndpoints(
        project_id=grant.project_id,
        region=credentials.region,
        user_id=grant.user_id,
        ecs=_require_origin(grant, credentials, "ecs"),
        ims=_require_origin(grant, credentials, "ims"),
        evs=_find_origin(grant, credentials, "evs"),
        kms=_find_origin(grant, credentials, "kms"),
        eps=_find_origin(grant, credentials, "eps"),
        project=grant.project_name or credentials.project_name,
        domain=grant.domain_name or credentials.project_domain_name,
        user=grant.user_name or (proof.username if isinstance(proof, Password) else None),
        access_key=f"…{proof.access[-_KEY_SHOWN:]}" if isinstance(proof, AccessKey) else None,
    )


def _find_origin(grant: Grant, credentials: Credentials, service: str) -> Origin | None:
    origin = find_endpoint(grant, credentials, service)
    if origin is None and isinstance(credentials.proof, AccessKey):
        return derive_origin(service, _host_region(credentials), credentials.auth_url)
    return origin


def _require_origin(grant: Grant, credentials: Credentials, service: str) -> Origin:
    origin = _find_origin(grant, credentials, service)
    if origin is not None:
        return origin
    in_region = f" in region {credentials.region}" if credentials.region else ""
    remedies = f"set {service}_endpoint_override in the cloud's entry, or {_ENDPOINT_VARIABLES[service]}"
    if isinstance(credentials.proof, AccessKey):
        # A signed request identifies the user, so a host is guessed only in the domain of the given address.
        found_in, problem = credentials.found_in or "the credentials", f"nothing says where {service} is{in_region}"
        expected = f"{problem}: an access key brings no catalog, and a host is guessed in the domain of auth_url alone"
        hint = f"{remedies}; or give a region and an auth_url such as https://iam.REGION.DOMAIN/v3"
        raise InputError((Problem(found_in, None, None, "", expected, hint),))
    raise UsageError(
        f"the cloud's catalog has no {service} endpoint{in_region}",
        f"regions in the catalog: {regions_of(grant.catalog)}; or {remedies}",
    )


def _tls(credentials: Credentials) -> ssl.SSLContext:
    try:
        return tls_context(credentials.authorities, verify=credentials.verify)
    except OSError as error:
        raise UsageError(
            f"the certificates in {credentials.authorities} cannot be used: {error.strerror or error}",
            "OS_CACERT and cacert name a file of PEM certificates",
        ) from None
