"""`fleetos apply`: from a plan file to a run that is driven to its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from fleetos.cli import looping
from fleetos.cli.carrying_on import check_project, drive_on, show_end
from fleetos.cli.confirming import agree, confirm
from fleetos.cli.exits import ExitCode, Leave, code_of
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption, PlanArgument, YesOption
from fleetos.cli.terminal import reporting, say
from fleetos.cli.wiring import SIM, chosen_cloud, cloud_at, credentials, hinting, scope_key, sound_database, watcher
from fleetos.clock import SystemClock
from fleetos.cloud.addresses import is_loopback
from fleetos.cloud.ecs import EcsCloud
from fleetos.errors import FleetosError
from fleetos.ids import run_id
from fleetos.limits import SERVERS_NAMED
from fleetos.model.events import Enlisted
from fleetos.model.experience import Experience
from fleetos.model.inventory import Image, Inventory
from fleetos.model.plan import Plan
from fleetos.model.progress import Progress
from fleetos.model.run import Run, Scope
from fleetos.model.states import RUN_ENDS, Reason
from fleetos.planning.digest import run_digest
from fleetos.planning.freeze import FrozenRun, History, freeze
from fleetos.planning.load import load_plan
from fleetos.planning.orders import ACTIVE, images_reinstalled, images_wanted
from fleetos.planning.preflight import Preflight, preflight
from fleetos.planning.secrets import PlanSecrets
from fleetos.planning.select import selected_since
from fleetos.planning.settings import CloudFacts
from fleetos.store import history, queries, runs
from fleetos.store.database import Database
from fleetos.store.queries import RunSummary
from fleetos.views.confirmation import confirmation
from fleetos.views.wording import counted

# Hosts of Open Telekom Cloud, whose API reference differs from the sister clouds' (its list of endpoints).
_OTC_DOMAIN = ".otc.t-systems.com"
_NO_RUN = "no run was created, nothing was touched"
# Findings of preflight that are printed before the question.
FINDINGS_SHOWN = 20


class NotRepeated(FleetosError):
    """A plan whose run has ended would mean something else now."""

    exit_code = 65


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asked for, beside the plan."""

    yes: bool
    expected: int | None
    new_run: bool
    output: Output
    db: str | None
    cloud: str | None


@reporting
def apply(
    plan: PlanArgument,
    yes: YesOption = False,
    expect_wipes: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Refuse unless exactly so many system disks would be wiped.", show_default=False
        ),
    ] = None,
    new_run: Annotated[
        bool, typer.Option("--new-run", help="Freeze a new run even if one of this plan has ended.")
    ] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Freeze a plan into a run and drive it to its end. Safe to be called again and again by a timer.

    An unfinished run of the same plan is carried on; one that has ended is not repeated.

    Examples:

      fleetos apply plans/demo.yaml

      fleetos apply plan.yaml --yes --expect-wipes 40 -o jsonl
    """
    raise Leave(looping.run(_apply, load_plan(plan), Wish(yes, expect_wipes, new_run, output, db, cloud)))


async def _apply(plan: Plan, wish: Wish) -> int:
    name = chosen_cloud(wish.cloud, plan.cloud)
    async with sound_database(wish.db) as opened:
        access = await credentials(name, plan.region)
        async with cloud_at(access, plan.api, _NO_RUN) as cloud:
            digest = run_digest(plan, name, cloud.place.region)
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
    return await drive_on(
        opened, lease, cloud, wish.output, before=lambda: agree(f"Carry on with run {run.id}?", yes=wish.yes)
    )


async def _not_repeated(opened: Database, plan: Plan, found: RunSummary, cloud: EcsCloud, wish: Wish) -> int:
    """The exit code of the newest run of this plan, which has ended and stays as it is."""
    run = found.run
    now_means = {image.name: image.id for image in await _images(cloud, images_wanted(plan)) if image.status == ACTIVE}
    moved = [name for name, image_id in run.images.items() if now_means.get(name, image_id) != image_id]
    if run.settings.force or plan.reinstalls or moved:
        why = f"the image name {moved[0]} now means another image" if moved else "it would change its servers again"
        raise NotRepeated(
            f"run {run.id} of this plan has ended, and {why}",
            "call apply with --new-run if the servers are to be changed again",
        )
    progress = await queries.load(opened, run.id)
    code = code_of(progress)
    inventory = await cloud.list_servers() if code is ExitCode.OK or plan.selects else None
    if inventory is not None:
        _check_selection(plan, progress, inventory)
    if inventory is not None and code is ExitCode.OK:
        _say_done(progress, inventory)
    if code is not ExitCode.OK or wish.output is not Output.TABLE:
        show_end(progress, wish.output)
    return code


def _check_selection(plan: Plan, progress: Progress, inventory: Inventory) -> None:
    """Raises NotRepeated if by now the plan's selectors mean servers that the run does not have."""
    run = progress.run
    more = selected_since(plan, inventory, progress.targets.keys(), run.images)
    if more:
        named = ", ".join(server.name for server in more[:SERVERS_NAMED])
        rest = f" and {len(more) - SERVERS_NAMED:,} more" if len(more) > SERVERS_NAMED else ""
        raise NotRepeated(
            f"run {run.id} of this plan has ended, and `select` now means servers that it does not have: {named}{rest}",
            "call apply with --new-run; what runs the image already is skipped then",
        )


