"""A process that drives a run: it appends once for every line that it reads, and without end after `flood`.

It prints `taken EPOCH`, `appended` for every append, `released` when its input is closed, or the error that stopped it.
Arguments: database, run id, and `elsewhere` to pass for a process of another machine.
"""

import asyncio
import sys
from dataclasses import replace

from fleetos.clock import SystemClock
from fleetos.errors import StoreError
from fleetos.store import queries, runs
from fleetos.store.connect import open_database
from fleetos.store.database.location import locate
from fleetos.store.journal import SqlJournal
from fleetos.store.leases import LeaseRequester
from fleetos.store.process import this_process


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def drive(where: str, run_id: str, *, elsewhere: bool) -> None:
    clock = SystemClock()
    me = replace(this_process(), machine="another") if elsewhere else this_process()
    watcher = LeaseRequester(me, clock, term_s=0.3 if elsewhere else 30.0)
    database = await open_database(locate(where), watcher)
    try:
        lease = await runs.take_run(database, run_id, watcher)
        say(f"taken {lease.epoch}")
        journal = SqlJournal(database, lease, clock)
        run = (await queries.load(database, run_id)).run
        while order := await asyncio.to_thread(sys.stdin.readline):
            await journal.append(run, [], [], clock.now())
            say("appended")
            while order == "flood\n":
                await journal.append(run, [], [], clock.now())
        await journal.release()
        say("released")
    except StoreError as error:
        say(f"{type(error).__name__} {error.exit_code} {error.message}")
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(drive(sys.argv[1], sys.argv[2], elsewhere=len(sys.argv) > 3))
