"""`fleetos abort`: end a run early. It wipes nothing."""

from collections.abc import Collection
from typing import Annotated

import typer

from fleetos.cli import looping
from fleetos.cli.confirm import agree
from fleetos.cli.exit_codes import ExitCode, Leave, code_of
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption, RunArgument
from fleetos.cli.output import on_terminal, print_json, reporting, say
from fleetos.cli.resume import check_cloud, log_in_and_drive, names_of
from fleetos.cli.status import lease_of
from fleetos.cli.wiring import sound_database, watcher
from fleetos.clock import SystemClock
from fleetos.model.events import Settled
from fleetos.model.progress import Progress
from fleetos.model.requests import RequestKind
from fleetos.model.states import RUN_ENDS, Command, TargetState
from fleetos.store import queries, runs
from fleetos.store.database import Database
from fleetos.store.holder import this_process
from fleetos.store.journal import SqlJournal
from fleetos.text import counted
from fleetos.views.condition import Driver
from fleetos.views.confirmation import abort_confirmation
from fleetos.views.documents import status_document


@reporting
def abort(
    run: RunArgument,
    release: Annotated[
        bool,
        typer.Option("--release", help="Also release servers with unknown outcomes. Check them first."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Without a terminal nothing is asked.")] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """End a run early: start no more servers, let running changes finish, power on servers that were stopped but not
    changed. It wipes nothing and cannot be undone; on a terminal it says what it will do, and asks.

    A run that another process drives is ended by that process; a run that nobody drives is ended by this command.
    --release frees the servers whose outcome was unknown before the command began, and none that it came to itself.

    Examples:

      fleetos abort 0c4k2m7

      fleetos abort 0c4k2m7 --release --yes
    """
    raise Leave(looping.run(_abort, run, yes, release, output, db, cloud))


async def _abort(given: str, yes: bool, release: bool, output: Output, db: str | None, cloud: str | None) -> int:
    async with sound_database(db) as opened:
        run_id = await queries.find_run(opened, given)
        found = await queries.summary(opened, run_id, watcher())
        check_cloud(found.run, cloud)
        progress = await queries.load(opened, run_id)
        unknown = [one.server_id for one in progress.targets.values() if one.ended and one.unsettled]
        if found.run.state in RUN_ENDS:
            if release:
                await _release(opened, run_id, unknown)
            else:
                say(f"nothing to abort: run {run_id} has ended ({found.run.state})")
            await _show_now(opened, run_id, output)
            return ExitCode.OK
        held = lease_of(found)
        driver = held and held.present
        say(abort_confirmation(progress, driver))
        if on_terminal():
            agree(f"Abort run {run_id}?", yes=yes)
        await runs.add_request(opened, run_id, RequestKind.ABORT, str(this_process()), SystemClock().now())
        if driver is not None:
            say(f"{driver} was asked to abort the run; watch it with: fleetos events {run_id} -f")
            if release:
                say("nothing is released while it is driven; call abort --release again when it has ended")
            await _show_now(opened, run_id, output, held)
            return ExitCode.OK
        code = await log_in_and_drive(opened, run_id, output, Command.ABORT)
        progress = await queries.load(opened, run_id)
        if release and progress.run.state in RUN_ENDS:
            await _release(opened, run_id, unknown)
        elif release:
            say(f"nothing was released: run {run_id} has not ended; call abort --release again when it has")
        return _as_asked(code, progress)


async def _show_now(opened: Database, run_id: str, output: Output, held: Driver | None = None) -> None:
    """Prints the run as it is now, for the programs that asked for a document."""
    if output is Output.JSON:
        progress = await queries.load(opened, run_id)
        print_json(status_document(progress, SystemClock().now(), held, exit_code=code_of(progress)))


def _as_asked(code: int, progress: Progress) -> int:
    """An abort that ended as it was asked to is no failure, however many targets it cancelled."""
    trouble = progress.counts.get(TargetState.FAILED, 0) + progress.counts.get(TargetState.HELD, 0)
    return ExitCode.OK if code == ExitCode.SOME_FAILED and not trouble else code


async def _release(opened: Database, run_id: str, known: Collection[str]) -> None:
    """Frees servers with an unknown outcome, of those that the operator knew before the command began."""
    progress = await queries.load(opened, run_id)
    unsettled = [target for target in progress.targets.values() if target.ended and target.unsettled]
    if not unsettled:
        say(f"run {run_id} holds no server with an unknown outcome")
        return
    released = [target for target in unsettled if target.server_id in known]
    if released:
        events = [Settled(target.server_id) for target in released]
        lease = await runs.begin_pass(opened, run_id, events, SystemClock().now(), watcher())
        await SqlJournal(opened, lease, SystemClock()).release()
        say(f"released {counted(len(released), 'server')} with an unknown outcome: {names_of(released)}")
    fresh = [target for target in unsettled if target.server_id not in known]
    if fresh:
        say(f"not released: the outcome of {counted(len(fresh), 'server')} became unknown only now: {names_of(fresh)}")
        say(f"check them, then: fleetos abort {run_id} --release")
