"""The measurement of the start-up runs, and every command in it does what it is measured for."""

import pytest

from benchmarks.start_up import start_up


@pytest.mark.slow
def test_every_command_is_measured_beside_bare_python() -> None:
    (table,) = start_up(1, quick=True).tables
    assert table.rows[0][0] == "python -c pass"
    assert {"fleetos --help", "fleetos validate", "fleetos status"} < {row[0] for row in table.rows}
    assert all(float(cell) > 0 for row in table.rows for cell in (row[1], row[3]))
