"""Resolve what each server gets: image id, API, secrets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from fleetos.errors import Problem
from fleetos.limits import SERVERS_NAMED
from fleetos.model.inventory import Image, Inventory, Server
from fleetos.model.plan import ApiChoice, ChangeSpec, Plan, SecretRef, ServerRef, SourcePosition, UserDataRef
from fleetos.model.preview import ImageChoice
from fleetos.model.run import Order
from fleetos.names import shown
from fleetos.planning.preflight.image_pins import ACTIVE, ImagePins, image_fault, suggest_names
from fleetos.planning.preflight.server_selection import select
from fleetos.planning.settings import CloudFacts
from fleetos.text import join_some

WINDOWS = "Windows"
_NO_IMAGE = Image("", "unknown", "unknown")


def images_wanted(plan: Plan) -> frozenset[str]:
    """Return the ids and names of images that the plan mentions, as written."""
    mentioned = (plan.change.image, *(server.change.image for server in plan.servers))
    return frozenset(image for image in mentioned if image is not None)


def keys_wanted(plan: Plan, images: Collection[Image]) -> frozenset[str]:
    """Return the ids of the encryption keys that the plan names and of those that encrypted images use."""
    named = (change.metadata or {} for change in (plan.change, *(server.change for server in plan.servers)))
    wanted = (*(metadata.get("__system__cmkid") for metadata in named), *(image.key_id for image in images))
    return frozenset(key_id for key_id in wanted if key_id is not None)


def names_key_pair(plan: Plan) -> bool:
    """Return whether a server gets a key pair whose owner the plan does not name."""
    return not all(key_pairs_wanted(plan).values())


def key_pairs_wanted(plan: Plan) -> Mapping[str, bool]:
    """Return the key pairs that servers get, and for each whether the plan names its owner everywhere."""
    owned: dict[str, bool] = {}
    for change in (server.change.over(plan.change) for server in plan.servers):
        if change.keyname is not None:
            owned[change.keyname] = owned.get(change.keyname, True) and change.userid is not None
    return owned


def reinstalled_images(plan: Plan, inventory: Inventory) -> frozenset[str]:
    """Return the ids of the images of the servers that the plan reinstalls."""
    if not plan.reinstalls:
        return frozenset()
    servers = select(plan, inventory).servers
    running = (server.snapshot.likely_image for server, ref in servers if ref.change.over(plan.change).reinstall)
    return frozenset(image_id for image_id in running if image_id is not None)


def choose_api(choice: ApiChoice | None, image: Image, facts: CloudFacts) -> Literal["v1", "v2"]:
    """Choose the changeos call for the image.

    If the plan leaves the choice open, it is v2 on Open Telekom Cloud, whose API reference has no other. Elsewhere the
    image's `__support_fc_inject` decides, as IMS documents it: "true" means that cloud-init is not supported.
    """
    if choice is ApiChoice.V1:
        return "v1"
    if choice is ApiChoice.V2 or facts.is_otc:
        return "v2"
    return "v1" if image.inject_flag == "true" else "v2"


def explain_api(choice: ApiChoice | None, image: Image, facts: CloudFacts) -> str:
    """Explain the choice of `choose_api`, as the end of a sentence that begins with the choice."""
    if choice in (ApiChoice.V1, ApiChoice.V2):
        return "the plan says so"
    if facts.is_otc:
        return "Open Telekom Cloud documents no other"
    if image.inject_flag == "true":
        return "image marked as lacking cloud-init: __support_fc_inject"
    return "image not marked as lacking cloud-init"


class Orders:
    """Maker of the orders of a plan.

    `images` are all that were read for the plan, `others` are more known images to suggest. `key_pairs` are the names
    that the cloud lists for our user; None if it listed none of them.
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
        """Images of the orders made so far, by id; images that are installed again included."""
        self.secret_places: dict[SecretRef | UserDataRef, SourcePosition] = {}
        """Where the plan refers to each secret of the orders."""
        self.foreign_key_pairs: set[str] = set()
        self.ownerless_key_pairs: set[str] = set()
        self._choices: dict[ImageChoice, None] = {}
        self._plan = plan
        self._folder = plan.path.parent
        self._images = images
        self._image_pins = ImagePins(images, others)
        self._key_pairs = None if key_pairs is None else frozenset(key_pairs)
        self._facts = facts
        # Keyed by id(): fast for the thousands of servers of one selector, and safe, as the values keep the keys alive.
        self._changes: dict[int, tuple[ChangeSpec, ChangeSpec]] = {}
        self._made: dict[tuple[int, str | None], Order | None] = {}
        self._imageless: dict[SourcePosition, list[str]] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems of the orders made so far, each once."""
        imageless = (_no_image_problem(place, names) for place, names in self._imageless.items())
        return (*self._image_pins.problems, *self._refused, *imageless)

    @property
    def pinned(self) -> Mapping[str, Image]:
        """The images of the orders made so far, by the plan's words for them."""
        return self._image_pins.pinned

    @property
    def choices(self) -> tuple[ImageChoice, ...]:
        """The image and the API of each order made so far, and why the API was chosen."""
        return tuple(self._choices)

    def resolve_image(self, ref: ServerRef) -> Image | None:
        """Return the image that the servers of an entry are changed to.

        Return None if they are reinstalled, or if it does not resolve, which is kept as a problem.
        """
        change = ref.change.over(self._plan.change)
        return None if change.reinstall else self._image_pins.resolve(change, ref.place)

    def make_order(self, ref: ServerRef, server: Server) -> Order | None:
        """Return the order for a server that an entry of the plan names; None if there is a problem, which is kept."""
        spec = ref.change if ref.change.written else self._plan.change
        if id(spec) not in self._changes:
            self._changes[id(spec)] = (spec, spec.over(self._plan.change))
        change = self._changes[id(spec)][1]
        if change.reinstall and server.unread is not None:
            # Preflight refuses the server, whatever it runs.
            self.used[_NO_IMAGE.id] = _NO_IMAGE
            return Order(_NO_IMAGE.id, _NO_IMAGE.name, "v2", reinstall=True)
        if change.reinstall and server.snapshot.likely_image is None:
            self._imageless.setdefault(change.places.get("reinstall", ref.place), []).append(server.name)
            return None
        key = (id(spec), server.snapshot.likely_image if change.reinstall else None)
        if key not in self._made:
            image = (
                self._running_image(change, server, ref.place)
                if change.reinstall
                else self._image_pins.resolve(change, ref.place)
            )
            self._made[key] = self._build_order(change, ref.place, image)
        return self._made[key]

    def _build_order(self, change: ChangeSpec, server: SourcePosition, image: Image | None) -> Order | None:
        self._check_key_pair(change, server)
        if image is None:
            return None
        self.used[image.id] = image
        api = choose_api(change.api, image, self._facts)
        if change.user_data is not None and api == "v1":
            expected = f"no user data: image {image.name} is taken for one without cloud-init, so the API is v1"
            self._refuse(change, "user_data", server, expected, "say `api: v2` if the image has cloud-init")
        self._check_login(change, server, image, api)
        self._choices[ImageChoice(image.name, image.id, api, explain_api(change.api, image, self._facts))] = None
        return Order(
            image_id=image.id,
            image_name=image.name,
            api=api,
            keyname=change.keyname,
            userid=change.userid or self._key_pair_owner(change),
            adminpass=self._resolve_secret(change, server),
            user_data=self._note_user_data(change, server),
            metadata=dict(change.metadata or {}),
            reinstall=bool(change.reinstall),
        )

    def _refuse(
        self, change: ChangeSpec, key: str, server: SourcePosition, expected: str, hint: str | None = None
    ) -> None:
        problem = change.places.get(key, server).problem(expected, hint)
        self._refused[problem] = None

    def _check_login(self, change: ChangeSpec, server: SourcePosition, image: Image, api: str) -> None:
        """Refuse a change after which nobody can log in to the server (API page ecs_02_0202)."""
        if image.os_type != WINDOWS:
            return
        if api == "v1" and change.keyname is not None:
            expected = "adminpass: a Windows image without cloud-init takes no key pair"
            self._refuse(change, "keyname", server, expected)
        elif change.keyname is None and change.adminpass is None:
            expected = "adminpass" if api == "v1" else "keyname or adminpass"
            self._refuse(change, "image", server, f"{expected} beside it: {image.name} is Windows, which needs a login")

    def _running_image(self, change: ChangeSpec, server: Server, place: SourcePosition) -> Image | None:
        """Return the image that the server runs, if it can be installed again (ECS API, "reinstalling an ECS OS")."""
        image = next((candidate for candidate in self._images if candidate.id == server.snapshot.likely_image), None)
        if image is None or image.status != ACTIVE:
            state = "there no longer" if image is None else image.status
            expected = (
                f"servers whose image is active; {server.name} runs {server.snapshot.likely_image}, which is {state}"
            )
        elif (fault := image_fault(image)) is not None:
            expected = f"servers that run {fault[0]}; {server.name} runs {image.name}, which {fault[1]}"
        else:
            return image
        self._refuse(change, "reinstall", place, expected, "give this one another image, or exclude it")
        return None

    def _check_key_pair(self, change: ChangeSpec, server: SourcePosition) -> None:
        if change.keyname is None or self._key_pairs is None or change.keyname in self._key_pairs:
            return
        if change.userid is not None:
            # The cloud lists only our own key pairs, and the plan names another owner.
            self.foreign_key_pairs.add(change.keyname)
            return
        text = f"no key pair {shown(change.keyname)} belongs to the user that fleetos works as"
        suggestion = suggest_names(change.keyname, self._key_pairs)
        hint = "a key pair of another user needs `userid`"
        problem = change.places.get("keyname", server).fault(text, f"{suggestion} {hint}" if suggestion else hint)
        self._refused[problem] = None

    def _key_pair_owner(self, change: ChangeSpec) -> str | None:
        """Return the owner to name with a key pair; None if the login names it, or if it is not known."""
        if change.keyname is None or self._facts.names_user:
            return None
        if self._facts.user_id is None:
            self.ownerless_key_pairs.add(change.keyname)
        return self._facts.user_id

    def _resolve_secret(self, change: ChangeSpec, server: SourcePosition) -> SecretRef | None:
        secret = change.adminpass
        if secret is None:
            return None
        if secret.kind == "file":
            secret = SecretRef("file", str(self._folder / secret.where))
        self.secret_places.setdefault(secret, change.places.get("adminpass", server))
        return secret

    def _note_user_data(self, change: ChangeSpec, server: SourcePosition) -> UserDataRef | None:
        if change.user_data is not None:
            self.secret_places.setdefault(change.user_data, change.places.get("user_data", server))
        return change.user_data


def _no_image_problem(place: SourcePosition, names: Sequence[str]) -> Problem:
    expected = f"servers whose image the cloud shows: it shows none for {join_some(names, SERVERS_NAMED)}"
    return place.problem(expected, "give these an image, or exclude them")


def image_ids(orders: Orders) -> Mapping[str, str]:
    """Return the id of each image that the plan mentions, by the plan's word for it."""
    return {written: image.id for written, image in sorted(orders.pinned.items())}
