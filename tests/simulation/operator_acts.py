"""What an operator does to a run that has ended, as the commands do it."""

from collections.abc import Sequence

from fleetos.engine.turn import Turn
from fleetos.model.journal.events import Event, Retried, RunPassStarted, Settled
from fleetos.model.states import RETRIABLE
from fleetos.store.memory_journal import MemoryRun
from tests.simulation.process import Process
from tests.simulation.run_context import RunContext


async def retry(context: RunContext, process: Process) -> None:
    """One more attempt for whatever failed or is held, as the command `retry` does it."""
    store = context.store
    again = [target for target in store.targets.values() if target.state in RETRIABLE]
    begins = RunPassStarted(store.run.passes + 1)
    retried = [Retried(target.server_id, target.disk_after or target.disk, begins.number) for target in again]
    events = [begins, *retried]
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
    turn = Turn(store.progress(), process.now())
    for event in events:
        turn.write_event(event)
    # Whoever asked for something before this pass did not mean it.
    store.requests.clear()
    journal = store.open_journal(process)
    await journal.append(turn.run, turn.events, list(turn.changed.values()), turn.at)
