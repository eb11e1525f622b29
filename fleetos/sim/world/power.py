"""Stop, start and reboot of servers, and what a foreign actor does (API pages "batch operations")."""

from fleetos.sim.scenario.fault_table import FaultDecision
from fleetos.sim.scenario.faults import FaultEffect
from fleetos.sim.wire.error_codes import ApiError, message_of, refusal
from fleetos.sim.world.jobs import Task
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.orders import Foreign, PowerOrder
from fleetos.sim.world.servers import SimServer
from fleetos.sim.world.world import World, fault

SERVERS_PER_CALL_MAX = 1000
_JOB_TYPES = {"stop": "stopServer", "start": "startServer", "reboot": "rebootServer"}
# A hard stop does not wait for the guest: it takes this part of a soft one.
_HARD = 0.2


def submit(world: World, write: LedgerEntry, order: PowerOrder, decision: FaultDecision, now: float) -> ApiError | None:
    """Return the refusal of the whole call, or None; one missing or locked server refuses it for all."""
    if len(order.servers) > SERVERS_PER_CALL_MAX:
        return refusal("Ecs.0118")
    found = [world.server(server_id) for server_id in order.servers]
    servers = [server for server in found if server is not None]
    write.during = sorted({seq for server in servers for seq in server.changes})
    if len(servers) < len(found):
        return refusal("Ecs.0114")
    if any(server.locked for server in servers):
        return refusal("Ecs.0605")
    if len(servers) == 1 and (servers[0].changes or servers[0].endless):
        return refusal("Ecs.0603")
    job = world.new_job(write, _JOB_TYPES[order.operation], [s.id for s in servers], now, single=False)
    for server, task in zip(servers, job.tasks, strict=True):
        fate = decision.of(server.id)
        world.live(job, fate)
        _begin(world, write, order, (server, task), fate, now)
    return None


def _begin(
    world: World, write: LedgerEntry, order: PowerOrder, part: tuple[SimServer, Task], fate: FaultEffect, now: float
) -> None:
    server, task = part
    if server.changes or server.endless:
        _end_task(task, now, "Ecs.0603")
        return
    target = "stopped" if order.operation == "stop" else "active"
    already = server.vm_state == target and server.task_state is None and order.operation != "reboot"
    span = getattr(world.scenario.durations, order.operation)
    takes_s = 0.0 if already else world.chance.between(span, order.operation, write.seq, server.id)
    takes_s *= _HARD if order.hard else 1.0
    if not already and fate.fail is None:
        _show_task(server, order, now)
    world.later(now + takes_s, lambda at: _end_part(world, write, order, part, fate, at))


def _show_task(server: SimServer, order: PowerOrder, now: float) -> None:
    if order.operation == "stop" and server.vm_state == "active":
        server.task_state = "powering-off"
    elif order.operation == "start" and server.vm_state in ("stopped", "error"):
        server.task_state = "powering-on" if server.vm_state == "stopped" else None
    elif order.operation == "reboot" and server.vm_state == "active":
        server.task_state = "rebooting_hard" if order.hard else "rebooting"
    server.show(now)


def _end_part(
    world: World, write: LedgerEntry, order: PowerOrder, part: tuple[SimServer, Task], fate: FaultEffect, at: float
) -> None:
    server, task = part
    if fate.fail is not None:
        _rest(server, at)
        _end_task(task, at, fate.fail.code)
    elif fate.no_effect:
        _rest(server, at)
        _end_task(task, at)
    elif fate.lag_s > 0:
        _rest(server, at)
        _end_task(task, at)
        world.later(at + fate.lag_s, lambda late: _act_late(write, order, server, late))
    else:
        _end_task(task, at, _act(write, order, server, at))


def _act_late(write: LedgerEntry, order: PowerOrder, server: SimServer, at: float) -> None:
    """Act after the job has ended: nobody is told whether it could be done."""
    _act(write, order, server, at)


def _rest(server: SimServer, at: float) -> None:
    if not server.changes and not server.endless and server.vm_state != "deleted":
        server.task_state = None
        server.show(at)


def _act(write: LedgerEntry, order: PowerOrder, server: SimServer, at: float) -> str | None:
    """Do it, and return the error code if it cannot be done now."""
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
            _rest(server, at)
            return "Ecs.0226"
        server.vm_state, server.stopped_by, server.launched_at = "active", None, at
        write.acted_on.append(server.id)
    elif order.operation == "reboot":
        if server.vm_state != "active":
            return "Ecs.0100"
        write.acted_on.append(server.id)
    server.task_state = None
    server.show(at)
    return None


def _end_task(task: Task, at: float, code: str | None = None) -> None:
    task.ended_at = at
    if code is not None:
        task.error_code, task.reason = code, message_of(code)


def foreign(world: World, write: LedgerEntry, order: Foreign, now: float) -> bool:
    """Let somebody else act on a server, and return whether it could be done."""
    server = world.server(order.server_id)
    image = world.image_named(order.image) if order.image is not None else None
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
                    world.destroy(disk, now, write)
            server.system_disk, server.data_disks = None, ()
        case "change":
            old = server.system_disk
            size_gb = old.size_gb if old is not None else 40
            server.system_disk = world.new_disk(server.id, now, image, size_gb, write)
            server.system_disk.successful = True
            if old is not None:
                world.destroy(old, now, write)
            server.image, server.vm_state, server.launched_at = image, "active", now
            server.failed_change = False
            if order.fails:
                server.system_disk.successful, server.failed_change = False, True
                write.error_code = "Ecs.0202"
                server.vm_state, server.fault = "error", fault(message_of(write.error_code), now)
    server.show(now)
    return True
