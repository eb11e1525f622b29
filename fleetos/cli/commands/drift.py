"""`fleetos drift`."""

from pathlib import Path

import anyio

from fleetos.app.context import AppContext, chosen_cloud, with_hint
from fleetos.app.freeze import NOTHING_TOUCHED
from fleetos.app.survey import find_drift, scope_of
from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.output import handle_errors, print_message, width, write
from fleetos.cli.usage.options import Output
from fleetos.model.drift import Drift, DriftState
from fleetos.model.plan import Plan
from fleetos.planning.plan_file.digest import run_digest
from fleetos.planning.plan_file.load import load_plan
from fleetos.views.terminal.console import Shown
from fleetos.views.terminal.drift import drift_document, drift_lines, drift_table


@handle_errors
def drift(plan: Path, output: Output, db: str | None, cloud: str | None) -> None:
    """Tell which servers of a plan do not run the image that it names for them."""
    raise Leave(anyio.run(_drift, AppContext(db, print_message), load_plan(plan), cloud, output))


async def _drift(context: AppContext, plan: Plan, asked: str | None, output: Output) -> ExitCode:
    name = chosen_cloud(asked, plan.cloud)
    async with (
        context.existing_database() as database,
        context.open_cloud(name, plan.region, plan.api, NOTHING_TOUCHED) as cloud,
    ):
        scope = scope_of(name, cloud)
        digest = run_digest(plan, scope)
        with with_hint(NOTHING_TOUCHED):
            drift = await find_drift(plan, cloud, database, scope, digest)
    write(output, lambda: drift_document(drift, plan, digest, scope), "servers", lambda: _table(drift), wrap=True)
    return ExitCode.CHANGES_PENDING if drift.counts.get(DriftState.DRIFTED) else ExitCode.OK


def _table(drift: Drift) -> Shown:
    wide = width()
    return drift_lines(drift) if wide is None else drift_table(drift, wide)
