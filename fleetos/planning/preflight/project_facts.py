"""Facts of a project: images, disks, flavors, quotas, keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetos.model.inventory import Disks, Flavor, Image, KeyState, Quota


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of the project that could not be read."""

    what: str
    why: str
    lost: str
    """Checks that are left out because of it."""
    denied: bool = False
    """The user lacks a permission."""


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """Facts of a project. None: not read, so nothing is checked."""

    images: Mapping[str, Image] = field(default_factory=dict[str, Image])
    """All known images, by id."""
    disks: Disks | None = None
    flavors: Mapping[str, Flavor] | None = None
    disk_quota: Quota | None = None
    server_quota: Quota | None = None
    keys: Mapping[str, KeyState] = field(default_factory=dict[str, KeyState])
    """States, by id, of the encryption keys that were asked for and that the cloud told."""
    unread: tuple[Unread, ...] = ()
    key_pairs_unread: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why key pairs whose owner the plan names could not be looked up, by name."""


NOTHING_KNOWN = ProjectFacts()
