"""The OS change: when the cloud refuses it, how it runs, and what it leaves behind.

Law and effects: API page ecs_02_0202. The pictures after a failure are not documented; all five that clients must
expect are here.
"""

from dataclasses import dataclass

from fleetos.sim.scenario.faults import FailureOutcome, FaultEffect
from fleetos.sim.scenario.images import SimImage
from fleetos.sim.wire.error_codes import ApiError, message_of, refusal
from fleetos.sim.world.compatibility import misfit
from fleetos.sim.world.jobs import SimJob
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.orders import ChangeOs
from fleetos.sim.world.servers import SimDisk, SimServer
from fleetos.sim.world.world import World, fault

# The point of a change at which the early-disk picture shows the new disk.
_EARLY = 0.5
_USER_DATA_BYTES_MAX = 32 * 1024


@dataclass(slots=True)
class RunningChange:
    """One accepted change on its way. `aside` are the disks that it has found in the place of the system disk."""

    write: LedgerEntry
    job: SimJob
    server: SimServer
    image: SimImage
    fate: FaultEffect
    aside: list[SimDisk]
    encrypted: bool = False
    key_id: str | None = None
    new: SimDisk | None = None


def submit(world: World, write: LedgerEntry, order: ChangeOs, fate: FaultEffect, now: float) -> ApiError | None:
    """Return the refusal, or None if the change was accepted and begins."""
    server = world.server(order.server_id)
    if server is None:
        return refusal("Ecs.0114")
    image = world.images.get(order.image_id) if order.image_id is not None else server.image
    write.image_id = image.id if image is not None else order.image_id
    write.disk_before = server.system_disk.id if server.system_disk is not None else None
    write.userid = order.userid
    write.during = list(server.changes)
    refused = _login(world, order) or _state(world, server, order)
    if refused is not None:
        return refused
    if image is None or image.status == "deleted":
        return refusal("Ecs.0031")
    if image.status != "active":
        return refusal("Ecs.0032")
    if (refused := _key(world, order, image) or misfit(world, server, image)) is not None:
        return refused
    _begin(world, write, order, fate, server, image, now)
    return None


def _login(world: World, order: ChangeOs) -> ApiError | None:
    if order.keyname is not None and order.adminpass != "none":
        return refusal("Ecs.0005", message="adminpass and keyname exclude each other.")
    if order.adminpass == "bad":
        return refusal("Ecs.0011")
    if order.keyname is not None:
        mine = order.userid in (None, world.user_id)
        if order.keyname not in world.scenario.key_pairs or not mine:
            return refusal("Ecs.0314")
    if order.user_data_bytes > _USER_DATA_BYTES_MAX or (order.user_data_bytes and order.api == "v1"):
        return refusal("Ecs.0005", message="user_data is too large, or not accepted here.")
    return None


def _key(world: World, order: ChangeOs, image: SimImage) -> ApiError | None:
    """Whether the image can be read and the disk be encrypted (error codes Ecs.0119, Ecs.0912)."""
    states = {key.id: key.state for key in world.scenario.encryption_keys}
    wanted = order.key_id if order.encrypted else None
    if wanted is not None and wanted not in states:
        return refusal("Ecs.0912")
    used = (wanted, str(image.flags.get("__system__cmkid", "")))
    return None if all(states.get(key or "", "enabled") == "enabled" for key in used) else refusal("Ecs.0119")


def _state(world: World, server: SimServer, order: ChangeOs) -> ApiError | None:
    if server.locked:
        return refusal("Ecs.0605")
    if not world.scenario.lax:
        if server.busy:
            return refusal("Ecs.0603")
        stopped = server.vm_state == "stopped"
        failed = server.vm_state == "error" and server.failed_change
        if not (stopped or failed or (order.with_stop and server.vm_state == "active")):
            return refusal("Ecs.0100")
    return refusal("Ecs.0105") if server.system_disk is None and not server.changes else None


def _begin(
    world: World, write: LedgerEntry, order: ChangeOs, fate: FaultEffect, server: SimServer, image: SimImage, now: float
) -> None:
    spans, manner = world.scenario.durations, world.scenario.change
    job = world.new_job(write, "reInitOs" if order.image_id is None else "changeOS", [server.id], now, single=True)
    world.live(job, fate)
    change = RunningChange(write, job, server, image, fate, _boot(server), order.encrypted, order.key_id)
    server.changes.append(write.seq)
    world.ledger.change_begins()
    takes_s = world.chance.between(spans.change, "change", write.seq)
    begins = now
    if server.vm_state == "active":
        begins += world.chance.between(spans.stop, "stop", write.seq)
        server.task_state = "powering-off"
        server.show(now)
        world.later(begins, lambda at: _work(world, change, at))
    else:
        _work(world, change, now)
    if (fate.picture or manner.picture) == "early-disk" and not fate.no_effect:
        world.later(begins + _EARLY * takes_s, lambda at: _early_disk(world, change, at))
    world.later(begins + takes_s, lambda at: _end_job(change, at))
    world.later(begins + takes_s + fate.lag_s, lambda at: _end(world, change, at))


