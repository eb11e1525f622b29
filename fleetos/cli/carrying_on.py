"""`fleetos resume`, `retry`, `abort`: what is done to a run that is there already."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import anyio
import typer

from fleetos.cli import looping
from fleetos.cli.confirming import confirm
from fleetos.cli.driving import as_it_was, drive
from fleetos.cli.events import print_events
from fleetos.cli.exits import ExitCode, Leave, code_of
from fleetos.cli.looking import lease_of
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption, RunArgument, YesOption
from fleetos.cli.surveying import scope_of
from fleetos.cli.terminal import print_json, read_or_not, reporting, say, show, view_for
from fleetos.cli.wiring import cloud_at, credentials, sound_database, watcher
from fleetos.clock import SystemClock
from fleetos.cloud.ecs import EcsCloud
from fleetos.errors import StoreError, UsageError
from fleetos.model.events import Event, Retried, RunPassStarted, Settled
from fleetos.model.plan import ApiLimits
from fleetos.model.progress import Progress
from fleetos.model.requests import RequestKind
from fleetos.model.run import Run, Target
from fleetos.model.states import RETRIABLE, RUN_ENDS, TargetState
from fleetos.store import queries, runs
from fleetos.store.database import Database
from fleetos.store.holder import this_process
from fleetos.store.journal import SqlJournal
from fleetos.store.leases import Lease
from fleetos.store.queries import RunSummary
from fleetos.views.condition import Driver, where_words
from fleetos.views.confirmation import retry_confirmation
from fleetos.views.documents import status_document
from fleetos.views.frame import Spent
from fleetos.views.summary import NAMES_SHOWN, summary
from fleetos.views.wording import called, counted


def limits_of(run: Run) -> ApiLimits:
    """What the run may ask of the API."""
    return ApiLimits(run.settings.rate_per_s, run.settings.burst, run.settings.connections)


def check_cloud(run: Run, asked: str | None) -> None:
    """Nothing, if --cloud does not contradict the run. Raises UsageError."""
    if asked is not None and asked != run.scope.cloud:
        raise UsageError(
            f"--cloud {asked} differs from the cloud of run {run.id}: {run.scope.cloud or 'the OS_* variables'}",
            "a run stays in the cloud that it was frozen for; leave --cloud out",
        )


def check_project(run: Run, cloud: EcsCloud) -> None:
    """Nothing, if the credentials lead to the project of the run. Raises UsageError."""
    if cloud.place.project_id != run.scope.project_id:
        raise UsageError(
            f"these credentials lead to project {cloud.place.project_id}, run {run.id} is in {run.scope.project_id}",
            "log in to the project of the run",
        )


async def drive_on(
    opened: Database,
    lease: Lease,
    cloud: EcsCloud,
    output: Output,
    *,
    fresh: int = 0,
    before: Callable[[], None] | None = None,
) -> int:
    """The exit code, once the run of the lease is driven no more; `before` may still refuse. Gives the lease back.

    `fresh` is how many of the newest records this command wrote when it took the lease: they are its events as well.
    """
    journal = SqlJournal(opened, lease, SystemClock())
    try:
        if before is not None:
            before()
        progress = await queries.load(opened, lease.run_id)
        if not fresh:
            # What this command froze or offered again has just been told with its cloud.
            say(where_words(scope_of(progress.run.scope.cloud, cloud)))
        if output is Output.JSONL:
            with read_or_not():
                first = lease.last_seq - fresh
                await print_events(opened, lease.run_id, first, lease.last_seq, progress.targets)
        if progress.run.state in RUN_ENDS:
            # Another process drove it to its end while this one logged in.
            say("this run has ended meanwhile:")
            show_end(progress, output)
            return code_of(progress)
        code = await drive(opened, journal, progress, cloud, view_for(output))
    finally:
        with anyio.CancelScope(shield=True), contextlib.suppress(StoreError):
            await journal.release()
    if output is not Output.TABLE:
        show_end(await queries.load(opened, lease.run_id), output)
    return code


async def log_in_and_drive(opened: Database, run_id: str, output: Output) -> int:
    """The exit code of a run that is carried on in its own cloud."""
    progress = await queries.load(opened, run_id)
    run = progress.run
    async with cloud_at(
        await credentials(run.scope.cloud, run.scope.region), limits_of(run), as_it_was(progress)
    ) as cloud:
        check_project(run, cloud)
        return await drive_on(opened, await runs.take_run(opened, run_id, watcher()), cloud, output)


@reporting
def resume(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="The run's id, or the beginning of it. Default: the only unfinished run.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Carry on with a run after a crash, a signal or a pause.

    Examples:

      fleetos resume

      fleetos resume 0c4k2m7 -o jsonl
    """
    raise Leave(looping.run(_resume, run, output, db, cloud))


