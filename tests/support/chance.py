"""Chance that repeats itself."""

import random


class SeededChance:
    """Chance that repeats itself: the same seed draws the same numbers."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def fraction(self) -> float:
        """Return the next number from 0 up to, not including, 1."""
        return self._random.random()
