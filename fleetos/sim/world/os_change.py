"""OS change: refusal, course, result.

Source: API page ecs_02_0202. The state after a failure is not documented; all five that clients must expect are here.
"""

from dataclasses import dataclass

from fleetos.sim.scenario.faults import FailureOutcome, FaultEffect
from fleetos.sim.scenario.images import SimImage
from fleetos.sim.wire.error_codes import ApiError, error_message, refusal
from fleetos.sim.world.compatibility import find_incompatibility
from fleetos.sim.world.jobs import SimJob
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.orders import ChangeOs
from fleetos.sim.world.servers import SimDisk, SimServer
from fleetos.sim.world.world import World, make_fault

# Share of a change after which the picture `early-disk` shows the new disk.
_EARLY_DISK_SHARE = 0.5
_USER_DATA_BYTES_MAX = 32 * 1024


@dataclass(slots=True)
class RunningChange:
    """Accepted change in progress."""

    write: LedgerEntry
    job: SimJob
    server: SimServer
    image: SimImage
    effect: FaultEffect
    replaced_disks: list[SimDisk]
    """System disks that the change found or took away."""
    encrypted: bool = False
    key_id: str | None = None
    new_disk: SimDisk | None = None
    """Disk that the change made, maybe destroyed since."""


def submit(world: World, write: LedgerEntry, order: ChangeOs, effect: FaultEffect, now: float) -> ApiError | None:
    """Begin a change and return None, or return the refusal."""
    server = world.find_server(order.server_id)
    if server is None:
        return refusal("Ecs.0114")
    image = world.images.get(order.image_id) if order.image_id is not None else server.image
    write.image_id = image.id if image is not None else order.image_id
    write.disk_before = server.system_disk.id if server.system_disk is not None else None
    write.userid = order.userid
    write.during = list(server.changes)
    error = _refuse_login(world, order) or _refuse_state(world, server, order)
    if error is not None:
        return error
    if image is None or image.status == "deleted":
        return refusal("Ecs.0031")
    if image.status != "active":
        return refusal("Ecs.0032")
    if (error := _refuse_key(world, order, image) or find_incompatibility(world, server, image)) is not None:
        return error
    _begin(world, write, order, effect, server, image, now)
    return None


def _refuse_login(world: World, order: ChangeOs) -> ApiError | None:
    if order.keyname is not None and order.adminpass != "none":
        return refusal("Ecs.0005", message="adminpass and keyname exclude each other.")
    if order.adminpass == "bad":
        return refusal("Ecs.0011")
    if order.keyname is not None:
        is_own_key = order.userid in (None, world.user_id)
        if order.keyname not in world.scenario.key_pairs or not is_own_key:
            return refusal("Ecs.0314")
    if order.user_data_bytes > _USER_DATA_BYTES_MAX or (order.user_data_bytes and order.api == "v1"):
        return refusal("Ecs.0005", message="user_data is too large, or not accepted here.")
    return None


def _refuse_key(world: World, order: ChangeOs, image: SimImage) -> ApiError | None:
    """Refuse a change whose image cannot be read or whose disk cannot be encrypted (Ecs.0119, Ecs.0912)."""
    states = {key.id: key.state for key in world.scenario.encryption_keys}
    key_id = order.key_id if order.encrypted else None
    if key_id is not None and key_id not in states:
        return refusal("Ecs.0912")
    key_ids = (key_id, str(image.flags.get("__system__cmkid", "")))
    return None if all(states.get(key or "", "enabled") == "enabled" for key in key_ids) else refusal("Ecs.0119")


def _refuse_state(world: World, server: SimServer, order: ChangeOs) -> ApiError | None:
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
    world: World,
    write: LedgerEntry,
    order: ChangeOs,
    effect: FaultEffect,
    server: SimServer,
    image: SimImage,
    now: float,
) -> None:
    manner = world.scenario.change
    job = world.make_job(write, "reInitOs" if order.image_id is None else "changeOS", [server.id], now, single=True)
    world.apply_job_faults(job, effect)
    change = RunningChange(write, job, server, image, effect, _system_disk_list(server), order.encrypted, order.key_id)
    server.changes.append(write.seq)
    world.ledger.count_change_begin()
    duration_s = world.step_s("change", server, write.seq)
    begins_at = now
    if server.vm_state == "active":
        begins_at += world.step_s("stop", server, write.seq)
        server.task_state = "powering-off"
        server.take_snapshot(now)
        world.schedule(begins_at, lambda time_s: _take_over_server(world, change, time_s))
    else:
        _take_over_server(world, change, now)
    if (effect.picture or manner.picture) == "early-disk" and not effect.no_effect:
        world.schedule(
            begins_at + _EARLY_DISK_SHARE * duration_s, lambda time_s: _show_early_disk(world, change, time_s)
        )
    world.schedule(begins_at + duration_s, lambda time_s: _end_job(change, time_s))
    world.schedule(begins_at + duration_s + effect.lag_s, lambda time_s: _end(world, change, time_s))


