"""Origins, loopback and proxies."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import httpx

from fleetos.errors import UsageError

# The highest port, and the longest name in DNS (RFC 1035).
_PORT_MAX = 65535
_HOST_CHARS = 253


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a service. The path of a configured address is ignored: fleetos has its own paths."""

    scheme: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if self.port is None else f"{self.scheme}://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """True if the origin is on this machine."""
        return is_loopback(self.host)


def parse_origin(address: str, name: str, *, insecure_http: bool = False) -> Origin:
    """Return the origin of an address. `name` is its name in errors.

    Raise UsageError for anything but an http(s) address, for one with a user name in it, and for plain http to another
    machine unless `insecure_http`.
    """
    url = _parse_url(address.strip())
    if url is None:
        raise UsageError(f"{name} is not an address", "write it as https://host or https://host:port")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise UsageError(
            f"{name} is not an http(s) address without a user name", "write it as https://host or https://host:port"
        )
    if url.scheme == "http" and not insecure_http and not is_loopback(url.host):
        raise UsageError(
            f"{name} is plain http to another machine, where the password and every token could be read on the way",
            "use https, or set insecure_http: true in the cloud's entry if you mean it",
        )
    return Origin(url.scheme, url.host, url.port)


def _parse_url(address: str) -> httpx.URL | None:
    """Parse an address; return None if its host or port is invalid, which httpx checks late or not at all."""
    try:
        url = httpx.URL(address)
        host, port = url.host, url.port
    except (httpx.InvalidURL, ValueError):
        return None
    readable = len(host) <= _HOST_CHARS and host.isprintable() and (port is None or 0 < port <= _PORT_MAX)
    return url if readable else None


def is_loopback(host: str) -> bool:
    """Return whether a host is `localhost` or a loopback address; no name is resolved."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxy for https (and, where it is allowed, http) addresses, and the hosts that are reached without it.

    Requests to loopback never use the proxy. `user` is "name:password".
    """

    address: str | None = None
    direct: tuple[str, ...] = ()
    user: str | None = field(default=None, repr=False)

    def headers(self) -> dict[str, str]:
        """Return the headers that authenticate the user to the proxy."""
        if self.user is None:
            return {}
        return {"Proxy-Authorization": f"Basic {b64encode(self.user.encode()).decode()}"}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets of the proxy, which no error may quote."""
        if self.user is None:
            return ()
        return (self.user, self.user.partition(":")[2])

    def for_host(self, host: str) -> str | None:
        """Return the proxy's address for a host, None for a direct connection."""
        if self.address is None or is_loopback(host) or any(_covers(entry, host) for entry in self.direct):
            return None
        return self.address


def proxies_from(env: Mapping[str, str]) -> Proxies:
    """Return the proxies that HTTPS_PROXY and NO_PROXY (or their lower-case forms) name.

    Raise UsageError for a proxy that is not an http(s) address.
    """
    address = env.get("https_proxy") or env.get("HTTPS_PROXY")
    if not address:
        return Proxies()
    if "://" not in address:
        address = f"http://{address}"
    url = _parse_url(address)
    if url is None:
        raise UsageError("HTTPS_PROXY is not an address", "write it as http://host:port")
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError("HTTPS_PROXY is not an http(s) proxy", "write it as http://host:port")
    listed = env.get("no_proxy") or env.get("NO_PROXY") or ""
    direct = tuple(entry.strip().lower() for entry in listed.split(",") if entry.strip())
    user = f"{url.username}:{url.password}" if url.userinfo else None
    return Proxies(str(url.copy_with(username=None, password=None)), direct, user)


def _covers(entry: str, host: str) -> bool:
    """Return whether an entry of NO_PROXY covers a host: `*`, a domain and its subdomains, an address, a network."""
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
