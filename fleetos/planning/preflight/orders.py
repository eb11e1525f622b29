"""What each server gets, resolved: image names pinned to ids, the API chosen, paths absolute."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from fleetos.errors import Problem
from fleetos.limits import SERVERS_NAMED
from fleetos.model.inventory import Image, Inventory, Server
from fleetos.model.plan import ApiChoice, ChangeSpec, Plan, SecretRef, ServerRef, SourcePosition, UserDataRef
from fleetos.model.preview import ImageChoice
from fleetos.model.run import Order
from fleetos.names import shown
from fleetos.planning.preflight.image_pins import ACTIVE, Pinning, candidates, fault_of
from fleetos.planning.preflight.server_selection import select
from fleetos.planning.settings import CloudFacts
from fleetos.text import join_some

WINDOWS = "Windows"
_NO_IMAGE = Image("", "unknown", "unknown")


def images_wanted(plan: Plan) -> frozenset[str]:
    """The ids and names of images that the plan mentions, as written."""
    mentioned = (plan.change.image, *(server.change.image for server in plan.servers))
    return frozenset(image for image in mentioned if image is not None)


def keys_wanted(plan: Plan, images: Collection[Image]) -> frozenset[str]:
    """The ids of the encryption keys that the plan names, and of those of the images that are encrypted."""
    named = (change.metadata or {} for change in (plan.change, *(server.change for server in plan.servers)))
    wanted = (*(metadata.get("__system__cmkid") for metadata in named), *(image.key_id for image in images))
    return frozenset(key_id for key_id in wanted if key_id is not None)


def names_key_pair(plan: Plan) -> bool:
    """Whether servers get a key pair of which the plan does not say whose it is."""
    return not all(key_pairs_wanted(plan).values())


def key_pairs_wanted(plan: Plan) -> Mapping[str, bool]:
    """The key pairs that servers get, and of each whether the plan always says whose it is."""
    owned: dict[str, bool] = {}
    for change in (server.change.over(plan.change) for server in plan.servers):
        if change.keyname is not None:
            owned[change.keyname] = owned.get(change.keyname, True) and change.userid is not None
    return owned


def images_reinstalled(plan: Plan, inventory: Inventory) -> frozenset[str]:
    """The ids of the images that servers run which the plan reinstalls."""
    if not plan.reinstalls:
        return frozenset()
    found = select(plan, inventory).servers
    running = (server.picture.likely_image for server, ref in found if ref.change.over(plan.change).reinstall)
    return frozenset(image_id for image_id in running if image_id is not None)


def chosen_api(choice: ApiChoice | None, image: Image, facts: CloudFacts) -> Literal["v1", "v2"]:
    """The changeos call for the image.

    Left to choose, it is v2 on Open Telekom Cloud, whose API reference has no other. Elsewhere the image's
    `__support_fc_inject` is read as IMS documents it: "true" means that cloud-init is not supported.
    """
    if choice is ApiChoice.V1:
        return "v1"
    if choice is ApiChoice.V2 or facts.is_otc:
        return "v2"
    return "v1" if image.inject_flag == "true" else "v2"


def why_api(choice: ApiChoice | None, image: Image, facts: CloudFacts) -> str:
    """Why `chosen_api` chooses as it does, as the end of a sentence that begins with the choice."""
    if choice in (ApiChoice.V1, ApiChoice.V2):
        return "the plan says so"
    if facts.is_otc:
        return "Open Telekom Cloud documents no other"
    if image.inject_flag == "true":
        return "image marked as lacking cloud-init: __support_fc_inject"
    return "image not marked as lacking cloud-init"


class Orders:
    """Makes the orders of a plan.

    `used` are the images of the orders made by their ids, those that are reinstalled included, and `choices` the images
    and APIs. `secret_places` says where the secrets of the orders are referred to. `images` are all that were found for
    the plan, `others` those that are known besides. `key_pairs` are the names that the cloud lists for us, None
    if it did not.
    """

    def __init__(
        self,
        plan: Plan,
        images: Sequence[Image],
        key_pairs: Collection[str] | None,
        facts: CloudFacts,
        others: Collection[Image] = (),
    ) -> None:
        self._refused: dict[Problem, None] = {}
        self.used: dict[str, Image] = {}
        self.secret_places: dict[SecretRef | UserDataRef, SourcePosition] = {}
        self.foreign_key_pairs: set[str] = set()
        self.ownerless_key_pairs: set[str] = set()
        self._choices: dict[ImageChoice, None] = {}
        self._plan = plan
        self._folder = plan.path.parent
        self._images = images
        self._pinning = Pinning(images, others)
        self._key_pairs = None if key_pairs is None else frozenset(key_pairs)
        self._facts = facts
        # By identity, which is safe: it holds on to the changes that it knows. One selector means thousands of servers.
        self._changes: dict[int, tuple[ChangeSpec, ChangeSpec]] = {}
        self._made: dict[tuple[int, str | None], Order | None] = {}
        self._imageless: dict[SourcePosition, list[str]] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the orders made so far, each once."""
        imageless = (_imageless(place, names) for place, names in self._imageless.items())
        return (*self._pinning.problems, *self._refused, *imageless)

    @property
    def pinned(self) -> Mapping[str, Image]:
        """The images of the orders made so far, by the plan's words for them."""
        return self._pinning.pinned

    @property
    def choices(self) -> tuple[ImageChoice, ...]:
        """The image and the API of each order made so far, and why it is that one."""
        return tuple(self._choices)

    def image(self, ref: ServerRef) -> Image | None:
        """The image that the servers of an entry are changed to; None with a problem, or where they are reinstalled."""
        change = ref.change.over(self._plan.change)
        return None if change.reinstall else self._pinning.image(change, ref.place)

    def order(self, ref: ServerRef, server: Server) -> Order | None:
        """What a server gets of which the plan says this, or None with a problem."""
        own = ref.change if ref.change.written else self._plan.change
        if id(own) not in self._changes:
            self._changes[id(own)] = (own, own.over(self._plan.change))
        change = self._changes[id(own)][1]
        if change.reinstall and server.unread is not None:
            # It is refused, whatever it runs.
            self.used[_NO_IMAGE.id] = _NO_IMAGE
            return Order(_NO_IMAGE.id, _NO_IMAGE.name, "v2", reinstall=True)
        if change.reinstall and server.picture.likely_image is None:
            self._imageless.setdefault(change.places.get("reinstall", ref.place), []).append(server.name)
            return None
        key = (id(own), server.picture.likely_image if change.reinstall else None)
        if key not in self._made:
            named = self._running if change.reinstall else self._named
            self._made[key] = self._make(change, ref.place, named(change, server, ref.place))
        return self._made[key]

    def _make(self, change: ChangeSpec, server: SourcePosition, image: Image | None) -> Order | None:
        self._check_key_pair(change, server)
        if image is None:
            return None
        self.used[image.id] = image
        api = chosen_api(change.api, image, self._facts)
        if change.user_data is not None and api == "v1":
            expected = f"no user data: image {image.name} is taken for one without cloud-init, so the API is v1"
            self._refuse(change, "user_data", server, expected, "say `api: v2` if the image has cloud-init")
        self._check_login(change, server, image, api)
        self._choices[ImageChoice(image.name, image.id, api, why_api(change.api, image, self._facts))] = None
        return Order(
            image_id=image.id,
            image_name=image.name,
            api=api,
            keyname=change.keyname,
            userid=change.userid or self._owner(change),
            adminpass=self._secret(change, server),
            user_data=self._user_data(change, server),
            metadata=dict(change.metadata or {}),
            reinstall=bool(change.reinstall),
        )

    def _refuse(
        self, change: ChangeSpec, key: str, server: SourcePosition, expected: str, hint: str | None = None
    ) -> None:
        problem = change.places.get(key, server).problem(expected, hint)
        self._refused[problem] = None

    def _check_login(self, change: ChangeSpec, server: SourcePosition, image: Image, api: str) -> None:
        """What API page ecs_02_0202 asks for so that somebody can enter the server afterwards."""
        if image.os_type != WINDOWS:
            return
        if api == "v1" and change.keyname is not None:
            expected = "adminpass: a Windows image without cloud-init takes no key pair"
            self._refuse(change, "keyname", server, expected)
        elif change.keyname is None and change.adminpass is None:
            expected = "adminpass" if api == "v1" else "keyname or adminpass"
            self._refuse(change, "image", server, f"{expected} beside it: {image.name} is Windows, which needs a login")

    def _named(self, change: ChangeSpec, server: Server, place: SourcePosition) -> Image | None:
        del server
        return self._pinning.image(change, place)

    def _running(self, change: ChangeSpec, server: Server, place: SourcePosition) -> Image | None:
        """The image that the server runs, if it can be installed again (ECS API, "reinstalling an ECS OS")."""
        image = next((one for one in self._images if one.id == server.picture.likely_image), None)
        if image is None or image.status != ACTIVE:
            state = "there no longer" if image is None else image.status
            expected = (
                f"servers whose image is active; {server.name} runs {server.picture.likely_image}, which is {state}"
            )
        elif (fault := fault_of(image)) is not None:
            expected = f"servers that run {fault[0]}; {server.name} runs {image.name}, which {fault[1]}"
        else:
            return image
        self._refuse(change, "reinstall", place, expected, "give this one another image, or exclude it")
        return None

    def _check_key_pair(self, change: ChangeSpec, server: SourcePosition) -> None:
        if change.keyname is None or self._key_pairs is None or change.keyname in self._key_pairs:
            return
        if change.userid is not None:
            # The cloud lists only our own key pairs, and this one is said to be of another user.
            self.foreign_key_pairs.add(change.keyname)
            return
        text = f"no key pair {shown(change.keyname)} belongs to the user that fleetos works as"
        near = candidates(change.keyname, self._key_pairs)
        hint = "a key pair of another user needs `userid`"
        problem = change.places.get("keyname", server).fault(text, f"{near} {hint}" if near else hint)
        self._refused[problem] = None

    def _owner(self, change: ChangeSpec) -> str | None:
        """The user to name with a key pair where the login does not do it: a key pair belongs to a user."""
        if change.keyname is None or self._facts.names_user:
            return None
        if self._facts.user_id is None:
            self.ownerless_key_pairs.add(change.keyname)
        return self._facts.user_id

    def _secret(self, change: ChangeSpec, server: SourcePosition) -> SecretRef | None:
        secret = change.adminpass
        if secret is None:
            return None
        if secret.kind == "file":
            secret = SecretRef("file", str(self._folder / secret.where))
        self.secret_places.setdefault(secret, change.places.get("adminpass", server))
        return secret

    def _user_data(self, change: ChangeSpec, server: SourcePosition) -> UserDataRef | None:
        if change.user_data is not None:
            self.secret_places.setdefault(change.user_data, change.places.get("user_data", server))
        return change.user_data


def _imageless(place: SourcePosition, names: Sequence[str]) -> Problem:
    expected = f"servers whose image the cloud shows: it shows none for {join_some(names, SERVERS_NAMED)}"
    return place.problem(expected, "give these an image, or exclude them")


def pins(orders: Orders) -> Mapping[str, str]:
    """The id of each image that the plan mentions, by the plan's word for it."""
    return {written: image.id for written, image in sorted(orders.pinned.items())}