def _take_over_server(world: World, change: RunningChange, time_s: float) -> None:
    """Stop the server and show it as the picture of the change says."""
    server, effect = change.server, change.effect
    if server.vm_state == "active":
        server.vm_state, server.stopped_by = "stopped", change.write.seq
    picture = effect.picture or world.scenario.change.picture
    server.task_state = None
    if not effect.no_effect:
        if picture == "rebuild":
            server.task_state = "rebuilding"
        elif picture == "no-disk":
            change.replaced_disks += _system_disk_list(server)
            server.system_disk = None
        if picture != "rebuild" and server.vm_state == "error":
            server.vm_state, server.fault = "stopped", None
        if (effect.image_flips or world.scenario.change.image_flips) == "start":
            server.image = change.image
    server.take_snapshot(time_s)


def _show_early_disk(world: World, change: RunningChange, time_s: float) -> None:
    if change.server.vm_state != "deleted":
        change.replaced_disks += _system_disk_list(change.server)
        change.server.system_disk = _own_disk(world, change, time_s)
        change.server.take_snapshot(time_s)


def _end_job(change: RunningChange, time_s: float) -> None:
    task, failure = change.job.tasks[0], change.effect.fail
    task.ended_at = time_s
    if failure is not None:
        task.error_code, task.reason = failure.code, failure.reason or error_message(failure.code)
        change.write.error_code = failure.code


def _end(world: World, change: RunningChange, time_s: float) -> None:
    server, write, effect = change.server, change.write, change.effect
    server.changes.remove(write.seq)
    world.ledger.count_change_end()
    write.ended_at = time_s
    if server.vm_state == "deleted":
        write.ended = "failed"
        _replace_system_disk(world, change, None, time_s)
        return
    server.task_state = None
    if effect.fail is not None:
        write.ended = "failed"
        _fail(world, change, effect.fail, time_s)
    elif effect.no_effect:
        write.ended = "no-effect"
    else:
        write.ended = "success"
        _succeed(world, change, time_s)
    server.take_snapshot(time_s)


def _succeed(world: World, change: RunningChange, time_s: float) -> None:
    server = change.server
    disk = _own_disk(world, change, time_s)
    disk.successful = True
    _replace_system_disk(world, change, disk, time_s)
    server.vm_state, server.launched_at = "active", time_s
    server.fault, server.failed_change, server.stopped_by = None, False, None
    image_flips = change.effect.image_flips or world.scenario.change.image_flips
    if image_flips in ("start", "end"):
        server.image = change.image
    elif image_flips == "late":
        world.schedule(
            time_s + world.scenario.change.flip_lag_s, lambda late_time_s: _flip_image(change, disk, late_time_s)
        )


def _flip_image(change: RunningChange, disk: SimDisk, time_s: float) -> None:
    if change.server.system_disk is disk and change.server.vm_state != "deleted":
        change.server.image = change.image
        change.server.take_snapshot(time_s)


def _fail(world: World, change: RunningChange, failure: FailureOutcome, time_s: float) -> None:
    server = change.server
    server.failed_change = True
    if server.vm_state == "active":
        server.vm_state = "stopped"
    match failure.picture:
        case "old-disk" | "error" | "endless":
            _replace_system_disk(world, change, _surviving_disk(change), time_s)
        case "no-disk":
            _replace_system_disk(world, change, None, time_s)
        case "new-disk":
            disk = _own_disk(world, change, time_s)
            disk.successful = False
            _replace_system_disk(world, change, disk, time_s)
            server.image = change.image
    if failure.picture == "error":
        server.vm_state, server.fault = "error", make_fault(failure.reason, time_s)
    elif failure.picture == "endless":
        server.endless, server.task_state = True, "rebuilding"
    elif server.vm_state == "error":
        server.vm_state, server.fault = "stopped", None


def _system_disk_list(server: SimServer) -> list[SimDisk]:
    """Return the system disk as a list of one, or an empty list."""
    return [server.system_disk] if server.system_disk is not None else []


def _surviving_disk(change: RunningChange) -> SimDisk | None:
    """Return the disk that a failed change leaves: the current one, else the last it replaced, but not its own."""
    candidates = [*change.replaced_disks, *_system_disk_list(change.server)]
    existing = [disk for disk in candidates if disk.destroyed_at is None and disk is not change.new_disk]
    return existing[-1] if existing else None


def _own_disk(world: World, change: RunningChange, time_s: float) -> SimDisk:
    """Return the change's own disk, created unless it exists; its size covers the image's minimum."""
    if change.new_disk is None or change.new_disk.destroyed_at is not None:
        size_gb = max([change.image.min_disk_gb, *(disk.size_gb for disk in change.replaced_disks)])
        change.new_disk = world.make_disk(change.server.id, time_s, change.image, size_gb, change.write)
        change.new_disk.encrypted, change.new_disk.key_id = change.encrypted, change.key_id
    return change.new_disk


def _replace_system_disk(world: World, change: RunningChange, disk: SimDisk | None, time_s: float) -> None:
    """Make `disk` the system disk, None for none, and destroy the other disks that the change knows."""
    for replaced in (
        *change.replaced_disks,
        *_system_disk_list(change.server),
        *([change.new_disk] if change.new_disk is not None else []),
    ):
        if replaced is not disk:
            world.destroy_disk(replaced, time_s, change.write)
    change.server.system_disk = disk
