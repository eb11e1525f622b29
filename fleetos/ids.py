"""Ids and randomness; the only place that draws them."""

import random
import secrets
from datetime import datetime
from typing import Protocol

# Crockford's alphabet has no letter that looks like a digit, so that people can copy an id from a screen.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_LETTERS = 7
CHANCE_LETTERS = 3
EPOCH_S = 1_700_000_000


class Chance(Protocol):
    """Source of randomness. Tests and the simulation set their own."""

    def fraction(self) -> float:
        """Return a random number from 0 up to, but not including, 1."""
        ...


class SystemChance:
    """Randomness from the operating system."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def fraction(self) -> float:
        return self._random.random()


def run_id(now: datetime) -> str:
    """Return a new id of a run: seven letters that sort by time (seconds), then three random ones."""
    seconds = max(0, int(now.timestamp()) - EPOCH_S)
    letters = [ALPHABET[(seconds >> (5 * place)) & 31] for place in reversed(range(TIME_LETTERS))]
    letters += [secrets.choice(ALPHABET) for _ in range(CHANCE_LETTERS)]
    return "".join(letters)


def token() -> str:
    """Return 32 hex digits that nobody can guess, for a call, a lease or a file name."""
    return secrets.token_hex(16)
