"""The plan of a play as a run: by what the cloud shows, and by what an earlier run has left in the database."""

from dataclasses import replace
from pathlib import Path

from fleetos.model.events import Enlisted, RunCreated
from fleetos.model.plan import ChangeSpec, Plan, SecretRef
from fleetos.model.run import Order, Outcome, Scope, Target
from fleetos.planning.freeze import History
from fleetos.planning.freeze import freeze as freeze_plan
from fleetos.planning.preflight import Preflight, Resolved
from fleetos.planning.settings import CloudFacts
from fleetos.sim.world import World
from fleetos.store.memory import MemoryRun, freeze
from tests.simulation.process import Process
from tests.simulation.session import logged_in
from tests.simulation.spec import IMAGE, Spec
from tests.simulation.stagehand import Stagehand

_DID_NOTHING = frozenset({Outcome.REFUSED, Outcome.NOT_DELIVERED})


async def frozen(stage: Stagehand, process: Process, before: MemoryRun | None) -> MemoryRun:
    """Return the run of the plan as it begins; `before` is the one before it over the same servers."""
    spec, world = stage.spec, stage.cloud.world
    async with logged_in(process, stage, spec.limits) as cloud:
        inventory = await cloud.list_servers()
        place = cloud.place
    orders = _orders(spec, world)
    servers = tuple(
        Resolved(inventory.servers[one], order) for one, order in orders.items() if one in inventory.servers
    )
    images = {} if spec.reinstall else {IMAGE: next(iter(orders.values())).image_id}
    scope = Scope("sim", place.region, place.project_id, str(place.ecs))
    at = process.now()
    run = freeze_plan(
        _plan(spec),
        Preflight(servers, images, (), {}, frozenset()),
        scope=scope,
        facts=CloudFacts(loopback=spec.loopback),
        run_id="play" if before is None else "encore",
        now=at,
        history=None if before is None else _history(before),
    )
    targets = [event.target for event in run.events if isinstance(event, Enlisted)]
    more = [event for event in run.events if not isinstance(event, Enlisted | RunCreated)]
    return freeze(run.run, targets, more, at)


def _orders(spec: Spec, world: World) -> dict[str, Order]:
    """Return what each server gets: the image of the plan, or the one that it runs once more."""
    image = world.image_named(IMAGE)
    if image is None:
        raise ValueError(f"the world has no image {IMAGE}")
    login = SecretRef("env", "CANARY") if spec.secret else None
    key = None if spec.secret else world.scenario.key_pairs[0]
    order = Order(image.id, image.name, "v2", keyname=key, adminpass=login)
    if not spec.reinstall:
        return dict.fromkeys(world.servers, order)
    own = {one: server.image or image for one, server in world.servers.items()}
    return {one: replace(order, image_id=of.id, image_name=of.name, reinstall=True) for one, of in own.items()}


def _plan(spec: Spec) -> Plan:
    return Plan(
        path=Path("plan.yaml"),
        name="play",
        change=ChangeSpec(reinstall=True) if spec.reinstall else ChangeSpec(image=IMAGE),
        servers=(),
        digest="0" * 64,
        rollout=spec.rollout,
        failure=spec.failure,
        timeouts=spec.timeouts,
        polling=spec.polling,
        api=spec.limits,
    )


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
