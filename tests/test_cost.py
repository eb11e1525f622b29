"""How many processes run the tests, and which tests are named as slow."""

from pathlib import Path

import pytest

from tests.support.cost import WORKERS_MAX, number_of_workers, unmarked

TESTS = Path(__file__).parent


@pytest.mark.parametrize(
    ("argument", "workers"),
    [
        ("tests", 3),
        (".", 3),
        ("tests/unit", 3),
        ("tests/unit/rules", 0),
        ("tests/test_cost.py", 0),
        ("tests/test_cost.py::test_one", 0),
        ("tests/unit/nowhere", 0),
    ],
)
def test_all_tests_and_whole_rooms_get_workers(argument: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TESTS.parent)
    assert number_of_workers([argument], TESTS, 2) == workers
    assert number_of_workers(["tests/test_cost.py", argument], TESTS, 2) == workers


def test_many_cores_get_a_few_workers() -> None:
    assert number_of_workers([str(TESTS)], TESTS, 64) == WORKERS_MAX


def test_a_slow_test_that_is_not_marked_is_named() -> None:
    assert unmarked([("a", 2.5, False), ("b", 9.0, True), ("c", 1.9, False), ("d", 3.0, False)]) == [
        "3.0 s  d",
        "2.5 s  a",
    ]
