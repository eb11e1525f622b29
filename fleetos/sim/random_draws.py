"""Random draws as a function of seed, kind and key.

A sequence of draws would shift with each additional draw. A draw by key stays the same even if requests of different
servers interleave in another order, and there is no state to keep.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")
Key = str | int


class RandomDraws:
    """Draws by seed, kind and key. Two objects with the same seed give the same draws."""

    __slots__ = ("_seed",)

    def __init__(self, seed: int) -> None:
        self._seed = str(seed).encode()[:64]

    def _bits(self, kind: str, key: tuple[Key, ...]) -> bytes:
        message = "\x1f".join((kind, *map(str, key)))
        return blake2b(message.encode(), digest_size=16, key=self._seed).digest()

    def unit(self, kind: str, *key: Key) -> float:
        """Return a number from 0 up to, but not including, 1."""
        return int.from_bytes(self._bits(kind, key)[:6], "big") / 2**48

    def between(self, span: tuple[float, float], kind: str, *key: Key) -> float:
        """Return a number, uniformly distributed over the span."""
        low, high = span
        return low + (high - low) * self.unit(kind, *key)

    def pick(self, options: Sequence[T], kind: str, *key: Key) -> T:
        """Return one of the options, all equally likely."""
        return options[int(self.unit(kind, *key) * len(options))]

    def hex(self, kind: str, *key: Key) -> str:
        """Return 32 hexadecimal digits, as the cloud's job ids have."""
        return self._bits(kind, key).hex()

    def uuid(self, kind: str, *key: Key) -> str:
        """Return a UUID of version 4, as the cloud's server, disk and image ids are."""
        return str(UUID(bytes=self._bits(kind, key), version=4))
