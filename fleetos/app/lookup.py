"""Find the run, its driver and the servers that an operator means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fleetos.app.context import AppContext, scope_key
from fleetos.errors import UnknownRun, UsageError
from fleetos.limits import RUNS_SUGGESTED
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.rules.admission.journal_facts import standing_of
from fleetos.rules.admission.pass_facts import Standing
from fleetos.store import history, queries
from fleetos.store.database.reader import Readable
from fleetos.store.process import Life
from fleetos.store.queries import RunSummary
from fleetos.text import did_you_mean, join_some
from fleetos.views.text.run_condition import Driver


@dataclass(frozen=True, slots=True)
class RunChoice:
    """Run that is asked for: by its name, or by the cloud that it works in."""

    run: str | None
    """An id, the beginning of one, or the name of a plan."""
    cloud: str | None

    def in_cloud(self, summaries: Sequence[RunSummary]) -> Sequence[RunSummary]:
        """Return those that work in the cloud that is asked for."""
        return [summary for summary in summaries if self.cloud is None or summary.run.scope.cloud == self.cloud]


async def find_standing(database: Readable, progress: Progress, now: datetime) -> Standing:
    """Return the standing of a run with its windows; calendar files are read as they are now.

    The time that a change needs is that of earlier runs: what its driver has learned meanwhile is not known here.
    """
    run, windows = progress.run, progress.run.steering.windows
    if windows is None:
        return standing_of(progress, now)
    # Calendars take time to load, and most runs have none.
    from fleetos.app.calendar_reader import CalendarReader
    from fleetos.engine.change_tracker import ChangeTracker, change_key
    from fleetos.engine.rollout.needs import ChangeNeeds
    from fleetos.engine.rollout.window_times import WindowTimes

    times, reader = WindowTimes(windows, progress.targets.values(), now), CalendarReader()
    for path in times.files:
        times.take_calendar(path, await reader.read(path), now)
    experience = await history.experience(database, scope_key(run.scope))
    needs = ChangeNeeds(run, ChangeTracker(experience, map(change_key, progress.targets.values())))
    standing = standing_of(progress, now, times.windows, times.window_of)
    return replace(standing, kind_of=needs.kind_of, need_s=needs.need_s)


async def find_usual_change_s(database: Readable, progress: Progress, target: Target) -> float | None:
    """Return the median of the remembered changes of the target's kind, None if there is none."""
    from fleetos.engine.change_tracker import ChangeTracker, change_key

    kind, experience = change_key(target), await history.experience(database, scope_key(progress.run.scope))
    return ChangeTracker(experience, [kind]).learned_changes(kind).quantile_s(0.5)


def driver_of(summary: RunSummary) -> Driver | None:
    """Return the process that has the lease of the run, or had it when it vanished; None: it was given back."""
    driver = summary.driver or summary.lost
    if driver is None:
        return None
    life = "gone" if summary.driver is None else "stopped" if driver.life is Life.STOPPED else "alive"
    return Driver(str(driver.holder), driver.holder.pid, driver.renewed_at, life)


async def choose_run(context: AppContext, database: Readable, choice: RunChoice) -> str:
    """Return the id of the run that is meant: the given one, else the newest unfinished, else the newest.

    Raise UnknownRun for a given one that is not there, and where the cloud that is asked for has none. The database
    holds a run.
    """
    if choice.run is not None:
        return await queries.find_run(database, choice.run)
    unfinished = choice.in_cloud(await queries.unfinished_runs(database, context.watcher()))
    summaries = unfinished or choice.in_cloud(await queries.newest_runs(database, context.watcher()))
    if not summaries:
        where = f" in cloud {choice.cloud}" if choice.cloud else ""
        raise UnknownRun(f"there are no runs{where} in {database.location.shown}", "start one with: fleetos apply PLAN")
    return summaries[0].run.id


async def find_run(context: AppContext, database: Readable, given: str, cloud: str | None) -> RunSummary:
    """Return the run of that id or name. Raise UnknownRun, and UsageError if it is in another cloud than `cloud`."""
    summary = await queries.summary(database, await queries.find_run(database, given), context.watcher())
    _check_cloud(summary.run, cloud)
    return summary


async def find_resumable(
    context: AppContext, database: Readable, given: str | None, cloud: str | None
) -> RunSummary | None:
    """Return the run to be carried on: the given one, else the only unfinished, else the newest; None: there is none.

    Raise UsageError if several are unfinished, and as `find_run` does.
    """
    if given is not None:
        return await find_run(context, database, given, cloud)
    unfinished = await queries.unfinished_runs(database, context.watcher())
    if len(unfinished) > 1:
        ids = ", ".join(summary.run.id for summary in unfinished)
        raise UsageError(f"{len(unfinished)} runs are unfinished: {ids}", "say which: fleetos resume RUN")
    summaries = unfinished or await queries.newest_runs(database, context.watcher(), limit=1)
    if not summaries:
        return None
    _check_cloud(summaries[0].run, cloud)
    return summaries[0]


def _check_cloud(run: Run, asked: str | None) -> None:
    """Raise UsageError if the cloud that is asked for is not the run's."""
    if asked is not None and asked != run.scope.cloud:
        raise UsageError(
            f"--cloud {asked} differs from the cloud of run {run.id}: {run.scope.cloud or 'the OS_* variables'}",
            "a run stays in the cloud that it was frozen for; leave --cloud out",
        )


def find_servers(progress: Progress, given: Sequence[str]) -> frozenset[str] | None:
    """Return the ids of the run's servers with these names or ids; None where none is given, so that all are meant.

    Raise UsageError for one that the run does not have.
    """
    if not given:
        return None
    ids: set[str] = set()
    for name_or_id in given:
        matches = {
            target.server_id for target in progress.targets.values() if name_or_id in (target.server_id, target.name)
        }
        if not matches:
            names = {target.name for target in progress.targets.values()}
            hint = (
                did_you_mean(name_or_id, names, RUNS_SUGGESTED) or f"fleetos status {progress.run.id} --all names them"
            )
            raise UsageError(f"run {progress.run.id} has no server {name_or_id!r}", hint)
        ids |= matches
    return frozenset(ids)


def find_server(progress: Progress, given: str) -> Target:
    """Return the target of that name or id. Raise UsageError if the run has none, or several of that name."""
    ids = sorted(find_servers(progress, [given]) or ())
    if len(ids) > 1:
        hint = f"say which by its id: {join_some(ids, RUNS_SUGGESTED)}"
        raise UsageError(f"run {progress.run.id} has {len(ids)} servers named {given!r}", hint)
    return progress.targets[ids[0]]
