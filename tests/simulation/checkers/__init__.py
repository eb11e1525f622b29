"""Judges of a play: each invariant of the design has its checker, a pure function from the trace to what it breaks.

They know nothing of the rules or the engine that they judge: only the cloud's truth, the wire and the journal.
"""

from collections.abc import Callable, Iterator, Mapping

from tests.simulation.checkers.brake import nothing_after_the_first_failed
from tests.simulation.checkers.content import as_ordered
from tests.simulation.checkers.disks import no_disk_of_ours_destroyed
from tests.simulation.checkers.evidence import nothing_without_evidence
from tests.simulation.checkers.journal import one_driver, replay_equals_stored
from tests.simulation.checkers.outcomes import ends_as_told
from tests.simulation.checkers.requests import each_answered_once
from tests.simulation.checkers.rollout import no_more_than_slots, nothing_begun_out_of_turn
from tests.simulation.checkers.secrets import no_secret_told
from tests.simulation.checkers.steering.budgets import nothing_over_a_budget
from tests.simulation.checkers.steering.groups import no_group_above_its_limit
from tests.simulation.checkers.steering.waits import nobody_waits_for_nothing
from tests.simulation.checkers.steering.waves import no_wave_too_early
from tests.simulation.checkers.steering.windows import nothing_outside_its_window
from tests.simulation.checkers.termination import comes_to_an_end
from tests.simulation.checkers.throttling import no_more_than_asked_for
from tests.simulation.checkers.writes import nothing_beside_a_change, one_change_at_a_time, one_intent_each
from tests.simulation.run_trace import RunTrace, Violation

Checker = Callable[[RunTrace], Iterator[Violation]]

CHECKERS: Mapping[str, Checker] = {
    "I1": one_change_at_a_time,
    "I2": no_disk_of_ours_destroyed,
    "I3": no_more_than_slots,
    "I4": nothing_begun_out_of_turn,
    "I5": one_intent_each,
    "I6": replay_equals_stored,
    "I7": comes_to_an_end,
    "I8": no_secret_told,
    "I9": nothing_beside_a_change,
    "I10": no_more_than_asked_for,
    "I11": one_driver,
    "I12": ends_as_told,
    "I13": as_ordered,
    "I14": nothing_without_evidence,
    "I15": nothing_after_the_first_failed,
    "I16": each_answered_once,
    "I17": nothing_outside_its_window,
    "I18": nothing_over_a_budget,
    "I19": no_wave_too_early,
    "I20": no_group_above_its_limit,
    "I21": nobody_waits_for_nothing,
}


def check(trace: RunTrace) -> list[Violation]:
    """Return everything that the trace breaks, what the run before it broke first."""
    return [violation for name in CHECKERS for violation in broken(name, trace)]


def broken(name: str, trace: RunTrace) -> Iterator[Violation]:
    """Yield how the trace, and the one of the run before it, break this invariant."""
    if trace.earlier is not None:
        yield from broken(name, trace.earlier)
    yield from CHECKERS[name](trace)
