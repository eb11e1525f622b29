"""Times are texts that sort by time, and what is none is refused without being shown."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fleetos.errors import DatabaseUnusable
from fleetos.store.database.columns import decode_column, time_from, time_text


def test_a_time_is_text_of_fixed_width_in_utc() -> None:
    time = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert time_text(time) == "2026-02-28T23:00:00.000000+00:00"
    assert time_from(time_text(time)) == time
    assert time_from(time_text(time)).tzinfo is UTC


@pytest.mark.parametrize("damaged", ["geheim", "2026-03-01T00:00:00", None, 7])
def test_a_damaged_time_is_not_shown(damaged: object) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        decode_column(time_from, damaged)
    assert "geheim" not in f"{refused.value} {refused.value.__cause__}"
