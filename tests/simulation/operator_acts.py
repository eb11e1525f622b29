"""What an operator does to a run that has ended, as the commands do it."""

import math
from collections.abc import Sequence

from fleetos.engine.turn import Turn
from fleetos.engine.undriven import answer_requests
from fleetos.model.journal.events import Event, Retried, RunPassStarted, Settled
from fleetos.model.journal.requests import NO_ARGUMENTS, RequestArguments, RequestKind
from fleetos.model.run import Target
from fleetos.model.states import RUN_ENDS
from fleetos.rules.waves import reopen_wave
from fleetos.sim.virtual_time import now_s
from fleetos.store.memory_journal import MemoryRun
from tests.simulation.process import Process
from tests.simulation.run_context import RunContext
from tests.simulation.run_trace import Requested
from tests.simulation.spec import OWNER


async def ask(
    context: RunContext,
    process: Process,
    kind: RequestKind,
    reason: str,
    arguments: RequestArguments = NO_ARGUMENTS,
    by: str = OWNER,
) -> None:
    """Ask something of the run, as a command in another process does it. A retry names the disks of what failed."""
    if kind is RequestKind.RETRY:
        failed = [target for server_id in arguments.servers if (target := context.store.targets[server_id]).retriable]
        disks = {target.server_id: target.last_disk for target in failed}
        arguments = RequestArguments(tuple(disks) or arguments.servers[:1], disks=disks)
    elif kind in (RequestKind.APPROVE, RequestKind.PROMOTE):
        arguments = _about_waves(context.store, kind)
    if context.filed is not None:
        number = await context.filed.ask(process, kind, by, reason, arguments)
    else:
        number = context.store.add_request(kind, by, process.now(), reason, arguments)
    context.requested.append(Requested(now_s(), number, kind))
    context.log_line(f"{by} asks: {kind} {arguments.servers} {arguments.wave or arguments.concurrency or ''}")


def _about_waves(run: MemoryRun, kind: RequestKind) -> RequestArguments:
    """Return the wave to approve, or the one to promote with as many members as have not ended, as `status` shows."""
    opened = run.run.waves_opened
    if kind is RequestKind.APPROVE:
        return RequestArguments(wave=opened + 1)
    left = sum(target.wave == opened and not target.ended for target in run.targets.values())
    return RequestArguments(wave=opened, incomplete=left or None)


async def answer_late(context: RunContext, process: Process) -> None:
    """Answer what nobody who drove the run came to hear, as the command that asked does it by itself."""
    if context.filed is not None:
        journal, progress = await context.filed.take(process, math.inf, weather=False)
        await answer_requests(journal, progress, process.now())
        await journal.release()
        context.filed.reread()
    elif context.store.requests:
        await answer_requests(context.store.open_journal(process), context.store.progress(), process.now())


def retriable(store: MemoryRun) -> list[Target]:
    """Return the targets that the command `retry` takes up again: none that another run has by now."""
    return [target for target in store.targets.values() if target.retriable and target.server_id not in store.taken]


async def retry(context: RunContext, process: Process) -> None:
    """One more attempt for whatever failed or is held, as the command `retry` does it."""
    store = context.store
    again = retriable(store)
    begins = RunPassStarted(store.run.passes + 1)
    retried = [Retried(target.server_id, target.last_disk, begins.number) for target in again]
    events = [begins, *reopen_wave(store.run, again), *retried]
    if context.filed is not None:
        await context.filed.next_pass(process, events)
    else:
        await _write(store, process, events)


async def release(context: RunContext, process: Process) -> bool:
    """Return whether there were unknown outcomes to be let rest, as `abort --release` does it."""
    unsettled = [target for target in context.store.targets.values() if target.ended and target.unsettled]
    events = [Settled(target.server_id) for target in unsettled]
    if unsettled and context.filed is not None:
        await context.filed.next_pass(process, events)
    elif unsettled:
        await _write(context.store, process, events)
    return bool(unsettled)


async def _write(store: MemoryRun, process: Process, events: Sequence[Event]) -> None:
    journal = store.open_journal(process)
    if store.run.state in RUN_ENDS:
        # Whoever asked for something before this pass did not mean it.
        await answer_requests(journal, store.progress(), process.now())
    turn = Turn(store.progress(), process.now())
    for event in events:
        turn.write_event(event)
    await journal.append(turn.run, turn.events, list(turn.changed.values()), turn.at)
