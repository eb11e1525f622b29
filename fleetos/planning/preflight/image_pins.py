"""From a plan's words for images to images. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from fleetos.errors import Problem
from fleetos.limits import CANDIDATES_LISTED
from fleetos.model.inventory import Image
from fleetos.model.plan import ChangeSpec, SourcePosition
from fleetos.names import Suggestions, shown

ACTIVE = "active"
# The only images that a system disk is made of (IMS API, field virtual_env_type; error Ecs.0007).
_FOR_DISKS = "FusionCompute"


class Pinning:
    """Finds the one image that each word of a plan means.

    `images` are all that were found for the plan, `others` those that are known besides, to suggest one of them.
    """

    def __init__(self, images: Sequence[Image], others: Iterable[Image] = ()) -> None:
        self._images = images
        self._others = others
        self._pinned: dict[str, Image] = {}
        self._refused: dict[Problem, None] = {}

    @property
    def pinned(self) -> Mapping[str, Image]:
        """The images found so far, by the plan's words for them."""
        return self._pinned

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the words so far, each once."""
        return tuple(self._refused)

    def image(self, change: ChangeSpec, server: SourcePosition) -> Image | None:
        """The image that a change names, by id or else by name; None with a problem at its key, or at the server."""
        written = change.image or ""
        if written in self._pinned:
            return self._pinned[written]
        named = [image for image in self._images if image.id == written]
        named = named or [image for image in self._images if image.name == written]
        active = [image for image in named if image.status == ACTIVE]
        fault = fault_of(active[0]) if len(active) == 1 else None
        hint = None
        if fault is not None:
            text = f"{shown(written)} {fault[1]}"
            hint = f"choose {fault[0]}"
        elif len(active) == 1:
            self._pinned[written] = active[0]
            return active[0]
        elif active:
            text = f"{len(active):,} active images are called {shown(written)}"
            hint = f"use an id: {', '.join(image.id for image in active[:CANDIDATES_LISTED])}"
        elif named:
            text = f"image {shown(written)} is {', '.join(sorted({image.status for image in named}))}, not active"
        else:
            text = f"no image {shown(written)} is visible to this project"
            hint = self._suggested(written)
        self._refused[change.places.get("image", server).fault(text, hint)] = None
        return None

    def _suggested(self, written: str) -> str | None:
        """The images whose names come near, else the few that there are."""
        return candidates(written, {image.name for image in self._others if image.status == ACTIVE})


def candidates(written: str, names: Collection[str]) -> str | None:
    """Return the question whether one of the names was meant, or all of them if they are few."""
    meant = Suggestions(sorted(names)).meant(written)
    if meant is None and 0 < len(names) <= CANDIDATES_LISTED:
        return f"there are: {', '.join(map(shown, sorted(names)))}"
    return meant


def fault_of(image: Image) -> tuple[str, str] | None:
    """What is expected of an active image, and why this one is not so; None if it is."""
    if image.virtual_env_type not in (None, _FOR_DISKS):
        return "an image for system disks", f"is one for {image.virtual_env_type}"
    if image.member_status not in (None, "accepted"):
        return "an image that we may use", f"is shared with us and {image.member_status}: accept it first"
    if image.withdrawn:
        return "an image that is still offered", "was withdrawn from the marketplace"
    return None
