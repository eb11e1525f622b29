"""`fleetos apply`: from a plan file to a run that is driven to its end."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fleetos.cli import looping
from fleetos.cli.confirm import Consent, confirm
from fleetos.cli.exit_codes import ExitCode, Leave, code_of
from fleetos.cli.options import CloudOption, DbOption, ExpectWipesOption, Output, OutputOption, PlanArgument, YesOption
from fleetos.cli.output import reporting, say
from fleetos.cli.resume import check_project, drive_on, show_end
from fleetos.cli.surveying import facts_of, frozen_now, images_meant, list_servers, scope_of, survey
from fleetos.cli.wiring import SIM, chosen_cloud, cloud_at, credentials, hinting, scope_key, sound_database, watcher
from fleetos.clock import SystemClock
from fleetos.cloud.ecs import EcsCloud
from fleetos.errors import FleetosError
from fleetos.limits import SERVERS_NAMED
from fleetos.model.events import Enlisted
from fleetos.model.findings import Finding, Level
from fleetos.model.inventory import Inventory
from fleetos.model.plan import Plan
from fleetos.model.progress import Progress
from fleetos.model.run import Run
from fleetos.model.states import RUN_ENDS, Command, Reason, TargetState
from fleetos.planning.agreement import Agreement
from fleetos.planning.digest import run_digest
from fleetos.planning.freeze import FrozenRun
from fleetos.planning.frozen import check_plan, is_frozen_plan, read_frozen_plan
from fleetos.planning.load import load_plan
from fleetos.planning.pinning import ACTIVE
from fleetos.planning.select import selected_since
from fleetos.store import history, queries, runs
from fleetos.store.database import Database
from fleetos.store.leases import Lease
from fleetos.store.queries import RunSummary
from fleetos.text import counted, join_some
from fleetos.views.confirmation import confirmation
from fleetos.views.preview import finding_words, selected_words

_NO_RUN = "no run was created, nothing was touched"
# Findings of preflight that are printed before the question.
FINDINGS_SHOWN = 20


class NotRepeated(FleetosError):
    """A plan whose run has ended would mean something else now."""

    exit_code = 65


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asked for, beside the plan."""

    consent: Consent
    new_run: bool
    output: Output
    db: str | None
    cloud: str | None


