"""Private copies of the source, faults in them, and the searches for these, several beside each other."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tests.simulation.mutations.patches import Mutation, apply

ROOT = Path(__file__).parents[3]
# What a play needs: the packages alone, and nothing that others wrote beside them.
_PACKAGES = ("fleetos", "tests")
# A fault may let time stand still; no search takes a third of this.
HUNT_MAX_S = 900.0
# The unchanged source: everything must be clean.
CONTROL = Mutation("none (control)", "all", "the source as it is", ())


@dataclass(frozen=True, slots=True)
class MutationResult:
    """What came of one search. `seed` is the one that showed the fault, None if none did; `played` counts seeds."""

    mutation: Mutation
    seed: int | None
    played: int
    spent_s: float
    evidence: str = ""
    others: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether it came as it must: a fault is found, and the unchanged source is clean."""
        if self.trouble:
            return False
        return self.seed is None if self.mutation is CONTROL else self.seed is not None


@dataclass(slots=True)
class _Told:
    seed: int | None = None
    evidence: str = ""
    others: tuple[str, ...] = ()
    errors: int = 0
    trouble: str = ""
    lines: list[str] = field(default_factory=list[str])


@contextmanager
def copy_of(root: Path, mutation: Mutation) -> Generator[Path]:
    """Yield a directory with the packages below `root` and the fault in them. Raises StalePatchError."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as directory:
        copy = Path(directory)
        for package in _PACKAGES:
            # Compiled modules come along: Python compares them with the time and the length of their source. Another
            # process may just be writing one, under a name that ends in a number.
            shutil.copytree(root / package, copy / package, ignore=shutil.ignore_patterns("*.pyc.*"))
        apply(mutation, copy)
        for patch in mutation.patches:
            _forget_compiled(copy / patch.path)
        yield copy


def _forget_compiled(source: Path) -> None:
    for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"):
        compiled.unlink()


def search(mutation: Mutation, root: Path = ROOT) -> MutationResult:
    """Return what came of the search for one fault."""
    began_s = time.monotonic()
    with copy_of(root, mutation) as copy:
        told = _run(copy, ["--judge", mutation.invariant, "--to", str(mutation.seeds)])
    trouble = told.trouble
    if told.seed is None and told.errors and not trouble:
        trouble = f"{told.errors} plays raised: {told.lines[-1] if told.lines else ''}"
    played = mutation.seeds if told.seed is None else told.seed
    return MutationResult(mutation, told.seed, played, time.monotonic() - began_s, told.evidence, told.others, trouble)


def control(invariants: Sequence[str], seeds: int, jobs: int, root: Path = ROOT) -> MutationResult:
    """Return what the unchanged source breaks of these invariants on the seeds from 1 to `seeds`."""
    began_s = time.monotonic()

    def part(first: int) -> _Told:
        order = ["--judge", ",".join(invariants), "--from", str(first), "--step", str(jobs), "--to", str(seeds)]
        return _run(copy, order)

    with copy_of(root, CONTROL) as copy, ThreadPoolExecutor(jobs) as pool:
        parts = list(pool.map(part, range(1, jobs + 1)))
    broken = next((one for one in parts if one.seed is not None), _Told())
    trouble = next((one.trouble for one in parts if one.trouble), "")
    if errors := sum(one.errors for one in parts):
        trouble = trouble or f"{errors} plays raised"
    return MutationResult(CONTROL, broken.seed, seeds, time.monotonic() - began_s, broken.evidence, (), trouble)


def _run(copy: Path, order: Sequence[str]) -> _Told:
    """Return what a process in the copy says."""
    line = [sys.executable, "-m", "tests.simulation.mutations.mutation_search", *order]
    env = {**os.environ, "PYTHONPATH": str(copy)}
    try:
        done = subprocess.run(line, cwd=copy, env=env, capture_output=True, text=True, timeout=HUNT_MAX_S, check=False)
    except subprocess.TimeoutExpired:
        return _Told(trouble=f"no end after {HUNT_MAX_S:g} s")
    lines = done.stderr.strip().splitlines()
    if done.returncode != 0:
        return _Told(trouble=f"the search failed: {lines[-1] if lines else done.returncode}")
    told = cast("dict[str, object]", json.loads(done.stdout))
    return _Told(
        cast("int | None", told["seed"]),
        str(told.get("evidence", "")),
        tuple(cast("list[str]", told.get("others", []))),
        cast("int", told["errors"]),
        lines=lines,
    )
