"""Types of the responses of the native OpenStack APIs, IMS and IAM.

The functions that build the responses name the API pages.
"""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from fleetos.sim.wire.response_types import AddressFields, FaultShown, LinkShown, ServerFields


class NativeAddress(AddressFields):
    """An address of a server, as Nova shows it."""

    version: int


class Linked(TypedDict):
    """Reference by id and links."""

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
    """A page of servers, with a link if there are more."""

    servers: list[NativeServer]
    servers_links: NotRequired[list[LinkShown]]


class ImagesAnswer(TypedDict):
    """A page of images. The fields depend on the kind of the image: see `fleetos.sim.scenario.images`."""

    images: list[dict[str, object]]


class NativeImagesAnswer(TypedDict):
    """A page of images as Glance shows it, with `next` if there are more."""

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
    """Media type of an API version."""

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
    """Role of the user in the project."""

    id: str
    name: str


class EndpointShown(TypedDict):
    """Address of a service."""

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
    """User, project, expiry and service catalog of a token."""

    methods: list[str]
    issued_at: str
    expires_at: str
    user: UserShown
    project: ProjectShown
    roles: list[RoleShown]
    catalog: NotRequired[list[ServiceShown]]


class TokenAnswer(TypedDict):
    """Description of a token. The token itself is in the header X-Subject-Token."""

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
    """Link of a resource to itself."""

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
    """The projects that the user may use."""

    projects: list[ProjectListed]
    links: OwnLink
