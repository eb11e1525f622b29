"""`fleetos apply`."""

import shlex
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import anyio

from fleetos.app import control
from fleetos.app.context import SIM, AppContext, chosen_cloud, loop_options
from fleetos.app.results import DriveResult, FinishedRun
from fleetos.cli.confirm import TerminalOperator
from fleetos.cli.exit_codes import ExitCode, Leave, code_of, code_of_drive
from fleetos.cli.output import handle_errors, print_message
from fleetos.cli.run_end import show_drive, show_end
from fleetos.cli.usage.options import Output
from fleetos.clock import SystemClock
from fleetos.model.plan import Plan
from fleetos.model.progress import Progress
from fleetos.model.states import Reason, TargetState
from fleetos.planning.agreement import Agreement
from fleetos.planning.frozen_plan import check_plan, is_frozen_plan, read_frozen_plan
from fleetos.planning.plan_file.load import load_plan
from fleetos.planning.start_time import parse_start
from fleetos.text import counted


@handle_errors
def apply(
    plan: Path,
    yes: bool,
    expect_wipes: int | None,
    new_run: bool,
    at: str | None,
    no_wait: bool,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Freeze a plan into a run and drive it to its end."""
    agreed = read_frozen_plan(plan) if is_frozen_plan(plan) else None
    loaded = load_plan(plan if agreed is None else Path(agreed.plan_path))
    if agreed is not None:
        check_plan(agreed, loaded)
        cloud = cloud or agreed.cloud
    if at is not None:
        loaded = replace(loaded, steering=replace(loaded.steering, not_before=_start_of(at, loaded)))
    operator = TerminalOperator(output, Agreement(expect_wipes, agreed), yes, waits=not no_wait)
    context = AppContext(db, print_message)
    raise Leave(anyio.run(_apply, context, loaded, cloud, operator, new_run, backend_options=loop_options()))


def _start_of(at: str, plan: Plan) -> datetime:
    """Return the start that was asked for, after saying which instant that is. Raise UsageError."""
    windows = plan.steering.windows
    start = parse_start(at, windows and windows.zone, SystemClock().now())
    print_message(f"--at {at}: {start.words}")
    return start.instant


async def _apply(
    context: AppContext, plan: Plan, cloud: str | None, operator: TerminalOperator, new_run: bool
) -> ExitCode:
    name = chosen_cloud(cloud, plan.cloud)
    async with context.sound_database(make=True) as database:
        result = await control.apply(context, database, plan, name, operator, new_run=new_run)
        if result is None:
            print_message("no run was created")
            return ExitCode.OK
        if isinstance(result, FinishedRun):
            return _show_finished(plan, result, operator.output)
        await show_drive(database, result, operator.output)
        _say_nothing_to_do(result)
        return code_of_drive(result)


def _say_nothing_to_do(result: DriveResult) -> None:
    """Say so if no server of the run was to be changed."""
    targets = result.progress.targets.values()
    already = sum(target.reason is Reason.ALREADY_ON_IMAGE for target in targets)
    if result.driven and already and not result.progress.run.wipes:
        print_message(f"nothing to do: {already:,} already on the image")


def _show_finished(plan: Plan, finished: FinishedRun, output: Output) -> ExitCode:
    """Show the run of this plan that has ended and is not repeated, and return its exit code."""
    progress, run_id = finished.progress, finished.progress.run.id
    code = code_of(progress)
    if code is ExitCode.OK and finished.off_image is not None:
        _say_done(progress, finished.off_image)
    if code is not ExitCode.OK or output is not Output.TABLE:
        show_end(progress, output)
    never = progress.counts.get(TargetState.CANCELLED, 0)
    if never:
        print_message(
            f"run {run_id} of this plan was aborted, and {counted(never, 'server')} of it were never changed; nothing"
        )
        print_message(f"was done now. To change them: fleetos apply {shlex.quote(str(plan.path))} --new-run")
    return code


def _say_done(progress: Progress, off_image: int) -> None:
    """Say that a finished run is not repeated, and whether its servers still are as it left them."""
    count, run = len(progress.targets), progress.run
    if off_image:
        print_message(
            f"run {run.id} of this plan has ended and is not repeated, but {off_image:,} of its {count:,} servers are"
        )
        print_message("no longer on the image; to change them (again): fleetos apply PLAN --new-run")
        return
    print_message(
        f"nothing to do: {count:,} {'server' if count == 1 else 'servers'} already on the image (run {run.id})"
    )
    if run.scope.cloud == SIM:
        print_message("for another try: fleetos sim reset, then apply with --new-run")
