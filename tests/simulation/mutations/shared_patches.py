"""Places of the source, patches that several faults share, and what makes a fault of them."""

from dataclasses import dataclass

from tests.simulation.mutations.patches import Mutation, Patch

ENGINE, RULES, CLOUD, PLANNING = "fleetos/engine", "fleetos/rules", "fleetos/cloud", "fleetos/planning"
FOLD = "fleetos/model/journal/fold.py"
# Parts of several faults.
AGAIN_AT_ONCE = Patch(
    f"{RULES}/replies.py",
    "TargetState.INSPECTING, answer=str(AnswerClass.AMBIGUOUS), detail=detail",
    "TargetState.READY, answer=str(AnswerClass.AMBIGUOUS), detail=detail",
)
NO_SETTLE = Patch(
    f"{ENGINE}/tracker.py",
    "settle_s=self.changes.settle_s(run.settings)",
    "settle_s=0.0",
)
NOT_SENT = Patch(
    f"{CLOUD}/http/transport.py", "return type(own_error)(own_error.message)", "return NotSent(own_error.message)"
)
NO_DISK_RULE = (
    Patch(f"{RULES}/states/ready.py", "    if snapshot.disk != target.disk:\n", "    if False:\n"),
    Patch(FOLD, "event.before.disk is None or event.before.disk != target.disk", "event.before.disk is None"),
)


def one(path: str, old: str, new: str) -> tuple[Patch, ...]:
    """Return the one patch of a fault that lies in one place."""
    return (Patch(path, old, new),)


@dataclass(frozen=True, slots=True)
class UnitTestedFault:
    """A fault, why no world shows it, and the tests of which at least one must fail by it."""

    mutation: Mutation
    why: str
    tests: tuple[str, ...]


def unit_tested(name: str, told: str, place: tuple[str, str, str], why: str, *tests: str) -> UnitTestedFault:
    """Return a fault that lies in one place and that tests beside the code find."""
    return UnitTestedFault(Mutation(name, "-", told, one(*place)), why, tests)


# Whichever checker sees the fault first.
ANY = ",".join(f"I{number}" for number in range(1, 22))


def seen_by_any(name: str, told: str, path: str, old: str, new: str) -> Mutation:
    """Return a fault that lies in one place and that any checker may find."""
    return Mutation(name, ANY, told, one(path, old, new))
