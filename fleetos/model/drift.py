"""Drift: which servers of a plan do not run the image that it names, told without changing anything."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fleetos.model.findings import Finding
from fleetos.model.inventory import Image


class DriftState(StrEnum):
    """How a server stands to the image that its plan names. The values are public."""

    DRIFTED = "drifted"
    UNKNOWN = "unknown"
    SAME = "same"


class Cause(StrEnum):
    """Why a server does not count as running its image. The values are public."""

    # It drifted: the image that it runs is older or newer of the same kind, or of another kind.
    OLDER = "older-image"
    NEWER = "newer-image"
    OTHER = "other-image"
    # What it runs is unknown.
    DELETED = "deleted"
    FROZEN = "frozen"
    UNSETTLED = "unsettled"
    NO_IMAGE = "no-image"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class LastChange:
    """The latest change of a server that is known to have succeeded: its run, when it ended (UTC), and its image."""

    run_id: str
    at: datetime
    image_id: str


@dataclass(frozen=True, slots=True)
class ServerDrift:
    """One server beside the image that it should run.

    `wanted` None: the plan installs again whatever it runs. `image_id` None: the cloud shows none; `image_name` is what
    is known of its name. `last` is None for a server that runs its image, and where the database knows no change of it.
    """

    server_id: str
    name: str
    verdict: DriftState
    wanted: Image | None
    image_id: str | None = None
    image_name: str | None = None
    cause: Cause | None = None
    last: LastChange | None = None

    @property
    def as_left(self) -> bool:
        """Whether it runs the image that its last change has left."""
        return self.last is not None and self.last.image_id == self.image_id


@dataclass(frozen=True, slots=True)
class Drift:
    """All servers of a plan, in its order. `images` are those that it names, by its words for them."""

    servers: tuple[ServerDrift, ...]
    images: Mapping[str, Image] = field(default_factory=dict[str, Image])
    findings: tuple[Finding, ...] = ()

    @property
    def counts(self) -> Mapping[DriftState, int]:
        """How many servers come to which verdict."""
        return Counter(one.verdict for one in self.servers)
