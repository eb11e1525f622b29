"""Plays seed after seed until a checker reports its invariant broken. Runs in a copy of the source, as a process.

It needs nothing that a mutation changes but the play itself, and says what it found as one line of JSON.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import fleetos
from tests.simulation.checkers import CHECKERS, broken
from tests.simulation.proof import Caught, deaths_from
from tests.simulation.run_trace import RunTrace, Violation
from tests.simulation.scenario_run import run_scenario
from tests.simulation.spec import Spec
from tests.simulation.worlds import world

_EVIDENCE_CHARS = 600
# Small worlds have some dozens of points at which a process can die; a prime of them, so that all have their turn.
_POINTS = 53


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 once it is told what came of the search; 2 if it is not the copy's source that would be judged."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations.mutation_search", description=__doc__)
    parser.add_argument("--judge", required=True, metavar="NAMES", help="the invariants that end the search, as I1,I5")
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="SEED")
    parser.add_argument("--to", type=int, required=True, metavar="SEED")
    parser.add_argument("--step", type=int, default=1, metavar="N", help="only each N-th seed")
    asked = parser.parse_args(arguments)
    where = Path(fleetos.__file__).resolve()
    if not where.is_relative_to(Path.cwd().resolve()):
        print(f"fleetos comes from {where}, not from here", file=sys.stderr)
        return 2
    seeds = range(asked.first, asked.to + 1, asked.step)
    print(json.dumps(search(asked.judge.split(","), seeds)))
    return 0


def search(judges: Sequence[str], seeds: Sequence[int]) -> dict[str, object]:
    """Return the first seed that breaks one of the invariants and how, or None; and how many plays it took."""
    plays = errors = 0
    for seed in seeds:
        plays += 1
        trace = _played(_dying(world(seed)))
        if trace is None:
            errors += 1
            continue
        found = [violation for name in judges for violation in broken(name, trace)]
        if found:
            return {"seed": seed, "plays": plays, "errors": errors, **_found(trace, found[0])}
    return {"seed": None, "plays": plays, "errors": errors}


def _dying(spec: Spec) -> Spec:
    """Return the spec with a death at one point, where the proof would play one at each."""
    return replace(spec, deaths=deaths_from(spec.seed, 1 + spec.seed % _POINTS)) if spec.enumerate else spec


def _played(spec: Spec) -> RunTrace | None:
    """Return the trace; None if the fault breaks the play itself, which is no finding of a checker."""
    with Caught() as caught:
        return run_scenario(spec)
    print(f"seed {spec.seed}: {caught.violations[0].evidence.splitlines()[-1]}", file=sys.stderr)
    return None


def _found(trace: RunTrace, first: Violation) -> dict[str, object]:
    others = [
        name for name, checker in CHECKERS.items() if name != first.invariant and any(True for _ in checker(trace))
    ]
    return {"invariant": first.invariant, "evidence": first.evidence[:_EVIDENCE_CHARS], "others": others}


if __name__ == "__main__":
    sys.exit(main())
