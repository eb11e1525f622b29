"""Take servers up again that a run may have given up: their claims, unless another run has them or has changed them.

The only way back into a run, for a next pass and in the middle of one. It is a part of the transaction that queues the
targets again, so that it holds for all of them or for none.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select, update

from fleetos.errors import ServerClaimed, ServerTouched
from fleetos.limits import NO_STOP_AFTER_UNANSWERED_S
from fleetos.model.run import Target
from fleetos.store import claims, history
from fleetos.store.database.connection import Connection
from fleetos.store.database.tables import runs
from fleetos.store.database.tables import targets as targets_table
from fleetos.store.leases import LeaseRequester


async def take_up(
    connection: Connection, run_id: str, again: Sequence[Target], at: datetime, requester: LeaseRequester
) -> None:
    """Take the claims of the targets, and number the pass that takes them up.

    Raise RunDriven or ServerClaimed if another run holds one of the servers or has left a send to it unanswered,
    ServerTouched if another run has changed one since. The transaction is to be undone then.
    """
    unanswered = await claims.take(connection, run_id, again, requester)
    _refuse_foreign_sends(again, unanswered, at)
    await _refuse_touched_since(connection, run_id, again)
    await _store_pass_no(connection, run_id, [target.server_id for target in again])


async def next_pass_no(connection: Connection) -> int:
    """Return the number of a pass that begins in this transaction.

    Two passes that begin at the same time may get one number, but share no server.
    """
    return await connection.scalar(select(func.coalesce(func.max(runs.c.pass_no), 0) + 1)) or 1


async def _store_pass_no(connection: Connection, run_id: str, server_ids: Sequence[str]) -> None:
    """Store the number of a next pass at the run, and at the servers that it takes up again."""
    number = await next_pass_no(connection)
    await connection.execute(update(runs).where(runs.c.id == run_id).values(pass_no=number))
    for batch in claims.id_batches(server_ids):
        is_taken_up = (targets_table.c.run_id == run_id, targets_table.c.server_id.in_(batch))
        await connection.execute(update(targets_table).where(*is_taken_up).values(pass_no=number))


def _refuse_foreign_sends(again: Sequence[Target], unanswered: Mapping[str, datetime], at: datetime) -> None:
    """Raise ServerClaimed if another run left a recent unanswered send that this run cannot know of."""
    for target in again:
        sent_at = unanswered.get(target.server_id)
        if sent_at is None or (target.last_unanswered_at is not None and target.last_unanswered_at >= sent_at):
            continue
        if (at - sent_at).total_seconds() < NO_STOP_AFTER_UNANSWERED_S:
            message = f"another run left a send to server {target.server_id} unanswered at {sent_at:%Y-%m-%d %H:%M} UTC"
            raise ServerClaimed(message, "make a new run of the plan instead: it takes that into account")


async def _refuse_touched_since(connection: Connection, run_id: str, again: Sequence[Target]) -> None:
    """Raise ServerTouched if another run has since sent a change to a server that is to be tried again."""
    names = {target.server_id: target.name for target in again}
    touched = await history.touched_since_within(connection, run_id, names)
    if touched:
        server_id, other_run_id = next(iter(touched.items()))
        raise ServerTouched(
            f"run {other_run_id} has changed {names[server_id]} ({server_id}) after run {run_id}",
            f"call `fleetos retry {run_id}` again: it leaves such servers out; a new plan can change them",
        )
