"""Waves: when the next one may open. Pure.

A wave is finished when all of its members have ended. Then it bakes, by the wall clock and from that end on, and needs
its approvals, which must be given since the wave ended and must not have expired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetos.model.run import Run
from fleetos.model.steering.rollout import Approval, ApprovalGiven, Wave
from fleetos.rules.admission.wait_reasons import Waiting, WaitReason


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


def find_bake_end(run: Run) -> datetime | None:
    """Return the time at which the last bake of a run ends; None if no bake holds its end up."""
    waves = run.steering.waves
    if not waves or run.waves_opened < len(waves) or run.wave_finished_at is None:
        return None
    return run.wave_finished_at + timedelta(seconds=waves[-1].between.bake_s)


def wave_facts(run: Run, ended: Mapping[int, int]) -> WaveFacts:
    """Return the facts of a run, of whose members so many have ended, by wave."""
    finished = {} if run.wave_finished_at is None else {run.waves_opened: run.wave_finished_at}
    return WaveFacts(run.id, run.created_by, ended, finished, run.approvals)


def find_next_wait(waves: Sequence[Wave], opened: int, facts: WaveFacts, now: datetime) -> Waiting | None:
    """Return what the wave after `opened` waits for; None if its first admission opens it."""
    if opened == 0 or opened >= len(waves):
        return None
    wave = waves[opened - 1]
    if wave.number not in facts.promoted:
        left = wave.members - facts.ended.get(wave.number, 0)
        finished_at = facts.finished_at.get(wave.number)
        if left > 0 or finished_at is None:
            return Waiting(
                WaitReason.WAVE, f"wave {wave.number} is not finished: {left:,} of {wave.members:,} are left"
            )
        baked_at = finished_at + timedelta(seconds=wave.between.bake_s)
        if now < baked_at:
            return watched(wave.number, baked_at)
    return _find_approval_wait(wave, facts, now)


def watched(number: int, until: datetime) -> Waiting:
    """Return the wait for the end of a bake."""
    return Waiting(WaitReason.WAVE, f"wave {number} is watched until {until:%Y-%m-%d %H:%MZ}", until)


def _find_approval_wait(wave: Wave, facts: WaveFacts, now: datetime) -> Waiting | None:
    rule = wave.between.approval
    if rule is None:
        return None
    given = rightful_approvals(rule, wave.number, facts, now)
    if len(given) >= rule.of:
        return None
    following = wave.number + 1
    number = "an approval" if rule.of == 1 else f"{rule.of - len(given)} more approvals"
    words = f"wave {following} waits for {number} by {_who(rule, facts.owner)}"
    return Waiting(WaitReason.WAVE, f"{words}: fleetos approve {facts.run_id} --wave {following}")


def rightful_approvals(rule: Approval, wave: int, facts: WaveFacts, now: datetime) -> set[str]:
    """Return the operators whose approval of the wave after `wave` counts now."""
    since = facts.finished_at.get(wave)
    oldest = now - timedelta(seconds=rule.valid_s)
    return {
        approval.by
        for approval in facts.approvals
        if approval.wave == wave + 1
        and approval.at >= oldest
        and (since is None or approval.at >= since)
        and may_approve(rule, approval.by, facts.owner)
    }


def may_approve(rule: Approval, by: str, owner: str) -> bool:
    """Return whether the operator may approve."""
    if rule.by == "other":
        return by != owner
    return rule.by == "anyone" or by in rule.by


def _who(rule: Approval, owner: str) -> str:
    if rule.by == "other":
        return f"somebody other than {owner}"
    return "anybody" if rule.by == "anyone" else " or ".join(rule.by)
