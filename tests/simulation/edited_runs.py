"""Small plays to be edited, as if the cloud, the wire or the journal had seen something else."""

from collections.abc import Callable
from dataclasses import replace

from fleetos.model.journal.events import Event, Record, RunCreated
from fleetos.model.plan import Polling, Rollout, Share, Timeouts
from fleetos.model.run import Settings
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.world.ledger import LedgerEntry
from tests.simulation.run_trace import RunTrace, Sent
from tests.simulation.scenario_run import run_scenario
from tests.simulation.spec import IMAGE, Spec
from tests.support.ledger import CHANGES

SETTLE_S = 30.0


def staged(*faults: dict[str, object], concurrency: int = 3) -> RunTrace:
    """Return the play of a small world."""
    return run_scenario(small(*faults, concurrency=concurrency))


def small(*faults: dict[str, object], concurrency: int = 3) -> Spec:
    """Return a world with two servers to change, one that is locked, and one that had the image before."""
    servers = [
        {"name": "web-#", "count": 2},
        {"name": "locked", "locked": True},
        {"name": "done-before", "image": IMAGE},
    ]
    scenario = Scenario.model_validate({"servers": servers, "faults": faults})
    return Spec(
        seed=1,
        scenario=scenario.model_copy(update={"faults": ()}),
        rollout=Rollout(Share(float(concurrency))),
        timeouts=Timeouts(settle_s=SETTLE_S),
        polling=Polling(2.0, 10.0),
        loopback=True,
        faults=scenario.faults,
    )


def plain() -> RunTrace:
    """Return a play in which nothing goes wrong: both servers are changed at once."""
    return staged()


def one_by_one() -> RunTrace:
    """Return a play in which the second server is changed after the first."""
    return staged(concurrency=1)


def resent() -> RunTrace:
    """Return a play in which the first changeos of each server is lost on its way, and sent again after a settle."""
    return staged({"do": "cut-before", "on": "changeos", "nth": [1]})


def failing_once() -> RunTrace:
    """Return a play in which the first change of each server fails, one after the other, and leaves the old disk."""
    return staged({"do": "fail", "on": "changeos", "nth": [1]}, concurrency=1)


def failing() -> RunTrace:
    """Return a play in which every change fails and leaves its server in an error."""
    return staged({"do": "fail", "on": "changeos", "picture": "error"})


def failing_well() -> RunTrace:
    """Return a play in which every change fails and leaves the new disk, with a server that has to be started."""
    return staged({"do": "fail", "on": "changeos", "picture": "new-disk"})


def unflipped() -> RunTrace:
    """Return a play in which no server ever shows its new image."""
    return staged({"do": "show", "on": "changeos", "image_flips": "never"})


def endless() -> RunTrace:
    """Return a play in which neither change ever shows an end."""
    return staged({"do": "stuck", "on": "changeos"})


def changes(trace: RunTrace) -> list[LedgerEntry]:
    """Return the changes in the ledger."""
    return [write for write in trace.ledger.writes if write.operation in CHANGES]


def stop_of(trace: RunTrace) -> LedgerEntry:
    """Return the first stop in the ledger."""
    return next(write for write in trace.ledger.writes if write.operation == "stop")


def named(trace: RunTrace, name: str) -> str:
    """Return the id of the server with that name."""
    return next(server.id for server in trace.world.servers.values() if server.spec.name == name)


def alter(trace: RunTrace, operation: str, edit: Callable[[Sent], Sent]) -> None:
    """Edit the first write of that operation as the wire saw it."""
    place = next(place for place, sent in enumerate(trace.sent) if sent.operation == operation)
    trace.sent[place] = edit(trace.sent[place])


def freeze_with(trace: RunTrace, edit: Callable[[Settings], Settings]) -> None:
    """Let the run have been frozen with other numbers."""
    created = trace.records[0]
    if not isinstance(created.event, RunCreated):
        raise TypeError("the first record creates the run")
    settings = edit(trace.run.settings)
    trace.records[0] = replace(created, event=RunCreated(replace(created.event.run, settings=settings)))
    trace.run = replace(trace.run, settings=settings)


def insert(trace: RunTrace, place: int, event: Event) -> None:
    """Insert a record, in the transaction of the one that stands at that place."""
    records = list(trace.records)
    records.insert(place, Record(0, records[place].at, event))
    trace.records = [replace(record, seq=seq) for seq, record in enumerate(records, 1)]
    trace.written = [replace(one, last_seq=one.last_seq + (one.last_seq > place)) for one in trace.written]


def accepted_twice(trace: RunTrace) -> None:
    """Let the cloud have accepted the first changeos, whose answer was lost."""
    first = changes(trace)[0]
    first.came, first.at = "accepted", first.sent_at
