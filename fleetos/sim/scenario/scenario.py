"""The scenario: what a simulated cloud holds, how long things take, and what goes wrong. Frozen values, no I/O."""

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from fleetos.limits import SIM_RULES_MAX, SIM_SERVERS_MAX
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.faults import Flip, Model, OneOrMore, Picture, Rule, Seconds
from fleetos.sim.scenario.images import SimImage

ServerState = Literal["running", "stopped", "failed"]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Span = tuple[Seconds, Seconds]
_ADDRESSES = 2**32
# How a server is paid for, and the cloud's `charging_mode` for it.
Charging = Literal["by-use", "yearly-monthly", "spot"]
DiskStatus = Literal["in-use", "backing-up", "restoring-backup", "extending", "detaching", "error"]
DEFAULT_FLAVOR = "s3.medium.2"
# The key in the examples of the API's pages, with which disks that begin encrypted are encrypted too.
DEFAULT_KEY = "83cdb52d-9ebf-4469-9cfa-e7b5b80da846"


class FlavorEntry(Model):
    """A flavor. `architecture` arm: one of the flavors whose extra specs name it. `performance` is its class."""

    id: Name = DEFAULT_FLAVOR
    vcpus: Annotated[int, Field(ge=1, le=1024)] = 1
    ram_mb: Annotated[int, Field(ge=256, le=2**24)] = 2048
    architecture: Literal["x86", "arm"] = "x86"
    platform: Literal["kvm", "xen"] = "kvm"
    performance: Name = "normal"
    gpu: bool = False


class QuotaSet(Model):
    """What the project may have of disks, GB of disks, and servers; -1: any number."""

    volumes: Annotated[int, Field(ge=-1)] = -1
    gigabytes: Annotated[int, Field(ge=-1)] = -1
    servers: Annotated[int, Field(ge=-1)] = -1


class KeyEntry(Model):
    """An encryption key, by its id and what KMS says of its state."""

    id: Name
    state: Literal["waiting", "enabled", "disabled", "deletion", "import"] = "enabled"


class EnterpriseEntry(Model):
    """An enterprise project, by its id and name."""

    id: Name
    name: Name


class ServerGroup(Model):
    """Servers that are alike. Each run of `#` in the name becomes the number, filled with zeros to that width.

    `image_id`: what `image.id` shows whatever they run, so that only `metering.image_id` tells. `shows` are fields that
    reads show in place of the true ones, however strange.
    """

    count: Annotated[int, Field(ge=0, le=SIM_SERVERS_MAX)] = 1
    name: Name = "web-###"
    first: Annotated[int, Field(ge=0)] = 1
    state: ServerState | dict[ServerState, Annotated[float, Field(ge=0)]] = "running"
    image: Name = "Standard_Debian_11_latest"
    az: OneOrMore[Name] = ("eu-de-01",)
    enterprise_project: Name = "0"
    address: IPv4Address | None = None
    tags: tuple[Name, ...] = ()
    locked: bool = False
    key: Name | None = None
    shows_image: bool = True
    image_id: Name | None = None
    shows: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    system_disk: bool = True
    system_disk_gb: Annotated[int, Field(ge=1, le=1024)] = 40
    data_disks: Annotated[int, Field(ge=0, le=22)] = 0
    system_disk_status: DiskStatus = "in-use"
    system_disk_encrypted: bool = False
    flavor: Name = DEFAULT_FLAVOR
    charging: Charging = "by-use"
    frozen: bool = False
    host_status: Literal["UP", "UNKNOWN", "DOWN", "MAINTENANCE", ""] = "UP"

    def name_of(self, index: int) -> str:
        """Return the name of the server at this place of the group, counted from 0."""
        number = self.first + index
        if "#" not in self.name:
            return self.name if self.count == 1 else f"{self.name}-{number}"
        head, _, rest = self.name.partition("#")
        width = 1 + len(rest) - len(rest.lstrip("#"))
        return f"{head}{number:0{width}d}{rest.lstrip('#')}"

    def address_of(self, index: int) -> str | None:
        """Return the address of the server at this place of the group, None where the world chooses one."""
        return None if self.address is None else str(self.address + index)

    def state_of(self, chance: RandomDraws, name: str) -> ServerState:
        """Return the state in which a server of the group begins; weights are drawn from."""
        if not isinstance(self.state, dict):
            return self.state
        point = chance.unit("state", name) * sum(self.state.values())
        for state, weight in self.state.items():
            point -= weight
            if point < 0:
                return state
        return "running"