@reporting
def apply(
    plan: PlanArgument,
    yes: YesOption = False,
    expect_wipes: ExpectWipesOption = None,
    new_run: Annotated[
        bool, typer.Option("--new-run", help="Freeze a new run even if one of this plan has ended.")
    ] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Freeze a plan into a run and drive it to its end. Safe to be called again and again by a timer.

    An unfinished run of the same plan is carried on; one that has ended is not repeated, and one that is paused for
    something that you must look at is left to `resume`. PLAN may also be a file that `plan --out` wrote: then nothing
    is done unless the cloud, or what an unfinished run has left to do, is as the file says. Servers that the cloud
    would refuse to change are held with the reason, and not touched.

    With --expect-wipes a run that is carried on must have been created to wipe that many system disks, or have that
    many left to wipe.

    Examples:

      fleetos apply plans/demo.yaml

      fleetos apply plan.yaml --yes --expect-wipes 40 -o jsonl

      fleetos apply frozen.json --yes
    """
    agreed = read_frozen_plan(plan) if is_frozen_plan(plan) else None
    loaded = load_plan(plan if agreed is None else Path(agreed.plan_path))
    if agreed is not None:
        check_plan(agreed, loaded)
        cloud = cloud or agreed.cloud
    consent = Consent(yes, Agreement(expect_wipes, agreed))
    raise Leave(looping.run(_apply, loaded, Wish(consent, new_run, output, db, cloud)))


async def _apply(plan: Plan, wish: Wish) -> int:
    name = chosen_cloud(wish.cloud, plan.cloud)
    async with sound_database(wish.db, make=True) as opened:
        access = await credentials(name, plan.region)
        async with cloud_at(access, plan.api, _NO_RUN) as cloud:
            digest = run_digest(plan, scope_of(name, cloud))
            found = await queries.runs_of_digest(opened, digest, watcher())
            unfinished = [one for one in found if one.run.state not in RUN_ENDS]
            if unfinished:
                return await _carry_on(opened, unfinished[0].run, cloud, wish)
            if found and not wish.new_run:
                return await _not_repeated(opened, plan, found[0], cloud, wish)
            return await _begin(opened, plan, name, cloud, wish)


async def _carry_on(opened: Database, run: Run, cloud: EcsCloud, wish: Wish) -> int:
    check_project(run, cloud)
    if wish.new_run:
        say(f"run {run.id} of this plan is unfinished, so there is no new one")
    lease = await runs.take_run(opened, run.id, watcher())
    return await drive_on(opened, lease, cloud, wish.output, Command.APPLY, consent=wish.consent)


async def _not_repeated(opened: Database, plan: Plan, found: RunSummary, cloud: EcsCloud, wish: Wish) -> int:
    """The exit code of the newest run of this plan, which has ended and stays as it is."""
    run = found.run
    if wish.consent.agreement.plan is not None:
        raise NotRepeated(
            f"run {run.id} of this frozen plan has ended ({run.state}), and nothing was done",
            f"fleetos status {run.id} says how it ended; to change servers (again), look at what is left with "
            "`fleetos plan PLAN --out FILE`, then: fleetos apply FILE --new-run",
        )
    now_means = {image.name: image.id for image in await images_meant(cloud, plan) if image.status == ACTIVE}
    moved = [name for name, image_id in run.images.items() if now_means.get(name, image_id) != image_id]
    if run.settings.force or plan.reinstalls or moved:
        why = f"the image name {moved[0]} now means another image" if moved else "it would change its servers again"
        raise NotRepeated(
            f"run {run.id} of this plan has ended, and {why}",
            "call apply with --new-run if the servers are to be changed again",
        )
    progress = await queries.load(opened, run.id)
    code = code_of(progress)
    inventory = await list_servers(plan, cloud) if code is ExitCode.OK or plan.selects else None
    if inventory is not None:
        _check_selection(plan, progress, inventory)
    if inventory is not None and code is ExitCode.OK:
        _say_done(progress, inventory)
    if code is not ExitCode.OK or wish.output is not Output.TABLE:
        show_end(progress, wish.output)
    never = progress.counts.get(TargetState.CANCELLED, 0)
    if never:
        say(f"run {run.id} of this plan was aborted, and {counted(never, 'server')} of it were never changed; nothing")
        say(f"was done now. To change them: fleetos apply {shlex.quote(str(plan.path))} --new-run")
    return code


def _check_selection(plan: Plan, progress: Progress, inventory: Inventory) -> None:
    """Raises NotRepeated if by now the plan's selectors mean servers that the run does not have."""
    run = progress.run
    more = selected_since(plan, inventory, progress.targets.keys(), run.images)
    if more:
        named = join_some([server.name for server in more], SERVERS_NAMED)
        raise NotRepeated(
            f"run {run.id} of this plan has ended, and `select` now means servers that it does not have: {named}",
            "call apply with --new-run; what runs the image already is skipped then",
        )


def _say_done(progress: Progress, inventory: Inventory) -> None:
    """Says that a finished run is not repeated, and whether its servers still are as it left them."""
    servers = inventory.servers
    left = [
        target
        for target in progress.targets.values()
        if target.server_id not in servers or target.order.image_id not in servers[target.server_id].picture.images
    ]
    count, run = len(progress.targets), progress.run
    if left:
        say(f"run {run.id} of this plan has ended and is not repeated, but {len(left):,} of its {count:,} servers are")
        say("no longer on the image; to change them (again): fleetos apply PLAN --new-run")
        return
    say(f"nothing to do: {counted(count, 'server')} already on the image (run {run.id})")
    if run.scope.cloud == SIM:
        say("for another try: fleetos sim reset, then apply with --new-run")


async def _begin(opened: Database, plan: Plan, name: str | None, cloud: EcsCloud, wish: Wish) -> int:
    # What was read and frozen is let go of before the run is driven: for thousands of servers it is much.
    begun = await _frozen_anew(opened, plan, name, cloud, wish)
    if begun is None:
        return ExitCode.OK
    lease, wipes, already = begun
    code = await drive_on(opened, lease, cloud, wish.output, Command.APPLY, fresh=lease.last_seq)
    if not wipes and already:
        say(f"nothing to do: {already:,} already on the image")
    return code


async def _frozen_anew(
    opened: Database, plan: Plan, name: str | None, cloud: EcsCloud, wish: Wish
) -> tuple[Lease, int, int] | None:
    """The lease of the new run that the operator agreed to, how many disks it wipes, how many servers it skips.

    None: the plan's selectors match no server any more, since all that they matched were changed.
    """
    facts, scope = facts_of(name, cloud), scope_of(name, cloud)
    known = await history.experience(opened, scope_key(scope))
    cloud.recall(known.limits)
    with hinting(_NO_RUN):
        found = await survey(plan, cloud, facts)
    frozen = await frozen_now(opened, plan, scope, found, facts, known)
    for line in selected_words(found.selected):
        say(line)
    _say_findings(found.findings, frozen)
    text = confirmation(frozen.run, frozen.wiped, frozen.spared)
    confirm(wish.consent, frozen.would_wipe, Command.APPLY, text, frozen)
    if not frozen.targets:
        say("no run was created")
        return None
    targets = [event.target for event in frozen.events if isinstance(event, Enlisted)]
    more = [event for event in frozen.events[1:] if not isinstance(event, Enlisted)]
    lease = await runs.create_run(opened, frozen.run, targets, more, SystemClock().now(), watcher())
    return lease, frozen.wipes, frozen.spared.get(Reason.ALREADY_ON_IMAGE, 0)


def _say_findings(findings: Sequence[Finding], frozen: FrozenRun) -> None:
    """Says what was found, the worst first: first of all which servers are left alone, and why."""
    wiped = {target.server_id for target in frozen.wiped}
    levels = list(reversed(Level))
    heard = [one for one in findings if one.level is Level.REFUSED or one.server_id is None or one.server_id in wiped]
    heard.sort(key=lambda one: levels.index(one.level))
    for finding in heard[:FINDINGS_SHOWN]:
        say(f"{finding.level}: {finding_words(finding)}")
    if len(heard) > FINDINGS_SHOWN:
        say(f"and {counted(len(heard) - FINDINGS_SHOWN, 'finding')} more; fleetos plan shows all")
