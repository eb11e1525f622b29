"""Waves: when the next one may open. Pure.

A wave is finished when all of its members have ended. Then it bakes, by the wall clock and from that end on, and needs
its approvals, which must be given since the wave ended and must not have expired. A promotion by an operator stands
for the rest of the bake, or for a number of members that have not ended, but never for an approval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fleetos.model.run import Run
from fleetos.model.states import RunState
from fleetos.model.steering.rollout import Approval, ApprovalGiven, Wave
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason
from fleetos.text import counted

_GOES_ON = (RunState.RUNNING, RunState.PAUSED)


@dataclass(frozen=True, slots=True)
class WaveFacts:
    """Facts that the opening of the next wave depends on."""

    run_id: str
    owner: str
    """Operator who created the run."""
    ended: Mapping[int, int]
    """Number of members that ended, by wave."""
    finished_at: Mapping[int, datetime]
    """When the last member of a wave ended, by the wave. A retry or a release takes it away."""
    approvals: Sequence[ApprovalGiven] = ()
    promoted: frozenset[int] = frozenset()
    """Waves whose bake, and whose unfinished members, an operator passed over."""

    def left(self, wave: Wave) -> int:
        """Return how many members of a wave have not ended."""
        return wave.members - self.ended.get(wave.number, 0)


def find_bake_end(run: Run) -> datetime | None:
    """Return when the bake of the wave that was opened last ends; None if the wave goes on, or was promoted."""
    if run.wave_finished_at is None or run.promoted is not None:
        return None
    return run.wave_finished_at + timedelta(seconds=run.steering.waves[run.waves_opened - 1].between.bake_s)


def find_last_bake_end(run: Run) -> datetime | None:
    """Return when the last bake of a run ends; None if no bake holds its end up."""
    return find_bake_end(run) if run.waves_opened == len(run.steering.waves) else None


def wave_facts(run: Run, ended: Mapping[int, int]) -> WaveFacts:
    """Return the facts of a run, of whose members so many have ended, by wave."""
    number = run.waves_opened
    finished = {} if run.wave_finished_at is None else {number: run.wave_finished_at}
    facts = WaveFacts(run.id, run.owner, ended, finished, run.approvals)
    # A wave of which more are unfinished than the operator passed over is promoted no more.
    if run.promoted is None or facts.left(run.steering.waves[number - 1]) > run.promoted:
        return facts
    return replace(facts, promoted=frozenset({number}))


def ends_wave(run: Run, ended: Mapping[int, int], *, again: bool = False) -> bool:
    """Return whether all members of the wave that was opened last have ended, and its end is not on record.

    `again`: one of them has ended just now, so that an end on record is that of before it was taken up again.
    """
    if run.waves_opened == 0 or run.state not in _GOES_ON or (run.wave_finished_at is not None and not again):
        return False
    wave = run.steering.waves[run.waves_opened - 1]
    return ended.get(wave.number, 0) >= wave.members


def find_pause_between_waves(run: Run, ended: Mapping[int, int], now: datetime) -> Waiting | None:
    """Return the bake or the approvals that a run waits for while no member of its waves is left; None for neither."""
    if run.wave_finished_at is None or run.state not in _GOES_ON:
        return None
    last_bake_end = find_last_bake_end(run)
    if last_bake_end is not None and now < last_bake_end:
        return wait_for_bake(run.waves_opened, last_bake_end)
    return find_next_wait(run.steering.waves, run.waves_opened, wave_facts(run, ended), now)


def find_next_wait(waves: Sequence[Wave], opened: int, facts: WaveFacts, now: datetime) -> Waiting | None:
    """Return what the wave after `opened` waits for; None if its first admission opens it."""
    if opened == 0 or opened >= len(waves):
        return None
    wave = waves[opened - 1]
    if wave.number not in facts.promoted:
        left = facts.left(wave)
        finished_at = facts.finished_at.get(wave.number)
        if left > 0 or finished_at is None:
            return Waiting(WaitReason.WAVE, unfinished_words(wave, left))
        baked_at = finished_at + timedelta(seconds=wave.between.bake_s)
        if now < baked_at:
            return wait_for_bake(wave.number, baked_at, find_approval_wait(wave, facts, now))
    return find_approval_wait(wave, facts, now)


def unfinished_words(wave: Wave, left: int) -> str:
    """Return that a wave is not finished, since so many of its members are left."""
    if left == 0:
        return f"the end of wave {wave.number} is not on record yet"
    return f"wave {wave.number} is not finished: {left:,} of {wave.members:,} are left"


def wait_for_bake(number: int, end: datetime, then: Waiting | None = None) -> Waiting:
    """Return the wait for the end of a bake, after which the run waits for the other one."""
    # Who may approve need not wait for the end of the bake.
    also = "" if then is None else f"; {then.words}"
    return Waiting(WaitReason.WAVE, f"wave {number} is watched until {end:%Y-%m-%d %H:%MZ}{also}", end)


def find_approval_wait(wave: Wave, facts: WaveFacts, now: datetime) -> Waiting | None:
    """Return the approvals that the wave after this one lacks now; None if it lacks none."""
    rule = wave.between.approval
    if rule is None:
        return None
    given = rightful_approvals(rule, wave.number, facts, now)
    if len(given) >= rule.of:
        return None
    following = wave.number + 1
    words = f"wave {following} waits for {_lacking(rule, len(given))} by {rule.approvers(facts.owner, given)}"
    if expired := sorted(_newest_approvals(rule, wave.number, facts).keys() - given):
        words += f", since that of {' and '.join(expired)} has expired"
    return Waiting(WaitReason.WAVE, f"{words}: fleetos approve {facts.run_id} --wave {following}")


def rightful_approvals(rule: Approval, wave: int, facts: WaveFacts, now: datetime) -> set[str]:
    """Return the operators whose approval of the wave after `wave` counts now."""
    oldest = now - timedelta(seconds=rule.valid_s)
    return {by for by, at in _newest_approvals(rule, wave, facts).items() if at >= oldest}


def _newest_approvals(rule: Approval, wave: int, facts: WaveFacts) -> Mapping[str, datetime]:
    """Return when each operator who may has approved the wave after `wave` last, since that one ended."""
    finished_at = facts.finished_at.get(wave)
    return {
        approval.by: approval.at
        for approval in facts.approvals
        if approval.wave == wave + 1
        and (finished_at is not None and approval.at >= finished_at)
        and may_approve(rule, approval.by, facts.owner)
    }


def may_approve(rule: Approval, by: str, owner: str) -> bool:
    """Return whether the operator may approve."""
    if rule.by == "other":
        return by != owner
    return rule.by == "anyone" or by in rule.by


def _lacking(rule: Approval, given: int) -> str:
    if rule.of == 1:
        return "an approval"
    return counted(rule.of - given, "more approval" if given else "approval")
