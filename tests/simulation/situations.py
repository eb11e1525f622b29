"""Which rare situations a play came to: a proof that never saw one of them says nothing of it.

Each name counts places, not plays. What must occur in many worlds stands in REQUIRED.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.faults import FailureOutcome, FaultEffect
from fleetos.sim.world.ledger import LedgerEntry
from tests.simulation.checkers.steps import write_of
from tests.simulation.run_trace import RunTrace
from tests.simulation.situations_journal import told
from tests.simulation.situations_rare import of_few
from tests.simulation.situations_required import RARE, REQUIRED
from tests.simulation.situations_steering import of_steering
from tests.support.ledger import CHANGES

# In fewer worlds rare situations may be missing, and in still fewer any.
WORLDS_AT_LEAST = 2000
WORLDS_FOR_THE_COMMON = 400


def situations(trace: RunTrace) -> Counter[str]:
    """Return how often the play came to each situation."""
    found: Counter[str] = Counter()
    run: RunTrace | None = trace
    while run is not None:
        # Of an earlier run its own part; everything else is of the whole play.
        for of_run in (told, of_few, of_steering, _asked, _late):
            found.update(of_run(run))
        run = run.earlier
    found.update(_delivered(trace))
    found.update(_changed(trace))
    found.update(_befallen(trace))
    found.update(trace.facts)
    found.update({f"died-{kind.replace(' ', '-')}": count for kind, count in trace.deaths.items()})
    return found


def missing(counts: Mapping[str, int], worlds: int) -> list[str]:
    """Return the required situations that so many worlds should have come to more often, none for a few worlds."""
    if worlds < WORLDS_FOR_THE_COMMON:
        return []
    wanted = REQUIRED if worlds >= WORLDS_AT_LEAST else {name: REQUIRED[name] for name in REQUIRED if name not in RARE}
    return [name for name, rate in wanted.items() if counts.get(name, 0) < max(1, int(rate * worlds / 1000))]


def _asked(trace: RunTrace) -> Iterator[str]:
    """What the wire saw."""
    for asked in trace.asked:
        if asked.status == 429:
            yield "throttled-write" if asked.write else "throttled-read"
        if asked.status == 401 and asked.operation != "token":
            yield "token-refused-in-mid-run"
        if asked.operation == "token" and asked.status != 201:
            yield "login-failed"


def _late(trace: RunTrace) -> Iterator[str]:
    """What came late: a change of which the same attempt had been sent again by then."""
    sends: dict[tuple[str, int], list[LedgerEntry]] = defaultdict(list)
    for sent in trace.sent:
        write, target = write_of(trace, sent), sent.targets.get(sent.servers[0])
        if sent.operation in CHANGES and write is not None and target is not None and target.attempts:
            sends[target.server_id, target.attempts[-1].number].append(write)
    for writes in sends.values():
        for place, write in enumerate(writes):
            if write.delivered == "late" and write.at is not None and write.came in ("accepted", "refused"):
                resent = any(later.sent_at < write.at for later in writes[place + 1 :])
                yield "late-effect-after-resend" if resent else "late-effect"
                yield f"late-effect-{write.came}"


def _delivered(trace: RunTrace) -> Iterator[str]:
    """What the gateway and others did."""
    faults = trace.spec.faults
    for write in trace.ledger.writes:
        if write.actor == "foreign":
            yield f"foreign-{write.operation}"
        elif write.copy_of is not None and write.came in ("accepted", "refused"):
            by_fence = write.operation in CHANGES and write.code in ("Ecs.0100", "Ecs.0603")
            yield "double-refused-by-fence" if by_fence else f"double-{write.operation}-{write.came}"
        elif write.operation == "stop" and write.acted_on:
            late = write.delivered == "late" or any(faults[one].do == "lag" for one in write.faults)
            if late:
                yield "stop-acts-late"


def _changed(trace: RunTrace) -> Iterator[str]:
    """How the changes that the cloud accepted looked, and how they failed."""
    counts: Counter[str] = Counter()
    chance, manner = RandomDraws(trace.spec.scenario.seed), trace.spec.scenario.change
    for write in trace.ledger.writes:
        if write.operation not in CHANGES or write.actor != "client" or write.copy_of is not None:
            continue
        counts[write.servers[0]] += 1
        if write.came != "accepted":
            continue
        fate = _fate(trace, write, chance, counts[write.servers[0]])
        yield f"change-looks-{fate.picture or manner.picture}"
        yield f"image-flips-{fate.image_flips or manner.image_flips}"
        if fate.stuck:
            yield "job-stuck"
        if write.operation == "reinstallos" and write.ended == "success":
            yield "reinstalled"
        if write.ended == "no-effect":
            yield "change-without-effect"
        if write.ended == "failed" and fate.fail is not None:
            yield f"change-fails-{fate.fail.picture}"


def _fate(trace: RunTrace, write: LedgerEntry, chance: RandomDraws, nth: int) -> FaultEffect:
    """Return what the rules that struck a change did to it, as the simulated cloud drew it."""
    fields: dict[str, object] = {}
    for index in write.faults:
        rule = trace.spec.faults[index]
        for name, value in rule.fields(chance, index, write.operation, write.servers[0], nth).items():
            fields.setdefault(name, value)
    failure = fields.get("fail")
    return FaultEffect.model_validate({**fields, "fail": failure if isinstance(failure, FailureOutcome) else None})


def _befallen(trace: RunTrace) -> Iterator[str]:
    """What befell the processes and their clocks."""
    groups = Counter(written.process for written in trace.written)
    for place, session in enumerate(trace.sessions):
        yield f"process-{session.ended}"
        if session.ended == "died" and place and groups[session.process] <= 1:
            yield "died-while-resuming"
    if trace.freezes and trace.freezes == len(trace.spec.freezes):
        yield from ("machine-suspended" if freeze.suspend else "process-stopped" for freeze in trace.spec.freezes)
    for jump in trace.spec.clocks.jumps:
        if jump.at_s < trace.ended_s:
            yield "wall-clock-set-back" if jump.by_s < 0 else "wall-clock-set-forward"
