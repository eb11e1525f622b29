"""Approver of a rehearsal: somebody who may approve does so some time after a wave asks for it."""

from datetime import datetime, timedelta

import anyio

from fleetos.clock import Clock
from fleetos.model.journal.requests import RequestArguments, RequestKind
from fleetos.model.run import Run
from fleetos.model.steering.rollout import Approval
from fleetos.rules.waves import may_approve, rightful_approvals, wave_facts
from fleetos.store.memory_journal import MemoryRun


class Approver:
    """People who look every `look_s` whether a wave asks for an approval, and give it `after_s` later."""

    def __init__(self, store: MemoryRun, clock: Clock, after_s: float, look_s: float) -> None:
        self._store = store
        self._clock = clock
        self._after = timedelta(seconds=after_s)
        self._look_s = look_s
        self._asked: tuple[int, datetime] | None = None
        """Number of the wave that lacks approvals, and since when."""

    async def watch(self) -> None:
        """Approve each wave that asks, until cancelled. One whose approval expires asks again."""
        while True:
            await anyio.sleep(self._look_s)
            self._look(self._store.run, self._clock.now())

    def _look(self, run: Run, now: datetime) -> None:
        waves, number = run.steering.waves, run.waves_opened
        rule = waves[number - 1].between.approval if 0 < number < len(waves) else None
        if rule is None or run.wave_finished_at is None:
            self._asked = None
            return
        given = rightful_approvals(rule, number, wave_facts(run, {number: waves[number - 1].members}), now)
        if len(given) >= rule.of:
            self._asked = None
            return
        if self._asked is None or self._asked[0] != number:
            # A wave asks when the one before it has finished; one whose approval has expired asks from now on.
            asked = any(approval.wave == number + 1 for approval in run.approvals)
            self._asked = (number, now if asked else run.wave_finished_at)
        if now >= self._asked[1] + self._after and not self._store.requests:
            self._approve(run, rule, now)

    def _approve(self, run: Run, rule: Approval, now: datetime) -> None:
        arguments = RequestArguments(wave=run.waves_opened + 1)
        for name in _names(rule, run.owner)[: rule.of]:
            self._store.add_request(RequestKind.APPROVE, name, now, "rehearsal", arguments)


def _names(rule: Approval, owner: str) -> list[str]:
    """Return operators who may approve."""
    names = rule.by if isinstance(rule.by, tuple) else tuple(f"approver {number}" for number in range(1, rule.of + 2))
    return [name for name in names if may_approve(rule, name, owner)]
