"""The catalogue of deliberate faults fits the source, and a hunt tells a fault from a sound source."""

import ast
import dataclasses
import functools
from pathlib import Path

import pytest

from tests.simulation.checkers import CHECKERS
from tests.simulation.mutations.__main__ import FOUND, NOT_FOUND, USAGE, main
from tests.simulation.mutations.catalogue import MUTATIONS
from tests.simulation.mutations.mutation_runner import CONTROL, ROOT, MutationResult
from tests.simulation.mutations.patches import Mutation, Patch, StalePatchError, apply, mutated, source_below
from tests.simulation.mutations.result_tables import as_markdown, as_text, beside_as_markdown
from tests.simulation.mutations.rule_faults import RULE_FAULTS
from tests.simulation.mutations.unit_tested_faults import UNIT_TESTED_FAULTS

QUICK = next(one for one in MUTATIONS if one.name == "write-repeated")


EVERY = (*MUTATIONS, *RULE_FAULTS, *(one.mutation for one in UNIT_TESTED_FAULTS))


@functools.cache
def dumped(source: str) -> str:
    """The Python of a file; many faults are in the same."""
    return ast.dump(ast.parse(source))


@pytest.mark.parametrize("mutation", EVERY, ids=lambda one: one.name)
def test_every_patch_fits_the_source_and_gives_other_python(mutation: Mutation) -> None:
    source_of = source_below(ROOT)
    for path, text in mutated(mutation, source_of).items():
        tree = ast.parse(text)
        compile(tree, path, "exec")
        assert ast.dump(tree) != dumped(source_of(path)), path


def test_every_invariant_has_a_fault_of_its_own() -> None:
    assert {one.invariant for one in MUTATIONS} == set(CHECKERS)
    assert len({one.name for one in EVERY}) == len(EVERY)


def test_the_tests_beside_the_code_are_there() -> None:
    for one in UNIT_TESTED_FAULTS:
        assert one.tests, one.mutation.name
        for test in one.tests:
            file, _, name = test.partition("::")
            assert (f"def {name.partition('[')[0]}(" if name else "def test_") in (ROOT / file).read_text(
                encoding="utf-8"
            ), test


@pytest.mark.parametrize(("source", "times"), [("x = 2\n", 0), ("x = 1\nx = 1\n", 2)])
def test_a_patch_that_no_longer_fits_is_named(tmp_path: Path, source: str, times: int) -> None:
    (tmp_path / "a.py").write_text(source)
    mutation = Mutation("stale", "I1", "", (Patch("a.py", "x = 1", "x = 3"),))
    with pytest.raises(StalePatchError, match=rf"stale: a\.py has {times} times, not once: x = 1"):
        apply(mutation, tmp_path)
    assert (tmp_path / "a.py").read_text() == source


def test_a_stale_patch_ends_the_command_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = Mutation("stale", "I1", "", (Patch("fleetos/none.py", "x = 1", "x = 3"),))
    monkeypatch.setattr("tests.simulation.mutations.__main__.MUTATIONS", [stale])
    assert main([]) == USAGE
    assert "stale: fleetos/none.py has 0 times" in capsys.readouterr().err


@pytest.mark.slow
def test_a_fault_is_found_and_the_sound_source_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", QUICK.name, "--jobs", "1"]) == FOUND
    control, found = capsys.readouterr().out.splitlines()[1:]
    assert control.startswith(CONTROL.name)
    assert " clean " in control
    assert found.startswith(QUICK.name)
    assert " found " in found


@pytest.mark.proof
def test_what_is_no_fault_is_not_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    harmless = dataclasses.replace(QUICK, patches=(), seeds=1)
    monkeypatch.setattr("tests.simulation.mutations.__main__.MUTATIONS", [harmless])
    assert main(["--jobs", "1"]) == NOT_FOUND
    assert "NOT FOUND" in capsys.readouterr().out


def test_the_table_of_those_beside_the_simulation_says_why_and_by_which_tests() -> None:
    rows = [line.split("|")[1:-1] for line in beside_as_markdown(UNIT_TESTED_FAULTS)]
    assert [row[0].strip() for row in rows[2:]] == [one.mutation.name for one in UNIT_TESTED_FAULTS]
    assert all(cell.strip() for row in rows for cell in row)
    assert {len(row) for row in rows} == {4}


def test_the_table_says_what_came_of_it() -> None:
    hunts = [
        MutationResult(CONTROL, None, 7, 1.0),
        MutationResult(QUICK, 7, 7, 2.0, "write 3", ("I1",)),
        MutationResult(QUICK, None, 300, 3.0),
    ]
    text, table = list(as_text(hunts)), list(as_markdown(hunts))
    assert [line.split()[-2:] for line in text[4:]] == [["showed", "it"]]
    assert [line.split("|")[-2].strip() for line in table[2:]] == ["clean", "found", "NOT FOUND"]
    assert not MutationResult(CONTROL, 3, 7, 1.0).good
    assert not MutationResult(QUICK, 3, 3, 1.0, trouble="no end").good
