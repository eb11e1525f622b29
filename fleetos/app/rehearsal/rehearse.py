"""Rehearse a plan: freeze it as `apply` would, then play it again and again without touching the cloud."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context

from fleetos.app.context import AppContext, operator_name
from fleetos.app.freeze import NOTHING_TOUCHED, survey_and_freeze
from fleetos.app.rehearsal.play import play
from fleetos.app.rehearsal.script import Script, make_script
from fleetos.app.survey import facts_of
from fleetos.cloud.client import CloudClient
from fleetos.model.plan import Plan
from fleetos.model.steering.rehearsal import Play, Rehearsal, Supposition
from fleetos.planning.estimate import documented_change
from fleetos.planning.rehearsal import sum_up_case
from fleetos.store.database.reader import Readable

# Servers times plays up to which no process is worth its start of a second or two.
_ALONE_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Programme:
    """Programme of a rehearsal: as planned first, then what differs from it, each with the same seeds."""

    suppositions: Sequence[Supposition]
    seeds: int
    deadline: datetime | None

    @property
    def plays(self) -> int:
        """Number of plays."""
        return len(self.suppositions) * self.seeds

    def jobs(self) -> Iterator[tuple[Supposition, int]]:
        """Yield each play, by its supposition and its seed."""
        return ((supposition, seed) for supposition in self.suppositions for seed in range(1, self.seeds + 1))


async def write_script(
    context: AppContext, database: Readable | None, plan: Plan, name: str | None, cloud: CloudClient
) -> Script:
    """Read the cloud as `plan` does, and return the run that `apply` would create now. Write nothing.

    Raise InputError with all that does not resolve, and CloudError.
    """
    surveyed = await survey_and_freeze(context, database, plan, name, cloud, NOTHING_TOUCHED)
    change = documented_change(facts_of(name, cloud))
    return await make_script(surveyed.frozen, operator_name(), plan.api, surveyed.known, change)


def rehearse(script: Script, programme: Programme, on_play: Callable[[], None]) -> Rehearsal:
    """Play the run as often as the programme says, and return the figures. `on_play` is called after each play."""
    plays = _play_all(script, programme, on_play)
    by_case = [plays[first : first + programme.seeds] for first in range(0, len(plays), programme.seeds)]
    return Rehearsal(
        run=script.run,
        servers=script.run.wipes,
        seeds=programme.seeds,
        begin=script.begin,
        deadline=programme.deadline,
        learned=len(script.learned),
        cases=[
            sum_up_case(script.run, supposition, of_case, programme.deadline)
            for supposition, of_case in zip(programme.suppositions, by_case, strict=True)
        ],
    )


def _play_all(script: Script, programme: Programme, on_play: Callable[[], None]) -> Sequence[Play]:
    """Return all plays in the order of the programme, on all processors where that is faster."""
    processes = min(os.cpu_count() or 1, programme.plays)
    if processes == 1 or len(script.targets) * programme.plays <= _ALONE_MAX:
        return [_noted(play(script, supposition, seed), on_play) for supposition, seed in programme.jobs()]
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_end_by_ctrl_c)
    try:
        futures = [pool.submit(play, script, supposition, seed) for supposition, seed in programme.jobs()]
        for _ in as_completed(futures):
            on_play()
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _noted(played: Play, on_play: Callable[[], None]) -> Play:
    on_play()
    return played


def _end_by_ctrl_c() -> None:
    """Let Ctrl-C end this process at once: nothing that it does needs an end in order."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