def _say_done(progress: Progress, inventory: Inventory) -> None:
    """Says that a finished run is not repeated, and whether its servers still are as it left them."""
    servers = inventory.servers
    left = [
        target
        for target in progress.targets.values()
        if target.server_id not in servers or servers[target.server_id].picture.image != target.order.image_id
    ]
    count, run = len(progress.targets), progress.run
    if left:
        say(f"run {run.id} of this plan has ended and is not repeated, but {len(left):,} of its {count:,} servers are")
        say("no longer on the image; to change them (again): fleetos apply PLAN --new-run")
        return
    say(f"nothing to do: {count:,} {'server' if count == 1 else 'servers'} already on the image (run {run.id})")
    if run.scope.cloud == SIM:
        say("for another try: fleetos sim reset, then apply with --new-run")


async def _begin(opened: Database, plan: Plan, name: str | None, cloud: EcsCloud, wish: Wish) -> int:
    facts = _facts(name, cloud)
    scope = Scope(name, cloud.place.region, cloud.place.project_id, str(cloud.place.ecs))
    known = await history.experience(opened, scope_key(scope))
    cloud.recall(known.limits)
    with hinting(_NO_RUN):
        inventory = await cloud.list_servers()
        key_pairs = await _key_pairs(cloud, plan)
        images = await _images(cloud, images_wanted(plan), images_reinstalled(plan, inventory))
        found = preflight(plan, inventory, images, key_pairs, facts)
    PlanSecrets().check(found.orders, found.secret_places, found.windows)
    frozen = await _freeze(opened, plan, scope, found, facts, known)
    for place, count in found.selected.items():
        say(f"{place.key} at {place} means {counted(count, 'server')}")
    for finding in found.findings[:FINDINGS_SHOWN]:
        say(f"{finding.level}: {finding.subject} {finding.text}")
    if len(found.findings) > FINDINGS_SHOWN:
        say(f"and {len(found.findings) - FINDINGS_SHOWN:,} findings more")
    text = confirmation(frozen.run, frozen.wiped, frozen.spared)
    confirm(text, frozen.wipes, yes=wish.yes, expected=wish.expected)
    targets = [event.target for event in frozen.events if isinstance(event, Enlisted)]
    more = [event for event in frozen.events[1:] if not isinstance(event, Enlisted)]
    lease = await runs.create_run(opened, frozen.run, targets, more, SystemClock().now(), watcher())
    code = await drive_on(opened, lease, cloud, wish.output, fresh=lease.last_seq)
    already = frozen.spared.get(Reason.ALREADY_ON_IMAGE, 0)
    if not frozen.wipes and already:
        say(f"nothing to do: {already:,} already on the image")
    return code


async def _freeze(
    opened: Database, plan: Plan, scope: Scope, found: Preflight, facts: CloudFacts, known: Experience
) -> FrozenRun:
    server_ids = [one.server.id for one in found.servers]
    past = History(
        bad_attempts=await history.bad_attempts(opened, server_ids),
        unanswered=await history.unanswered_sends(opened, server_ids),
        longest_change_s=known.longest_change_s,
    )
    now = SystemClock().now()
    return freeze(plan, found, scope=scope, facts=facts, run_id=run_id(now), now=now, history=past)


def _facts(name: str | None, cloud: EcsCloud) -> CloudFacts:
    host = cloud.place.ecs.host
    return CloudFacts(is_otc=host.endswith(_OTC_DOMAIN), loopback=is_loopback(host), is_sim=name == SIM)


async def _images(cloud: EcsCloud, words: frozenset[str], ids: frozenset[str] = frozenset()) -> Sequence[Image]:
    """All images that the plan's words may mean, by id and by exact name, and those of the ids."""
    by_id = [await cloud.image(wanted) for wanted in sorted(words | ids)]
    named = [image for wanted in sorted(words) for image in await cloud.images_named(wanted)]
    return list({image.id: image for image in (*by_id, *named) if image is not None}.values())


async def _key_pairs(cloud: EcsCloud, plan: Plan) -> frozenset[str]:
    wanted = {change.keyname for change in (plan.change, *(server.change for server in plan.servers))}
    return frozenset([name for name in sorted(one for one in wanted if one) if await cloud.has_key_pair(name)])
