"""Freeze a plan into a run, preview that run, or check that the ended run of a plan still holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fleetos.app.context import AppContext, operator_name, scope_key, with_hint
from fleetos.app.drive import Operator, agree
from fleetos.app.notifications import check_receivers
from fleetos.app.results import FinishedRun
from fleetos.app.survey import facts_of, images_meant, list_servers, scope_of, survey
from fleetos.cloud.client import CloudClient
from fleetos.errors import FleetosError, InputError
from fleetos.ids import run_id
from fleetos.limits import SERVERS_NAMED
from fleetos.model.experience import NO_EXPERIENCE, Experience
from fleetos.model.inventory import Inventory
from fleetos.model.journal.events import Enlisted
from fleetos.model.plan import Plan
from fleetos.model.preview import Preview
from fleetos.model.progress import Progress
from fleetos.model.run import Run
from fleetos.model.states import RUN_ENDS, Command, RunState, TargetState
from fleetos.planning.estimate import estimate_run
from fleetos.planning.freeze import FrozenRun, History, freeze
from fleetos.planning.preflight.image_pins import ACTIVE
from fleetos.planning.preflight.preflight import Preflight
from fleetos.planning.preflight.project_checks import claim_findings
from fleetos.planning.preflight.server_selection import newly_selected
from fleetos.store import history, queries, runs
from fleetos.store.database.database import Database
from fleetos.store.database.reader import Readable
from fleetos.store.leases import Lease
from fleetos.store.queries import RunSummary
from fleetos.text import join_some

NO_RUN = "no run was created, nothing was touched"
NOTHING_TOUCHED = "nothing was touched"


class NotRepeated(FleetosError):
    """A plan whose run has ended would mean something else now."""

    exit_code = 65


@dataclass(frozen=True, slots=True)
class Survey:
    """Plan checked against the cloud at one moment."""

    preflight: Preflight
    known: Experience
    """Experience of earlier runs in this part of the cloud."""
    frozen: FrozenRun
    """The run that the plan would be, or will be."""


async def survey_and_freeze(
    context: AppContext,
    database: Readable | None,
    plan: Plan,
    name: str | None,
    cloud: CloudClient,
    state_of_things: str,
) -> Survey:
    """Return what the plan means in the cloud now; `database` None: there is none yet.

    Raise InputError with all that does not resolve, and CloudError, hinting at the state of things.
    """
    facts, scope = facts_of(name, cloud), scope_of(name, cloud)
    known = NO_EXPERIENCE if database is None else await history.experience(database, scope_key(scope))
    cloud.recall(known.limits)
    receivers = check_receivers(plan)
    try:
        with with_hint(state_of_things):
            preflight = await survey(plan, cloud, facts)
    except InputError as error:
        raise InputError((*error.problems, *receivers.problems)) from None
    if receivers.problems:
        raise InputError(receivers.problems)
    past = History(longest_change_s=known.longest_change_s)
    if database is not None:
        server_ids = [selected.server.id for selected in preflight.servers]
        past = History(
            bad_attempts=await history.bad_attempts(database, server_ids),
            unanswered=await history.unanswered_sends(database, server_ids),
            longest_change_s=known.longest_change_s,
        )
    now = context.clock.now()
    frozen = freeze(plan, preflight, scope=scope, facts=facts, run_id=run_id(now), now=now, history=past)
    return Survey(preflight, known, replace(frozen, services=receivers.services))


async def create_run(
    context: AppContext, database: Database, plan: Plan, name: str | None, cloud: CloudClient, operator: Operator
) -> Lease | None:
    """Return the lease of the new run that the operator agreed to.

    None: the plan's selectors match no server any more, since all that they matched were changed.
    """
    owner = operator_name()
    surveyed = await survey_and_freeze(context, database, plan, name, cloud, NO_RUN)
    frozen = surveyed.frozen
    operator.show_preflight(surveyed.preflight, frozen)
    agree(operator, frozen.would_wipe, Command.APPLY, frozen)
    if not frozen.targets:
        return None
    targets = [event.target for event in frozen.events if isinstance(event, Enlisted)]
    further_events = [event for event in frozen.events[1:] if not isinstance(event, Enlisted)]
    run = replace(frozen.run, owner=owner)
    return await runs.create_run(database, run, targets, further_events, context.clock.now(), context.watcher())


async def preview_run(
    context: AppContext, database: Readable | None, plan: Plan, name: str | None, cloud: CloudClient
) -> tuple[FrozenRun, Preview]:
    """Return the run that `apply` would create now, and what there is to know of it before."""
    surveyed = await survey_and_freeze(context, database, plan, name, cloud, NOTHING_TOUCHED)
    preflight, frozen = surveyed.preflight, surveyed.frozen
    names = {target.server_id: target.name for target in frozen.targets_to_wipe}
    holders: Mapping[str, str] = {} if database is None else await history.holders(database, names)
    earlier = () if database is None else await queries.runs_of_digest(database, frozen.run.digest, context.watcher())
    estimate = estimate_run(
        frozen.run,
        frozen.targets_to_wipe,
        surveyed.known,
        facts_of(name, cloud),
        read_rate_per_s=cloud.read_rate_per_s(),
        write_rate_per_s=cloud.write_rate_per_s(),
    )
    preview = Preview(
        run=frozen.run,
        targets=frozen.targets,
        findings=(*claim_findings(_of_others(holders, earlier), names), *preflight.findings),
        choices=preflight.choices,
        image_names=preflight.image_names,
        selected=preflight.selected,
        estimate=estimate,
        steering=frozen.sentences,
        earlier=earlier[0].run if earlier else None,
    )
    return frozen, preview


def _of_others(holders: Mapping[str, str], earlier: Sequence[RunSummary]) -> Mapping[str, str]:
    """Return the holders without an unfinished run of the same plan, which apply would carry on."""
    run_ids = {summary.run.id for summary in earlier if summary.run.state not in RUN_ENDS}
    return {server_id: run_id for server_id, run_id in holders.items() if run_id not in run_ids}


async def check_finished(
    database: Readable, plan: Plan, run: Run, cloud: CloudClient, *, from_frozen_plan: bool
) -> FinishedRun:
    """Return the newest run of this plan, which has ended and stays as it is.

    Raise NotRepeated if the plan would do something else by now, or was frozen to be done at this moment.
    """
    if from_frozen_plan:
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
    progress = await queries.load(database, run.id)
    if not (plan.selects or _ended_well(progress)):
        return FinishedRun(progress, off_image=None)
    inventory = await list_servers(plan, cloud)
    _check_selection(plan, progress, inventory)
    return FinishedRun(progress, _off_image(progress, inventory))


def _ended_well(progress: Progress) -> bool:
    """Return whether every server of the ended run is done or was skipped, and no outcome is unknown."""
    short = (TargetState.FAILED, TargetState.HELD, TargetState.CANCELLED)
    if progress.run.state is RunState.FAILED or any(progress.counts.get(state) for state in short):
        return False
    return not any(target.unsettled for target in progress.targets.values())


def _check_selection(plan: Plan, progress: Progress, inventory: Inventory) -> None:
    """Raise NotRepeated if by now the plan's selectors mean servers that the run does not have."""
    run = progress.run
    new_servers = newly_selected(plan, inventory, progress.targets.keys(), run.images)
    if new_servers:
        named = join_some([server.name for server in new_servers], SERVERS_NAMED)
        raise NotRepeated(
            f"run {run.id} of this plan has ended, and `select` now means servers that it does not have: {named}",
            "call apply with --new-run; what runs the image already is skipped then",
        )


def _off_image(progress: Progress, inventory: Inventory) -> int:
    """Return how many servers of the run are gone, or run another image than the one that the run gave them."""
    servers = inventory.servers
    return sum(
        target.server_id not in servers or target.order.image_id not in servers[target.server_id].snapshot.images
        for target in progress.targets.values()
    )
