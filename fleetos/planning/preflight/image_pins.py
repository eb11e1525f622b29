"""Resolve image names to ids. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from fleetos.errors import Problem
from fleetos.limits import CANDIDATES_LISTED
from fleetos.model.inventory import Image
from fleetos.model.plan import ChangeSpec, SourcePosition
from fleetos.names import Suggestions, shown

ACTIVE = "active"
# The cloud makes system disks of these images only (IMS API, field virtual_env_type; error Ecs.0007).
_FOR_DISKS = "FusionCompute"


class ImagePins:
    """Resolver from the plan's words for images to images.

    `images` are all that were read for the plan, `others` are more known images to suggest.
    """

    def __init__(self, images: Sequence[Image], others: Iterable[Image] = ()) -> None:
        self._images = images
        self._others = others
        self._pinned: dict[str, Image] = {}
        self._refused: dict[Problem, None] = {}

    @property
    def pinned(self) -> Mapping[str, Image]:
        """The images resolved so far, by the plan's words for them."""
        return self._pinned

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems of the words so far, each once."""
        return tuple(self._refused)

    def resolve(self, change: ChangeSpec, server: SourcePosition) -> Image | None:
        """Return the image that a change names, by id or else by name.

        Return None and keep a problem at its key, or at the server, if it is not one usable image.
        """
        written = change.image or ""
        if written in self._pinned:
            return self._pinned[written]
        named = [image for image in self._images if image.id == written]
        named = named or [image for image in self._images if image.name == written]
        active = [image for image in named if image.status == ACTIVE]
        fault = image_fault(active[0]) if len(active) == 1 else None
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
            hint = self._suggest(written)
        self._refused[change.places.get("image", server).fault(text, hint)] = None
        return None

    def _suggest(self, written: str) -> str | None:
        """Suggest the images with a similar name; if there are none, list all if they are few."""
        return suggest_names(written, {image.name for image in self._others if image.status == ACTIVE})


def suggest_names(written: str, names: Collection[str]) -> str | None:
    """Return a hint that asks for a similar name, or that lists all names if they are few; else None."""
    meant = Suggestions(sorted(names)).did_you_mean(written)
    if meant is None and 0 < len(names) <= CANDIDATES_LISTED:
        return f"there are: {', '.join(map(shown, sorted(names)))}"
    return meant


def image_fault(image: Image) -> tuple[str, str] | None:
    """Return what is expected of an active image, and how this one fails that; None if it does not."""
    if image.virtual_env_type not in (None, _FOR_DISKS):
        return "an image for system disks", f"is one for {image.virtual_env_type}"
    if image.member_status not in (None, "accepted"):
        return "an image that we may use", f"is shared with us and {image.member_status}: accept it first"
    if image.withdrawn:
        return "an image that is still offered", "was withdrawn from the marketplace"
    return None
