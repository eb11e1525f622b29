"""Claims: a run's hold on servers, and the memory of unanswered sends that outlives it.

A row says who holds the server (run_id; NULL: nobody) and when a send to it was last left unanswered. A row that says
neither is not kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fleetos.errors import RunDriven, ServerClaimed, StoreError
from fleetos.limits import IDS_PER_STATEMENT, SERVERS_NAMED
from fleetos.model.run import Target
from fleetos.model.states import RUN_ENDS, RunState
from fleetos.store.database.dialects import upsert
from fleetos.store.database.tables import claims, decode_column, runs
from fleetos.store.leases import LeaseRequester, driven, look, looks_alive
from fleetos.store.rows import claim_row
from fleetos.text import join_some


def slices(server_ids: Iterable[str]) -> list[Sequence[str]]:
    """The ids in order, in parts that fit into one statement."""
    ids = sorted(server_ids)
    return [ids[start : start + IDS_PER_STATEMENT] for start in range(0, len(ids), IDS_PER_STATEMENT)]


async def take(
    connection: AsyncConnection, run_id: str, targets: Sequence[Target], watcher: LeaseRequester
) -> Mapping[str, datetime]:
    """The times of unanswered sends that the servers' claims remember, once the run holds all of the servers.

    Raises RunDriven if a run that is being driven holds one of them, ServerClaimed if an undriven one does.
    """
    # In the order of the ids, so that two runs that are frozen at the same time cannot wait for each other.
    rows = [claim_row(run_id, target) for target in sorted(targets, key=lambda one: one.server_id)]
    free = or_(claims.c.run_id.is_(None), claims.c.run_id == run_id)
    statement = upsert(connection.dialect.name, claims, keys=["server_id"], replaced=["run_id"], only_if=free)
    if rows:
        await connection.execute(statement, rows)
    memory: dict[str, datetime] = {}
    foreign: list[tuple[str, str]] = []
    names = {target.server_id: target.name for target in targets}
    for part in slices(names):
        found = await connection.execute(select(claims).where(claims.c.server_id.in_(part)))
        for server_id, holder, unanswered_at in found:
            if holder != run_id:
                foreign.append((holder, names[server_id]))
            elif unanswered_at is not None:
                memory[server_id] = unanswered_at
    if foreign:
        raise await _claimed(connection, sorted(foreign), watcher)
    return memory


async def _claimed(connection: AsyncConnection, foreign: list[tuple[str, str]], watcher: LeaseRequester) -> StoreError:
    """Return the error that names a run which holds some of the servers, how many, and what can be done about it.

    `foreign` are the holders and the names of the servers that they hold, in order.
    """
    run_id = foreign[0][0]
    theirs = [name for holder, name in foreign if holder == run_id]
    named = f"{len(theirs):,} of these servers: {join_some(theirs, SERVERS_NAMED)}"
    others = len({holder for holder, _ in foreign}) - 1
    if others:
        named += f"; {others} other {'run holds' if others == 1 else 'runs hold'} {len(foreign) - len(theirs):,} more"
    columns = select(runs.c.state, runs.c.name).where(runs.c.id == run_id)
    found, plan = (await connection.execute(columns)).one()
    seen = await look(connection, run_id, watcher.clock)
    life = looks_alive(seen, watcher.me)
    if life is not None:
        error = driven(seen, life)
        hint = f"wait for it to end (fleetos events {run_id} --follow), or leave these servers out of the plan"
        return RunDriven(f"{error.message}; it is of plan {plan} and holds {named}", hint)
    if decode_column(RunState, found) in RUN_ENDS:
        hint = f"settle their unknown outcomes: `fleetos retry {run_id}` or `fleetos abort {run_id} --release`"
        return ServerClaimed(f"run {run_id} of plan {plan} has ended and still holds {named}", hint)
    hint = f"carry it on with `fleetos resume {run_id}`, or end it with `fleetos abort {run_id}`"
    return ServerClaimed(f"run {run_id} of plan {plan} is unfinished, nobody drives it, and it holds {named}", hint)


async def follow(connection: AsyncConnection, run_id: str, changed: Sequence[Target]) -> None:
    """Nothing, once the run's claims are what the changed targets need: held, remembered only, or gone."""
    kept: list[dict[str, str | datetime | None]] = []
    gone: list[dict[str, str | datetime | None]] = []
    for target in changed:
        row: dict[str, str | datetime | None] = {
            "server": target.server_id,
            "holder": run_id,
            "memory": target.last_unanswered_at,
        }
        if target.keeps_claim:
            kept.append(row | {"next": run_id})
        elif target.last_unanswered_at is not None:
            kept.append(row | {"next": None})
        else:
            gone.append(row)
    ours = (claims.c.server_id == bindparam("server"), claims.c.run_id == bindparam("holder"))
    if gone:
        await connection.execute(delete(claims).where(*ours), gone)
    if kept:
        moved = update(claims).where(*ours).values(run_id=bindparam("next"), unanswered_at=bindparam("memory"))
        await connection.execute(moved, kept)
