"""How a write reaches the world: at once, late, twice or not at all. Every delivery is one entry of the ledger."""

from dataclasses import dataclass

from fleetos.sim.scenario.fault_table import FaultDecision
from fleetos.sim.wire.error_codes import ApiError
from fleetos.sim.world import os_change, power
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.orders import ChangeOs, Foreign, WriteOrder
from fleetos.sim.world.world import World


@dataclass(frozen=True, slots=True)
class Accepted:
    """The write was accepted under this job id."""

    job_id: str


Verdict = Accepted | ApiError


def deliver(world: World, order: WriteOrder, decision: FaultDecision, now: float, request_id: str) -> Verdict | None:
    """Return the world's verdict on a write, or None where no answer will come."""
    fate = decision.whole
    write = _open(world, order, decision, now, request_id)
    write.answer_lost = fate.dropped is not None or fate.lost is not None
    if fate.refuse is not None:
        write.came, write.at, write.status, write.code = "refused", now, fate.refuse.status, fate.refuse.code
        return fate.refuse
    if fate.dropped is not None:
        write.came = "dropped"
        return None
    if fate.late_s is not None:
        write.delivered = "late"
        _await(world, order, decision, write, now + fate.late_s)
        return None
    verdict = _decide(world, order, decision, write, now)
    if fate.double_s is not None:
        copy = _open(world, order, decision, now, request_id)
        copy.delivered, copy.copy_of, copy.answer_lost = "double", write.seq, True
        # It was sent once, before the first delivery had any effect.
        copy.image_before = write.image_before
        _await(world, order, decision, copy, now + fate.double_s)
    return verdict


def _open(world: World, order: WriteOrder, decision: FaultDecision, now: float, request_id: str) -> LedgerEntry:
    write = world.ledger.open(order.operation, list(order.servers), now, request_id)
    hits = {index for fate in (decision.whole, *decision.servers.values()) for index in fate.rules}
    write.faults = sorted(hits)
    if isinstance(order, ChangeOs):
        write.image_id, write.image_before = order.image_id, _image_shown(world, order.server_id)
        write.content = order.content
    else:
        write.hard = order.hard
    under_way: set[int] = set()
    for server_id in order.servers:
        server = world.servers.get(server_id)
        under_way.update(server.changes if server is not None else ())
        under_way.update(world.ledger.undelivered.get(server_id, ()))
    write.sent_during = sorted(under_way)
    return write


def _image_shown(world: World, server_id: str) -> str | None:
    server = world.servers.get(server_id)
    return server.image.id if server is not None and server.image is not None and server.body.shows_image else None


def _await(world: World, order: WriteOrder, decision: FaultDecision, write: LedgerEntry, due: float) -> None:
    waiting = world.ledger.undelivered
    if isinstance(order, ChangeOs):
        waiting.setdefault(order.server_id, []).append(write.seq)

    def arrive(at: float) -> None:
        if isinstance(order, ChangeOs):
            waiting[order.server_id].remove(write.seq)
        _decide(world, order, decision, write, at)

    world.later(due, arrive)


def _decide(world: World, order: WriteOrder, decision: FaultDecision, write: LedgerEntry, at: float) -> Verdict:
    write.at = at
    if isinstance(order, ChangeOs):
        refused = os_change.submit(world, write, order, decision.of(order.server_id), at)
    else:
        refused = power.submit(world, write, order, decision, at)
    if refused is not None:
        write.came, write.status, write.code = "refused", refused.status, refused.code
        return refused
    write.came, write.status = "accepted", 200
    return Accepted(write.job_id or "")


def act_foreign(world: World, order: Foreign, now: float, request_id: str) -> bool:
    """Let somebody else act, and return whether it could be done."""
    write = world.ledger.open(order.act, [order.server_id], now, request_id, foreign=True)
    write.at = now
    done = power.foreign(world, write, order, now)
    write.came = "accepted" if done else "refused"
    write.ended_at, write.ended = now, "success" if done else "failed"
    return done
