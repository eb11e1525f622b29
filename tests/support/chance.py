"""Chance that repeats itself: always the same number, or the numbers of a seed."""

import random


class FixedChance:
    """Chance that always draws the same number."""

    def __init__(self, fraction: float = 0.0) -> None:
        self._fraction = fraction

    def fraction(self) -> float:
        """Return that number."""
        return self._fraction


class SeededChance:
    """Chance that repeats itself: the same seed draws the same numbers."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def fraction(self) -> float:
        """Return the next number from 0 up to, not including, 1."""
        return self._random.random()
