"""The only place that draws ids and chance."""

import random
import secrets
from datetime import datetime
from typing import Protocol

# Crockford's alphabet: no letter that is read as a digit, so that an id survives being typed from a screen.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_LETTERS = 7
CHANCE_LETTERS = 3
EPOCH_S = 1_700_000_000


class Chance(Protocol):
    def fraction(self) -> float:
        """A number from 0 up to, not including, 1."""
        ...


class SystemChance:
    """Chance from the operating system's seed."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def fraction(self) -> float:
        return self._random.random()


def run_id(now: datetime) -> str:
    """A new id of a run: ten letters that sort by time (seconds) and end in chance, so two in a second differ."""
    seconds = max(0, int(now.timestamp()) - EPOCH_S)
    letters = [ALPHABET[(seconds >> (5 * place)) & 31] for place in reversed(range(TIME_LETTERS))]
    letters += [secrets.choice(ALPHABET) for _ in range(CHANCE_LETTERS)]
    return "".join(letters)


def token() -> str:
    """32 hex digits that nobody can guess, for a call, a lease or a file name."""
    return secrets.token_hex(16)
