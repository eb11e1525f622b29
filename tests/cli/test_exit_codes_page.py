"""The page of exit codes and the codes themselves."""

import re
from pathlib import Path

from fleetos import errors
from fleetos.cli.exit_codes import ExitCode

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md").read_text()
ROWS = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| ([^|]+) \|", PAGE, re.MULTILINE)}


def test_the_page_has_every_code_and_no_other() -> None:
    assert set(ROWS) == {int(code) for code in ExitCode}


def test_every_error_leaves_with_a_code_of_the_page() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.FleetosError)]
    assert len(kinds) > 10
    assert {one.exit_code for one in kinds} <= set(ROWS)


def test_the_order_of_precedence_names_every_code_that_a_run_ends_with() -> None:
    (line,) = (line for line in PAGE.splitlines() if line.startswith("When several fit"))
    named = [int(code) for code in re.findall(r"\d+", line.partition(". ")[0])]
    assert named == [1, 129, 130, 143, 77, 69, 21, 20, 11, 12, 22, 10, 0]
    assert set(ROWS) - set(named) == {ExitCode.CHANGES_PENDING, ExitCode.NOT_CONFIRMED, ExitCode.USAGE, ExitCode.INPUT}
