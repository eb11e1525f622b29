"""Standing of a run by its journal alone, without the looks of its driver. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from fleetos.model.progress import Progress
from fleetos.model.states import QUEUED
from fleetos.rules.admission.pass_facts import RolloutFacts, Standing
from fleetos.rules.budgets import Failures
from fleetos.rules.groups import Groups, Look
from fleetos.rules.waves import find_next_wait, wave_facts
from fleetos.rules.windows import OPEN, Window


def standing_of(
    progress: Progress,
    now: datetime,
    windows: Sequence[Window] = (OPEN,),
    window_of: Mapping[str, int] | None = None,
) -> Standing:
    """Return the standing of a run. Nobody is admitted by it.

    `windows` and `window_of` as in `Standing`. How long a change takes is not known here.
    """
    run, taken, ahead = progress.run, progress.slots_taken, progress.ahead
    ended = Counter(target.wave for target in progress.targets.values() if target.ended)
    return Standing(
        run,
        now,
        run.steering,
        opened=run.waves_opened,
        next_wave=find_next_wait(run.steering.waves, run.waves_opened, wave_facts(run, ended), now),
        windows=windows,
        window_of=window_of or {},
        groups=_groups_of(progress, now),
        free=run.settings.concurrency - taken,
        ahead=ahead,
        may_send=False,
    )


def rollout_of(progress: Progress, standing: Standing) -> RolloutFacts:
    """Return the facts about the rollout of a run that has this standing."""
    targets = progress.targets.values()
    ended = Counter(target.wave for target in targets if target.ended)
    return RolloutFacts(standing, Failures.of(progress.run, targets), ended)


def _groups_of(progress: Progress, now: datetime) -> Groups:
    """Return the groups of a run, in which everybody serves of whom the journal does not say otherwise."""
    rules, targets = progress.run.steering.groups, progress.targets.values()
    groups = Groups.of(rules, targets)
    for target in targets if rules else ():
        was_down = target.state in QUEUED and not target.attempts and not target.ran_before
        groups.update(target, Look(target.baseline, now) if was_down else None)
        for group in groups.of_server(target.server_id):
            if target.server_id not in group.out:
                group.mark_serving(target.server_id, now)
    return groups
