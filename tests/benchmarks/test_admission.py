"""The measurement of admission works."""

from benchmarks.admission import admission


def test_each_kind_of_group_has_a_row_with_every_pass() -> None:
    (table,) = admission(60, quick=True).tables
    assert table.head == ("groups", "build", "closed", "opening", "after", "plain loop")
    assert [row[0] for row in table.rows] == ["zones", "zones and pairs"]
    assert all(len(row) == len(table.head) for row in table.rows)