async def _resume(given: str | None, output: Output, db: str | None, cloud: str | None) -> int:
    async with sound_database(db) as opened:
        found = await _meant(opened, given)
        if found is None:
            say("no run is unfinished, and there is none yet; start one with: fleetos apply PLAN")
            return ExitCode.OK
        check_cloud(found.run, cloud)
        if found.run.state not in RUN_ENDS:
            return await log_in_and_drive(opened, found.run.id, output)
        progress = await queries.load(opened, found.run.id)
        say("no run is unfinished; the newest one:" if given is None else "this run has ended:")
        show_end(progress, output)
        return code_of(progress)


async def _meant(opened: Database, given: str | None) -> RunSummary | None:
    """The run that is to be carried on, or, where nothing is unfinished, the one to tell of; None: there is none."""
    if given is not None:
        return await queries.summary(opened, await queries.find_run(opened, given), watcher())
    unfinished = await queries.unfinished_runs(opened, watcher())
    if len(unfinished) > 1:
        ids = ", ".join(one.run.id for one in unfinished)
        raise UsageError(f"{len(unfinished)} runs are unfinished: {ids}", "say which: fleetos resume RUN")
    found = unfinished or await queries.newest_runs(opened, watcher(), limit=1)
    return found[0] if found else None


def show_end(progress: Progress, output: Output) -> None:
    """Tells how a run ended: the summary for people, the status document for programs.

    Where events are asked for, the summary is no data, so it goes beside them.
    """
    run = progress.run
    took_s = ((run.ended_at or SystemClock().now()) - (run.started_at or run.created_at)).total_seconds()
    with read_or_not():
        if output is Output.JSON:
            print_json(status_document(progress, SystemClock().now(), exit_code=code_of(progress)))
        else:
            (show if output is Output.TABLE else say)(summary(progress, Spent(took_s)))


