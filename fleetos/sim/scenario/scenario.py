"""Scenario: contents, durations, faults. Frozen values, no I/O."""

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from fleetos.limits import SIM_RULES_MAX
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.faults import ChangePicture, ImageFlip, Model, OneOrMore, Rule, Seconds
from fleetos.sim.scenario.images import SimImage

# A world is in memory and is shown in lists: with more servers it no longer answers within milliseconds.
SIM_SERVERS_MAX = 20_000
ServerState = Literal["running", "stopped", "failed"]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Span = tuple[Seconds, Seconds]
_ADDRESSES = 2**32
# How a server is paid for.
Charging = Literal["by-use", "yearly-monthly", "spot"]
DiskStatus = Literal["in-use", "backing-up", "restoring-backup", "extending", "detaching", "error"]
DEFAULT_FLAVOR = "s3.medium.2"
# The key in the examples of the API pages; disks that are encrypted from the start use it too.
DEFAULT_KEY = "83cdb52d-9ebf-4469-9cfa-e7b5b80da846"


class FlavorEntry(Model):
    """Flavor. Only ARM flavors have extra specs that state the architecture; `performance` is the class."""

    id: Name = DEFAULT_FLAVOR
    vcpus: Annotated[int, Field(ge=1, le=1024)] = 1
    ram_mb: Annotated[int, Field(ge=256, le=2**24)] = 2048
    architecture: Literal["x86", "arm"] = "x86"
    platform: Literal["kvm", "xen"] = "kvm"
    performance: Name = "normal"
    gpu: bool = False


class QuotaSet(Model):
    """Quotas of the project: disks, GB of disks, servers. -1: unlimited."""

    volumes: Annotated[int, Field(ge=-1)] = -1
    gigabytes: Annotated[int, Field(ge=-1)] = -1
    servers: Annotated[int, Field(ge=-1)] = -1


class KeyEntry(Model):
    """Encryption key, by its id and its state in KMS."""

    id: Name
    state: Literal["waiting", "enabled", "disabled", "deletion", "import"] = "enabled"


class EnterpriseEntry(Model):
    """Enterprise project, by its id and name."""

    id: Name
    name: Name


class ServerGroup(Model):
    """Group of similar servers. The first run of `#` in the name becomes the number, zero-padded to that width."""

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
    """Override of `image.id` in reads, so that only `metering.image_id` shows the true image."""
    shows: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """Fields that override the true ones in reads, with any value."""
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
        """Return the name of the server at `index` of the group, from 0."""
        number = self.first + index
        if "#" not in self.name:
            return self.name if self.count == 1 else f"{self.name}-{number}"
        head, _, rest = self.name.partition("#")
        width = 1 + len(rest) - len(rest.lstrip("#"))
        return f"{head}{number:0{width}d}{rest.lstrip('#')}"

    def address_of(self, index: int) -> str | None:
        """Return the address of the server at `index` of the group, or None if the world chooses one."""
        return None if self.address is None else str(self.address + index)

    def state_of(self, draws: RandomDraws, name: str) -> ServerState:
        """Return the initial state of a server, drawn by weight if `state` has weights."""
        if not isinstance(self.state, dict):
            return self.state
        point = draws.unit("state", name) * sum(self.state.values())
        for state, weight in self.state.items():
            point -= weight
            if point < 0:
                return state
        return "running"


class ImageEntry(Model):
    """Image. Without an id it gets one from the seed and its name."""

    name: Name
    id: Name | None = None
    status: Literal["queued", "saving", "active", "killed", "deleted"] = "active"
    min_disk_gb: Annotated[int, Field(ge=1, le=1024)] = 40
    os_type: Literal["Linux", "Windows", "Other"] = "Linux"
    imagetype: Literal["gold", "private", "shared", "market"] = "gold"
    flags: dict[str, str | int | bool] = Field(default_factory=dict[str, "str | int | bool"])

    def make_image(self, draws: RandomDraws) -> SimImage:
        """Create the image of this entry."""
        image_id = self.id or draws.uuid("image", self.name)
        return SimImage(
            image_id, self.name, self.status, self.min_disk_gb, self.os_type, self.imagetype, dict(self.flags)
        )


class PhaseDurations(Model):
    """Durations in seconds, each uniformly distributed over its span."""

    stop: Span = (5.0, 20.0)
    start: Span = (5.0, 15.0)
    reboot: Span = (10.0, 30.0)
    change: Span = (60.0, 240.0)
    job_init: Span = (0.2, 1.0)


class ChangeManner(Model):
    """Appearance of a change, unless a rule `show` or `job-life` overrides it."""

    picture: ChangePicture = "rebuild"
    image_flips: ImageFlip = "end"
    flip_lag_s: Seconds = 30.0
    job_visible_after_s: Seconds = 0.0
    job_vanishes_after_s: Seconds = 86400.0


class Tokens(Model):
    """Lifetime of tokens, and their minimum length in characters."""

    lifetime_s: Annotated[float, Field(gt=0, le=10**7)] = 86400.0
    length: Annotated[int, Field(ge=0, le=30_000)] = 0


class Listing(Model):
    """Features of the list of servers: not every cloud has the filter by id, or markers.

    `page` is the maximum number of servers on a page, whatever `limit` a client gives.
    """

    server_id_filter: bool = True
    marker: bool = True
    page: Annotated[int, Field(ge=1, le=1000)] = 1000


class ActionLog(Model):
    """Action log of servers. `events`: it shows the result of each action; `lag_s`: its delay."""

    events: bool = True
    lag_s: Seconds = 0.0


class Scenario(Model):
    """Contents, durations and faults of a simulated cloud."""

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
    """Enterprise projects that the user may see; empty: the whole project."""
    durations: PhaseDurations = PhaseDurations()
    change: ChangeManner = ChangeManner()
    tokens: Tokens = Tokens()
    list: Listing = Listing()
    lax: bool = False
    """Accept a change in any state of the server."""
    logs: bool = True
    """Offer the action log and the volumes."""
    action_log: ActionLog = ActionLog()
    v1_change: bool = True
    """Offer changeos and reinstallos in v1 of the API too."""
    temporary_servers: bool = False
    """List the temporary servers of running changes."""
    clock_ahead_s: Annotated[float, Field(ge=-(10**7), le=10**7)] = 0.0
    """Lead of the cloud's clock over that of this machine."""
    faults: Annotated[tuple[Rule, ...], Field(max_length=SIM_RULES_MAX)] = ()

    @model_validator(mode="after")
    def _check_consistency(self) -> "Scenario":
        image_names = {image.name for image in self.images} | {
            image.id for image in self.images if image.id is not None
        }
        names: set[str] = set()
        if sum(group.count for group in self.servers) > SIM_SERVERS_MAX:
            raise ValueError(f"at most {SIM_SERVERS_MAX} servers in a world")
        for group in self.servers:
            if group.address is not None and int(group.address) + group.count > _ADDRESSES:
                raise ValueError(f"servers {group.name!r}: {group.address} has no {group.count} addresses after it")
            if group.image not in image_names:
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
        """Return a copy with `count` servers in its first group."""
        groups = self.servers or (ServerGroup(),)
        first_group = groups[0].model_copy(update={"count": count})
        return Scenario.model_validate({**self.model_dump(), "servers": (first_group, *groups[1:])})
