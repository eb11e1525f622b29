"""What an operator does to a run that has ended, as the commands do it."""

from collections.abc import Sequence

from fleetos.engine.turn import Turn
from fleetos.model.events import Event, Retried, RunPassStarted, Settled
from fleetos.model.states import RETRIABLE
from fleetos.store.memory import MemoryRun
from tests.simulation.process import Process


async def retry(store: MemoryRun, process: Process) -> None:
    """One more attempt for whatever failed or is held, as the command `retry` does it."""
    again = [target for target in store.targets.values() if target.state in RETRIABLE]
    events = [Retried(target.server_id, target.disk_after or target.disk) for target in again]
    await _write(store, process, [RunPassStarted(store.run.passes + 1), *events])


async def release(store: MemoryRun, process: Process) -> bool:
    """Return whether there were unknown outcomes to be let rest, as `abort --release` does it."""
    unsettled = [target for target in store.targets.values() if target.ended and target.unsettled]
    if unsettled:
        await _write(store, process, [Settled(target.server_id) for target in unsettled])
    return bool(unsettled)


async def _write(store: MemoryRun, process: Process, events: Sequence[Event]) -> None:
    turn = Turn(store.progress(), process.now())
    for event in events:
        turn.write(event)
    # Whoever asked for something before this pass did not mean it.
    store.requests.clear()
    journal = store.take(process)
    await journal.append(turn.run, turn.events, list(turn.changed.values()), turn.at)
