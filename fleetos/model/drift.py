"""Drift: the servers of a plan that do not run the image that it names for them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fleetos.model.findings import Finding
from fleetos.model.inventory import Image


class DriftState(StrEnum):
    """Comparison of a server with the image that its plan names. The values are public."""

    DRIFTED = "drifted"
    UNKNOWN = "unknown"
    SAME = "same"


class Cause(StrEnum):
    """Cause why a server does not count as running its image. The values are public."""

    # The server drifted: it runs an older or newer image of the same kind, or one of another kind.
    OLDER = "older-image"
    NEWER = "newer-image"
    OTHER = "other-image"
    # The image that the server runs is unknown.
    DELETED = "deleted"
    FROZEN = "frozen"
    UNSETTLED = "unsettled"
    NO_IMAGE = "no-image"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class LastChange:
    """Latest change of a server that is known to have succeeded: its run, its end (UTC) and its image."""

    run_id: str
    at: datetime
    image_id: str


@dataclass(frozen=True, slots=True)
class ServerDrift:
    """One server compared with the image that it should run."""

    server_id: str
    name: str
    verdict: DriftState
    wanted: Image | None
    """The image that the plan names; None: the plan reinstalls the image that the server runs."""
    image_id: str | None = None
    """The image that the server runs; None: the cloud shows none."""
    image_name: str | None = None
    """Name of that image, as far as it is known."""
    cause: Cause | None = None
    last: LastChange | None = None
    """None for a server that runs its image, and where the database knows no change of the server."""

    @property
    def as_left(self) -> bool:
        """True if the server runs the image that its last change installed."""
        return self.last is not None and self.last.image_id == self.image_id


@dataclass(frozen=True, slots=True)
class Drift:
    """All servers of a plan, in its order. `images` maps each name of an image in the plan to that image."""

    servers: tuple[ServerDrift, ...]
    images: Mapping[str, Image] = field(default_factory=dict[str, Image])
    findings: tuple[Finding, ...] = ()

    @property
    def counts(self) -> Mapping[DriftState, int]:
        """Number of servers with each verdict."""
        return Counter(server.verdict for server in self.servers)
