"""JSON of the rollout of a run: waves, budgets, window and groups."""

from collections.abc import Iterable
from datetime import datetime

from fleetos.model.progress import Progress
from fleetos.model.steering.rollout import Wave
from fleetos.model.steering.times import is_ever
from fleetos.rules.admission.journal_facts import rollout_of
from fleetos.rules.admission.pass_facts import RolloutFacts, Standing
from fleetos.rules.budgets import budgets
from fleetos.rules.groups import Group
from fleetos.rules.waves import find_bake_end
from fleetos.rules.windows import Window, sum_up
from fleetos.views.documents.document import Document
from fleetos.views.text.format import timestamp, timestamp_or_none


def rollout_fields(progress: Progress, standing: Standing) -> Document:
    """Return the fields of a run about its waves, budgets, window and groups."""
    run, facts = progress.run, rollout_of(progress, standing)
    return {
        "waves": [wave_fields(wave, facts) for wave in run.steering.waves],
        "budgets": [
            {"scope": budget.scope, "failed": budget.failed, "allowed": budget.allowed}
            for budget in budgets(run, facts.failures)
        ],
        "window": None if run.steering.windows is None else window_fields(standing.windows, standing.now),
        "groups": [group_fields(group) for group in sorted(standing.groups, key=lambda group: group.key)],
    }


def group_fields(group: Group) -> Document:
    """Return how many servers of a group are out, and how many may be."""
    return {"per": group.key[0], "value": group.key[1] or None, "out": len(group.out), "limit": group.limit}


def window_fields(windows: Iterable[Window], now: datetime) -> Document:
    """Return whether any window is open, until when the last of them is, and else when the first one opens."""
    state = sum_up(windows, now)
    until = None if state.until is None or is_ever(state.until) else timestamp(state.until)
    return {"open": state.until is not None, "until": until, "next": timestamp_or_none(state.next)}


def wave_fields(wave: Wave, facts: RolloutFacts) -> Document:
    """Return one wave: its members, how it stands, and its approvals."""
    run, standing, ended = facts.standing.run, facts.standing, facts.ended.get(wave.number, 0)
    # A member that was taken up again unfinishes its wave, which bakes anew.
    is_finished = wave.number == run.waves_opened and ended >= wave.members
    bake_until = find_bake_end(run) if is_finished else None
    if wave.number > run.waves_opened:
        state = "waiting"
    elif bake_until is not None and bake_until > standing.now:
        state = "baking"
    else:
        state = "finished" if ended >= wave.members else "open"
    return {
        "number": wave.number,
        "name": wave.name,
        "members": wave.members,
        "ended": facts.ended.get(wave.number, 0),
        "failed": facts.failures.failed_in(wave.number),
        "state": state,
        "bake_until": timestamp_or_none(bake_until) if state == "baking" else None,
        "approvals": [
            {"by": approval.by, "at": timestamp(approval.at)}
            for approval in run.approvals
            if approval.wave == wave.number
        ],
    }
