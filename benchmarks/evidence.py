"""What the ledger of the simulated cloud says about a rollout: the judge of every client that is measured here."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.arithmetic import list_schedule_s, mean_running
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.world.ledger import LedgerEntry
from tests.support.ledger import Ledger, changes_per_server

# A hard stop takes this part of the drawn time of a soft one, as the simulated cloud has it.
HARD_STOP_PART = 0.2


@dataclass(frozen=True, slots=True)
class Change:
    """One accepted change that has ended, by the cloud's clock."""

    server_id: str
    begun_s: float
    ended_s: float


def changes(ledger: Ledger) -> list[Change]:
    """The accepted changes of clients that have ended, in the order in which they were accepted."""
    found = [
        Change(write.servers[0], write.at, write.ended_at)
        for writes in changes_per_server(ledger).values()
        for write in writes
        if write.actor == "client" and write.at is not None and write.ended_at is not None
    ]
    return sorted(found, key=lambda change: change.begun_s)


def slot_use(done: Sequence[Change], slots: int) -> float:
    """The time that the same changes need at least on so many slots, as a part of the time that they took.

    At least: each in the same order, begun as soon as a slot is free. Counted from the first admission to the last end.
    """
    if not done:
        return 0.0
    ideal_s = list_schedule_s((change.ended_s - change.begun_s for change in done), slots)
    return ideal_s / (max(change.ended_s for change in done) - done[0].begun_s)


def slots_filled(done: Sequence[Change], slots: int) -> float:
    """The part of the slots in which a change ran, on average between the first admission and the last."""
    if not done:
        return 0.0
    window = (done[0].begun_s, done[-1].begun_s)
    return mean_running(((change.begun_s, change.ended_s) for change in done), window) / slots


def stopped_before_change_s(ledger: Ledger, scenario: Scenario) -> list[float]:
    """For each accepted change of a server that a client had stopped: the seconds for which it lay stopped before.

    The ledger says when a stop was accepted; how long it took is drawn by the scenario's seed, and so known as well.
    """
    chance = RandomDraws(scenario.seed)
    stopped_s: dict[str, float] = {}
    waits_s: list[float] = []
    for write in ledger.writes:
        if write.at is None or write.came != "accepted":
            continue
        if write.operation == "stop":
            stopped_s |= {one: write.at + _stop_s(write, one, scenario, chance) for one in write.acted_on}
        elif write.operation == "changeos" and write.servers[0] in stopped_s:
            waits_s.append(write.at - stopped_s.pop(write.servers[0]))
    return waits_s


def _stop_s(write: LedgerEntry, server_id: str, scenario: Scenario, chance: RandomDraws) -> float:
    takes_s = chance.between(scenario.durations.stop, "stop", write.seq, server_id)
    return takes_s * (HARD_STOP_PART if write.hard else 1.0)


@dataclass(frozen=True, slots=True)
class Harm:
    """Whom a client has done wrong: servers whose new disk it wiped again, and servers that it left behind."""

    changed_twice: int
    lost: int


def harm(ledger: Ledger, running_ids: frozenset[str], everyone: frozenset[str]) -> Harm:
    """What is wrong at the end. Lost is a server without a successful change, or one that does not run."""
    successes: dict[str, int] = defaultdict(int)
    for server_id, writes in changes_per_server(ledger).items():
        successes[server_id] += sum(write.ended == "success" for write in writes)
    twice = sum(count > 1 for count in successes.values())
    lost = sum(not successes[server_id] or server_id not in running_ids for server_id in everyone)
    return Harm(twice, lost)
