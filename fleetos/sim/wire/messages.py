"""What goes into the simulated cloud and what comes out, before any socket is involved."""

from collections.abc import Mapping
from dataclasses import dataclass

# By this header of every answer a client knows that the cloud is a simulated one.
SIMULATED = ("X-Simulated-Cloud", "fleetos")


@dataclass(frozen=True, slots=True)
class SimRequest:
    """One HTTP request. Header names are in lower case; the path is decoded and has no query.

    `target` is path and query as they came, over which a signature is checked.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str = ""


@dataclass(frozen=True, slots=True)
class SimResponse:
    """An answer that reaches the client."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends without an answer: by a reset, or in an orderly way (`reset=False`)."""

    reset: bool = True


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer for `seconds`, then a cut."""

    seconds: float


@dataclass(frozen=True, slots=True)
class NeverSent:
    """The request never left the client. Over a real socket, which is connected by then, this is a cut."""


Ending = SimResponse | Cut | Hang | NeverSent


@dataclass(frozen=True, slots=True)
class WireOutcome:
    """How a request ends, and how long the client waits for that. Its effect on the world has already happened."""

    ending: Ending
    delay_s: float = 0.0
