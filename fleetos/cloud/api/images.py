"""Image service (IMS API, "querying images")."""

from collections.abc import Mapping

from fleetos.cloud.api.decode import read_image
from fleetos.cloud.api.reads import ALL_GRANTED, GrantedReads, parse_response
from fleetos.cloud.http.addresses import Origin
from fleetos.cloud.http.json_fields import parts
from fleetos.cloud.session import ReadRequest, Session
from fleetos.errors import PermissionDenied, ReadRefused
from fleetos.model.inventory import Image

# Images on one page (IMS, "querying images": 500 by default), and pages: clouds have some hundred images.
IMAGE_PAGE = 500
IMAGE_PAGES = 4


class Images:
    """Images that the project may use."""

    def __init__(self, session: Session, origin: Origin) -> None:
        self._reads = GrantedReads(session)
        self._origin = origin

    async def all(self) -> tuple[tuple[Image, ...], bool]:
        """Return the images that the project may use, and whether the list is complete. Raise CloudError."""
        images: dict[str, Image] = {}
        marker: dict[str, str] = {}
        for _ in range(IMAGE_PAGES):
            page = await self._ask({"limit": str(IMAGE_PAGE), **marker}, "the list of images")
            new = [image for image in page if image.id not in images]
            images.update((image.id, image) for image in new)
            if len(page) < IMAGE_PAGE or not new:
                return tuple(images.values()), True
            marker = {"marker": page[-1].id}
        return tuple(images.values()), False

    async def by_id(self, image_id: str) -> Image | None:
        """Return the image with that id, whatever its status; None if there is none. Raise CloudError."""
        images = await self._find({"id": image_id, "limit": "1"}, f"image {image_id}")
        return next((image for image in images if image.id == image_id), None)

    async def named(self, name: str) -> tuple[Image, ...]:
        """Return the active images with exactly that name. Raise CloudError."""
        images = await self._find({"name": name, "status": "active"}, f"image {name!r}")
        return tuple(image for image in images if image.name == name and image.status == "active")

    async def _find(self, params: Mapping[str, str], about: str) -> tuple[Image, ...]:
        images = await self._ask(params, about)
        if images or self._reads.narrowed:
            return images
        try:
            # Images of other enterprise projects are hidden unless asked for (as the vendor's terraform provider does).
            return await self._ask({**params, **ALL_GRANTED}, about)
        except (ReadRefused, PermissionDenied):
            # Not every cloud has enterprise projects, and not every user may see all of them.
            return ()

    async def _ask(self, params: Mapping[str, str], about: str) -> tuple[Image, ...]:
        response = await self._reads.read(ReadRequest("image", self._origin, "/v2/cloudimages", about, params))
        return parse_response(about, response, lambda fields: tuple(map(read_image, parts(fields, "images"))))
