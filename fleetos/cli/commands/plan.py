"""`fleetos plan`."""

from dataclasses import dataclass
from pathlib import Path

import anyio

from fleetos.app.context import AppContext, chosen_cloud
from fleetos.app.freeze import NOTHING_TOUCHED, preview_run
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.output import handle_errors, print_message, width, write
from fleetos.cli.usage.options import Output
from fleetos.model.plan import Plan
from fleetos.model.preview import Preview
from fleetos.model.states import RUN_ENDS
from fleetos.planning.frozen_plan import check_replaceable, make_frozen_plan, write_frozen_plan
from fleetos.planning.plan_file.load import load_plan
from fleetos.views.documents.preview import preview_document
from fleetos.views.terminal.console import Shown
from fleetos.views.terminal.preview import preview_lines, preview_table


@dataclass(frozen=True, slots=True)
class _PlanOptions:
    out: Path | None
    detailed: bool
    output: Output
    cloud: str | None


@handle_errors
def plan(
    plan: Path, out: Path | None, detailed_exitcode: bool, output: Output, db: str | None, cloud: str | None
) -> None:
    """Read the cloud and show what apply would do to each server, and why."""
    if out is not None:
        check_replaceable(out)
    raise Leave(
        anyio.run(
            _plan, AppContext(db, print_message), load_plan(plan), _PlanOptions(out, detailed_exitcode, output, cloud)
        )
    )


async def _plan(context: AppContext, plan: Plan, options: _PlanOptions) -> ExitCode:
    name = chosen_cloud(options.cloud, plan.cloud)
    async with (
        context.existing_database(before_apply=True) as database,
        context.open_cloud(name, plan.region, plan.api, NOTHING_TOUCHED) as cloud,
    ):
        frozen, preview = await preview_run(context, database, plan, name, cloud)
    write(options.output, lambda: preview_document(preview), "servers", lambda: _table(preview), wrap=True)
    if options.out is not None:
        write_frozen_plan(make_frozen_plan(plan, frozen), options.out)
        again = preview.earlier is not None and preview.earlier.state in RUN_ENDS
        print_message(
            f"written to {options.out}; to do exactly this: fleetos apply {options.out}{' --new-run' if again else ''}"
        )
    return ExitCode.CHANGES_PENDING if options.detailed and frozen.wipes else ExitCode.OK


def _table(preview: Preview) -> Shown:
    wide = width()
    return preview_lines(preview) if wide is None else preview_table(preview, wide)
