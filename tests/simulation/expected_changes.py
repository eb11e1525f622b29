"""What each server of a play is to get: the plan for it, and what the cloud must be told word by word.

Both are made here from the same wish, the latter by nothing that fleetos does: what came is held against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

from fleetos.model.plan import ChangeSpec, Plan, SecretRef, ServerRef, SourcePosition, StopMode, UserDataRef
from fleetos.model.steering.rollout import SteeringPlan
from fleetos.sim.scenario.scenario import DEFAULT_KEY, ImageEntry, Scenario
from fleetos.sim.world.ledger import WriteContent
from fleetos.sim.world.servers import SimServer
from fleetos.sim.world.world import World
from tests.simulation.spec import IMAGE, Spec

# Two more images: one like that of the plan, and one that says of itself that it has no cloud-init.
_OTHER_IMAGE, _V1_IMAGE = "Standard_Debian_12_other", "Legacy_Debian_12"
_NO_CLOUD_INIT = "__support_fc_inject"
_IMAGES = (
    ImageEntry(name="Standard_Debian_11_latest"),
    ImageEntry(name=IMAGE),
    ImageEntry(name=_OTHER_IMAGE),
    ImageEntry(name=_V1_IMAGE, flags={_NO_CLOUD_INIT: "true"}),
)
_KEY_PAIRS = ("KeyPair-350b", "KeyPair-second", "KeyPair-third")
_METADATA: tuple[Mapping[str, str], ...] = (
    {},
    {"BYOL": "true"},
    {"__system__encrypted": "1", "__system__cmkid": DEFAULT_KEY},
    {"__system__encrypted": "0"},
    {"note": "the cloud does not know this key"},
)
_FILES = tuple(sorted((Path(__file__).parent / "user_data").glob("*.sh")))
_PLAN = SourcePosition("plan.yaml", None, None, "")


@dataclass(frozen=True, slots=True)
class ExpectedChange:
    """What one server is to get. `image` is a name, None where it gets its own once more."""

    image: str | None = IMAGE
    keyname: str | None = None
    owned: bool = False
    password: int | None = None
    user_data: Path | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


def password(number: int) -> str:
    """Return the password of that number: of letters that JSON may write in two ways, and that an API accepts."""
    return f"Zq7!Canary+pass/{number:04}"


def variable(number: int) -> str:
    """Return the environment variable that holds it."""
    return f"CANARY_{number}"


def diverse(scenario: Scenario) -> Scenario:
    """Return the scenario with all that the wishes of a world speak of in which no two servers get the same."""
    return scenario.model_copy(update={"images": _IMAGES, "key_pairs": _KEY_PAIRS})


def wishes(spec: Spec, world: World, *, again: bool) -> dict[str, ExpectedChange]:
    """Return what each server is to get; in a second run something else than in the first, as far as they differ."""
    if spec.diverse:
        return {
            one: _of_its_own(spec, server, number, shift=int(again))
            for number, (one, server) in enumerate(world.servers.items())
        }
    login = ExpectedChange(password=0) if spec.secret else ExpectedChange(keyname=world.scenario.key_pairs[0])
    return dict.fromkeys(world.servers, replace(login, image=None) if spec.reinstall else login)


def _of_its_own(spec: Spec, server: SimServer, number: int, *, shift: int) -> ExpectedChange:
    """Return a wish that is like that of no neighbour: each key goes round at a beat of its own."""
    turn = number + shift
    image = IMAGE
    if spec.reinstall:
        image = None
    elif server.image is None or server.image.name != IMAGE:
        # Whoever has the image already keeps it: that is what there is to skip.
        image = (IMAGE, _OTHER_IMAGE, _V1_IMAGE)[number % 3]
    wish = ExpectedChange(image, metadata=_METADATA[turn % len(_METADATA)])
    if image != _V1_IMAGE and turn % 2 == 0:
        wish = replace(wish, user_data=_FILES[turn // 2 % len(_FILES)])
    if spec.secret or turn % 3 == 2:
        return replace(wish, password=turn)
    return replace(wish, keyname=_KEY_PAIRS[turn % len(_KEY_PAIRS)], owned=turn % 2 == 1)


def environment(wanted: Mapping[str, ExpectedChange]) -> dict[str, str]:
    """Return the environment that holds the passwords."""
    numbers = {wish.password for wish in wanted.values() if wish.password is not None}
    return {variable(number): password(number) for number in sorted(numbers)}


def plan(spec: Spec, wanted: Mapping[str, ExpectedChange], user_id: str) -> Plan:
    """Return the plan that says so, server by server."""
    return Plan(
        path=Path("/plans/plan.yaml"),
        name="play",
        change=ChangeSpec(reinstall=True) if spec.reinstall else ChangeSpec(image=IMAGE),
        servers=tuple(
            ServerRef(one, None, _change(wish, user_id), _labels(spec, number), _PLAN)
            for number, (one, wish) in enumerate(wanted.items())
        ),
        digest="0" * 64,
        rollout=spec.rollout,
        failure=spec.failure,
        timeouts=spec.timeouts,
        polling=spec.polling,
        api=spec.limits,
        steering=SteeringPlan() if spec.steering is None else spec.steering.plan,
    )


def _labels(spec: Spec, number: int) -> Mapping[str, str]:
    """Return the labels of a server: two neighbours are a pair."""
    return {} if spec.steering is None else {"pair": str(number // 2)}


def _change(wish: ExpectedChange, user_id: str) -> ChangeSpec:
    data = wish.user_data
    return ChangeSpec(
        image=wish.image,
        reinstall=True if wish.image is None else None,
        keyname=wish.keyname,
        userid=user_id if wish.owned else None,
        adminpass=None if wish.password is None else SecretRef("env", variable(wish.password)),
        user_data=None if data is None else UserDataRef(str(data), in_plan=False, sha256=_digest(data)),
        metadata=wish.metadata or None,
    )


def said(spec: Spec, world: World, wanted: Mapping[str, ExpectedChange]) -> dict[str, WriteContent]:
    """Return what a change of each server must say."""
    return {one: _said(spec, world, world.servers[one], wish) for one, wish in wanted.items()}


def _said(spec: Spec, world: World, server: SimServer, wish: ExpectedChange) -> WriteContent:
    image = server.image if wish.image is None else world.find_image(wish.image)
    api = "v1" if image is not None and image.flags.get(_NO_CLOUD_INIT) == "true" else "v2"
    operation = "reinstallos" if wish.image is None else "changeos"
    return WriteContent(
        path=f"/{api}/{world.project_id}/cloudservers/{server.id}/{operation}",
        image_id=None if wish.image is None or image is None else image.id,
        keyname=wish.keyname,
        # A key pair belongs to a user, and the token tells to which where the plan does not.
        userid=None if wish.keyname is None else world.user_id,
        adminpass=None if wish.password is None else sha256(password(wish.password).encode()).hexdigest(),
        user_data=None if wish.user_data is None else _digest(wish.user_data),
        metadata=dict(wish.metadata),
        mode="withStopServer" if spec.rollout.stop is StopMode.API else None,
    )


@cache
def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
