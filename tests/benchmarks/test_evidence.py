"""What the benchmarks take from a ledger."""

from collections import Counter

import pytest

from benchmarks.evidence import changes, harm, slot_use, slots_filled, stopped_before_change_s
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.world.ledger import LedgerEntry
from tests.support.ledger import Ledger


def change(seq: int, server_id: str, begun_s: float, ended_s: float, *, succeeded: bool = True) -> LedgerEntry:
    """An accepted change that has ended."""
    write = LedgerEntry(seq, begun_s, "changeos", [server_id], f"request-{seq}", came="accepted", at=begun_s)
    write.ended_at, write.ended = ended_s, "success" if succeeded else "failed"
    return write


def ledger(*writes: LedgerEntry) -> Ledger:
    """A ledger with these writes alone."""
    return Ledger(writes, (), Counter(), 0, 0)


def test_the_use_of_slots_is_the_ideal_time_over_the_real_one() -> None:
    done = changes(ledger(change(1, "a", 0, 10), change(2, "b", 0, 4), change(3, "c", 6, 10)))
    # At best c begins at 4 and all are over at 10; that is when they were.
    assert slot_use(done, 2) == 1.0
    assert slots_filled(done, 2) == pytest.approx((6 + 4) / (6 * 2))
    late = changes(ledger(change(1, "a", 0, 10), change(2, "b", 0, 4), change(3, "c", 16, 20)))
    assert slot_use(late, 2) == 0.5
    assert slot_use([], 2) == 0.0


def test_the_time_a_server_lies_stopped_is_from_the_end_of_its_stop() -> None:
    scenario = Scenario.model_validate({"durations": {"stop": [3.0, 3.0]}})
    soft = LedgerEntry(1, 0.0, "stop", ["a", "b"], "request-1", came="accepted", at=0.0, acted_on=["a", "b"])
    hard = LedgerEntry(2, 0.0, "stop", ["c"], "request-2", came="accepted", at=0.0, hard=True, acted_on=["c"])
    told = ledger(soft, hard, change(3, "a", 5, 9), change(4, "c", 5, 9), change(5, "stopped-before", 5, 9))
    assert stopped_before_change_s(told, scenario) == pytest.approx([2.0, 5.0 - 0.6])


def test_harm_is_a_second_success_or_a_server_left_behind() -> None:
    everyone = frozenset("abcd")
    told = ledger(
        change(1, "a", 0, 1), change(2, "a", 2, 3), change(3, "b", 0, 1, succeeded=False), change(4, "c", 0, 1)
    )
    found = harm(told, frozenset("abc"), everyone)
    assert (found.changed_twice, found.lost) == (1, 2)
