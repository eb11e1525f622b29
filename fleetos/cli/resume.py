"""`fleetos resume` and `retry`, and how a run that is there already is driven."""

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated

import anyio
import typer

from fleetos.cli import looping
from fleetos.cli.confirm import Consent, confirm
from fleetos.cli.driving import as_it_was, drive
from fleetos.cli.events import print_events
from fleetos.cli.exit_codes import ExitCode, Leave, code_of
from fleetos.cli.options import CloudOption, DbOption, ExpectWipesOption, Output, OutputOption, RunArgument, YesOption
from fleetos.cli.output import print_json, read_or_not, reporting, say, show, view_for
from fleetos.cli.surveying import scope_of
from fleetos.cli.wiring import cloud_at, credentials, is_missing, no_runs_yet, sound_database, watcher
from fleetos.clock import SystemClock
from fleetos.cloud.ecs import EcsCloud
from fleetos.errors import StoreError, UsageError
from fleetos.model.events import Event, Retried, RunMoved, RunPassStarted
from fleetos.model.fold import fold_target
from fleetos.model.fold_run import fold_run
from fleetos.model.plan import ApiLimits
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS, Command, Reason, RunState
from fleetos.model.wipes import wipes_of
from fleetos.planning.agreement import Agreement
from fleetos.store import history, queries, runs
from fleetos.store.database import Database
from fleetos.store.holder import this_process
from fleetos.store.journal import SqlJournal
from fleetos.store.leases import Lease
from fleetos.store.queries import RunSummary
from fleetos.text import join_some
from fleetos.views.condition import where_words
from fleetos.views.confirmation import carry_on_confirmation, retry_confirmation
from fleetos.views.documents import status_document
from fleetos.views.frame import Spent
from fleetos.views.summary import NAMES_SHOWN, summary
from fleetos.views.wording import called


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
    command: Command,
    *,
    fresh: int = 0,
    consent: Consent | None = None,
) -> int:
    """The exit code, once the run of the lease is driven no more. Gives the lease back.

    `consent` is held against what is left of the run now that nobody else drives it; None: it was asked for before.
    `fresh` is how many of the newest records this command wrote when it took the lease: they are its events as well.
    """
    journal = SqlJournal(opened, lease, SystemClock())
    try:
        progress = await queries.load(opened, lease.run_id)
        if not fresh and consent is None:
            # What this command froze, offered again or asks about is told with its cloud.
            say(where_words(scope_of(progress.run.scope.cloud, cloud)))
        if progress.run.state in RUN_ENDS:
            # Another process drove it to its end while this one logged in.
            say("this run has ended meanwhile:")
            show_end(progress, output)
            return code_of(progress)
        if consent is not None:
            wipes = wipes_of(progress.run, progress.targets.values())
            confirm(consent, wipes, command, carry_on_confirmation(wipes))
        written = await _finish(journal, progress) if command is Command.ABORT else 0
        if output is Output.JSONL:
            with read_or_not():
                first, last = lease.last_seq - fresh, lease.last_seq + written
                await print_events(opened, lease.run_id, first, last, progress.targets)
        code = await drive(opened, journal, progress, cloud, view_for(output), command)
    finally:
        with anyio.CancelScope(shield=True), contextlib.suppress(StoreError):
            await journal.release()
    if output is not Output.TABLE:
        show_end(await queries.load(opened, lease.run_id), output)
    return code


async def _finish(journal: SqlJournal, progress: Progress) -> int:
    """How many records say that the run admits no more: it is aborted before a driver could admit anybody."""
    if progress.run.state is RunState.FINISHING:
        return 0
    event = RunMoved(RunState.FINISHING, Reason.ABORTED, f"aborted by {this_process()}")
    now = SystemClock().now()
    run = fold_run(progress.run, event, now)
    await journal.append(run, [event], [], now)
    progress.absorb(run, ())
    return 1


