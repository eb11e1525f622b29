"""Faults that no simulated world can show, and the tests beside the code that find them: `--beside` plays these tests.

Each says why: a simulated play does not come by its place, or another rule of the protocol stands behind it.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.mutations.laboratory import CONTROL, ROOT, copy_of
from tests.simulation.mutations.parts import one
from tests.simulation.mutations.patches import Mutation

# What tests need beside the packages.
_MORE = ("pyproject.toml", "migrations", "plans")
_TESTS_MAX_S = 600.0
_FOUND, _CLEAN = 1, 0
SIGHTINGS = "fleetos/engine/sightings.py"
CONFIRMING, JOURNAL = "fleetos/cli/confirming.py", "fleetos/store/journal.py"


@dataclass(frozen=True, slots=True)
class Beside:
    """A fault, why no world shows it, and the tests of which at least one must fail by it."""

    mutation: Mutation
    why: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of the tests of one fault. `told` is the first that failed, or what went wrong."""

    beside: Beside
    found: bool
    told: str
    spent_s: float


def _b(name: str, told: str, place: tuple[str, str, str], why: str, *tests: str) -> Beside:
    return Beside(Mutation(name, "-", told, one(*place)), why, tests)


_NOT_PLAYED = "the command line is not played"
_TERMINAL = "tests/cli/test_terminal.py"
_CONTRACT = "tests/contract/test_journal_contract.py"

BESIDE: Sequence[Beside] = (
    _b(
        "any-number-agrees",
        "any number agrees at the question, as long as it is a number",
        (CONFIRMING, '.replace(",", "") != str(', '.replace(",", "").isdigit() is False and "" != str('),
        _NOT_PLAYED,
        f"{_TERMINAL}::test_the_number_of_disks_is_asked_for_and_must_be_right",
    ),
    _b(
        "any-word-but-no-agrees",
        "whoever does not say no has agreed",
        (CONFIRMING, '.lower() not in ("y", "yes"):', '.lower() in ("n", "no"):'),
        _NOT_PLAYED,
        f"{_TERMINAL}::test_an_unfinished_run_is_carried_on_only_if_somebody_says_so",
    ),
    _b(
        "proven-apart",
        "the lease is proven in a transaction of its own, before the one that writes",
        (
            JOURNAL,
            "                await leases.prove(connection, self._lease.run_id, self._lease.epoch, self._clock)\n",
            (
                "                await leases.prove(connection, self._lease.run_id, self._lease.epoch, self._clock)\n"
                "            async with self._database.writing() as connection:\n"
            ),
        ),
        "whoever has taken over has written a record, and the number of the next one is taken",
        f"{_CONTRACT}::test_a_commit_that_fails_renews_no_lease[sqlite]",
    ),
    _b(
        "oldest-run-kept",
        "of several values of a run in one commit the oldest is kept",
        (JOURNAL, "(entry.run for entry in reversed(group) if", "(entry.run for entry in group if"),
        "one engine commits one turn at a time: only a renewal of the lease joins it",
        f"{_CONTRACT}::test_the_newest_run_of_one_group_is_kept[sqlite]",
    ),
    _b(
        "oldest-target-kept",
        "of several values of a target in one commit the oldest is kept",
        (
            "fleetos/store/rows.py",
            "list({target.server_id: target for target in targets}.values())",
            "list({target.server_id: target for target in reversed(list(targets))}.values())",
        ),
        "one engine commits one turn at a time, and of each target one value",
        f"{_CONTRACT}::test_the_later_value_of_one_group_wins[sqlite]",
    ),
    _b(
        "look-before-stop",
        "a look from before a stop counts after it",
        (
            SIGHTINGS,
            "            return Sighting(self.entered, now)\n        if isinstance(event, PowerAnswered)",
            "            return self\n        if isinstance(event, PowerAnswered)",
        ),
        "it shows a server that runs, and a stop is over by its job or by looks that show it stopped",
        "tests/unit/engine/test_sightings.py",
    ),
    _b(
        "look-before-answer",
        "a look from before a stop has ended counts after it",
        (
            SIGHTINGS,
            "PowerOutcome.ACCEPTED):\n            return Sighting(self.entered, now)",
            "PowerOutcome.ACCEPTED):\n            return self",
        ),
        "a stop is over by its job or by looks that show its server stopped",
        "tests/unit/engine/test_sightings.py",
    ),
    _b(
        "list-is-evidence",
        "a page of the list is evidence for an unknown outcome",
        (SIGHTINGS, "if state is TargetState.INSPECTING and not sight.single:", "if False:"),
        "whoever is inspected is read alone, and comes along in no sweep",
        "tests/unit/engine/test_sightings.py",
    ),
    _b(
        "sleep-is-no-gap",
        "a machine that slept counts as one that looked",
        ("fleetos/rules/look.py", " or slept_s > SUSPEND_NOTICED_S:", ":"),
        "whoever slept for long has a gap in its looks as well",
        "tests/unit/rules/test_inspecting.py::test_the_settle_starts_anew_after_a_suspend",
    ),
)


def play_beside(beside: Beside, root: Path = ROOT) -> Played:
    """Return what the tests of a fault say in a copy that has it."""
    code, told, spent_s = _tested(beside.mutation, beside.tests, root)
    return Played(beside, code == _FOUND, told, spent_s)


def clean(every: Sequence[Beside], root: Path = ROOT) -> bool:
    """Return whether the tests of all of them pass by the source as it is."""
    tests = dict.fromkeys(test for one in every for test in one.tests)
    return _tested(CONTROL, tuple(tests), root)[0] == _CLEAN


def _tested(mutation: Mutation, tests: Sequence[str], root: Path) -> tuple[int, str, float]:
    began_s = time.monotonic()
    with copy_of(root, mutation) as copy:
        for name in _MORE:
            found = root / name
            if found.is_dir():
                shutil.copytree(found, copy / name)
            else:
                shutil.copy(found, copy / name)
        line = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        env = {**os.environ, "PYTHONPATH": str(copy)}
        try:
            done = subprocess.run(
                line, cwd=copy, env=env, capture_output=True, text=True, timeout=_TESTS_MAX_S, check=False
            )
        except subprocess.TimeoutExpired:
            return _FOUND, f"no end after {_TESTS_MAX_S:g} s", time.monotonic() - began_s
    failed = [text for text in done.stdout.splitlines() if text.startswith(("FAILED", "ERROR"))]
    told = failed[0] if failed else (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]
    return done.returncode, told, time.monotonic() - began_s
