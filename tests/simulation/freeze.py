"""The plan of a play as a run: by what the cloud shows, and by what an earlier run has left in the database."""

from dataclasses import replace

from fleetos.model.journal.events import Enlisted, RunCreated
from fleetos.model.run import Outcome, Scope, Target
from fleetos.planning.freeze import History
from fleetos.planning.freeze import freeze as freeze_plan
from fleetos.planning.preflight.orders import Orders, image_ids
from fleetos.planning.preflight.preflight import Preflight, ResolvedServer
from fleetos.planning.preflight.server_selection import select
from fleetos.planning.settings import CloudFacts
from fleetos.store.memory_journal import MemoryRun, freeze
from tests.simulation.expected_changes import environment, plan, said, wishes
from tests.simulation.process import Process
from tests.simulation.run_context import RunContext
from tests.simulation.session import logged_in
from tests.simulation.spec import OWNER

_DID_NOTHING = frozenset({Outcome.REFUSED, Outcome.NOT_DELIVERED})


async def frozen(context: RunContext, process: Process, before: MemoryRun | None) -> MemoryRun:
    """Return the run of the plan as it begins; `before` is the one before it over the same servers."""
    spec, world = context.spec, context.cloud.world
    wanted = wishes(spec, world, again=before is not None)
    context.wanted, context.env = said(spec, world, wanted), environment(wanted)
    context.secrets.update(context.env.values())
    async with logged_in(process, context, spec.limits) as cloud:
        inventory = await cloud.list_servers()
        images, _ = await cloud.images.all()
        place = cloud.place
    here = {one: wish for one, wish in wanted.items() if one in inventory.servers}
    written, facts = plan(spec, here, world.user_id), CloudFacts(loopback=spec.loopback)
    orders = Orders(written, images, world.scenario.key_pairs, facts)
    made = [(server, orders.make_order(ref, server), ref) for server, ref in select(written, inventory).servers]
    servers = tuple(ResolvedServer(server, order, ref.labels) for server, order, ref in made if order is not None)
    at, filed = process.now(), context.filed
    past = None
    if before is not None:
        past = _history(before) if filed is None else await filed.history(process, list(before.targets))
    run = freeze_plan(
        written,
        Preflight(servers, image_ids(orders), (), {}, frozenset()),
        scope=Scope("sim", place.region, place.project_id, str(place.ecs)),
        facts=facts,
        run_id="play" if before is None else "encore",
        now=at,
        history=past,
    )
    created = replace(run.run, owner=OWNER)
    targets = [event.target for event in run.events if isinstance(event, Enlisted)]
    more = [event for event in run.events if not isinstance(event, Enlisted | RunCreated)]
    if filed is not None:
        return await filed.freeze(process, created, targets, more)
    return freeze(created, targets, more, at)


def _history(before: MemoryRun) -> History:
    """Return what a database tells of a run: whose last attempt is in doubt, and whose sends were left unanswered."""
    unanswered = {
        server_id: claim.unanswered_at for server_id, claim in before.claims.items() if claim.unanswered_at is not None
    }
    doubtful = frozenset(server_id for server_id, target in before.targets.items() if _doubtful(target))
    return History(doubtful, unanswered)


def _doubtful(target: Target) -> bool:
    last = next((one for one in reversed(target.attempts) if one.outcome not in _DID_NOTHING), None)
    return target.unsettled or (last is not None and last.outcome is not Outcome.SUCCEEDED)
