"""Answer the requests about waves: approve the one that opens next, promote the one that holds it up. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from fleetos.model.journal.events import RunApproved, RunWavePromoted
from fleetos.model.journal.requests import OperatorRequest
from fleetos.model.run import Run
from fleetos.model.steering.rollout import Approval, ApprovalGiven, Wave
from fleetos.rules.requests.answer import Answer, done, no_effect, refused
from fleetos.rules.waves import (
    WaveFacts,
    find_approval_wait,
    find_next_wait,
    may_approve,
    rightful_approvals,
    unfinished_words,
)


def approve(request: OperatorRequest, run: Run, facts: WaveFacts, now: datetime) -> Answer:
    """Approve the wave that is to open next, unless the operator may not, or there is nothing to approve yet."""
    number, waves, opened = request.arguments.wave or 0, run.steering.waves, run.waves_opened
    if not 1 <= number <= len(waves):
        return refused(f"the run has no wave {number:,}{_next_words(run, facts, now)}")
    if number == 1 or number <= opened:
        return no_effect(f"wave {number:,} {'is open' if number <= opened else 'waits for nobody'}")
    if number > opened + 1:
        return refused(f"wave {number:,} is not the next to open{_next_words(run, facts, now)}")
    before = waves[number - 2]
    rule = before.between.approval
    if rule is None:
        return no_effect(f"wave {number} needs no approval")
    if refusal := _why_not_approved(request, rule, before, facts, now):
        return refused(refusal)
    after = replace(run, approvals=(*run.approvals, ApprovalGiven(number, request.by, now)))
    words = _next_words(after, replace(facts, approvals=after.approvals), now)
    until = now + timedelta(seconds=rule.valid_s)
    return done(f"it counts until {until:%Y-%m-%d %H:%MZ}{words}", RunApproved(number, request.by))


def _why_not_approved(request: OperatorRequest, rule: Approval, before: Wave, facts: WaveFacts, now: datetime) -> str:
    """Return why the operator cannot approve the wave after `before` now; empty if that is possible."""
    by, number, left = request.by, before.number + 1, facts.left(before)
    if left or before.number not in facts.finished_at:
        return unfinished_words(before, left)
    if not may_approve(rule, by, facts.owner):
        return f"{by} may not approve wave {number}, but {rule.approvers(facts.owner)} may"
    if by in rightful_approvals(rule, before.number, facts, now):
        lacking = find_approval_wait(before, facts, now)
        return f"{by} has approved wave {number} already{'' if lacking is None else f'; {lacking.words}'}"
    # What was asked before the wave ended, or found no driver for too long, is about something else.
    asked = replace(facts, approvals=(ApprovalGiven(number, by, request.at),))
    if not rightful_approvals(rule, before.number, asked, now):
        return f"it was asked at {request.at:%Y-%m-%d %H:%M:%SZ}, too early to count: ask again"
    return ""


def promote(request: OperatorRequest, run: Run, facts: WaveFacts, now: datetime) -> Answer:
    """End the bake of the wave that was opened last, or let the next one open although members have not ended."""
    number, waves, opened = request.arguments.wave or 0, run.steering.waves, run.waves_opened
    if opened == 0:
        return refused("no wave is open yet" if waves else "the run has no waves")
    if number != opened:
        return no_effect(f"wave {opened} is open by now, and nothing waits for wave {number}")
    if number in facts.promoted:
        return no_effect(f"wave {number} is promoted already")
    wave, last = waves[number - 1], number == len(waves)
    if refusal := _why_not_promoted(wave, facts, request.arguments.incomplete or 0, last=last):
        return refused(refusal)
    lacking = None if last else find_approval_wait(wave, facts, now)
    if lacking is not None:
        return refused(lacking.words)
    finished_at = facts.finished_at.get(number)
    if finished_at is not None and now >= finished_at + timedelta(seconds=wave.between.bake_s):
        return no_effect(f"wave {number} is watched no more")
    then = "the run ends" if last else f"wave {number + 1} may open"
    return done(f"wave {number} is promoted: {then}", RunWavePromoted(number, request.by, facts.left(wave)))


def _why_not_promoted(wave: Wave, facts: WaveFacts, incomplete: int, *, last: bool) -> str:
    """Return why the members that are left keep a wave from being promoted; empty if they do not."""
    left, number = facts.left(wave), wave.number
    if left == 0 and number in facts.finished_at:
        return f"wave {number} is finished: leave --incomplete out" if incomplete else ""
    words = unfinished_words(wave, left)
    if last:
        return f"{words}, and no wave comes after it"
    if wave.between.approval is not None:
        return f"{words}, and nobody can approve wave {number + 1} before"
    if left == incomplete and left:
        return ""
    command = f"fleetos wave promote {facts.run_id} --incomplete {left}"
    return f"{words}; to open wave {number + 1} all the same: {command}" if left else words


def _next_words(run: Run, facts: WaveFacts, now: datetime) -> str:
    """Return what the next wave waits for, as the end of a sentence."""
    waiting = find_next_wait(run.steering.waves, run.waves_opened, facts, now)
    return "" if waiting is None else f"; {waiting.words}"
