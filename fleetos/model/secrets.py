"""The secret parts of an order, for as long as one request needs them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secret parts of one order, in memory only, never in a repr. `user_data` is raw, not yet base64."""

    adminpass: str | None = field(default=None, repr=False)
    user_data: bytes | None = field(default=None, repr=False)
