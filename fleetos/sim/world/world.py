"""True state of servers, disks, jobs and images, advanced lazily to the time of each request.

A world is a pure function of its scenario, its time of birth and its orders, each with its time: equal inputs give
equal worlds. A later event (a stop that ends, a change that fails) waits on a heap and happens at its own time, even
if the next request comes long after it.
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
from fleetos.sim.world.servers import ServerSpec, SimDisk, SimFlavor, SimServer, attached_disks, format_time

# Changes the world; called with the time at which it happens.
WorldEvent = Callable[[float], object]

# Servers are older than the world.
_AGE_S = 90 * 86400.0


class World:
    """State of the simulated cloud at the time `now`, in seconds since 1970."""

    def __init__(self, scenario: Scenario, born_at: float) -> None:
        self.scenario = scenario
        self.born_at = born_at
        self.now = born_at
        self.draws = RandomDraws(scenario.seed)
        self.project_id = self.draws.hex("project")
        self.user_id, self.other_user_id = self.draws.hex("user"), self.draws.hex("other user")
        self.ledger = Ledger()
        self.jobs: dict[str, SimJob] = {}
        self.images: dict[str, SimImage] = {}
        self.servers: dict[str, SimServer] = {}
        self.flavors = {
            entry.id: SimFlavor(
                entry.id,
                entry.vcpus,
                entry.ram_mb,
                entry.architecture == "arm",
                entry.platform,
                entry.performance,
                entry.gpu,
            )
            for entry in scenario.flavors
        }
        self._events: list[tuple[float, int, WorldEvent]] = []
        self._event_count = 0
        self._disks_made = 0
        for entry in scenario.images:
            image = entry.make_image(self.draws)
            self.images[image.id] = image
        for group in scenario.servers:
            for index in range(group.count):
                self._add_server(group, index)

    # --- time ----------------------------------------------------------------------------------------------

    def advance(self, now: float) -> float:
        """Let the events happen that are due by `now`, and return the time of the world, which never goes back."""
        now = max(now, self.now)
        while self._events and self._events[0][0] <= now:
            due, _, event = heapq.heappop(self._events)
            self.now = due
            event(due)
        self.now = now
        return now

    def schedule(self, due: float, event: WorldEvent) -> None:
        """Schedule an event at `due`. Events of the same time happen in the order in which they were scheduled."""
        self._event_count += 1
        heapq.heappush(self._events, (max(due, self.now), self._event_count, event))

    # --- contents ------------------------------------------------------------------------------------------

    def find_server(self, server_id: str) -> SimServer | None:
        """Return a server, or None if it never existed or is deleted."""
        server = self.servers.get(server_id)
        return server if server is not None and server.vm_state != "deleted" else None

    def server_name(self, server_id: str) -> str:
        """Return the name of a server, also of a deleted one; empty for an unknown id."""
        server = self.servers.get(server_id)
        return server.spec.name if server is not None else ""

    def find_image(self, id_or_name: str) -> SimImage | None:
        """Return the image with this id or name."""
        by_id = self.images.get(id_or_name)
        return by_id or next((image for image in self.images.values() if image.name == id_or_name), None)

    def add_server(self, server: SimServer) -> None:
        """Enter a server, which is as old as it says, with its disks."""
        for disk in attached_disks(server):
            self.ledger.disks[disk.id] = disk
        server.take_snapshot(server.updated)
        self.servers[server.id] = server

    def step_s(self, step: str, server: SimServer, *key: int | str) -> float:
        """Draw the duration of a step on a server: `change`, or an operation such as `stop`.

        Of known durations each seed draws one for the server: a server that is slow is slow again.
        """
        if known := server.known_s.get(step):
            return self.draws.pick(known, f"known {step}", server.id)
        return self.draws.between(getattr(self.scenario.durations, step), step, *key)

    def make_disk(
        self, server_id: str, time_s: float, image: SimImage | None, size_gb: int, write: LedgerEntry | None
    ) -> SimDisk:
        """Create a disk and enter it in the ledger. A disk without an image is a data disk."""
        self._disks_made += 1
        disk = SimDisk(
            id=self.draws.uuid("disk", self._disks_made),
            server_id=server_id,
            boot=image is not None,
            image_id=image.id if image is not None else None,
            size_gb=size_gb,
            made_at=time_s,
            made_by=write.seq if write is not None else None,
        )
        self.ledger.disks[disk.id] = disk
        if write is not None:
            write.disk_made = disk.id
        return disk

    def destroy_disk(self, disk: SimDisk, time_s: float, write: LedgerEntry) -> None:
        """Destroy a disk, unless it is destroyed already."""
        if disk.destroyed_at is None:
            disk.destroyed_at, disk.destroyed_by = time_s, write.seq
            write.disks_destroyed.append(disk.id)

    def make_job(self, write: LedgerEntry, kind: str, servers: list[str], time_s: float, *, single: bool) -> SimJob:
        """Create the job of an accepted write, with one task per server."""
        job_id = self.draws.hex("job", write.seq)
        init_s = self.draws.between(self.scenario.durations.job_init, "init", job_id)
        tasks = [
            Task(self.draws.hex("sub job", write.seq, index), server_id) for index, server_id in enumerate(servers)
        ]
        job = SimJob(job_id, kind, time_s, time_s + init_s, single, tasks)
        job.visible_after_s = self.scenario.change.job_visible_after_s
        job.vanishes_after_s = self.scenario.change.job_vanishes_after_s
        self.jobs[job_id] = job
        write.job_id = job_id
        return job

    def apply_job_faults(self, job: SimJob, effect: FaultEffect) -> None:
        """Apply the faults of a job itself: stuck, visible late, purged early."""
        job.stuck = job.stuck or effect.stuck
        if effect.job_visible_after_s is not None:
            job.visible_after_s = effect.job_visible_after_s
        if effect.job_vanishes_after_s is not None:
            job.vanishes_after_s = effect.job_vanishes_after_s

    def _add_server(self, group: ServerGroup, index: int) -> None:
        name = group.name_of(index)
        server_id = self.draws.uuid("server", name)
        state = group.state_of(self.draws, name)
        image = self.find_image(group.image)
        shown_image = self.find_image(group.image_id or "")
        created_at = self.born_at - _AGE_S
        position = len(self.servers)
        spec = ServerSpec(
            name=name,
            az=group.az[index % len(group.az)],
            enterprise_project=group.enterprise_project,
            address=group.address_of(index) or f"192.168.{position // 250 % 256}.{position % 250 + 2}",
            mac="fa:16:3e:" + ":".join(f"{position >> shift & 255:02x}" for shift in (16, 8, 0)),
            tags=group.tags,
            created=created_at,
            user_id=self.user_id,
            project_id=self.project_id,
            flavor=self.flavors[group.flavor],
            charging=group.charging,
            frozen=group.frozen,
            host_status=group.host_status,
            shows_image=group.shows_image,
            shows=group.shows,
            image_id=group.image_id if shown_image is None else shown_image.id,
        )
        disk = self.make_disk(server_id, created_at, image, group.system_disk_gb, None) if group.system_disk else None
        if disk is not None:
            disk.status, disk.encrypted = group.system_disk_status, group.system_disk_encrypted
        data_disks = tuple(self.make_disk(server_id, created_at, None, 100, None) for _ in range(group.data_disks))
        server = SimServer(
            id=server_id,
            spec=spec,
            image=image,
            system_disk=disk,
            data_disks=data_disks,
            vm_state={"running": "active", "stopped": "stopped", "failed": "error"}[state],
            updated=created_at,
            launched_at=created_at,
            key_name=group.key,
            locked=group.locked,
            failed_change=state == "failed",
        )
        if state == "failed":
            server.fault = make_fault("The OS change failed.", created_at)
        self.add_server(server)


def make_fault(message: str, time_s: float) -> FaultShown:
    """Return the field `fault` of a server in ERROR."""
    return {"code": 500, "created": format_time(time_s), "message": message, "details": ""}
