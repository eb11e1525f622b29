"""What the simulated cloud answers by the native APIs of OpenStack, and what IMS and IAM answer, as types.

The sources are the API pages that the makers of the pictures name.
"""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from fleetos.sim.wire.response_types import AddressFields, FaultShown, LinkShown, ServerFields


class NativeAddress(AddressFields):
    """An address of a server, as Nova shows it."""

    version: int


class Linked(TypedDict):
    """A thing that is named by its id and where it is."""

    id: str
    links: list[LinkShown]


class NativeVolume(TypedDict):
    """A disk of a server, as Nova shows it."""

    id: str
    delete_on_termination: bool


_Attached = TypedDict("_Attached", {"os-extended-volumes:volumes_attached": list[NativeVolume]})


class NativeServer(ServerFields, _Attached):
    """A server as Nova shows it."""

    image: Linked | Literal[""]
    flavor: Linked
    links: list[LinkShown]
    addresses: dict[str, list[NativeAddress]]
    fault: NotRequired[FaultShown]


class NativeServersAnswer(TypedDict):
    """A page of servers; the link is there when there are more."""

    servers: list[NativeServer]
    servers_links: NotRequired[list[LinkShown]]


class ImagesAnswer(TypedDict):
    """A page of images. What an image shows depends on its kind: see `fleetos.sim.scenario.images`."""

    images: list[dict[str, object]]


class NativeImagesAnswer(TypedDict):
    """A page of images as Glance answers it; `next` is there when there are more."""

    images: list[dict[str, object]]
    schema: str
    first: str
    next: NotRequired[str]


class ImageVersion(TypedDict):
    """A version of the image API."""

    id: str
    status: str
    links: list[LinkShown]


class VersionsAnswer(TypedDict):
    """The versions of the image API."""

    versions: list[ImageVersion]


class MediaType(TypedDict):
    """How a version of an API writes."""

    base: str
    type: str


VersionShown = TypedDict(
    "VersionShown",
    {
        "id": str,
        "status": str,
        "media-types": list[MediaType],
        "version": NotRequired[str],
        "min_version": NotRequired[str],
        "updated": str,
        "links": list[LinkShown],
    },
)


class VersionAnswer(TypedDict):
    """A version of an API."""

    version: VersionShown


class DomainShown(TypedDict):
    """The domain of a user or a project."""

    id: str
    name: str


class UserShown(TypedDict):
    """The user whom a token is for."""

    id: str
    name: str
    domain: DomainShown
    password_expires_at: str


class ProjectShown(TypedDict):
    """The project that a token is for."""

    id: str
    name: str
    domain: DomainShown


class RoleShown(TypedDict):
    """What the user may be in the project."""

    id: str
    name: str


class EndpointShown(TypedDict):
    """Where a service is."""

    id: str
    interface: str
    region: str
    region_id: str
    url: str


class ServiceShown(TypedDict):
    """A service of the catalog."""

    type: str
    name: str
    id: str
    endpoints: list[EndpointShown]


class TokenShown(TypedDict):
    """What a token is for, until when, and where the services are."""

    methods: list[str]
    issued_at: str
    expires_at: str
    user: UserShown
    project: ProjectShown
    roles: list[RoleShown]
    catalog: NotRequired[list[ServiceShown]]


class TokenAnswer(TypedDict):
    """What goes with a token, which itself is in the header X-Subject-Token."""

    token: TokenShown


class CredentialShown(TypedDict):
    """An access key without its secret."""

    user_id: str
    access: str
    status: str
    create_time: str
    last_use_time: str
    description: str


class CredentialAnswer(TypedDict):
    """One access key."""

    credential: CredentialShown


class OwnLink(TypedDict):
    """Where a thing itself is."""

    self: str


class ProjectListed(TypedDict):
    """A project in a list of them."""

    id: str
    name: str
    description: str
    domain_id: str
    parent_id: str
    is_domain: bool
    enabled: bool
    links: OwnLink


class ProjectsAnswer(TypedDict):
    """The projects that the asker may use."""

    projects: list[ProjectListed]
    links: OwnLink