def _work(world: World, change: RunningChange, at: float) -> None:
    """Take the server out of the hands of its owner: this is what a change looks like."""
    server, fate = change.server, change.fate
    if server.vm_state == "active":
        server.vm_state, server.stopped_by = "stopped", change.write.seq
    shown = fate.picture or world.scenario.change.picture
    server.task_state = None
    if not fate.no_effect:
        if shown == "rebuild":
            server.task_state = "rebuilding"
        elif shown == "no-disk":
            change.aside += _boot(server)
            server.system_disk = None
        if shown != "rebuild" and server.vm_state == "error":
            server.vm_state, server.fault = "stopped", None
        if (fate.image_flips or world.scenario.change.image_flips) == "start":
            server.image = change.image
    server.show(at)


def _early_disk(world: World, change: RunningChange, at: float) -> None:
    if change.server.vm_state != "deleted":
        change.aside += _boot(change.server)
        change.server.system_disk = _new_disk(world, change, at)
        change.server.show(at)


def _end_job(change: RunningChange, at: float) -> None:
    task, failure = change.job.tasks[0], change.fate.fail
    task.ended_at = at
    if failure is not None:
        task.error_code, task.reason = failure.code, failure.reason or message_of(failure.code)
        change.write.error_code = failure.code


def _end(world: World, change: RunningChange, at: float) -> None:
    server, write, fate = change.server, change.write, change.fate
    server.changes.remove(write.seq)
    world.ledger.change_ends()
    write.ended_at = at
    if server.vm_state == "deleted":
        write.ended = "failed"
        _swap(world, change, None, at)
        return
    server.task_state = None
    if fate.fail is not None:
        write.ended = "failed"
        _fail(world, change, fate.fail, at)
    elif fate.no_effect:
        write.ended = "no-effect"
    else:
        write.ended = "success"
        _succeed(world, change, at)
    server.show(at)


def _succeed(world: World, change: RunningChange, at: float) -> None:
    server = change.server
    disk = _new_disk(world, change, at)
    disk.successful = True
    _swap(world, change, disk, at)
    server.vm_state, server.launched_at = "active", at
    server.fault, server.failed_change, server.stopped_by = None, False, None
    flips = change.fate.image_flips or world.scenario.change.image_flips
    if flips in ("start", "end"):
        server.image = change.image
    elif flips == "late":
        world.later(at + world.scenario.change.flip_lag_s, lambda late: _flip(change, disk, late))


def _flip(change: RunningChange, disk: SimDisk, at: float) -> None:
    if change.server.system_disk is disk and change.server.vm_state != "deleted":
        change.server.image = change.image
        change.server.show(at)


def _fail(world: World, change: RunningChange, failure: FailureOutcome, at: float) -> None:
    server = change.server
    server.failed_change = True
    if server.vm_state == "active":
        server.vm_state = "stopped"
    match failure.picture:
        case "old-disk" | "error" | "endless":
            _swap(world, change, _kept(change), at)
        case "no-disk":
            _swap(world, change, None, at)
        case "new-disk":
            disk = _new_disk(world, change, at)
            disk.successful = False
            _swap(world, change, disk, at)
            server.image = change.image
    if failure.picture == "error":
        server.vm_state, server.fault = "error", fault(failure.reason, at)
    elif failure.picture == "endless":
        server.endless, server.task_state = True, "rebuilding"
    elif server.vm_state == "error":
        server.vm_state, server.fault = "stopped", None


def _boot(server: SimServer) -> list[SimDisk]:
    """Return the system disk, if there is one."""
    return [server.system_disk] if server.system_disk is not None else []


def _kept(change: RunningChange) -> SimDisk | None:
    """Return the disk that a change leaves in place when it undoes what it did: the one there, else the last before."""
    candidates = [*change.aside, *_boot(change.server)]
    alive = [disk for disk in candidates if disk.destroyed_at is None and disk is not change.new]
    return alive[-1] if alive else None


def _new_disk(world: World, change: RunningChange, at: float) -> SimDisk:
    """Return the disk that this change makes, made now if it is not there (any more); it grows to the image's need."""
    if change.new is None or change.new.destroyed_at is not None:
        size_gb = max([change.image.min_disk_gb, *(disk.size_gb for disk in change.aside)])
        change.new = world.new_disk(change.server.id, at, change.image, size_gb, change.write)
        change.new.encrypted, change.new.key_id = change.encrypted, change.key_id
    return change.new


def _swap(world: World, change: RunningChange, disk: SimDisk | None, at: float) -> None:
    """Put a disk (or none) in the place of whatever is there, and destroy that."""
    for replaced in (*change.aside, *_boot(change.server), *([change.new] if change.new is not None else [])):
        if replaced is not disk:
            world.destroy(replaced, at, change.write)
    change.server.system_disk = disk
