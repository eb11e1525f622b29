"""Claims of a run on servers, and unanswered sends that outlive it.

A row names the run that holds the server (run_id; NULL: no run) and the time of the last send to the server that was
left unanswered. A row that would hold neither is deleted.

A server that a run may have given up comes back into it by `take_up` alone, in a next pass and in the middle of one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, update

from fleetos.errors import RunDriven, ServerClaimed, ServerTouched, StoreError
from fleetos.limits import NO_STOP_AFTER_UNANSWERED_S, SERVERS_NAMED
from fleetos.model.run import Target
from fleetos.model.states import RUN_ENDS, RunState
from fleetos.store import history
from fleetos.store.database.columns import decode_column, time_from
from fleetos.store.database.connection import Connection
from fleetos.store.database.dialects import upsert
from fleetos.store.database.reader import id_batches, only_row, rows_of_ids
from fleetos.store.database.tables import claims, runs
from fleetos.store.database.tables import targets as targets_table
from fleetos.store.lease_rows import LeaseRequester, probable_life, read_lease
from fleetos.store.leases import driven_error
from fleetos.store.rows import claim_row
from fleetos.text import join_some

_OWN_CLAIM = (claims.c.server_id == bindparam("server"), claims.c.run_id == bindparam("holder"))
_DELETION = delete(claims).where(*_OWN_CLAIM)
_UPDATE = update(claims).where(*_OWN_CLAIM).values(run_id=bindparam("next"), unanswered_at=bindparam("memory"))
_CLAIMS = "SELECT server_id, run_id, unanswered_at FROM claims WHERE server_id IN :ids"


async def take(
    connection: Connection, run_id: str, targets: Sequence[Target], requester: LeaseRequester
) -> Mapping[str, datetime]:
    """Take the claims on all of the servers. Return the times of unanswered sends that these claims remember.

    Raise RunDriven if a run that has a driver holds one of them, ServerClaimed if a run without a driver does.
    """
    # Sorted by id: two runs that are frozen at the same time cannot deadlock.
    new_claims = [claim_row(run_id, target) for target in sorted(targets, key=lambda target: target.server_id)]
    statement = upsert(connection.dialect, claims, keys=("server_id",), replaced=("run_id",), owner="run_id")
    if new_claims:
        await connection.execute(statement, new_claims)
    unanswered: dict[str, datetime] = {}
    foreign: list[tuple[str, str]] = []
    names_by_id = {target.server_id: target.name for target in targets}
    async for server_id, holder, unanswered_at in rows_of_ids(connection, _CLAIMS, names_by_id):
        if holder != run_id:
            foreign.append((holder, names_by_id[server_id]))
        elif unanswered_at is not None:
            unanswered[server_id] = decode_column(time_from, unanswered_at)
    if foreign:
        raise await _claim_error(connection, sorted(foreign), requester)
    return unanswered


async def _claim_error(connection: Connection, foreign: list[tuple[str, str]], requester: LeaseRequester) -> StoreError:
    """Return the error that names a run which holds some of the servers, how many, and what can be done about it.

    `foreign` are pairs of a run id and the name of a server that this run holds, in order.
    """
    run_id = foreign[0][0]
    held_names = [name for holder, name in foreign if holder == run_id]
    holding = f"{len(held_names):,} of these servers: {join_some(held_names, SERVERS_NAMED)}"
    others = len({holder for holder, _ in foreign}) - 1
    if others:
        holding += (
            f"; {others} other {'run holds' if others == 1 else 'runs hold'} {len(foreign) - len(held_names):,} more"
        )
    state, plan = await only_row(connection, "SELECT state, name FROM runs WHERE id = :id", {"id": run_id})
    lease = await read_lease(connection, run_id, requester.clock)
    life = probable_life(lease, requester.me)
    if life is not None:
        error = driven_error(lease, life)
        hint = f"wait for it to end (fleetos events {run_id} --follow), or leave these servers out of the plan"
        return RunDriven(f"{error.message}; it is of plan {plan} and holds {holding}", hint)
    if decode_column(RunState, state) in RUN_ENDS:
        hint = f"settle their unknown outcomes: `fleetos retry {run_id}` or `fleetos abort {run_id} --release`"
        return ServerClaimed(f"run {run_id} of plan {plan} has ended and still holds {holding}", hint)
    hint = f"carry it on with `fleetos resume {run_id}`, or end it with `fleetos abort {run_id}`"
    return ServerClaimed(f"run {run_id} of plan {plan} is unfinished, has no driver, and holds {holding}", hint)


async def update_claims(connection: Connection, run_id: str, changed: Sequence[Target]) -> None:
    """Hold, keep as a memory or delete the claims of the run, as the changed targets need it."""
    updated: list[dict[str, str | datetime | None]] = []
    deleted: list[dict[str, str | datetime | None]] = []
    for target in changed:
        row: dict[str, str | datetime | None] = {
            "server": target.server_id,
            "holder": run_id,
            "memory": target.last_unanswered_at,
        }
        if target.keeps_claim:
            updated.append(row | {"next": run_id})
        elif target.last_unanswered_at is not None:
            updated.append(row | {"next": None})
        else:
            deleted.append(row)
    if deleted:
        await connection.execute(_DELETION, deleted)
    if updated:
        await connection.execute(_UPDATE, updated)


async def take_up(
    connection: Connection, run_id: str, again: Sequence[Target], at: datetime, requester: LeaseRequester
) -> None:
    """Take the claims of the targets, and number the pass that takes them up.

    Raise RunDriven or ServerClaimed if another run holds one of the servers or has left a send to it unanswered,
    ServerTouched if another run has changed one since. The transaction is to be undone then.
    """
    unanswered = await take(connection, run_id, again, requester)
    _refuse_foreign_sends(again, unanswered, at)
    await _refuse_touched_since(connection, run_id, again)
    await _store_pass_no(connection, run_id, [target.server_id for target in again])


async def next_pass_no(connection: Connection) -> int:
    """Return the number of a pass that begins in this transaction.

    Two passes that begin at the same time may get one number, but share no server.
    """
    ((number,),) = await connection.rows("SELECT coalesce(max(pass_no), 0) + 1 FROM runs")
    return number


async def _store_pass_no(connection: Connection, run_id: str, server_ids: Sequence[str]) -> None:
    """Store the number of a next pass at the run, and at the servers that it takes up again."""
    number = await next_pass_no(connection)
    await connection.execute(update(runs).where(runs.c.id == run_id).values(pass_no=number))
    for batch in id_batches(server_ids):
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
