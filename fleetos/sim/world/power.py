"""Stop, start and reboot of servers (API pages "batch operations"), and the acts of a foreign actor."""

from fleetos.sim.scenario.fault_table import FaultDecision
from fleetos.sim.scenario.faults import FaultEffect
from fleetos.sim.wire.error_codes import ApiError, error_message, refusal
from fleetos.sim.world.jobs import Task
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.orders import ForeignOrder, PowerOrder
from fleetos.sim.world.servers import SimServer
from fleetos.sim.world.world import World, make_fault

SERVERS_PER_CALL_MAX = 1000
_JOB_TYPES = {"stop": "stopServer", "start": "startServer", "reboot": "rebootServer"}
# A hard stop does not wait for the guest: it takes this share of the time of a soft one.
_HARD_STOP_SHARE = 0.2


def submit(world: World, write: LedgerEntry, order: PowerOrder, decision: FaultDecision, now: float) -> ApiError | None:
    """Begin an order and return None, or return the refusal: one missing or locked server refuses the whole call."""
    if len(order.servers) > SERVERS_PER_CALL_MAX:
        return refusal("Ecs.0118")
    servers_or_none = [world.find_server(server_id) for server_id in order.servers]
    servers = [server for server in servers_or_none if server is not None]
    write.during = sorted({seq for server in servers for seq in server.changes})
    if len(servers) < len(servers_or_none):
        return refusal("Ecs.0114")
    if any(server.locked for server in servers):
        return refusal("Ecs.0605")
    if len(servers) == 1 and (servers[0].changes or servers[0].endless):
        return refusal("Ecs.0603")
    job = world.make_job(write, _JOB_TYPES[order.operation], [s.id for s in servers], now, single=False)
    for server, task in zip(servers, job.tasks, strict=True):
        effect = decision.for_server(server.id)
        world.apply_job_faults(job, effect)
        _begin_on_server(world, write, order, (server, task), effect, now)
    return None


def _begin_on_server(
    world: World,
    write: LedgerEntry,
    order: PowerOrder,
    server_and_task: tuple[SimServer, Task],
    effect: FaultEffect,
    now: float,
) -> None:
    server, task = server_and_task
    if server.changes or server.endless:
        _end_task(task, now, "Ecs.0603")
        return
    goal_state = "stopped" if order.operation == "stop" else "active"
    is_done = server.vm_state == goal_state and server.task_state is None and order.operation != "reboot"
    duration_s = 0.0 if is_done else world.step_s(order.operation, server, write.seq, server.id)
    duration_s *= _HARD_STOP_SHARE if order.hard else 1.0
    if not is_done and effect.fail is None:
        _show_task_state(server, order, now)
    world.schedule(
        now + duration_s, lambda time_s: _end_on_server(world, write, order, server_and_task, effect, time_s)
    )


def _show_task_state(server: SimServer, order: PowerOrder, now: float) -> None:
    if order.operation == "stop" and server.vm_state == "active":
        server.task_state = "powering-off"
    elif order.operation == "start" and server.vm_state in ("stopped", "error"):
        server.task_state = "powering-on" if server.vm_state == "stopped" else None
    elif order.operation == "reboot" and server.vm_state == "active":
        server.task_state = "rebooting_hard" if order.hard else "rebooting"
    server.take_snapshot(now)


def _end_on_server(
    world: World,
    write: LedgerEntry,
    order: PowerOrder,
    server_and_task: tuple[SimServer, Task],
    effect: FaultEffect,
    time_s: float,
) -> None:
    server, task = server_and_task
    if effect.fail is not None:
        _clear_task(server, time_s)
        _end_task(task, time_s, effect.fail.code)
    elif effect.no_effect:
        _clear_task(server, time_s)
        _end_task(task, time_s)
    elif effect.lag_s > 0:
        _clear_task(server, time_s)
        _end_task(task, time_s)
        # The job has ended by then, so an error can no longer reach it.
        world.schedule(time_s + effect.lag_s, lambda late_time_s: _act_on_server(write, order, server, late_time_s))
    else:
        _end_task(task, time_s, _act_on_server(write, order, server, time_s))


def _clear_task(server: SimServer, time_s: float) -> None:
    if not server.changes and not server.endless and server.vm_state != "deleted":
        server.task_state = None
        server.take_snapshot(time_s)


def _act_on_server(write: LedgerEntry, order: PowerOrder, server: SimServer, time_s: float) -> str | None:
    """Carry out the order on one server, or return the error code if its state does not allow it."""
    if server.vm_state == "deleted":
        return "Ecs.0114"
    if server.changes or server.endless:
        return "Ecs.0603"
    if order.operation == "stop":
        if server.vm_state == "active":
            server.vm_state, server.stopped_by = "stopped", write.seq
            write.acted_on.append(server.id)
    elif order.operation == "start" and server.vm_state != "active":
        if server.system_disk is None or server.vm_state == "error":
            _clear_task(server, time_s)
            return "Ecs.0226"
        server.vm_state, server.stopped_by, server.launched_at = "active", None, time_s
        write.acted_on.append(server.id)
    elif order.operation == "reboot":
        if server.vm_state != "active":
            return "Ecs.0100"
        write.acted_on.append(server.id)
    server.task_state = None
    server.take_snapshot(time_s)
    return None


def _end_task(task: Task, time_s: float, code: str | None = None) -> None:
    task.ended_at = time_s
    if code is not None:
        task.error_code, task.reason = code, error_message(code)


def apply_foreign_order(world: World, write: LedgerEntry, order: ForeignOrder, now: float) -> bool:
    """Let a foreign actor act on a server, and return whether it was possible."""
    server = world.find_server(order.server_id)
    image = world.find_image(order.image) if order.image is not None else None
    if server is None or (order.act == "change" and image is None):
        return False
    write.during = list(server.changes)
    write.acted_on.append(server.id)
    if order.in_vain:
        write.error_code = "Ecs.0202"
        return True
    if order.act in ("start", "stop", "change"):
        # The support desk can do this even to a server whose rebuild never ends.
        server.task_state, server.endless, server.fault, server.stopped_by = None, False, None, None
    match order.act:
        case "start" | "stop":
            server.vm_state = "active" if order.act == "start" else "stopped"
        case "lock" | "unlock":
            server.locked = order.act == "lock"
        case "delete":
            server.vm_state, server.task_state = "deleted", None
            for disk in (server.system_disk, *server.data_disks):
                if disk is not None:
                    world.destroy_disk(disk, now, write)
            server.system_disk, server.data_disks = None, ()
        case "change":
            old_disk = server.system_disk
            size_gb = old_disk.size_gb if old_disk is not None else 40
            server.system_disk = world.make_disk(server.id, now, image, size_gb, write)
            server.system_disk.successful = True
            if old_disk is not None:
                world.destroy_disk(old_disk, now, write)
            server.image, server.vm_state, server.launched_at = image, "active", now
            server.failed_change = False
            if order.fails:
                server.system_disk.successful, server.failed_change = False, True
                write.error_code = "Ecs.0202"
                server.vm_state, server.fault = "error", make_fault(error_message(write.error_code), now)
    server.take_snapshot(now)
    return True
