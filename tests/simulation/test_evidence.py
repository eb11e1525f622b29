"""A verdict without the looks that it needs is found, and so is a change of a server that everybody saw locked."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.ledger import CHANGES
from tests.simulation.checkers import broken, check
from tests.simulation.staged import SETTLE_S, changes, failing_once, plain, resent, stop_of
from tests.simulation.story import Story

Edit = Callable[[Story], None]


def _looked_elsewhere(story: Story) -> None:
    """Let nobody have looked at any server by a read of its own."""
    story.asked = [one for one in story.asked if one.operation != "detail"]


def _seldom_looked(story: Story) -> None:
    """Let nobody have looked for longer than a series of looks may be broken off, in the middle of each settle."""
    sent_s = max(sent.at_s for sent in story.sent if sent.operation in CHANGES)
    story.asked = [one for one in story.asked if one.operation != "detail" or one.at_s > sent_s - SETTLE_S / 2]


def _logs_not_asked(story: Story) -> None:
    story.asked = [one for one in story.asked if one.operation != "actions"]


def _looked_once(story: Story) -> None:
    """Let all looks have been at one moment."""
    looks = [one for one in story.asked if one.operation in ("detail", "list")]
    story.asked = [one for one in story.asked if one not in looks]
    story.asked += [replace(one, at_s=looks[-1].at_s, answered_s=looks[-1].answered_s) for one in looks]


def _stop_not_seen_to_end(story: Story) -> None:
    story.asked = [one for one in story.asked if one.operation == "changeos"]


def _changed_though_locked(story: Story) -> None:
    lock = replace(stop_of(story), actor="foreign", operation="lock", sent_at=story.born_at - 200.0)
    lock.servers = list(changes(story)[0].servers)
    story.ledger = replace(story.ledger, writes=(*story.ledger.writes, lock))


_BREAKS: list[tuple[Edit, Callable[[], Story]]] = [
    (_looked_elsewhere, resent),
    (_seldom_looked, resent),
    (_logs_not_asked, resent),
    (_looked_once, failing_once),
    (_stop_not_seen_to_end, plain),
]


@pytest.mark.parametrize(("edit", "begin"), _BREAKS, ids=[edit.__name__ for edit, _ in _BREAKS])
def test_a_verdict_without_its_looks_is_found(edit: Edit, begin: Callable[[], Story]) -> None:
    story = begin()
    edit(story)
    assert {violation.invariant for violation in check(story)} == {"I14"}


def test_a_change_of_a_locked_server_is_found() -> None:
    story = plain()
    _changed_though_locked(story)
    assert list(broken("I14", story))