@reporting
def retry(
    run: RunArgument,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Give the targets of a run that failed or are held one more attempt each; lists them and asks.

    Examples:

      fleetos retry 0c4k2m7

      fleetos retry 0c4k2m7 --yes -o json
    """
    raise Leave(looping.run(_retry, run, yes, output, db, cloud))


async def _retry(given: str, yes: bool, output: Output, db: str | None, cloud: str | None) -> int:
    async with sound_database(db) as opened:
        run_id = await queries.find_run(opened, given)
        progress = await queries.load(opened, run_id)
        check_cloud(progress.run, cloud)
        if progress.run.state not in RUN_ENDS:
            raise UsageError(f"run {run_id} has not ended", f"carry on with: fleetos resume {run_id}")
        again = [target for target in progress.targets.values() if target.state in RETRIABLE]
        if not again:
            say(f"nothing to retry: no target of run {run_id} failed or is held")
            if output is Output.JSON:
                show_end(progress, output)
            return code_of(progress)
        wiped = [_with_last_disk(target) for target in again]
        confirm(retry_confirmation(progress.run, wiped), len(wiped), yes=yes)
        events: list[Event] = [RunPassStarted(progress.run.passes + 1)]
        events += [Retried(target.server_id, target.disk) for target in wiped]
        now = SystemClock().now()
        run = progress.run
        access = await credentials(run.scope.cloud, run.scope.region)
        async with cloud_at(access, limits_of(run), f"run {run_id} is as it was") as logged_in:
            check_project(run, logged_in)
            lease = await runs.begin_pass(opened, run_id, events, now, watcher())
            return await drive_on(opened, lease, logged_in, output, fresh=len(events))


def _with_last_disk(target: Target) -> Target:
    """The target with the last system disk that the run knows of, the one that a retry may wipe."""
    return replace(target, disk=target.disk_after or target.disk)


@reporting
def abort(
    run: RunArgument,
    release: Annotated[
        bool,
        typer.Option("--release", help="Also let go of servers with unknown outcomes: you have looked at them."),
    ] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """End a run: admit no more, let changes in flight end, start again what was stopped for nothing.

    A run that another process drives is asked to; a run that nobody drives is ended by this command.

    Examples:

      fleetos abort 0c4k2m7

      fleetos abort 0c4k2m7 --release
    """
    raise Leave(looping.run(_abort, run, release, output, db, cloud))


async def _abort(given: str, release: bool, output: Output, db: str | None, cloud: str | None) -> int:
    async with sound_database(db) as opened:
        run_id = await queries.find_run(opened, given)
        found = await queries.summary(opened, run_id, watcher())
        check_cloud(found.run, cloud)
        if found.run.state in RUN_ENDS:
            if release:
                await _release(opened, run_id)
            else:
                say(f"nothing to abort: run {run_id} has ended ({found.run.state})")
            await _show_now(opened, run_id, output)
            return ExitCode.OK
        await runs.add_request(opened, run_id, RequestKind.ABORT, str(this_process()), SystemClock().now())
        held = lease_of(found)
        driver = held and held.present
        if driver is not None:
            say(f"{driver} drives this run and was asked to abort it; watch it with: fleetos events {run_id} -f")
            if release:
                say("nothing is released while it is driven; call abort --release again when it has ended")
            await _show_now(opened, run_id, output, held)
            return ExitCode.OK
        code = _as_asked(await log_in_and_drive(opened, run_id, output), await queries.load(opened, run_id))
        if release:
            await _release(opened, run_id)
        return code


async def _show_now(opened: Database, run_id: str, output: Output, held: Driver | None = None) -> None:
    """Prints the run as it is now, for the programs that asked for a document."""
    if output is Output.JSON:
        progress = await queries.load(opened, run_id)
        print_json(status_document(progress, SystemClock().now(), held, exit_code=code_of(progress)))


def _as_asked(code: int, progress: Progress) -> int:
    """An abort that ended as it was asked to is no failure, however many targets it cancelled."""
    trouble = progress.counts.get(TargetState.FAILED, 0) + progress.counts.get(TargetState.HELD, 0)
    return ExitCode.OK if code == ExitCode.SOME_FAILED and not trouble else code


async def _release(opened: Database, run_id: str) -> None:
    progress = await queries.load(opened, run_id)
    unsettled = [target for target in progress.targets.values() if target.ended and target.unsettled]
    if not unsettled:
        say(f"run {run_id} holds no server with an unknown outcome")
        return
    now = SystemClock().now()
    events = [Settled(target.server_id) for target in unsettled]
    lease = await runs.begin_pass(opened, run_id, events, now, watcher())
    await SqlJournal(opened, lease, SystemClock()).release()
    names = ", ".join(called(target) for target in unsettled[:NAMES_SHOWN])
    more = f" and {len(unsettled) - NAMES_SHOWN:,} more" if len(unsettled) > NAMES_SHOWN else ""
    say(f"let go of {counted(len(unsettled), 'server')} with an unknown outcome: {names}{more}")
