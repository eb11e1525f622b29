"""A rehearsal misses its deadline by the run as planned alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fleetos.model.steering.rehearsal import CallCount, Play, Rehearsal, Supposition
from fleetos.planning.rehearsal import sum_up_case
from tests.support.builders import a_run

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
CALLS = CallCount(1, 1, None)
PLANNED = Supposition("as planned", 0.0, 900.0)


@pytest.mark.parametrize(("planned_min", "what_if_min", "misses"), [(5, 15, False), (15, 5, True)])
def test_a_what_if_that_is_late_misses_nothing(planned_min: int, what_if_min: int, *, misses: bool) -> None:
    deadline = NOW + timedelta(minutes=10)
    plays = [Play(NOW, None, {}, {}, 0, (), CALLS, CALLS, ())]
    cases = [
        sum_up_case(a_run(), PLANNED, [replace(plays[0], ended_at=NOW + timedelta(minutes=minutes))], deadline)
        for minutes in (planned_min, what_if_min)
    ]
    assert Rehearsal(a_run(), 1, 1, NOW, deadline, 0, cases).misses is misses
