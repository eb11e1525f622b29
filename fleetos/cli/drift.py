"""`fleetos drift`: which servers of a plan do not run the image that it names. It only reads."""

from dataclasses import dataclass, replace

import anyio

from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption, PlanArgument
from fleetos.cli.output import print_json, print_line, read_or_not, reporting, show_wrapped, width
from fleetos.cli.surveying import compared, scope_of
from fleetos.cli.wiring import chosen_cloud, cloud_at, credentials, existing_database, hinting, scope_key
from fleetos.cloud.ecs import EcsCloud
from fleetos.model.drift import Drift, Verdict
from fleetos.model.plan import Plan
from fleetos.planning.digest import run_digest
from fleetos.planning.load import load_plan
from fleetos.store import history
from fleetos.store.database import Database
from fleetos.views.drift import drift_document, drift_lines, drift_table, standing_documents

_NOTHING = "nothing was touched"


@dataclass(frozen=True, slots=True)
class _Wish:
    output: Output
    db: str | None
    cloud: str | None


@reporting
def drift(
    plan: PlanArgument, output: OutputOption = Output.TABLE, db: DbOption = None, cloud: CloudOption = None
) -> None:
    """Tell which servers of a plan do not run the image that it names for them. Changes nothing.

    Exits with 2 if a server drifted, else with 0. Servers that are deleted, frozen or being changed, and those for
    which the cloud shows no image, are unknown; they do not count as drifted.

    Examples:

      fleetos drift plan.yaml

      fleetos drift plan.yaml -o json | jq -r '.servers[] | select(.verdict == "drifted") | .name'

      fleetos drift plan.yaml -o jsonl > drift.jsonl
    """
    raise Leave(anyio.run(_drift, load_plan(plan), _Wish(output, db, cloud)))


async def _drift(plan: Plan, wish: _Wish) -> int:
    name = chosen_cloud(wish.cloud, plan.cloud)
    async with existing_database(wish.db) as opened:
        access = await credentials(name, plan.region)
        async with cloud_at(access, plan.api, _NOTHING) as cloud:
            scope = scope_of(name, cloud)
            digest = run_digest(plan, scope)
            with hinting(_NOTHING):
                found = await _found(plan, cloud, opened, scope_key(scope), digest)
    with read_or_not():
        if wish.output is Output.JSON:
            print_json(drift_document(found, plan, digest, scope))
        elif wish.output is Output.JSONL:
            for one in standing_documents(found):
                print_line(one)
        else:
            wide = width()
            show_wrapped(drift_lines(found) if wide is None else drift_table(found, wide))
    return ExitCode.CHANGES_PENDING if found.counts.get(Verdict.DRIFTED) else ExitCode.OK


async def _found(plan: Plan, cloud: EcsCloud, opened: Database | None, scope: str, digest: str) -> Drift:
    """The drift, with what the database knows of the servers that do not run their image."""
    if opened is None:
        return await compared(plan, cloud, None, digest)
    cloud.recall((await history.experience(opened, scope)).limits)
    found = await compared(plan, cloud, opened, digest)
    asked = [one.server_id for one in found.servers if one.verdict is not Verdict.SAME]
    last = await history.last_changes(opened, asked)
    return replace(found, servers=tuple(replace(one, last=last.get(one.server_id)) for one in found.servers))
