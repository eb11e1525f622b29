"""What preflight knows of a project beside its servers, the images of the plan and the key pairs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetos.model.inventory import Disks, Flavor, Image, KeyState, Quota


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read, and why; `denied`: for want of a permission. `lost` is what is not checked for that."""

    what: str
    why: str
    lost: str
    denied: bool = False


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """The project around its servers. `images` are all that are known, by id; None: not read, so nothing is checked.

    `keys` are the states of those encryption keys that were asked for and told, by id. `key_pairs_unread` says why key
    pairs of which the plan says whose they are could not be looked up, by name.
    """

    images: Mapping[str, Image] = field(default_factory=dict[str, Image])
    disks: Disks | None = None
    flavors: Mapping[str, Flavor] | None = None
    disk_quota: Quota | None = None
    server_quota: Quota | None = None
    keys: Mapping[str, KeyState] = field(default_factory=dict[str, KeyState])
    unread: tuple[Unread, ...] = ()
    key_pairs_unread: Mapping[str, str] = field(default_factory=dict[str, str])


NOTHING_KNOWN = ProjectFacts()
