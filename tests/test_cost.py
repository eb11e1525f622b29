"""How many processes run the tests, which tests are named as slow, and which wait for the check of a commit."""

from pathlib import Path

import pytest

from tests.conftest import SLOW_ROOMS, pytest_collection_modifyitems, pytest_ignore_collect
from tests.support.cost import WORKERS_MAX, WORKERS_MIN, number_of_workers, unmarked

TESTS = Path(__file__).parent


@pytest.mark.parametrize(
    ("argument", "workers"),
    [
        ("tests", 6),
        (".", 6),
        ("tests/unit", 6),
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


def test_many_cores_get_a_few_workers_and_one_gets_some() -> None:
    assert number_of_workers([str(TESTS)], TESTS, 64) == WORKERS_MAX
    assert number_of_workers([str(TESTS)], TESTS, 1) == WORKERS_MIN
    assert number_of_workers([str(TESTS)], TESTS, 2, waits=False) == 4


def test_a_slow_test_that_is_not_marked_is_named() -> None:
    assert unmarked([("a", 2.5, False), ("b", 9.0, True), ("c", 1.9, False), ("d", 3.0, False)]) == [
        "3.0 s  d",
        "2.5 s  a",
    ]


def test_the_fast_tests_leave_out_the_proofs(request: pytest.FixtureRequest) -> None:
    item: pytest.Item = request.node
    item.add_marker(pytest.mark.proof)
    assert item.get_closest_marker("slow") is None
    pytest_collection_modifyitems([item])
    assert item.get_closest_marker("slow") is not None


def test_the_fast_tests_leave_out_whole_rooms(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(room.is_dir() for room in SLOW_ROOMS)
    for chosen, left_out in (("not slow", True), ("not proof", None)):
        monkeypatch.setattr(pytestconfig.option, "markexpr", chosen)
        assert pytest_ignore_collect(TESTS / "cli", pytestconfig) is left_out
        assert pytest_ignore_collect(TESTS / "unit", pytestconfig) is None


def test_the_check_of_a_commit_runs_the_proofs_that_the_tests_leave_out(pytestconfig: pytest.Config) -> None:
    assert "not proof" in pytestconfig.getini("addopts")
    assert "pytest -m proof\n" in (TESTS.parent / ".ci" / "run").read_text(encoding="utf-8")
