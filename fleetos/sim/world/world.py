"""The world: servers, disks, jobs and images as they truly are, moved on lazily to the time of each request.

A world is a pure function of its scenario, its time of birth and the orders it was given, each with its time: two
worlds with the same of these are equal. Whatever happens later (a stop that ends, a change that fails) is an effect on
a heap, and happens at its own time, however late somebody looks.
"""

import heapq
from collections.abc import Callable

from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.faults import FaultEffect
from fleetos.sim.scenario.images import SimImage
from fleetos.sim.scenario.scenario import Scenario, ServerGroup
from fleetos.sim.wire.response_types import FaultShown
from fleetos.sim.world.jobs import SimJob, Task
from fleetos.sim.world.ledger import Ledger, LedgerEntry
from fleetos.sim.world.servers import ServerSpec, SimDisk, SimFlavor, SimServer, stamp

# What happens to the world at the time given.
Effect = Callable[[float], None]

# Servers are older than the world.
_AGE_S = 90 * 86400.0


class World:
    """The state of the simulated cloud. `now` is the time up to which it has been moved on, seconds since 1970."""

    def __init__(self, scenario: Scenario, born_at: float) -> None:
        self.scenario = scenario
        self.born_at = born_at
        self.now = born_at
        self.chance = RandomDraws(scenario.seed)
        self.project_id = self.chance.hex("project")
        self.user_id, self.other_user_id = self.chance.hex("user"), self.chance.hex("other user")
        self.ledger = Ledger()
        self.jobs: dict[str, SimJob] = {}
        self.images: dict[str, SimImage] = {}
        self.servers: dict[str, SimServer] = {}
        self.flavors = {
            one.id: SimFlavor(
                one.id, one.vcpus, one.ram_mb, one.architecture == "arm", one.platform, one.performance, one.gpu
            )
            for one in scenario.flavors
        }
        self._effects: list[tuple[float, int, Effect]] = []
        self._effects_made = 0
        self._disks_made = 0
        for entry in scenario.images:
            image = entry.made(self.chance)
            self.images[image.id] = image
        for group in scenario.servers:
            for index in range(group.count):
                self._add(group, index)

    # --- time ----------------------------------------------------------------------------------------------

    def advance(self, now: float) -> float:
        """Let everything happen that was due, and return the time of the world: it never goes back."""
        now = max(now, self.now)
        while self._effects and self._effects[0][0] <= now:
            due, _, effect = heapq.heappop(self._effects)
            self.now = due
            effect(due)
        self.now = now
        return now

    def later(self, due: float, effect: Effect) -> None:
        """Let an effect happen at its time; effects of one time happen in the order of their making."""
        self._effects_made += 1
        heapq.heappush(self._effects, (max(due, self.now), self._effects_made, effect))

    # --- things --------------------------------------------------------------------------------------------

    def server(self, server_id: str) -> SimServer | None:
        """Return a server, or None if there is none, or none any more."""
        server = self.servers.get(server_id)
        return server if server is not None and server.vm_state != "deleted" else None

    def name_of(self, server_id: str) -> str:
        """Return the name of a server, empty for an unknown one."""
        server = self.servers.get(server_id)
        return server.body.name if server is not None else ""

    def image_named(self, wanted: str) -> SimImage | None:
        """Return the image with this id or name."""
        by_id = self.images.get(wanted)
        return by_id or next((image for image in self.images.values() if image.name == wanted), None)

    def new_disk(
        self, server_id: str, at: float, image: SimImage | None, size_gb: int, write: LedgerEntry | None
    ) -> SimDisk:
        """Return a new disk, entered in the ledger."""
        self._disks_made += 1
        disk = SimDisk(
            id=self.chance.uuid("disk", self._disks_made),
            server_id=server_id,
            boot=image is not None,
            image_id=image.id if image is not None else None,
            size_gb=size_gb,
            made_at=at,
            made_by=write.seq if write is not None else None,
        )
        self.ledger.disks[disk.id] = disk
        if write is not None:
            write.disk_made = disk.id
        return disk

    def destroy(self, disk: SimDisk, at: float, write: LedgerEntry) -> None:
        """Destroy a disk; one that is destroyed already stays so."""
        if disk.destroyed_at is None:
            disk.destroyed_at, disk.destroyed_by = at, write.seq
            write.disks_destroyed.append(disk.id)

    def new_job(self, write: LedgerEntry, kind: str, servers: list[str], at: float, *, single: bool) -> SimJob:
        """Return a new job for an accepted write."""
        job_id = self.chance.hex("job", write.seq)
        init_s = self.chance.between(self.scenario.durations.job_init, "init", job_id)
        tasks = [Task(self.chance.hex("sub job", write.seq, place), sid) for place, sid in enumerate(servers)]
        job = SimJob(job_id, kind, at, at + init_s, single, tasks)
        job.visible_after_s = self.scenario.change.job_visible_after_s
        job.vanishes_after_s = self.scenario.change.job_vanishes_after_s
        self.jobs[job_id] = job
        write.job_id = job_id
        return job

    def live(self, job: SimJob, fate: FaultEffect) -> None:
        """Give a job the life that a fate wants for it."""
        job.stuck = job.stuck or fate.stuck
        if fate.job_visible_after_s is not None:
            job.visible_after_s = fate.job_visible_after_s
        if fate.job_vanishes_after_s is not None:
            job.vanishes_after_s = fate.job_vanishes_after_s

    def _add(self, group: ServerGroup, index: int) -> None:
        name = group.name_of(index)
        server_id = self.chance.uuid("server", name)
        state = group.state_of(self.chance, name)
        image = self.image_named(group.image)
        always = self.image_named(group.image_id or "")
        born = self.born_at - _AGE_S
        place = len(self.servers)
        body = ServerSpec(
            name=name,
            az=group.az[index % len(group.az)],
            enterprise_project=group.enterprise_project,
            address=group.address_of(index) or f"192.168.{place // 250 % 256}.{place % 250 + 2}",
            mac="fa:16:3e:" + ":".join(f"{place >> shift & 255:02x}" for shift in (16, 8, 0)),
            tags=group.tags,
            created=born,
            user_id=self.user_id,
            project_id=self.project_id,
            flavor=self.flavors[group.flavor],
            charging=group.charging,
            frozen=group.frozen,
            host_status=group.host_status,
            shows_image=group.shows_image,
            shows=group.shows,
            image_id=group.image_id if always is None else always.id,
        )
        disk = self.new_disk(server_id, born, image, group.system_disk_gb, None) if group.system_disk else None
        if disk is not None:
            disk.status, disk.encrypted = group.system_disk_status, group.system_disk_encrypted
        data = tuple(self.new_disk(server_id, born, None, 100, None) for _ in range(group.data_disks))
        server = SimServer(
            id=server_id,
            body=body,
            image=image,
            system_disk=disk,
            data_disks=data,
            vm_state={"running": "active", "stopped": "stopped", "failed": "error"}[state],
            updated=born,
            launched_at=born,
            key_name=group.key,
            locked=group.locked,
            failed_change=state == "failed",
        )
        if state == "failed":
            server.fault = fault("The OS change failed.", born)
        server.show(born)
        self.servers[server_id] = server


def fault(message: str, at: float) -> FaultShown:
    """Return what `fault` of a server in ERROR holds."""
    return {"code": 500, "created": stamp(at), "message": message, "details": ""}


def disks_in_use(world: World) -> tuple[int, int]:
    """Return how many disks the project has, and their GB together."""
    there = [disk for disk in world.ledger.disks.values() if disk.destroyed_at is None]
    return len(there), sum(disk.size_gb for disk in there)
