"""Plays seed after seed until a checker reports its invariant broken. Runs in a copy of the source, as a process.

It needs nothing that a mutation changes but the play itself, and says what it found as one line of JSON.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import fleetos
from tests.simulation.checkers import CHECKERS
from tests.simulation.play import play
from tests.simulation.proof import Caught
from tests.simulation.spec import Spec
from tests.simulation.story import Story, Violation
from tests.simulation.worlds import world

_EVIDENCE_CHARS = 600
_DEATHS_MAX = 400


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 once it is told what came of the hunt; 2 if it is not the copy's source that would be judged."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations.hunt", description=__doc__)
    parser.add_argument("--judge", required=True, metavar="NAMES", help="the invariants that end the hunt, as I1,I5")
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="SEED")
    parser.add_argument("--to", type=int, required=True, metavar="SEED")
    parser.add_argument("--step", type=int, default=1, metavar="N", help="only each N-th seed")
    parser.add_argument("--die-everywhere", action="store_true")
    asked = parser.parse_args(arguments)
    where = Path(fleetos.__file__).resolve()
    if not where.is_relative_to(Path.cwd().resolve()):
        print(f"fleetos comes from {where}, not from here", file=sys.stderr)
        return 2
    seeds = range(asked.first, asked.to + 1, asked.step)
    print(json.dumps(hunt(asked.judge.split(","), seeds, die_everywhere=asked.die_everywhere)))
    return 0


def hunt(judges: Sequence[str], seeds: Sequence[int], *, die_everywhere: bool) -> dict[str, object]:
    """Return the first seed that breaks one of the invariants and how, or None; and how many plays it took."""
    plays = errors = 0
    for seed in seeds:
        for spec in _specs(world(seed), die_everywhere=die_everywhere):
            plays += 1
            with Caught() as caught:
                story = play(spec)
            if caught.violations:
                # A fault may break the play itself; that is no finding of a checker.
                errors += 1
                print(f"seed {seed}: {caught.violations[0].evidence.splitlines()[-1]}", file=sys.stderr)
                continue
            found = [violation for name in judges for violation in CHECKERS[name](story)]
            if found:
                return {"seed": seed, "plays": plays, "errors": errors, **_found(story, found[0])}
    return {"seed": None, "plays": plays, "errors": errors}


def _found(story: Story, first: Violation) -> dict[str, object]:
    others = [
        name for name, checker in CHECKERS.items() if name != first.invariant and any(True for _ in checker(story))
    ]
    return {"invariant": first.invariant, "evidence": first.evidence[:_EVIDENCE_CHARS], "others": others}


def _specs(spec: Spec, *, die_everywhere: bool) -> Iterator[Spec]:
    yield spec
    if spec.enumerate and die_everywhere:
        points = play(spec).points
        yield from (replace(spec, deaths=(point,)) for point in range(1, min(points, _DEATHS_MAX) + 1))


if __name__ == "__main__":
    sys.exit(main())
