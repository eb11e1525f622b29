"""The small comparisons run, and both sides of each do what they are timed for."""

from benchmarks.micro import GROUPS, micro


def test_every_comparison_has_both_sides() -> None:
    section = micro(1, quick=True)
    journal, client = section.tables
    assert [row[0] for row in journal.rows] == [str(group) for group in GROUPS]
    assert all(float(cell.replace(",", "")) > 0 for row in (*journal.rows, *client.rows) for cell in row[1:3])
