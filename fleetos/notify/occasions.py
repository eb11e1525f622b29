"""Notices: what people are told of, found in the records of a run. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fleetos.model.journal.events import (
    Record,
    RunDriverStarted,
    RunEvent,
    RunMoved,
    RunNotified,
    RunWaveFinished,
    RunWaveOpened,
)
from fleetos.model.plan import Occasion
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import RETRIABLE, RUN_ENDS, Reason, RunState
from fleetos.rules.budgets import Budget, Failures, budgets
from fleetos.rules.waves import find_approval_wait, find_next_wait, wave_facts
from fleetos.text import counted
from fleetos.views.documents.events import state_of
from fleetos.views.text.reasons import REASONS, run_words
from fleetos.views.text.server_names import server_name_and_id

# Kinds of the records that notices about the whole run are found in, and of those that say that one was sent.
RUN_KINDS = ("run-driver-started", "run-wave-opened", "run-wave-finished", "run-moved", "run-notified")
Key = tuple[Occasion, str, datetime | None]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people are told."""

    occasion: Occasion
    subject: str
    """Wave, budget or server; empty for the run."""
    about: datetime
    """Time of the record that it is about."""
    what: str
    """A sentence for people."""

    @property
    def key(self) -> Key:
        """Identity of the notice, also for the next process that drives the run."""
        return _key(self.occasion, self.subject, self.about)


def key_of(event: RunNotified) -> Key:
    """Return the key of the notice that the event records."""
    return _key(event.occasion, event.subject, event.about)


def _key(occasion: Occasion, subject: str, about: datetime) -> Key:
    # Half of a budget is used once, and no record says when.
    return occasion, subject, None if occasion is Occasion.BUDGET_HALF else about


class NoticeFinder:
    """Finder of notices, which follows the turns of a run."""

    def __init__(self, progress: Progress) -> None:
        self._pass_no = progress.run.passes
        self._failures = Failures.of(progress.run, progress.targets.values())

    def find(self, progress: Progress, records: Sequence[Record]) -> list[Notice]:
        """Return the notices of a turn, which is in the progress already.

        Half of a budget is found in every turn from then on.
        """
        notices: list[Notice] = []
        for record in records:
            if isinstance(record.event, RunEvent):
                notices += run_notices(record, progress.run)
            else:
                notices += _server_notices(record, progress)
        return notices + self._budget_notices(progress, records)

    def _budget_notices(self, progress: Progress, records: Sequence[Record]) -> list[Notice]:
        run = progress.run
        if run.passes != self._pass_no:
            self._pass_no, self._failures = run.passes, Failures.of(run, progress.targets.values())
        for record in records:
            if not isinstance(record.event, RunEvent):
                self._failures.update(progress.targets[record.event.server_id])
        if not records or not self._failures.failed:
            return []
        return list(budget_notices(run, self._failures, records[-1].at))


def run_notices(record: Record, run: Run) -> Iterator[Notice]:
    """Yield what people are told of a record about the whole run, which is as the run is now or earlier."""
    event, at = record.event, record.at
    match event:
        case RunDriverStarted() if at == run.started_at:
            disks = counted(run.wipes, "system disk")
            yield Notice(Occasion.STARTED, "", at, f"the run has started, to wipe {disks}")
        case RunWaveOpened():
            wave = run.steering.waves[event.number - 1]
            text = f"{_wave_words(run, event.number)} has opened: {counted(wave.members, 'server')}"
            yield Notice(Occasion.WAVE, f"wave {event.number} opened", at, text)
        case RunWaveFinished():
            text = f"{_wave_words(run, event.number)} is finished"
            yield Notice(Occasion.WAVE, f"wave {event.number} finished", at, text)
            yield from _approval_notices(run, event.number, at)
        case RunMoved() if event.to is RunState.PAUSED:
            yield Notice(Occasion.PAUSED, "", at, _moved_words(event))
        case RunMoved() if event.to in RUN_ENDS:
            yield Notice(Occasion.FINISHED, "", at, _moved_words(event))
        case _:
            pass


def _approval_notices(run: Run, number: int, at: datetime) -> Iterator[Notice]:
    """Yield the approval that the wave after this one lacks, unless it has opened by now."""
    if run.waves_opened != number or run.wave_finished_at is None:
        return
    waves = run.steering.waves
    facts = wave_facts(run, {number: waves[number - 1].members})
    if number < len(waves) and find_approval_wait(waves[number - 1], facts, at) is not None:
        waiting = find_next_wait(waves, number, facts, at)
        if waiting is not None:
            yield Notice(Occasion.APPROVAL, f"wave {number + 1}", at, waiting.words)


def _server_notices(record: Record, progress: Progress) -> Iterator[Notice]:
    event = record.event
    if isinstance(event, RunEvent) or state_of(event) not in RETRIABLE:
        return
    target = progress.targets[event.server_id]
    if target.state is state_of(event):
        yield from target_notices(target, progress.run, record.at)


def target_notices(target: Target, run: Run, at: datetime) -> Iterator[Notice]:
    """Yield what people are told of a target that failed or is held now, since `at`."""
    if target.state not in RETRIABLE:
        return
    name = server_name_and_id(target)
    if target.overdue:
        yield Notice(Occasion.OVERDUE, name, at, f"{name}: its change goes on after its time-out")
    if target.failed_in(run.passes):
        why = f": {REASONS[target.reason].short}" if target.reason is not None else ""
        yield Notice(Occasion.SERVER_FAILED, name, at, f"{name} {target.state}{why}")


def budget_notices(run: Run, failures: Failures, at: datetime) -> Iterator[Notice]:
    """Yield the budgets of which half is used by now. One that is exceeded pauses the run, which is told then."""
    if run.state is not RunState.RUNNING:
        return
    for budget in budgets(run, failures):
        if budget.failed and not budget.exceeded and 2 * budget.failed >= budget.allowed:
            subject = f"{budget.scope}, pass {run.passes}"
            yield Notice(Occasion.BUDGET_HALF, subject, at, _half_words(budget))


def _half_words(budget: Budget) -> str:
    if budget.scope == "first":
        return f"{budget.failed:,} failed and none is done: the run pauses when the first {budget.total:,} failed"
    which = f"the last {budget.total:,}" if budget.scope == "of_last" else f"{budget.total:,}"
    return (
        f"half of the failure budget {budget.scope} is used: {budget.failed:,} of {which} failed, "
        f"more than {budget.allowed:,} stop the run"
    )


def _wave_words(run: Run, number: int) -> str:
    name = run.steering.waves[number - 1].name
    return f"wave {number:,} of {len(run.steering.waves):,}{f' ({name})' if name else ''}"


def _moved_words(event: RunMoved) -> str:
    words = run_words(event.to, event.reason, event.detail)
    if event.by and event.reason is Reason.OPERATOR:
        words = f"by {event.by}{': ' if event.detail else ''}{event.detail}"
    # The words of an abort begin with who asked for it, too.
    return f"the run is {event.to}{'' if not words else ' ' if words.startswith('by ') else ': '}{words}"
