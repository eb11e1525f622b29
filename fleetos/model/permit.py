"""Permit to send one write, and the last check before it leaves. Used by engine and cloud."""

from collections.abc import Callable
from typing import Protocol

# Return why a write must not leave now, or None if it may.
LastCheck = Callable[[], str | None]


class Permit(Protocol):
    """Permit to send one write: a token of the rate budget and a connection. It is used once or given back."""

    def give_back(self) -> None:
        """Return token and place. Do nothing for a permit that was used."""
        ...
