"""Which faults hit a request: a pure function of seed, rules and the count of earlier requests."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.faults import NO_FATE, WRITES, FaultEffect, Operation, Rule, ThrottleFault


@dataclass(frozen=True, slots=True)
class FaultDecision:
    """The fate of a request as a whole, and of each server in it that has one of its own."""

    whole: FaultEffect = NO_FATE
    servers: dict[str, FaultEffect] = field(default_factory=dict[str, FaultEffect])

    def of(self, server_id: str) -> FaultEffect:
        """Return the fate of one server in the request."""
        return self.servers.get(server_id, NO_FATE)


NO_DECISION = FaultDecision()


class FaultTable:
    """The rules in force, and how often each operation has been asked for since they are."""

    def __init__(self, rules: Sequence[Rule], chance: RandomDraws, name_of: Callable[[str], str]) -> None:
        self.rules = tuple(rules)
        self._chance = chance
        self._name_of = name_of
        self._seen: Counter[tuple[str, str]] = Counter()
        self._hits: Counter[tuple[int, str]] = Counter()
        self._passed: dict[int, deque[float]] = {}
        self._on = [_operations(rule) for rule in self.rules]

    def decide(self, operation: Operation, servers: Sequence[str], now: float) -> FaultDecision:
        """Return what the rules do to this request, and count it."""
        if not self.rules:
            return NO_DECISION
        subject = servers[0] if len(servers) == 1 else ""
        nth = self._count(operation, subject)
        whole = self._fate(operation, subject, servers, nth, now, effects=len(servers) <= 1)
        if len(servers) <= 1:
            self._hit(whole, servers)
            return FaultDecision(whole, {subject: whole}) if servers else FaultDecision(whole)
        fates: dict[str, FaultEffect] = {}
        for server_id in servers:
            count = self._count(operation, server_id)
            fate = self._fate(operation, server_id, (server_id,), count, now, effects=True, wire=False)
            if fate.rules:
                fates[server_id] = fate
        decision = FaultDecision(whole, fates)
        self._hit_all(decision, servers)
        return decision

    def count(self, operation: Operation, servers: Sequence[str], decision: FaultDecision) -> None:
        """Count a request whose decision is known already: a journal is being replayed."""
        if not self.rules:
            return
        self._count(operation, servers[0] if len(servers) == 1 else "")
        if len(servers) <= 1:
            self._hit(decision.whole, servers)
            return
        for server_id in servers:
            self._count(operation, server_id)
        self._hit_all(decision, servers)

    def _count(self, operation: str, subject: str) -> int:
        self._seen[operation, subject] += 1
        return self._seen[operation, subject]

    def _hit_all(self, decision: FaultDecision, servers: Sequence[str]) -> None:
        self._hit(decision.whole, servers)
        for server_id, fate in decision.servers.items():
            self._hit(fate, (server_id,))

    def _hit(self, fate: FaultEffect, servers: Iterable[str]) -> None:
        for index in fate.rules:
            self._hits.update((index, server_id) for server_id in servers)

    def _fate(
        self, operation: Operation, subject: str, servers: Sequence[str], nth: int, now: float, *,
        effects: bool, wire: bool = True,
    ) -> FaultEffect:  # fmt: skip
        struck: list[int] = []
        fields: dict[str, object] = {}
        for index, rule in enumerate(self.rules):
            if operation not in self._on[index] or not (effects if rule.effect else wire):
                continue
            if not self._strikes(index, rule, (operation, subject), servers, nth):
                continue
            if isinstance(rule, ThrottleFault) and self._passes(index, rule, now):
                continue
            struck.append(index)
            for name, value in rule.fields(self._chance, index, operation, subject, nth).items():
                fields.setdefault(name, value)
        return FaultEffect.model_validate({**fields, "rules": tuple(struck)}) if struck else NO_FATE

    def _strikes(self, index: int, rule: Rule, what: tuple[str, str], servers: Sequence[str], nth: int) -> bool:
        if rule.nth and nth not in rule.nth:
            return False
        if rule.servers and not any(self._named(rule, server_id) for server_id in servers):
            return False
        if rule.per_server is not None and any(self._hits[index, s] >= rule.per_server for s in servers):
            return False
        return rule.rate >= 1 or self._chance.unit("fault", index, *what, nth) < rule.rate

    def _named(self, rule: Rule, server_id: str) -> bool:
        name = self._name_of(server_id)
        return any(wanted == server_id or fnmatchcase(name, wanted) for wanted in rule.servers)

    def _passes(self, index: int, rule: ThrottleFault, now: float) -> bool:
        passed = self._passed.setdefault(index, deque())
        while passed and passed[0] <= now - rule.per_s:
            passed.popleft()
        if len(passed) >= rule.requests:
            return False
        passed.append(now)
        return True


def _operations(rule: Rule) -> frozenset[str]:
    named = rule.on if isinstance(rule.on, tuple) else (rule.on,)
    found: set[str] = set()
    for scope in named:
        if scope == "any":
            found.update(_ALL)
        elif scope == "read":
            found.update(_ALL - WRITES - {"token"})
        elif scope == "write":
            found.update(WRITES)
        else:
            found.add(scope)
    return frozenset(found)


_ALL: frozenset[str] = frozenset(Operation.__args__)
