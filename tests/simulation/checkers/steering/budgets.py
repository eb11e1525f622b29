"""I18: nothing is admitted over a failure budget, and no budget pauses or ends a run that has not used it up.

Budgets are worked out here from the plan: percentages in whole hundredths, of the servers that the freeze left to be
changed.
"""

from collections.abc import Iterator
from fractions import Fraction

from fleetos.model.journal.events import ChangeIntended
from fleetos.model.states import RunState
from fleetos.model.steering.rollout import OnExceeded
from fleetos.model.steering.share import Share
from tests.simulation.checkers.failure_count import FailureCount, stops_by_budget, waves_of
from tests.simulation.checkers.steps import admits, believed
from tests.simulation.run_trace import RunTrace, Step, Violation

# What may fail of a wave whose plan does not say it.
_OF_A_WAVE = Share(5.0, percent=True)


def number_of(share: Share, total: int, *, at_least: int) -> int:
    """Return a share of so many, rounded down."""
    if not share.percent:
        return max(at_least, int(share.number))
    return max(at_least, int(Fraction(str(share.number)) * total // 100))


def exceeded_budgets(trace: RunTrace, count: FailureCount, *, perhaps: bool = False) -> list[str]:
    """Return which budgets of the plan are exceeded: each by its name, and in words.

    Who has failed and gets its power back has ended when that begins, or when it is over. `perhaps`: by either of the
    two, else by both.
    """
    if trace.spec.steering is None:
        return []
    plan, words = trace.spec.steering.plan, list[str]()
    members = [one for one in count.targets if one not in count.never]
    if plan.max_failed is not None:
        allowed, failed = number_of(plan.max_failed, len(members), at_least=0), len(count.failed)
        if failed > allowed:
            words.append(f"max-failed: {failed} failed, {allowed} of {len(members)} may")
    if plan.of_last is not None and (any if perhaps else all)(
        count.failed_of(ended[-plan.of_last.of :]) > plan.of_last.failed for ended in (count.ended, count.sure)
    ):
        words.append(f"of-last: more than {plan.of_last.failed} of the last {plan.of_last.of} failed")
    if plan.waves:
        for number, of_wave in waves_of(count.targets).items():
            share = plan.max_failed_per_wave or _OF_A_WAVE
            size = len([one for one in of_wave if one in members])
            allowed, failed = number_of(share, size, at_least=0), count.failed_of(of_wave)
            if number and failed > allowed:
                words.append(f"wave: {failed} of wave {number} failed, {allowed} of {size} may")
    return words


def nothing_over_a_budget(trace: RunTrace) -> Iterator[Violation]:
    """I18: for the budgets of the run, of its waves and of the last that ended."""
    steering = trace.spec.steering
    if steering is None:
        return
    ends = steering.plan.on_exceeded is OnExceeded.END
    count, last = FailureCount(), None
    for step in believed(trace):
        exceeded = exceeded_budgets(trace, count)
        record, event = step.record, step.record.event
        if last is not None and last.last_seq and step.written is not last and exceeded and _goes_on(step, count):
            yield Violation("I18", f"the run goes on after record {last.last_seq}: {exceeded[0]}")
        last = step.written
        if exceeded and (isinstance(event, ChangeIntended) or admits(step)):
            yield Violation("I18", f"record {record.seq} goes on with a server: {exceeded[0]}")
        if stops_by_budget(event) and exceeded and (event.to is RunState.FINISHING) is not ends:
            yield Violation("I18", f"record {record.seq} moves the run to {event.to}: {exceeded[0]}")
        perhaps = exceeded or exceeded_budgets(trace, count, perhaps=True)
        if stops_by_budget(event) and not perhaps and not count.exceeds_first(trace.spec.failure.first):
            yield Violation("I18", f"record {record.seq} stops the run, and no budget is used up")
        count.step(step)


def _goes_on(step: Step, count: FailureCount) -> bool:
    return step.run is not None and step.run.state is RunState.RUNNING and count.spares
