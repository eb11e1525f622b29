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

from tests.simulation.mutations.masked_faults import MASKED_FAULTS
from tests.simulation.mutations.mutation_runner import CONTROL, ROOT, copy_of
from tests.simulation.mutations.notify_faults import NOTIFY_FAULTS
from tests.simulation.mutations.patches import Mutation
from tests.simulation.mutations.shared_patches import FOLD, RULES, UnitTestedFault, unit_tested

# What tests need beside the packages.
_MORE = ("pyproject.toml", "migrations", "plans")
_TESTS_MAX_S = 600.0
_FOUND, _CLEAN = 1, 0
CONFIRMING, JOURNAL = "fleetos/cli/confirm.py", "fleetos/store/journal.py"
CLAIMS = "fleetos/store/claims.py"
AGREEMENT, LAW = "fleetos/planning/agreement.py", "fleetos/model/states.py"


@dataclass(frozen=True, slots=True)
class UnitTestResult:
    """What came of the tests of one fault. `told` is the first that failed, or what went wrong."""

    unit_tested: UnitTestedFault
    found: bool
    told: str
    spent_s: float


_NOT_PLAYED = "the command line is not played"
_TERMINAL = "tests/cli/test_terminal.py"
_CONTRACT = "tests/contract/test_journal_contract.py"
_CLAIMS = "tests/contract/test_journal_claims.py"
_ONE_RUN = "a world has one run at a time"
_SERVER_REQUESTS = "tests/unit/rules/requests/test_server_requests.py"
_AGREED = "tests/cli/test_agreement.py"
_NUMBER_CARRIED_ON = f"{_AGREED}::test_a_number_is_held_against_a_run_that_is_carried_on"

