"""A process that drives a run: it appends once for every line that it reads, and without end after `flood`.

It says `taken EPOCH`, `appended` for every append, `released` when its orders end, or the error that stopped it.
"""

import asyncio
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from fleetos.clock import SystemClock
from fleetos.errors import StoreError
from fleetos.store import queries, runs
from fleetos.store.connect import open_database
from fleetos.store.database.location import locate
from fleetos.store.journal import SqlJournal
from fleetos.store.lease_rows import LeaseRequester
from fleetos.store.process import this_process

Pipe: TypeAlias = "Connection[Any, Any]"


def run_driver(where: str, run_id: str, pipe: Pipe, *more: str) -> None:
    """Drive the run as this process. With `elsewhere` it passes for a process of another machine."""
    asyncio.run(_drive(where, run_id, pipe, elsewhere="elsewhere" in more))


def _next_order(pipe: Pipe) -> str:
    try:
        return str(pipe.recv())
    except EOFError:
        return ""


async def _drive(where: str, run_id: str, pipe: Pipe, *, elsewhere: bool) -> None:
    say = pipe.send
    clock = SystemClock()
    me = replace(this_process(), machine="another") if elsewhere else this_process()
    watcher = LeaseRequester(me, clock, term_s=0.3 if elsewhere else 30.0)
    database = await open_database(locate(where), watcher)
    try:
        lease = await runs.take_run(database, run_id, watcher)
        say(f"taken {lease.epoch}")
        journal = SqlJournal(database, lease, clock)
        run = (await queries.load(database, run_id)).run
        while order := await asyncio.to_thread(_next_order, pipe):
            await journal.append(run, [], [], clock.now())
            say("appended")
            while order == "flood":
                await journal.append(run, [], [], clock.now())
        await journal.release()
        say("released")
    except StoreError as error:
        say(f"{type(error).__name__} {error.exit_code} {error.message}")
    finally:
        await database.close()
