"""Decide how many processes run the tests, and name the slow tests that are not marked as such. Pure."""

from collections.abc import Iterable, Sequence
from pathlib import Path

SLOW_S = 2.0
"""Processor time from which on a test is slow, on an idle machine."""
WORKERS_MIN, WORKERS_MAX = 3, 8
"""Each has a simulated cloud and a database server of its own, which more workers would start for a few tests each."""


def number_of_workers(arguments: Sequence[str], tests: Path, cores: int, *, waits: bool = True) -> int:
    """Return how many workers run these paths: for all tests or a whole room of them, three a core.

    Tests wait for leases and clouds for longer than they compute, and the waits of three overlap; where none that
    `waits` runs, two a core are enough. For less than a room the start of workers would take longer than the tests, and
    one process shows what a test prints and stops in a debugger.
    """
    rooms = {tests, tests.parent, *(path for path in tests.iterdir() if path.is_dir())}
    asked = {Path(argument).resolve() for argument in arguments}
    return max(WORKERS_MIN, min((3 if waits else 2) * cores, WORKERS_MAX)) if rooms & asked else 0


def unmarked(costs: Iterable[tuple[str, float, bool]]) -> list[str]:
    """Return a line for each test that took long and is not marked, the longest first.

    A cost is the id of a test, its seconds, and whether it is marked.
    """
    wrong = [(cpu_s, test) for test, cpu_s, marked in costs if cpu_s > SLOW_S and not marked]
    return [f"{cpu_s:.1f} s  {test}" for cpu_s, test in sorted(wrong, reverse=True)]