UNIT_TESTED_FAULTS: Sequence[UnitTestedFault] = (
    unit_tested(
        "any-number-agrees",
        "any number agrees at the question, as long as it is a number",
        (CONFIRMING, '.replace(",", "") != str(', '.replace(",", "").isdigit() is False and "" != str('),
        _NOT_PLAYED,
        f"{_TERMINAL}::test_the_number_of_disks_is_asked_for_and_must_be_right",
    ),
    unit_tested(
        "any-word-but-no-agrees",
        "whoever does not say no has agreed",
        (CONFIRMING, '.lower() not in ("y", "yes"):', '.lower() in ("n", "no"):'),
        _NOT_PLAYED,
        f"{_TERMINAL}::test_an_unfinished_run_is_carried_on_only_if_somebody_says_so",
    ),
    unit_tested(
        "no-agreement",
        "nothing is held against what the operator agreed to",
        (
            AGREEMENT,
            "    run = wipes.run\n    if run.state is RunState.PAUSED",
            "    run = wipes.run\n    if run.id:\n        return None\n    if run.state is RunState.PAUSED",
        ),
        _NOT_PLAYED,
        "tests/unit/planning/test_agreement.py::test_a_number_agrees_or_refuses",
    ),
    unit_tested(
        "promotion-opens-for-all",
        "a promoted wave holds the next one up no more, though more of it are left than the operator passed over",
        (f"{RULES}/waves.py", " > run.promoted:\n", " > run.promoted + len(run.steering.waves):\n"),
        "hardly ever does a server come back into a wave between its promotion and the next admission",
        "tests/unit/rules/test_waves.py::test_a_promotion_is_forgotten_when_more_are_unfinished_than_it_said",
    ),
    unit_tested(
        "any-number-expected",
        "whatever number --expect-wipes gives is accepted",
        (AGREEMENT, "agreement.expected in _accepted_numbers(wipes, command):", "_accepted_numbers(wipes, command):"),
        _NOT_PLAYED,
        _NUMBER_CARRIED_ON,
    ),
    unit_tested(
        "yes-skips-number",
        "with --yes the number of --expect-wipes is not asked for",
        (
            "fleetos/cli/commands/apply.py",
            "Agreement(expect_wipes, agreed)",
            "Agreement(None if yes else expect_wipes, agreed)",
        ),
        _NOT_PLAYED,
        _NUMBER_CARRIED_ON,
    ),
    unit_tested(
        "no-differences-left",
        "a run that is carried on is not held against the frozen plan",
        (AGREEMENT, "            else differences_left(agreement.plan, run, wipes.targets)\n", "            else ()\n"),
        _NOT_PLAYED,
        f"{_AGREED}::test_a_frozen_plan_and_an_unfinished_run_must_want_the_same",
    ),
    unit_tested(
        "order-digest-left-out",
        "a run that sends other user data or another login than the frozen plan says is carried on",
        ("fleetos/planning/frozen_plan.py", '            "order": _order_digest(target.order),\n', ""),
        _NOT_PLAYED,
        "tests/unit/planning/test_agreement.py::test_a_run_that_would_do_anything_else_is_refused",
    ),
    unit_tested(
        "every-pause-ends",
        "every command ends every pause",
        (
            LAW,
            "    match command:\n        case Command.RESUME:\n",
            "    return True\n    match command:\n        case Command.RESUME:\n",
        ),
        _NOT_PLAYED,
        "tests/unit/planning/test_agreement.py::test_a_pause_for_a_person_comes_before_everything_else",
    ),
    unit_tested(
        "budget-not-asked-at-first",
        "a driver goes on with a run whose servers failed while it was paused for another cause",
        ("fleetos/engine/reconcile.py", "    tracker.stop_over_budget(turn)\n", ""),
        "the next event of a target asks the budget too, so that whoever was admitted is recalled at once",
        "tests/unit/engine/test_engine_brake.py::test_a_run_that_was_resumed_before_its_driver_came_asks_its_budget_first",
    ),
    unit_tested(
        "timer-ends-overdue",
        "an apply by a timer ends the pause for too many overdue changes",
        (LAW, "ENDED_BY_APPLY = frozenset({", "ENDED_BY_APPLY = frozenset({Reason.TOO_MANY_OVERDUE, "),
        _NOT_PLAYED,
        f"{_AGREED}::test_a_timer_does_not_end_the_stop_for_overdue_changes",
    ),
    unit_tested(
        "abort-ends-pause",
        "an abort begins by ending the pause",
        (
            LAW,
            "        case Command.RETRY | Command.ABORT | Command.REQUEST:\n            return False\n",
            "        case Command.RETRY | Command.ABORT | Command.REQUEST:\n            return True\n",
        ),
        "the abort itself is read in the first turn, before anything is admitted",
        "tests/unit/model/test_states.py::test_a_pause_is_ended_by_a_person_or_by_a_cause_that_may_have_been_repaired",
    ),
    unit_tested(
        "digest-without-project",
        "the same plan in another project is taken for the same run",
        (
            "fleetos/planning/plan_file/digest.py",
            '"region": scope.region, "project": scope.project_id}',
            '"region": scope.region}',
        ),
        _NOT_PLAYED,
        f"{_AGREED}::test_the_same_plan_in_another_project_is_another_run",
    ),
    unit_tested(
        "retry-takes-all",
        "a retry offers servers that a newer run has changed since",
        (
            "fleetos/app/control.py",
            "    again = [target for target in again if target.server_id not in touched]\n",
            "    again = list(again)\n",
        ),
        _NOT_PLAYED,
        f"{_AGREED}::test_a_retry_leaves_out_what_a_newer_run_has_made",
    ),
    unit_tested(
        "proven-apart",
        "the lease is proven in a transaction of its own, before the one that writes",
        (
            JOURNAL,
            "                    for entry in accepted:\n",
            (
                "                async with self._database.writing() as connection:\n"
                "                    for entry in accepted:\n"
            ),
        ),
        "whoever has taken over has written a record, and the number of the next one is taken",
        f"{_CONTRACT}::test_a_commit_that_fails_renews_no_lease[sqlite]",
    ),
    unit_tested(
        "taken-up-without-claim",
        "a server that is released or retried goes on without its claim",
        (JOURNAL, "        again = entry.queued_again\n", "        again: Sequence[Target] = ()\n"),
        _ONE_RUN,
        f"{_CLAIMS}::test_of_servers_that_another_run_has_none_is_taken[sqlite]",
    ),
    unit_tested(
        "taken-up-after-another",
        "a server is taken up again though another run has changed it since",
        (CLAIMS, "    await _refuse_touched_since(connection, run_id, again)\n", ""),
        _ONE_RUN,
        f"{_CLAIMS}::test_a_server_that_another_run_has_changed_is_not_taken_up[sqlite]",
    ),
    unit_tested(
        "taken-up-in-an-old-pass",
        "a server that is taken up again counts as one of the pass that gave it up",
        (CLAIMS, "    await _store_pass_no(connection, run_id, [target.server_id for target in again])\n", ""),
        _ONE_RUN,
        f"{_CLAIMS}::test_a_server_that_is_taken_up_counts_as_the_latest_pass[sqlite]",
    ),
    unit_tested(
        "proven-os-retried",
        "a retry may wipe a new OS that is proven",
        (FOLD, "    if target.proven:\n", "    if False:\n"),
        "only a server that is gone has a proven OS and has failed, and it does not come back",
        f"{_SERVER_REQUESTS}::test_a_proven_os_is_retried_by_nothing",
    ),
    unit_tested(
        "unknown-outcome-recalled",
        "a target whose change may have arrived is recalled, and its attempt is forgotten",
        (
            "fleetos/model/run.py",
            "return self.outcome is None and not self.accepted and not self.unanswered",
            "return self.outcome is None and not self.accepted",
        ),
        "the time of the unanswered send is remembered all the same, and keeps it from being sent another",
        "tests/unit/model/journal/test_fold_recall.py::test_others_are_not_recalled[may have arrived]",
    ),
    unit_tested(
        "any-disk-retried",
        "a retry wipes another disk than the operator agreed to",
        (
            f"{RULES}/requests/server_requests.py",
            "not target.ended or named == target.last_disk",
            "not target.ended or named is not None",
        ),
        "the simulated operator names the disk at the moment at which he asks",
        f"{_SERVER_REQUESTS}::test_the_disk_is_the_one_that_was_agreed_to",
    ),
    unit_tested(
        "oldest-run-kept",
        "of several values of a run in one commit the oldest is kept",
        (JOURNAL, "(entry.run for entry in reversed(group) if", "(entry.run for entry in group if"),
        "one engine commits one turn at a time: only a renewal of the lease joins it",
        f"{_CONTRACT}::test_the_newest_run_of_one_group_is_kept[sqlite]",
    ),
    unit_tested(
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
    *MASKED_FAULTS,
    *NOTIFY_FAULTS,
)


def play_beside(fault: UnitTestedFault, root: Path = ROOT) -> UnitTestResult:
    """Return what the tests of a fault say in a copy that has it."""
    code, told, spent_s = _tested(fault.mutation, fault.tests, root)
    return UnitTestResult(fault, code == _FOUND, told, spent_s)


def clean(every: Sequence[UnitTestedFault], root: Path = ROOT) -> bool:
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
