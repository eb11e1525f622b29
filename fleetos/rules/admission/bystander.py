"""Standing of a run as a bystander knows it: by the journal alone, without the looks of its driver. Pure."""

from collections import Counter
from datetime import datetime

from fleetos.model.progress import Progress
from fleetos.rules.admission.pass_facts import Standing
from fleetos.rules.waves import find_next_wait, wave_facts


def standing_of(progress: Progress, now: datetime) -> Standing:
    """Return the standing of a run. Nobody is admitted by it."""
    run, taken, ahead = progress.run, progress.slots_taken, progress.ahead
    ended = Counter(target.wave for target in progress.targets.values() if target.ended)
    return Standing(
        run,
        now,
        run.steering,
        opened=run.waves_opened,
        next_wave=find_next_wait(run.steering.waves, run.waves_opened, wave_facts(run, ended), now),
        free=run.settings.concurrency - taken,
        ahead=ahead,
        may_send=False,
    )
