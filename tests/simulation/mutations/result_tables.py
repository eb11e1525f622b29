"""What came of the searches, for a terminal and for the documentation."""

from collections.abc import Iterator, Sequence

from tests.simulation.mutations.mutation_runner import CONTROL, MutationResult
from tests.simulation.mutations.patches import Mutation
from tests.simulation.mutations.unit_tested_faults import UnitTestedFault

_EVIDENCE_CHARS = 200


def listed(mutations: Sequence[Mutation]) -> Iterator[str]:
    """Yield one line for each fault."""
    for one in mutations:
        yield f"{one.name:26} {one.invariant:4} {one.seeds:5}  {one.told}"


def listed_beside(every: Sequence[UnitTestedFault]) -> Iterator[str]:
    """Yield one line for each fault that tests beside the code find, and why no world shows it."""
    for one in every:
        yield f"{one.mutation.name:26} {one.mutation.told}: {one.why}"


def beside_as_markdown(every: Sequence[UnitTestedFault]) -> Iterator[str]:
    """Yield the same as it stands in the documentation, with the tests."""
    yield "| Fault | What is wrong | Why no world shows it | Found by |"
    yield "|---|---|---|---|"
    for one in every:
        tests = ", ".join(f"`{test.removeprefix('tests/')}`" for test in one.tests)
        yield f"| {one.mutation.name} | {one.mutation.told} | {one.why} | {tests} |"


def as_text(searches: Sequence[MutationResult]) -> Iterator[str]:
    """Yield the table, and below it the evidence of what did not come as it must."""
    yield f"{'mutation':26} {'by':4} {'seeds':>5}  {'result':12} {'also':14} {'s':>5}  fault"
    for one in searches:
        also = ",".join(one.others) or "-"
        name, by = one.mutation.name, one.mutation.invariant
        yield f"{name:26} {by:4} {one.played:5}  {_result(one):12} {also:14} {one.spent_s:5.0f}  {one.mutation.told}"
    for one in searches:
        if not one.good:
            yield f"{one.mutation.name}: {one.trouble or one.evidence[:_EVIDENCE_CHARS] or 'no seed showed it'}"


def as_markdown(searches: Sequence[MutationResult]) -> Iterator[str]:
    """Yield the table as it stands in the documentation: what the seconds were is nobody's matter there."""
    yield "| Fault | What is wrong | Found by | Seeds needed | Result |"
    yield "|---|---|---|---:|---|"
    for one in searches:
        fault = one.mutation
        yield f"| {fault.name} | {fault.told} | {fault.invariant} | {one.played} | {_result(one)} |"


def _result(one: MutationResult) -> str:
    if one.mutation is CONTROL:
        return "clean" if one.good else "NOT CLEAN"
    return "found" if one.good else "NOT FOUND"
