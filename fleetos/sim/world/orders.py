"""Orders to the world, without secrets. The journal of a world stores them."""

from typing import Annotated, Literal

from pydantic import Field

from fleetos.limits import SIM_RULES_MAX
from fleetos.sim.scenario.faults import Model, Operation, Rule
from fleetos.sim.world.ledger import WriteContent


class ChangeOs(Model):
    """Order to change the OS of one server, or to reinstall it if `image_id` is None."""

    kind: Literal["change"]
    server_id: str
    image_id: str | None = None
    keyname: str | None = None
    userid: str | None = None
    adminpass: Literal["none", "good", "bad"] = "none"
    """Quality of the password."""
    user_data_bytes: int = 0
    encrypted: bool = False
    key_id: str | None = None
    with_stop: bool = False
    """The change may stop a running server itself (`mode: withStopServer`)."""
    api: Literal["v1", "v2"] = "v2"
    content: Annotated[WriteContent | None, Field(exclude=True, repr=False)] = None
    """For the ledger only, never stored: digests of secrets do not belong on a disk."""

    @property
    def operation(self) -> Operation:
        """Name of the operation in fault rules and in the ledger."""
        return "reinstallos" if self.image_id is None else "changeos"

    @property
    def servers(self) -> tuple[str, ...]:
        """Ids of the servers of the order."""
        return (self.server_id,)


class PowerOrder(Model):
    """Order to stop, start or reboot servers."""

    kind: Literal["power"]
    operation: Literal["stop", "start", "reboot"]
    servers: Annotated[tuple[str, ...], Field(min_length=1)]
    hard: bool = False


class ForeignOrder(Model):
    """Act of somebody else on a server: at once, and exempt from the fault rules.

    `fails`: the change leaves the server in ERROR on a new disk. `in_vain`: the act fails and changes nothing.
    """

    kind: Literal["foreign"]
    server_id: str
    act: Literal["start", "stop", "lock", "unlock", "change", "delete"]
    image: str | None = None
    fails: bool = False
    in_vain: bool = False


class SetFaults(Model):
    """Order to replace the fault rules."""

    kind: Literal["faults"]
    rules: Annotated[tuple[Rule, ...], Field(max_length=SIM_RULES_MAX)] = ()


WorldOrder = Annotated[ChangeOs | PowerOrder | ForeignOrder | SetFaults, Field(discriminator="kind")]
WriteOrder = ChangeOs | PowerOrder
