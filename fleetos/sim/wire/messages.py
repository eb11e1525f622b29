"""Requests and responses of the simulated cloud, before sockets."""

from collections.abc import Mapping
from dataclasses import dataclass

# A response header that tells clients that the cloud is simulated.
SIMULATED = ("X-Simulated-Cloud", "fleetos")


@dataclass(frozen=True, slots=True)
class SimRequest:
    """HTTP request."""

    method: str
    path: str
    """Decoded, without query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names are in lower case."""
    body: bytes
    target: str = ""
    """Raw path and query, which a signature covers."""


@dataclass(frozen=True, slots=True)
class SimResponse:
    """Response that reaches the client."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """End of the connection without a response: a reset, or an orderly close (`reset=False`)."""

    reset: bool = True


@dataclass(frozen=True, slots=True)
class Hang:
    """Silence for `seconds`, then a cut."""

    seconds: float


@dataclass(frozen=True, slots=True)
class NeverSent:
    """Request that never left the client. A real socket is connected already, so there it is a cut."""


Ending = SimResponse | Cut | Hang | NeverSent


@dataclass(frozen=True, slots=True)
class WireOutcome:
    """End of a request, after the client has waited `delay_s`. Its effect on the world has already happened."""

    ending: Ending
    delay_s: float = 0.0
