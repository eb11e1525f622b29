"""Traces that look like a broken invariant and are none: each checker leaves them alone."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetos.model.journal.events import ChangeIntended, Retried
from tests.simulation.checkers import check
from tests.simulation.edited_runs import (
    SETTLE_S,
    accepted_twice,
    changes,
    endless,
    insert,
    one_by_one,
    plain,
    resent,
    stop_of,
)
from tests.simulation.run_trace import Asked, RunTrace

Edit = Callable[[RunTrace], None]


def _nothing(trace: RunTrace) -> None:
    """Let everything be as it was."""


def _calm(trace: RunTrace) -> None:
    """Let there have been no faults but the one that was ordered."""
    trace.calm_s = 0.0


def _copied_by_the_gateway(trace: RunTrace) -> None:
    """Let the first change have been on its way a second time, when the server was stopped and the other changed."""
    first, second = changes(trace)[:2]
    copy = replace(first, seq=len(trace.ledger.writes) + 1, came="refused", copy_of=first.seq)
    trace.ledger = replace(trace.ledger, writes=(*trace.ledger.writes, copy))
    second.sent_during = stop_of(trace).sent_during = [copy.seq]


def _sent_a_settle_before(trace: RunTrace) -> None:
    first, second = changes(trace)[:2]
    first.sent_at = second.sent_at - SETTLE_S
    second.sent_during = [first.seq]


def _accepted_a_settle_late(trace: RunTrace) -> None:
    first = changes(trace)[0]
    first.came, first.at = "accepted", first.sent_at + SETTLE_S


def _destroyed_a_settle_late(trace: RunTrace) -> None:
    first = changes(trace)[0]
    first.came, first.at = "accepted", first.sent_at + SETTLE_S
    next(disk for disk in trace.ledger.disks if disk.successful).destroyed_by = first.seq


def _destroyed_by_somebody(trace: RunTrace) -> None:
    done = next(disk for disk in trace.ledger.disks if disk.successful)
    stop = stop_of(trace)
    done.destroyed_by, stop.actor = stop.seq, "foreign"
    trace.world.servers[done.server_id].system_disk = None


def _started_by_somebody_within(trace: RunTrace) -> None:
    """Let somebody start a server while it changes: from then on it looks as after the end."""
    first = changes(trace)[0]
    first.ended = None
    start = replace(
        first, seq=len(trace.ledger.writes) + 1, operation="start", actor="foreign", during=[first.seq], disk_made=None
    )
    trace.ledger = replace(trace.ledger, writes=(*trace.ledger.writes, start))


def _asked_before_it_heard(trace: RunTrace) -> None:
    """Let a request leave before the 429 to another is known, and hear of it when the scope was open again."""
    trace.asked += [
        Asked(1.0e6, 1, "list", False, 1.0e6 + 1.0, 429, None),
        Asked(1.0e6 + 0.5, 1, "detail", False, 1.0e6 + 5.0, 429, None),
        Asked(1.0e6 + 5.5, 1, "detail", False, 1.0e6 + 5.6, 200, None),
    ]


def _asked_by_another(trace: RunTrace) -> None:
    trace.asked += [
        Asked(1.0e6, 1, "list", False, 1.0e6 + 1.0, 429, None),
        Asked(1.0e6 + 1.5, 2, "list", False, 1.0e6 + 2.0, 200, None),
    ]


_INNOCENT: list[tuple[Edit, Callable[[], RunTrace]]] = [
    (_nothing, plain),
    (_nothing, one_by_one),
    (_nothing, resent),
    (_calm, endless),
    (_copied_by_the_gateway, plain),
    (_sent_a_settle_before, one_by_one),
    (_accepted_a_settle_late, resent),
    (_destroyed_a_settle_late, resent),
    (_destroyed_by_somebody, plain),
    (_started_by_somebody_within, plain),
    (_asked_before_it_heard, plain),
    (_asked_by_another, plain),
]


@pytest.mark.parametrize(("edit", "begin"), _INNOCENT, ids=[f"{e.__name__} {b.__name__}" for e, b in _INNOCENT])
def test_an_innocent_story_is_left_alone(edit: Edit, begin: Callable[[], RunTrace]) -> None:
    trace = begin()
    edit(trace)
    assert check(trace) == []


@pytest.mark.parametrize(("of_its_server", "found"), [(True, False), (False, True)], ids=["its own", "of another"])
def test_only_a_retry_of_its_server_makes_a_second_acceptance_another_attempt(
    *, of_its_server: bool, found: bool
) -> None:
    trace = resent()
    accepted_twice(trace)
    server_id = changes(trace)[0].servers[0]
    intents = (
        place
        for place, record in enumerate(trace.records)
        if isinstance(record.event, ChangeIntended) and record.event.server_id == server_id
    )
    _, again = intents
    other = next(one for one in trace.world.servers if one != server_id)
    insert(trace, again, Retried(server_id if of_its_server else other, None))
    assert ("I1" in {violation.invariant for violation in check(trace)}) is found
