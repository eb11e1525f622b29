"""`fleetos plan`: what apply would do, told before anything is done. It changes nothing, here or in the cloud."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import anyio
import typer

from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption, PlanArgument
from fleetos.cli.output import print_json, print_line, read_or_not, reporting, say, show_wrapped, width
from fleetos.cli.surveying import facts_of, frozen_now, scope_of, survey
from fleetos.cli.wiring import chosen_cloud, cloud_at, credentials, existing_database, hinting, scope_key, watcher
from fleetos.cloud.ecs import EcsCloud
from fleetos.model.experience import NONE
from fleetos.model.plan import Plan
from fleetos.model.preview import Preview
from fleetos.model.states import RUN_ENDS
from fleetos.planning.estimate import estimated
from fleetos.planning.freeze import FrozenRun
from fleetos.planning.frozen import check_replaceable, frozen_plan, write_frozen_plan
from fleetos.planning.load import load_plan
from fleetos.planning.project_checks import claim_findings
from fleetos.store import history, queries
from fleetos.store.database import Database
from fleetos.store.queries import RunSummary
from fleetos.views.preview import preview_lines, preview_table
from fleetos.views.preview_document import preview_document, server_documents

_NOTHING = "nothing was touched"


@dataclass(frozen=True, slots=True)
class _Wish:
    out: Path | None
    detailed: bool
    output: Output
    db: str | None
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
    raise Leave(anyio.run(_plan, load_plan(plan), _Wish(out, detailed_exitcode, output, db, cloud)))


async def _plan(plan: Plan, wish: _Wish) -> int:
    name = chosen_cloud(wish.cloud, plan.cloud)
    async with existing_database(wish.db, before_apply=True) as opened:
        access = await credentials(name, plan.region)
        async with cloud_at(access, plan.api, _NOTHING) as cloud:
            frozen, preview = await _preview(opened, plan, name, cloud)
    with read_or_not():
        _print(preview, wish.output)
    if wish.out is not None:
        write_frozen_plan(frozen_plan(plan, frozen), wish.out)
        again = preview.earlier is not None and preview.earlier.state in RUN_ENDS
        say(f"written to {wish.out}; to do exactly this: fleetos apply {wish.out}{' --new-run' if again else ''}")
    return ExitCode.CHANGES_PENDING if wish.detailed and frozen.wipes else ExitCode.OK


def _print(preview: Preview, output: Output) -> None:
    if output is Output.JSON:
        print_json(preview_document(preview))
    elif output is Output.JSONL:
        for one in server_documents(preview):
            print_line(one)
    else:
        wide = width()
        show_wrapped(preview_lines(preview) if wide is None else preview_table(preview, wide))


async def _preview(opened: Database | None, plan: Plan, name: str | None, cloud: EcsCloud) -> tuple[FrozenRun, Preview]:
    facts, scope = facts_of(name, cloud), scope_of(name, cloud)
    known = NONE if opened is None else await history.experience(opened, scope_key(scope))
    cloud.recall(known.limits)
    with hinting(_NOTHING):
        found = await survey(plan, cloud, facts)
    frozen = await frozen_now(opened, plan, scope, found, facts, known)
    names = {target.server_id: target.name for target in frozen.wiped}
    holders: Mapping[str, str] = {} if opened is None else await history.holders(opened, names)
    earlier = () if opened is None else await queries.runs_of_digest(opened, frozen.run.digest, watcher())
    estimate = estimated(
        frozen.run,
        frozen.wiped,
        known,
        facts,
        read_rate_per_s=cloud.read_rate_per_s(),
        write_rate_per_s=cloud.write_rate_per_s(),
    )
    preview = Preview(
        run=frozen.run,
        targets=frozen.targets,
        findings=(*claim_findings(_of_others(holders, earlier), names), *found.findings),
        choices=found.choices,
        image_names=found.image_names,
        selected=found.selected,
        estimate=estimate,
        earlier=earlier[0].run if earlier else None,
    )
    return frozen, preview


def _of_others(holders: Mapping[str, str], earlier: Sequence[RunSummary]) -> Mapping[str, str]:
    """The holders without an unfinished run of the same plan, which apply would carry on."""
    own = {one.run.id for one in earlier if one.run.state not in RUN_ENDS}
    return {server_id: run_id for server_id, run_id in holders.items() if run_id not in own}