class ImageEntry(Model):
    """An image. Without an id it gets one from the seed and its name."""

    name: Name
    id: Name | None = None
    status: Literal["queued", "saving", "active", "killed", "deleted"] = "active"
    min_disk_gb: Annotated[int, Field(ge=1, le=1024)] = 40
    os_type: Literal["Linux", "Windows", "Other"] = "Linux"
    imagetype: Literal["gold", "private", "shared", "market"] = "gold"
    flags: dict[str, str | int | bool] = Field(default_factory=dict[str, "str | int | bool"])

    def made(self, chance: RandomDraws) -> SimImage:
        """Return the image."""
        image_id = self.id or chance.uuid("image", self.name)
        return SimImage(
            image_id, self.name, self.status, self.min_disk_gb, self.os_type, self.imagetype, dict(self.flags)
        )


class PhaseDurations(Model):
    """How long things take, in seconds, each evenly spread over its span."""

    stop: Span = (5.0, 20.0)
    start: Span = (5.0, 15.0)
    reboot: Span = (10.0, 30.0)
    change: Span = (60.0, 240.0)
    job_init: Span = (0.2, 1.0)


class ChangeManner(Model):
    """What a change looks like unless a rule `show` or `job-life` says otherwise."""

    picture: Picture = "rebuild"
    image_flips: Flip = "end"
    flip_lag_s: Seconds = 30.0
    job_visible_after_s: Seconds = 0.0
    job_vanishes_after_s: Seconds = 86400.0


class Tokens(Model):
    """How long a token is valid, and how many characters it has at least."""

    lifetime_s: Annotated[float, Field(gt=0, le=10**7)] = 86400.0
    length: Annotated[int, Field(ge=0, le=30_000)] = 0


class Listing(Model):
    """What the list of servers offers: not every cloud has the filter by id, or markers.

    `page`: it shows no more than so many servers at once, however many are asked for.
    """

    server_id_filter: bool = True
    marker: bool = True
    page: Annotated[int, Field(ge=1, le=1000)] = 1000


class ActionLog(Model):
    """The log of what was done to a server. `events`: it tells how each action ended; `lag_s`: it is so far behind."""

    events: bool = True
    lag_s: Seconds = 0.0


class Scenario(Model):
    """A whole simulated cloud. `lax` accepts a change in any state, `logs` tells whether it shows what was done, and
    `clock_ahead_s` is how far its clock is ahead of that of this machine. `granted_enterprise_projects` are those that
    the user may see; none named: the whole project.
    """

    seed: int = 1
    servers: tuple[ServerGroup, ...] = (ServerGroup(),)
    images: OneOrMore[ImageEntry] = (
        ImageEntry(name="Standard_Debian_11_latest"),
        ImageEntry(name="Standard_Debian_12_latest"),
    )
    flavors: OneOrMore[FlavorEntry] = (FlavorEntry(),)
    quota: QuotaSet = QuotaSet()
    key_pairs: tuple[Name, ...] = ("KeyPair-350b",)
    encryption_keys: tuple[KeyEntry, ...] = (KeyEntry(id=DEFAULT_KEY),)
    enterprise_projects: tuple[EnterpriseEntry, ...] = (EnterpriseEntry(id="0", name="default"),)
    granted_enterprise_projects: tuple[Name, ...] = ()
    durations: PhaseDurations = PhaseDurations()
    change: ChangeManner = ChangeManner()
    tokens: Tokens = Tokens()
    list: Listing = Listing()
    lax: bool = False
    logs: bool = True
    action_log: ActionLog = ActionLog()
    v1_change: bool = True
    temporary_servers: bool = False
    clock_ahead_s: Annotated[float, Field(ge=-(10**7), le=10**7)] = 0.0
    faults: Annotated[tuple[Rule, ...], Field(max_length=SIM_RULES_MAX)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Scenario":
        known = {image.name for image in self.images} | {image.id for image in self.images if image.id is not None}
        names: set[str] = set()
        if sum(group.count for group in self.servers) > SIM_SERVERS_MAX:
            raise ValueError(f"at most {SIM_SERVERS_MAX} servers in a world")
        for group in self.servers:
            if group.address is not None and int(group.address) + group.count > _ADDRESSES:
                raise ValueError(f"servers {group.name!r}: {group.address} has no {group.count} addresses after it")
            if group.image not in known:
                raise ValueError(f"servers {group.name!r}: image {group.image!r} is not among the images")
            if group.flavor not in {flavor.id for flavor in self.flavors}:
                raise ValueError(f"servers {group.name!r}: flavor {group.flavor!r} is not among the flavors")
            if group.key is not None and group.key not in self.key_pairs:
                raise ValueError(f"servers {group.name!r}: key {group.key!r} is not among the key_pairs")
            for index in range(group.count):
                name = group.name_of(index)
                if name in names:
                    raise ValueError(f"the server name {name!r} occurs twice")
                names.add(name)
        return self

    def with_servers(self, count: int) -> "Scenario":
        """Return the same scenario with another number of servers in its first group."""
        groups = self.servers or (ServerGroup(),)
        first = groups[0].model_copy(update={"count": count})
        return Scenario.model_validate({**self.model_dump(), "servers": (first, *groups[1:])})