async def log_in_and_drive(opened: Database, run_id: str, output: Output, command: Command) -> int:
    """The exit code of a run that is carried on in its own cloud."""
    progress = await queries.load(opened, run_id)
    run = progress.run
    async with cloud_at(
        await credentials(run.scope.cloud, run.scope.region), limits_of(run), as_it_was(progress)
    ) as cloud:
        check_project(run, cloud)
        return await drive_on(opened, await runs.take_run(opened, run_id, watcher()), cloud, output, command)


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
    if given is None and is_missing(db):
        say(no_runs_yet(db))
        return ExitCode.OK
    async with sound_database(db) as opened:
        found = await _meant(opened, given)
        if found is None:
            say(no_runs_yet(db))
            return ExitCode.OK
        check_cloud(found.run, cloud)
        if found.run.state not in RUN_ENDS:
            return await log_in_and_drive(opened, found.run.id, output, Command.RESUME)
        progress = await queries.load(opened, found.run.id)
        say("there are no unfinished runs; the newest one:" if given is None else "this run has ended:")
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
    expect_wipes: ExpectWipesOption = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Give the targets of a run that failed or are held one more attempt each; lists them and asks.

    A server that another run has changed since is left out: a new plan is needed to change it again.

    Examples:

      fleetos retry 0c4k2m7

      fleetos retry 0c4k2m7 --yes --expect-wipes 2 -o json
    """
    consent = Consent(yes, Agreement(expect_wipes))
    raise Leave(looping.run(_retry, run, consent, output, db, cloud))


async def _retry(given: str, consent: Consent, output: Output, db: str | None, cloud: str | None) -> int:
    async with sound_database(db) as opened:
        run_id = await queries.find_run(opened, given)
        progress = await queries.load(opened, run_id)
        check_cloud(progress.run, cloud)
        if progress.run.state not in RUN_ENDS:
            raise UsageError(f"run {run_id} has not ended", f"carry on with: fleetos resume {run_id}")
        again = [target for target in progress.targets.values() if target.retriable]
        touched = await history.touched_since(opened, run_id, [target.server_id for target in again])
        _say_left_out([target for target in again if target.server_id in touched], touched, progress.run)
        again = [target for target in again if target.server_id not in touched]
        if not again:
            left = "no other target" if touched else "no target"
            say(f"nothing to retry: {left} of run {run_id} failed or is held")
            if output is Output.JSON:
                show_end(progress, output)
            return code_of(progress)
        now, run = SystemClock().now(), progress.run
        begins = RunPassStarted(run.passes + 1)
        # The last system disk that the run knows of is the one that a retry may wipe.
        retried = [Retried(target.server_id, target.disk_after or target.disk) for target in again]
        targets = [fold_target(target, event, now) for target, event in zip(again, retried, strict=True)]
        wipes = wipes_of(fold_run(run, begins, now), targets)
        confirm(consent, wipes, Command.RETRY, retry_confirmation(run, wipes.left))
        events: list[Event] = [begins, *retried]
        access = await credentials(run.scope.cloud, run.scope.region)
        async with cloud_at(access, limits_of(run), f"run {run_id} is as it was") as logged_in:
            check_project(run, logged_in)
            lease = await runs.begin_pass(opened, run_id, events, now, watcher())
            return await drive_on(opened, lease, logged_in, output, Command.RETRY, fresh=len(events))


def _say_left_out(left_out: Sequence[Target], touched: Mapping[str, str], run: Run) -> None:
    """Says which targets are not retried, because another run has changed their servers since."""
    by_run: dict[str, list[Target]] = {}
    for target in left_out:
        by_run.setdefault(touched[target.server_id], []).append(target)
    for other, targets in by_run.items():
        say(f"left out: {names_of(targets)}, changed by run {other} after run {run.id}")
    if left_out:
        say(f"to change them again: fleetos plan {shlex.quote(run.plan_path)}, then apply it with --new-run")


def names_of(targets: Sequence[Target]) -> str:
    """Return the names of the targets, of many the first ones and how many more there are."""
    return join_some([called(target) for target in targets], NAMES_SHOWN)
