"""Failure budgets: how many servers may fail before a run pauses. Pure.

They count the present states of this pass: failed and held, whatever the cause. A target that was held before it was
admitted, or that an operator forgave, counts towards none (`Target.failed_in`).
"""

from dataclasses import dataclass

from fleetos.model.run import Settings


@dataclass(frozen=True, slots=True)
class Budget:
    """Failure budget: it is exceeded when more servers failed than are allowed to."""

    scope: str
    """Key of the plan's section `failure`."""
    failed: int
    allowed: int

    @property
    def exceeded(self) -> bool:
        """True if the run must pause."""
        return self.failed > self.allowed

    @property
    def words(self) -> str:
        """Return why the run pauses, as words that follow `paused: `."""
        which = "first changed server" if self.allowed == 0 else f"first {self.allowed + 1:,} changed servers all"
        return f"the {which} failed"


def budgets(settings: Settings, failed: int, done: int) -> tuple[Budget, ...]:
    """Return the budgets that may still pause the run, by what failed and what is done in this pass.

    `first`: exceeded when the first so many servers that ended failed. One that is done shows that the change works, so
    that the budget is over.
    """
    first = settings.failure_first
    return () if first is None or done else (Budget("first", failed, first - 1),)


def forgiveness(failed: int, in_flight: int) -> str:
    """Return what becomes of a run that a budget paused, as words that follow those of the budget."""
    finish = f"{in_flight:,} in flight {'finishes' if in_flight == 1 else 'finish'}; " if in_flight else ""
    return f"{finish}resume forgives {'this' if failed == 1 else 'these'} {failed:,}"
