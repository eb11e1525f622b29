"""`fleetos plan`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import anyio
import typer

from fleetos.app.context import AppContext, chosen_cloud
from fleetos.app.freeze import NOTHING_TOUCHED, preview_run
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption, PlanArgument
from fleetos.cli.output import reporting, say, width, write
from fleetos.model.plan import Plan
from fleetos.model.preview import Preview
from fleetos.model.states import RUN_ENDS
from fleetos.planning.frozen_plan import check_replaceable, frozen_plan, write_frozen_plan
from fleetos.planning.plan_file.load import load_plan
from fleetos.views.documents.preview import preview_document
from fleetos.views.terminal.console import Shown
from fleetos.views.terminal.preview import preview_lines, preview_table


@dataclass(frozen=True, slots=True)
class _Wish:
    out: Path | None
    detailed: bool
    output: Output
    cloud: str | None


@reporting
def plan(
    plan: PlanArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Also write the plan as it is now to this file; `apply FILE` refuses to run if the cloud differs. "
            "Replaces nothing but an earlier frozen plan.",
            show_default=False,
        ),
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 if a system disk would be wiped, else with 0.")
    ] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Read the cloud and show what apply would do to each server, and why. Changes nothing.

    Servers that the cloud would refuse to change are refused here, with the reason; apply leaves them alone.

    Examples:

      fleetos plan plan.yaml

      fleetos plan plan.yaml --out frozen.json --detailed-exitcode

      fleetos plan plan.yaml -o json | jq -r '.servers[] | select(.action == "refuse") | .name + ": " + .reason'
    """
    if out is not None:
        check_replaceable(out)
    raise Leave(anyio.run(_plan, AppContext(db, say), load_plan(plan), _Wish(out, detailed_exitcode, output, cloud)))


async def _plan(context: AppContext, plan: Plan, wish: _Wish) -> ExitCode:
    name = chosen_cloud(wish.cloud, plan.cloud)
    async with (
        context.existing_database(before_apply=True) as database,
        context.open_cloud(name, plan.region, plan.api, NOTHING_TOUCHED) as cloud,
    ):
        frozen, preview = await preview_run(context, database, plan, name, cloud)
    write(wish.output, lambda: preview_document(preview), "servers", lambda: _table(preview), wrap=True)
    if wish.out is not None:
        write_frozen_plan(frozen_plan(plan, frozen), wish.out)
        again = preview.earlier is not None and preview.earlier.state in RUN_ENDS
        say(f"written to {wish.out}; to do exactly this: fleetos apply {wish.out}{' --new-run' if again else ''}")
    return ExitCode.CHANGES_PENDING if wish.detailed and frozen.wipes else ExitCode.OK


def _table(preview: Preview) -> Shown:
    wide = width()
    return preview_lines(preview) if wide is None else preview_table(preview, wide)
