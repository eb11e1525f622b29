"""A verdict without the looks that it needs is found, and so is a change of a server that everybody saw locked."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.journal.events import AttemptEnded
from fleetos.model.states import TargetState
from tests.simulation.checkers import broken, check
from tests.simulation.checkers.evidence import series_s
from tests.simulation.edited_runs import SETTLE_S, alter, changes, failing_once, failing_well, plain, resent, stop_of
from tests.simulation.run_trace import Asked, RunTrace, Sent
from tests.support.ledger import CHANGES

Edit = Callable[[RunTrace], None]


def _looked_elsewhere(trace: RunTrace) -> None:
    """Let nobody have looked at any server by a read of its own."""
    trace.asked = [one for one in trace.asked if one.operation != "detail"]


def _seldom_looked(trace: RunTrace) -> None:
    """Let nobody have looked for longer than a series of looks may be broken off, in the middle of each settle."""
    sent_s = max(sent.at_s for sent in trace.sent if sent.operation in CHANGES)
    trace.asked = [one for one in trace.asked if one.operation != "detail" or one.at_s > sent_s - SETTLE_S / 2]


def _logs_not_asked(trace: RunTrace) -> None:
    trace.asked = [one for one in trace.asked if one.operation != "actions"]


def _looked_once(trace: RunTrace) -> None:
    """Let all looks have been at one moment."""
    looks = [one for one in trace.asked if one.operation in ("detail", "list")]
    trace.asked = [one for one in trace.asked if one not in looks]
    trace.asked += [replace(one, at_s=looks[-1].at_s, answered_s=looks[-1].answered_s) for one in looks]


def _stop_not_seen_to_end(trace: RunTrace) -> None:
    trace.asked = [one for one in trace.asked if one.operation == "changeos"]


def _changed_though_locked(trace: RunTrace) -> None:
    lock = replace(stop_of(trace), actor="foreign", operation="lock", sent_at=trace.born_at - 200.0)
    lock.servers = list(changes(trace)[0].servers)
    trace.ledger = replace(trace.ledger, writes=(*trace.ledger.writes, lock))


_BREAKS: list[tuple[Edit, Callable[[], RunTrace]]] = [
    (_looked_elsewhere, resent),
    (_seldom_looked, resent),
    (_logs_not_asked, resent),
    (_looked_once, failing_once),
    (_stop_not_seen_to_end, plain),
]


@pytest.mark.parametrize(("edit", "begin"), _BREAKS, ids=[edit.__name__ for edit, _ in _BREAKS])
def test_a_verdict_without_its_looks_is_found(edit: Edit, begin: Callable[[], RunTrace]) -> None:
    trace = begin()
    edit(trace)
    assert {violation.invariant for violation in check(trace)} == {"I14"}


def test_a_change_of_a_locked_server_is_found() -> None:
    trace = plain()
    _changed_though_locked(trace)
    assert list(broken("I14", trace))


def _ended_until(trace: RunTrace, later: timedelta) -> None:
    """Let the wait after each failed attempt end so much later than its record was written."""
    for place, record in enumerate(trace.records):
        if isinstance(record.event, AttemptEnded) and record.event.to is TargetState.BACKOFF:
            trace.records[place] = replace(record, event=replace(record.event, not_before=record.at + later))


def test_a_server_that_goes_before_a_retry_that_is_due_is_found() -> None:
    trace = failing_once()
    assert not list(broken("I4", trace))
    _ended_until(trace, timedelta(seconds=-1))
    assert any("before the retry of" in found.evidence for found in broken("I4", trace))


def test_a_retry_before_its_time_is_found() -> None:
    trace = failing_once()
    assert not list(broken("I14", trace))
    _ended_until(trace, timedelta(hours=1))
    assert any("does not wait until" in found.evidence for found in broken("I14", trace))


def test_a_server_that_is_put_back_after_its_change_was_accepted_is_found() -> None:
    trace = failing_well()
    assert not list(broken("I13", trace))
    alter(trace, "start", _restoring)
    assert any("as if none was" in found.evidence for found in broken("I13", trace))


def _restoring(sent: Sent) -> Sent:
    put_back = {name: replace(target, state=TargetState.RESTORING) for name, target in sent.targets.items()}
    return replace(sent, targets=put_back)


@pytest.mark.parametrize(
    ("at", "lasted_s"),
    [
        ((0, 50, 100), 100),
        ((0, 50, 150), 0),
        ((0, 50, 150, 160), 10),
        # Once they have gone on for long enough they may come seldom, but not for ever.
        ((0, 50, 100, 400), 400),
        ((0, 50, 100, 800), 0),
    ],
)
def test_a_gap_ends_a_series_of_looks(at: tuple[float, ...], lasted_s: float) -> None:
    looks = [Asked(one, 1, "detail", False, one, 200, None, "a") for one in at]
    assert series_s(looks, settled_s=100.0)[0] == lasted_s
