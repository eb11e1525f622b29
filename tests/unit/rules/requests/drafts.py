"""Runs of which something is asked."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fleetos.model.run import Run, Target
from tests.support.builders import START


@dataclass
class Draft:
    """Run with some targets at a moment."""

    run: Run
    targets: Sequence[Target] = ()
    at: datetime = START

    def find(self, server_id: str) -> Target | None:
        """Return the target; None if there is none."""
        return next((target for target in self.targets if target.server_id == server_id), None)

    def failures(self) -> Iterable[Target]:
        """Return the targets that failed or are held."""
        return [target for target in self.targets if target.failed_in(self.run.passes)]

    def ended_by_wave(self) -> Mapping[int, int]:
        """Return how many have ended, by wave."""
        return Counter(target.wave for target in self.targets if target.ended)
