"""`fleetos rehearse`."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import anyio

from fleetos.app.context import AppContext, chosen_cloud
from fleetos.app.freeze import NOTHING_TOUCHED
from fleetos.app.rehearsal.rehearse import Programme, write_script
from fleetos.app.rehearsal.rehearse import rehearse as play_all
from fleetos.app.rehearsal.script import Script
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.output import handle_errors, print_message, width, write
from fleetos.cli.usage.options import Output
from fleetos.clock import SystemClock
from fleetos.errors import UsageError
from fleetos.limits import CONCURRENCY_MAX, DURATION_MAX_S
from fleetos.model.plan import Plan
from fleetos.model.steering.rehearsal import Supposition
from fleetos.planning.plan_file.load import load_plan
from fleetos.planning.plan_file.units import parse_duration_s
from fleetos.planning.start_time import parse_deadline, parse_start
from fleetos.views.documents.rehearsal import rehearsal_document
from fleetos.views.progress_bar import ProgressBar
from fleetos.views.rehearsal_table import rehearsal_text
from fleetos.views.terminal.console import console_on

_PLANNED = "as planned"
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")
_WHAT_IFS = "concurrency=40, failure-rate=10% or approve-after=2h"


@handle_errors
def rehearse(
    plan: Path,
    seeds: int,
    failure_rate: str,
    approve_after: str,
    what_if: list[str] | None,
    at: str | None,
    deadline: str | None,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Play the run of a plan in virtual time, and say when it ends."""
    planned = Supposition(_PLANNED, _parse_rate(failure_rate), _parse_wait(approve_after))
    suppositions = [planned, *(_suppose(planned, text) for text in what_if or ())]
    loaded, now = load_plan(plan), SystemClock().now()
    zone = loaded.steering.windows and loaded.steering.windows.zone
    if at is not None:
        start = parse_start(at, zone, now)
        loaded = replace(loaded, steering=replace(loaded.steering, not_before=start.instant))
    until = None if deadline is None else parse_deadline(deadline, zone, now).instant
    script = anyio.run(_write_script, AppContext(db, print_message), loaded, cloud)
    raise Leave(_rehearse(script, Programme(suppositions, seeds, until), output))


async def _write_script(context: AppContext, plan: Plan, cloud_name: str | None) -> Script:
    name = chosen_cloud(cloud_name, plan.cloud)
    async with (
        context.existing_database(before_apply=True) as database,
        context.open_cloud(name, plan.region, plan.api, NOTHING_TOUCHED) as cloud,
    ):
        return await write_script(context, database, plan, name, cloud)


def _rehearse(script: Script, programme: Programme, output: Output) -> ExitCode:
    bar = ProgressBar(console_on(sys.stderr), programme.plays, "play")
    try:
        rehearsal = play_all(script, programme, bar.advance)
    finally:
        bar.close()
    write(output, lambda: rehearsal_document(rehearsal), "cases", lambda: rehearsal_text(rehearsal, width()), wrap=True)
    return ExitCode.SOME_FAILED if rehearsal.misses else ExitCode.OK


def _suppose(planned: Supposition, text: str) -> Supposition:
    """Return what a what-if supposes. Raise UsageError."""
    key, _, value = text.partition("=")
    match key:
        case "concurrency" if value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= CONCURRENCY_MAX:
            return replace(planned, name=text, concurrency=int(value))
        case "failure-rate":
            return replace(planned, name=text, failure_rate=_parse_rate(value))
        case "approve-after":
            return replace(planned, name=text, approve_after_s=_parse_wait(value))
        case _:
            raise UsageError(f"--what-if {text[:80]!r} is not understood", f"say {_WHAT_IFS}")


def _parse_rate(text: str) -> float:
    matched = _PERCENT.fullmatch(text)
    if matched is None or float(matched[1]) > 100:
        raise UsageError(f"{text[:80]!r} is no failure rate", "say a percentage, such as 5%")
    return float(matched[1]) / 100


def _parse_wait(text: str) -> float:
    seconds = parse_duration_s(text)
    if seconds is None or seconds > DURATION_MAX_S:
        raise UsageError(f"{text[:80]!r} is no time until an approval", "say a duration, such as 15m or 2h")
    return seconds
