"""Simulated cloud with the servers of a frozen run, as they were when it was frozen."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from fleetos.app.rehearsal.script import KEY_PAIR, Script
from fleetos.engine.change_tracker import change_key
from fleetos.model.run import Target
from fleetos.planning.estimate import DOCUMENTED_STOP
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.api.routes import find_route
from fleetos.sim.scenario.faults import Fail
from fleetos.sim.scenario.images import SimImage
from fleetos.sim.scenario.scenario import ChangeManner, PhaseDurations, Scenario
from fleetos.sim.wire.messages import SimRequest, WireOutcome
from fleetos.sim.world.servers import ServerSpec, SimDisk, SimFlavor, SimServer
from fleetos.sim.world.world import World, make_fault

# No hardware is checked: preflight has done so against the real cloud.
_DISK_GB = 40
_RAM_MB = 2048
_VM_STATES = {"ACTIVE": "active", "ERROR": "error"}
_AGE_S = 86_400.0
_WRITES = frozenset({"power", "changeos", "reinstallos"})
# Ids are drawn by the seed, and those of the servers may be from a simulated cloud with a seed as small as this one.
_SEED_BASE = 2**40


class CountedCloud(SimulatedCloud):
    """Simulated cloud that counts the requests of each minute."""

    def __init__(self, scenario: Scenario, born_at: float, now: Callable[[], float]) -> None:
        super().__init__(scenario, born_at, now)
        self.reads: Counter[int] = Counter()
        self.writes: Counter[int] = Counter()
        """Requests by minute since 1970."""

    def handle(self, request: SimRequest) -> WireOutcome:
        """Count a request, and handle it."""
        route = find_route(request.method, request.path)
        kind = self.writes if route is not None and route.operation in _WRITES else self.reads
        kind[int(self.now // 60)] += 1
        return super().handle(request)


def make_cloud(script: Script, seed: int, failure_rate: float, now: Callable[[], float]) -> CountedCloud:
    """Return the cloud of one play; `now` returns seconds since 1970. Of the changes a share fails, by the seed."""
    change = script.documented_change
    scenario = Scenario(
        seed=_SEED_BASE + seed,
        servers=(),
        key_pairs=(KEY_PAIR,),
        durations=PhaseDurations(
            change=(change.low_s, change.high_s), stop=(DOCUMENTED_STOP.low_s, DOCUMENTED_STOP.high_s)
        ),
        change=ChangeManner(picture="idle" if script.known.shows_change is False else "rebuild"),
        faults=(Fail(on=("changeos", "reinstallos"), do="fail", rate=failure_rate),) if failure_rate else (),
    )
    cloud = CountedCloud(scenario, script.begin.timestamp(), now)
    images = {image_id for target in script.targets for image_id in (target.order.image_id, *target.baseline.images)}
    cloud.world.images.update((image_id, SimImage(image_id, image_id)) for image_id in images)
    for target in script.targets:
        cloud.world.add_server(_server(cloud.world, script, target))
    return cloud


def _server(world: World, script: Script, target: Target) -> SimServer:
    baseline, born_at = target.baseline, world.born_at - _AGE_S
    disk_id, error = baseline.disk, baseline.status == "ERROR"
    image_id = baseline.likely_image
    disk = None
    if disk_id is not None:
        disk = SimDisk(disk_id, target.server_id, boot=True, image_id=image_id, size_gb=_DISK_GB, made_at=born_at)
    return SimServer(
        id=target.server_id,
        spec=_spec(world, target, born_at),
        image=None if image_id is None else world.images[image_id],
        system_disk=disk,
        data_disks=(),
        vm_state=_VM_STATES.get(baseline.status, "stopped"),
        updated=born_at,
        launched_at=born_at,
        locked=baseline.locked,
        failed_change=error,
        fault=make_fault(baseline.fault or "", born_at) if error else None,
        known_s=_known_durations(script, target),
    )


def _spec(world: World, target: Target, born_at: float) -> ServerSpec:
    position = len(world.servers)
    return ServerSpec(
        name=target.name,
        az=target.az or "",
        enterprise_project="0",
        address=f"10.{position >> 16 & 255}.{position >> 8 & 255}.{position & 255}",
        mac="fa:16:3e:" + ":".join(f"{position >> shift & 255:02x}" for shift in (16, 8, 0)),
        tags=(),
        created=born_at,
        user_id=world.user_id,
        project_id=world.project_id,
        flavor=SimFlavor(target.flavor or "", 1, _RAM_MB, arm=False),
        charging="by-use",
        frozen=False,
        host_status="UP",
        shows_image=target.baseline.image is not None,
        image_id=target.baseline.image if target.baseline.metered is not None else None,
    )


def _known_durations(script: Script, target: Target) -> Mapping[str, Sequence[float]]:
    """Return the durations to draw from: of changes of the same kind, else of the same images, else of any."""
    known = script.known
    steps = {"change": known.changes.get(change_key(target)) or script.learned, "stop": known.stops_s}
    return {step: durations for step, durations in steps.items() if durations}
