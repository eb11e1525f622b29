"""The page on the database and the tables say the same."""

import re
from pathlib import Path

from fleetos.limits import LEASE_TERM_S
from fleetos.store.database.database_file import DATABASE_BUSY_S
from fleetos.store.database.migration import VERSION_TABLE
from fleetos.store.database.tables import metadata

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "database.md").read_text()


def test_every_table_and_column_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE)
    told = {table: re.findall(r"\w+", columns) for table, columns in rows}
    assert told.pop(VERSION_TABLE) == ["version_num"]
    assert told == {name: [column.name for column in table.columns] for name, table in metadata.tables.items()}


def test_the_times_are_those_of_the_program() -> None:
    assert f"after {LEASE_TERM_S:.0f} s in which" in PAGE
    assert f"locked for {DATABASE_BUSY_S:.0f} s" in PAGE
