"""What the simulated cloud can be told to do, as values without secrets: the journal of a world consists of these."""

from typing import Annotated, Literal

from pydantic import Field

from fleetos.limits import SIM_RULES_MAX
from fleetos.sim.scenario.faults import Model, Operation, Rule
from fleetos.sim.world.ledger import Content


class ChangeOs(Model):
    """Change or reinstall the OS of one server. Of a password only its quality is kept.

    `content` is for the ledger alone and never stored: digests of secrets do not belong on a disk.
    """

    kind: Literal["change"]
    server_id: str
    image_id: str | None = None
    keyname: str | None = None
    userid: str | None = None
    adminpass: Literal["none", "good", "bad"] = "none"
    user_data_bytes: int = 0
    encrypted: bool = False
    key_id: str | None = None
    with_stop: bool = False
    api: Literal["v1", "v2"] = "v2"
    content: Annotated[Content | None, Field(exclude=True, repr=False)] = None

    @property
    def operation(self) -> Operation:
        """The operation's name in rules and ledger."""
        return "reinstallos" if self.image_id is None else "changeos"

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers it names."""
        return (self.server_id,)


class PowerOrder(Model):
    """Stop, start or reboot servers."""

    kind: Literal["power"]
    operation: Literal["stop", "start", "reboot"]
    servers: Annotated[tuple[str, ...], Field(min_length=1)]
    hard: bool = False


class Foreign(Model):
    """What somebody else does to a server: at once, and past all rules.

    `fails`: the change leaves it in ERROR on a new disk. `in_vain`: it fails and leaves everything as it was.
    """

    kind: Literal["foreign"]
    server_id: str
    act: Literal["start", "stop", "lock", "unlock", "change", "delete"]
    image: str | None = None
    fails: bool = False
    in_vain: bool = False


class SetFaults(Model):
    """Replace the fault rules."""

    kind: Literal["faults"]
    rules: Annotated[tuple[Rule, ...], Field(max_length=SIM_RULES_MAX)] = ()


Order = Annotated[ChangeOs | PowerOrder | Foreign | SetFaults, Field(discriminator="kind")]
WriteOrder = ChangeOs | PowerOrder
