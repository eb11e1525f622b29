"""Deliver a write once, late, twice or never. Each delivery is one entry of the ledger."""

from dataclasses import dataclass

from fleetos.sim.scenario.fault_table import FaultDecision
from fleetos.sim.wire.error_codes import ApiError
from fleetos.sim.world import os_change, power
from fleetos.sim.world.ledger import LedgerEntry
from fleetos.sim.world.orders import ChangeOs, ForeignOrder, WriteOrder
from fleetos.sim.world.world import World


@dataclass(frozen=True, slots=True)
class Accepted:
    """Acceptance of a write, with its job id."""

    job_id: str


Delivery = Accepted | ApiError


def deliver(world: World, order: WriteOrder, decision: FaultDecision, now: float, request_id: str) -> Delivery | None:
    """Deliver a write, and return its result, or None if the client gets no response."""
    effect = decision.whole
    write = _add_entry(world, order, decision, now, request_id)
    write.answer_lost = effect.dropped is not None or effect.lost is not None
    if effect.refuse is not None:
        write.came, write.at, write.status, write.code = "refused", now, effect.refuse.status, effect.refuse.code
        return effect.refuse
    if effect.dropped is not None:
        write.came = "dropped"
        return None
    if effect.late_s is not None:
        write.delivered = "late"
        _deliver_later(world, order, decision, write, now + effect.late_s)
        return None
    delivery = _deliver_now(world, order, decision, write, now)
    if effect.double_s is not None:
        copy = _add_entry(world, order, decision, now, request_id)
        copy.delivered, copy.copy_of, copy.answer_lost = "double", write.seq, True
        # The client sent it once, before the first delivery had any effect.
        copy.image_before = write.image_before
        _deliver_later(world, order, decision, copy, now + effect.double_s)
    return delivery


def _add_entry(world: World, order: WriteOrder, decision: FaultDecision, now: float, request_id: str) -> LedgerEntry:
    write = world.ledger.add_entry(order.operation, list(order.servers), now, request_id)
    rule_indexes = {index for effect in (decision.whole, *decision.servers.values()) for index in effect.rules}
    write.faults = sorted(rule_indexes)
    if isinstance(order, ChangeOs):
        write.image_id, write.image_before = order.image_id, _shown_image_id(world, order.server_id)
        write.content = order.content
    else:
        write.hard = order.hard
    changes_in_progress: set[int] = set()
    for server_id in order.servers:
        server = world.servers.get(server_id)
        changes_in_progress.update(server.changes if server is not None else ())
        changes_in_progress.update(world.ledger.undelivered.get(server_id, ()))
    write.sent_during = sorted(changes_in_progress)
    return write


def _shown_image_id(world: World, server_id: str) -> str | None:
    server = world.servers.get(server_id)
    return server.image.id if server is not None and server.image is not None and server.spec.shows_image else None


def _deliver_later(world: World, order: WriteOrder, decision: FaultDecision, write: LedgerEntry, due: float) -> None:
    undelivered = world.ledger.undelivered
    if isinstance(order, ChangeOs):
        undelivered.setdefault(order.server_id, []).append(write.seq)

    def arrive(time_s: float) -> None:
        if isinstance(order, ChangeOs):
            undelivered[order.server_id].remove(write.seq)
        _deliver_now(world, order, decision, write, time_s)

    world.schedule(due, arrive)


def _deliver_now(
    world: World, order: WriteOrder, decision: FaultDecision, write: LedgerEntry, time_s: float
) -> Delivery:
    write.at = time_s
    if isinstance(order, ChangeOs):
        error = os_change.submit(world, write, order, decision.for_server(order.server_id), time_s)
    else:
        error = power.submit(world, write, order, decision, time_s)
    if error is not None:
        write.came, write.status, write.code = "refused", error.status, error.code
        return error
    write.came, write.status = "accepted", 200
    return Accepted(write.job_id or "")


def deliver_foreign_order(world: World, order: ForeignOrder, now: float, request_id: str) -> bool:
    """Let a foreign actor act, record it in the ledger, and return whether it was possible."""
    write = world.ledger.add_entry(order.act, [order.server_id], now, request_id, foreign=True)
    write.at = now
    possible = power.apply_foreign_order(world, write, order, now)
    write.came = "accepted" if possible else "refused"
    write.ended_at, write.ended = now, "success" if possible else "failed"
    return possible
