"""Apply a plan; resume, retry and abort a run."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from fleetos.app.context import AppContext
from fleetos.app.drive import Operator, agree, drive, resume_hint
from fleetos.app.freeze import NO_RUN, check_finished, create_run
from fleetos.app.lookup import driver_of, find_servers
from fleetos.app.requests import Asked, answer_requests, is_driven, needs_driver, wait_for_answer
from fleetos.app.results import AbortResult, DriveResult, FinishedRun, Release, RequestResult
from fleetos.app.survey import scope_of
from fleetos.cloud.client import CloudClient
from fleetos.errors import UsageError
from fleetos.model.journal.events import Event, Retried, RunPassStarted, Settled
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.journal.requests import RequestArguments, RequestKind
from fleetos.model.plan import ApiLimits, Plan
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS, Command, RunState, ends_pause
from fleetos.model.wipes import wipes_of
from fleetos.planning.plan_file.digest import run_digest
from fleetos.rules.requests.server_requests import why_not_retried
from fleetos.rules.waves import reopen_wave
from fleetos.store import history, queries, runs
from fleetos.store.database.database import Database
from fleetos.store.journal import SqlJournal
from fleetos.store.queries import RunSummary
from fleetos.text import and_more
from fleetos.views.terminal.summary import NAMES_SHOWN
from fleetos.views.text.reasons import run_words
from fleetos.views.text.run_condition import resume_command
from fleetos.views.text.server_names import server_name


async def apply(
    context: AppContext, database: Database, plan: Plan, name: str | None, operator: Operator, *, new_run: bool
) -> DriveResult | FinishedRun | None:
    """Carry on the plan's unfinished run, else leave its ended run as it is, else freeze a new one and drive it.

    `new_run`: freeze a new one even if one has ended. None: no server is selected, and no run was created. Raise
    NotRepeated if an ended run is not what the plan means now, and UsageError if an unfinished one starts at another
    time than the one that is asked for.
    """
    async with context.open_cloud(name, plan.region, plan.api, NO_RUN) as cloud:
        earlier = await queries.runs_of_digest(database, run_digest(plan, scope_of(name, cloud)), context.watcher())
        unfinished = next((summary.run for summary in earlier if summary.run.state not in RUN_ENDS), None)
        if unfinished is not None:
            _check_project(unfinished, cloud)
            _check_start(unfinished, plan.steering.not_before)
            if new_run:
                context.say(f"run {unfinished.id} of this plan is unfinished, so there is no new one")
            lease = await runs.take_run(database, unfinished.id, context.watcher())
            return await drive(context, database, lease, cloud, operator, Command.APPLY)
        if earlier and not new_run:
            if plan.steering.not_before is not None:
                context.say(f"run {earlier[0].run.id} of this plan has ended, so --at schedules nothing")
            from_frozen_plan = operator.agreement.plan is not None
            return await check_finished(database, plan, earlier[0].run, cloud, from_frozen_plan=from_frozen_plan)
        # What was read and frozen is freed before the run is driven: for thousands of servers it takes much memory.
        created = await create_run(context, database, plan, name, cloud, operator)
        if created is None:
            return None
        return await drive(context, database, created, cloud, operator, Command.APPLY, fresh=created.last_seq)


async def resume(
    context: AppContext, database: Database, run_id: str, operator: Operator, command: Command = Command.RESUME
) -> DriveResult:
    """Carry on an unfinished run in its own cloud. An abort and other requests do so as well, with their own commands.

    Raise UsageError for a resume of a run that only a request resumes, which says why.
    """
    progress = await queries.load(database, run_id)
    run = progress.run
    if command is Command.RESUME and run.state is RunState.PAUSED and not ends_pause(command, run.reason):
        why = run_words(run.state, run.reason, run.detail)
        hint = f"look at it (fleetos status {run_id}), then: {resume_command(run)}"
        raise UsageError(f"run {run_id} is paused: {why}; it is resumed only for a --reason", hint)
    async with context.open_cloud(run.scope.cloud, run.scope.region, _limits_of(run), resume_hint(progress)) as cloud:
        _check_project(run, cloud)
        lease = await runs.take_run(database, run_id, context.watcher())
        return await drive(context, database, lease, cloud, operator, command)


async def retry(
    context: AppContext, database: Database, run_id: str, operator: Operator, asked: Asked
) -> DriveResult | Progress:
    """Give the targets of an ended run that failed or are held one more attempt each, or only the servers asked for.

    Leave out a server that another run has changed since. Return the run as it is if no target is left to retry.
    Raise UsageError if the run has not ended.
    """
    progress = await queries.load(database, run_id)
    if progress.run.state not in RUN_ENDS:
        at_once = f'fleetos retry {run_id} SERVER --reason "..."'
        hint = f"carry on with: {resume_command(progress.run)}; or give servers one more attempt at once: {at_once}"
        raise UsageError(f"run {run_id} has not ended", hint)
    chosen = find_servers(progress, asked.servers) or progress.targets.keys()
    again = [target for target in progress.targets.values() if target.retriable and target.server_id in chosen]
    touched = await history.touched_since(database, run_id, [target.server_id for target in again])
    _say_left_out(context, [target for target in again if target.server_id in touched], touched, progress.run)
    again = [target for target in again if target.server_id not in touched]
    if not again:
        left = "no other target" if touched else "no target"
        context.say(f"nothing to retry: {left} of run {run_id} failed or is held")
        return progress
    now, run = context.clock.now(), progress.run
    begins = RunPassStarted(run.passes + 1, asked.by, asked.reason)
    retried = _agree_to_retry(operator, fold_run(run, begins, now), again, now)
    events: list[Event] = [begins, *reopen_wave(run, again), *retried]
    hint = f"run {run_id} is as it was"
    async with context.open_cloud(run.scope.cloud, run.scope.region, _limits_of(run), hint) as cloud:
        _check_project(run, cloud)
        lease = await runs.begin_pass(database, run_id, events, now, context.watcher())
        return await drive(context, database, lease, cloud, operator, Command.RETRY, fresh=len(events))


def agree_to_retry_at_once(context: AppContext, progress: Progress, operator: Operator, asked: Asked) -> Asked:
    """Return the request with the disks that the operator agreed to, for one more attempt while the run goes on.

    A server of which the rules would refuse it is not asked about, and no disk of it is agreed to.
    """
    chosen = find_servers(progress, asked.servers) or frozenset[str]()
    targets = (progress.targets[server_id] for server_id in sorted(chosen))
    again = [target for target in targets if target.ended and not why_not_retried(target)]
    # A pause does not matter here: what is agreed to is wiped once the run goes on.
    run = replace(progress.run, state=RunState.RUNNING)
    retried = _agree_to_retry(operator, run, again, context.clock.now())
    return replace(asked, disks={event.server_id: event.disk for event in retried})


def _agree_to_retry(operator: Operator, run: Run, again: Sequence[Target], now: datetime) -> list[Retried]:
    """Return one more attempt for each of the targets, if the operator agrees to the disks that it would wipe."""
    retried = [Retried(target.server_id, target.last_disk, run.passes) for target in again]
    targets = [fold_target(target, event, now) for target, event in zip(again, retried, strict=True)]
    agree(operator, wipes_of(run, targets), Command.RETRY)
    return retried


async def abort(
    context: AppContext, database: Database, found: RunSummary, operator: Operator, asked: Asked, *, release: bool
) -> AbortResult:
    """End the run early: ask the process that drives it, or drive it to its end here. Wipe nothing.

    `release` frees the servers whose outcome was unknown before, once the run has ended.
    """
    run_id = found.run.id
    progress = await queries.load(database, run_id)
    known = [target.server_id for target in progress.targets.values() if target.ended and target.unsettled]
    driver = driver_of(found)
    driven = None
    if found.run.state not in RUN_ENDS:
        operator.confirm_abort(progress, driver and driver.present)
        now = context.clock.now()
        await runs.add_request(database, run_id, RequestKind.ABORT, asked.by, now, asked.reason)
        if driver is not None and driver.present:
            return AbortResult(await queries.load(database, run_id), driver)
        driven = await resume(context, database, run_id, operator, Command.ABORT)
        progress = await queries.load(database, run_id)
    released = None
    if release and progress.run.state in RUN_ENDS:
        released = await _release(context, database, progress, known)
        progress = await queries.load(database, run_id)
    return AbortResult(progress, drive=driven, release=released)


async def request(
    context: AppContext, database: Database, found: RunSummary, operator: Operator, asked: Asked, kind: RequestKind
) -> RequestResult:
    """Ask something of a run: its driver answers; if it has none, this command takes the run and does it.

    A resume, and a pause that finds something in flight, drive the run here.
    """
    run_id = found.run.id
    progress = await queries.load(database, run_id)
    servers = find_servers(progress, asked.servers) or frozenset[str]()
    # A promotion is meant for the wave that holds the run up now, and for none that follows it.
    wave = progress.run.waves_opened if kind is RequestKind.PROMOTE else asked.wave
    arguments = RequestArguments(
        tuple(sorted(servers)), asked.concurrency, wave=wave, incomplete=asked.incomplete, disks=asked.disks
    )
    request_id = await runs.add_request(database, run_id, kind, asked.by, context.clock.now(), asked.reason, arguments)
    driver = driver_of(found)
    if driver is not None and driver.present:
        answer = await wait_for_answer(context, database, run_id, request_id)
        if answer is not None or await is_driven(context, database, run_id):
            return RequestResult(await queries.load(database, run_id), answer, driver)
    drive_result = None
    if await needs_driver(database, run_id, kind):
        drive_result = await resume(context, database, run_id, operator, Command.REQUEST)
    else:
        await answer_requests(context, database, run_id)
    answer = await queries.answer_to(database, run_id, request_id)
    return RequestResult(await queries.load(database, run_id), answer, drive=drive_result)


async def _release(context: AppContext, database: Database, progress: Progress, known: Collection[str]) -> Release:
    """Free servers with an unknown outcome, of those that the operator knew before the command began."""
    unsettled = [target for target in progress.targets.values() if target.ended and target.unsettled]
    released = [target for target in unsettled if target.server_id in known]
    if released:
        events = [Settled(target.server_id) for target in released]
        lease = await runs.begin_pass(database, progress.run.id, events, context.clock.now(), context.watcher())
        await SqlJournal(database, lease, context.clock).release()
    return Release(released, [target for target in unsettled if target.server_id not in known])


def names_of(targets: Sequence[Target]) -> str:
    """Return the names of the targets, of many the first ones and how many more there are."""
    return ", ".join(map(server_name, targets[:NAMES_SHOWN])) + and_more(len(targets) - NAMES_SHOWN)


def _say_left_out(context: AppContext, left_out: Sequence[Target], touched: Mapping[str, str], run: Run) -> None:
    """Say which targets are not retried, because another run has changed their servers since."""
    by_run: dict[str, list[Target]] = {}
    for target in left_out:
        by_run.setdefault(touched[target.server_id], []).append(target)
    for other, targets in by_run.items():
        context.say(f"left out: {names_of(targets)}, changed by run {other} after run {run.id}")
    if left_out:
        context.say(f"to change them again: fleetos plan {shlex.quote(run.plan_path)}, then apply it with --new-run")


def _limits_of(run: Run) -> ApiLimits:
    """Return what the run may ask of the API."""
    return ApiLimits(run.settings.rate_per_s, run.settings.burst, run.settings.connections)


def _check_start(run: Run, start: datetime | None) -> None:
    """Raise UsageError if the start that is asked for is not that of the unfinished run."""
    begin = run.steering.not_before
    if start is None or start == begin:
        return
    begins = "starts at once" if begin is None else f"starts at {begin:%Y-%m-%d %H:%MZ}"
    raise UsageError(
        f"run {run.id} of this plan is unfinished and {begins}; --at would not change that, so nothing was done",
        f"carry it on without --at, or end it (fleetos abort {run.id}) and apply with --at and --new-run",
    )


def _check_project(run: Run, cloud: CloudClient) -> None:
    """Raise UsageError unless the credentials lead to the project of the run."""
    if cloud.place.project_id != run.scope.project_id:
        raise UsageError(
            f"these credentials lead to project {cloud.place.project_id}, run {run.id} is in {run.scope.project_id}",
            "log in to the project of the run",
        )
