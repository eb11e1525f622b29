"""Where requests go: origins of services, what is this machine itself, and which proxy stands in between."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import httpx

from fleetos.errors import UsageError

# What a port is, and the longest name that a name server knows (RFC 1035).
_PORT_MAX = 65535
_HOST_CHARS = 253


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a service, all that is taken from an address: paths are our own."""

    scheme: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if self.port is None else f"{self.scheme}://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)


def parse_origin(address: str, what: str, *, insecure_http: bool = False) -> Origin:
    """Return the origin of an address. `what` names it in errors.

    Raises UsageError for what is no http(s) address, for one with a user name in it, and for plain http to another
    machine unless `insecure_http`.
    """
    url = _url(address.strip())
    if url is None:
        raise UsageError(f"{what} is not an address", "write it as https://host or https://host:port")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise UsageError(
            f"{what} is not an http(s) address without a user name", "write it as https://host or https://host:port"
        )
    if url.scheme == "http" and not insecure_http and not is_loopback(url.host):
        raise UsageError(
            f"{what} is plain http to another machine, where the password and every token could be read on the way",
            "use https, or set insecure_http: true in the cloud's entry if you mean it",
        )
    return Origin(url.scheme, url.host, url.port)


def _url(address: str) -> httpx.URL | None:
    """The address, if it is one: its host can be read, which the library does late, and its port can be there."""
    try:
        url = httpx.URL(address)
        host, port = url.host, url.port
    except (httpx.InvalidURL, ValueError):
        return None
    readable = len(host) <= _HOST_CHARS and host.isprintable() and (port is None or 0 < port <= _PORT_MAX)
    return url if readable else None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its very name or number; no name is looked up."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy for https (and, where it is allowed, http) addresses, and the hosts that are reached without it.

    Loopback is never proxied. `user` is "name:password".
    """

    address: str | None = None
    direct: tuple[str, ...] = ()
    user: str | None = field(default=None, repr=False)

    def headers(self) -> dict[str, str]:
        """Return the headers by which the proxy knows the user."""
        if self.user is None:
            return {}
        return {"Proxy-Authorization": f"Basic {b64encode(self.user.encode()).decode()}"}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no error may quote of a proxy."""
        if self.user is None:
            return ()
        return (self.user, self.user.partition(":")[2])

    def for_host(self, host: str) -> str | None:
        """Return the proxy's address for a host, None for a direct connection."""
        if self.address is None or is_loopback(host) or any(_covers(entry, host) for entry in self.direct):
            return None
        return self.address


def proxies_from(env: Mapping[str, str]) -> Proxies:
    """Return the proxies that HTTPS_PROXY and NO_PROXY (or their lower-case forms) ask for.

    Raises UsageError for a proxy that is no http(s) address.
    """
    address = env.get("https_proxy") or env.get("HTTPS_PROXY")
    if not address:
        return Proxies()
    if "://" not in address:
        address = f"http://{address}"
    url = _url(address)
    if url is None:
        raise UsageError("HTTPS_PROXY is not an address", "write it as http://host:port")
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError("HTTPS_PROXY is not an http(s) proxy", "write it as http://host:port")
    listed = env.get("no_proxy") or env.get("NO_PROXY") or ""
    direct = tuple(entry.strip().lower() for entry in listed.split(",") if entry.strip())
    user = f"{url.username}:{url.password}" if url.userinfo else None
    return Proxies(str(url.copy_with(username=None, password=None)), direct, user)


def _covers(entry: str, host: str) -> bool:
    """Whether an entry of NO_PROXY is about a host: `*`, a domain and all below it, an address, or a network."""
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        pass
    domain = entry.lstrip("*").lstrip(".").rpartition(":")[0] if _has_port(entry) else entry.lstrip("*").lstrip(".")
    return bool(domain) and (host.lower() == domain or host.lower().endswith(f".{domain}"))


def _has_port(entry: str) -> bool:
    name, colon, port = entry.rpartition(":")
    return bool(colon) and port.isdigit() and ":" not in name
