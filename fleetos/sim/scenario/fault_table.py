"""Fault table: the faults of each request, as a function of seed, rules and the counts of earlier requests."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.faults import NO_EFFECT, WRITES, FaultEffect, Operation, Rule, ThrottleFault


@dataclass(frozen=True, slots=True)
class FaultDecision:
    """Faults of a request as a whole, and of each server in it that has faults of its own."""

    whole: FaultEffect = NO_EFFECT
    servers: dict[str, FaultEffect] = field(default_factory=dict[str, FaultEffect])

    def for_server(self, server_id: str) -> FaultEffect:
        """Return the faults of one server in the request."""
        return self.servers.get(server_id, NO_EFFECT)


NO_DECISION = FaultDecision()


class FaultTable:
    """Rules in force, with counts of the requests since they were set."""

    def __init__(self, rules: Sequence[Rule], draws: RandomDraws, name_of: Callable[[str], str]) -> None:
        self.rules = tuple(rules)
        self._draws = draws
        self._name_of = name_of
        self._request_counts: Counter[tuple[str, str]] = Counter()
        self._hit_counts: Counter[tuple[int, str]] = Counter()
        self._passed_at: dict[int, deque[float]] = {}
        self._operations_of_rule = [_operations(rule) for rule in self.rules]

    def decide(self, operation: Operation, servers: Sequence[str], now: float) -> FaultDecision:
        """Count a request, and return its faults."""
        if not self.rules:
            return NO_DECISION
        subject = servers[0] if len(servers) == 1 else ""
        nth = self._count_operation(operation, subject)
        whole = self._combined_effect(operation, subject, servers, nth, now, in_world=len(servers) <= 1)
        if len(servers) <= 1:
            self._count_hits(whole, servers)
            return FaultDecision(whole, {subject: whole}) if servers else FaultDecision(whole)
        effects: dict[str, FaultEffect] = {}
        for server_id in servers:
            count = self._count_operation(operation, server_id)
            effect = self._combined_effect(operation, server_id, (server_id,), count, now, in_world=True, on_wire=False)
            if effect.rules:
                effects[server_id] = effect
        decision = FaultDecision(whole, effects)
        self._count_all_hits(decision, servers)
        return decision

    def count_request(self, operation: Operation, servers: Sequence[str], decision: FaultDecision) -> None:
        """Count a request whose decision is known, because it is replayed from a journal."""
        if not self.rules:
            return
        self._count_operation(operation, servers[0] if len(servers) == 1 else "")
        if len(servers) <= 1:
            self._count_hits(decision.whole, servers)
            return
        for server_id in servers:
            self._count_operation(operation, server_id)
        self._count_all_hits(decision, servers)

    def _count_operation(self, operation: str, subject: str) -> int:
        self._request_counts[operation, subject] += 1
        return self._request_counts[operation, subject]

    def _count_all_hits(self, decision: FaultDecision, servers: Sequence[str]) -> None:
        self._count_hits(decision.whole, servers)
        for server_id, effect in decision.servers.items():
            self._count_hits(effect, (server_id,))

    def _count_hits(self, effect: FaultEffect, servers: Iterable[str]) -> None:
        for index in effect.rules:
            self._hit_counts.update((index, server_id) for server_id in servers)

    def _combined_effect(
        self, operation: Operation, subject: str, servers: Sequence[str], nth: int, now: float, *,
        in_world: bool, on_wire: bool = True,
    ) -> FaultEffect:  # fmt: skip
        rule_indexes: list[int] = []
        fields: dict[str, object] = {}
        for index, rule in enumerate(self.rules):
            if operation not in self._operations_of_rule[index] or not (in_world if rule.in_world else on_wire):
                continue
            if not self._strikes(index, rule, (operation, subject), servers, nth):
                continue
            if isinstance(rule, ThrottleFault) and self._is_below_limit(index, rule, now):
                continue
            rule_indexes.append(index)
            for name, value in rule.fields(self._draws, index, operation, subject, nth).items():
                fields.setdefault(name, value)
        return FaultEffect.model_validate({**fields, "rules": tuple(rule_indexes)}) if rule_indexes else NO_EFFECT

    def _strikes(
        self, index: int, rule: Rule, operation_and_subject: tuple[str, str], servers: Sequence[str], nth: int
    ) -> bool:
        if rule.nth and nth not in rule.nth:
            return False
        if rule.servers and not any(self._names_server(rule, server_id) for server_id in servers):
            return False
        if rule.per_server is not None and any(self._hit_counts[index, s] >= rule.per_server for s in servers):
            return False
        return rule.rate >= 1 or self._draws.unit("fault", index, *operation_and_subject, nth) < rule.rate

    def _names_server(self, rule: Rule, server_id: str) -> bool:
        name = self._name_of(server_id)
        return any(pattern == server_id or fnmatchcase(name, pattern) for pattern in rule.servers)

    def _is_below_limit(self, index: int, rule: ThrottleFault, now: float) -> bool:
        passed_at = self._passed_at.setdefault(index, deque())
        while passed_at and passed_at[0] <= now - rule.per_s:
            passed_at.popleft()
        if len(passed_at) >= rule.requests:
            return False
        passed_at.append(now)
        return True


def _operations(rule: Rule) -> frozenset[str]:
    scopes = rule.on if isinstance(rule.on, tuple) else (rule.on,)
    operations: set[str] = set()
    for scope in scopes:
        if scope == "any":
            operations.update(_ALL)
        elif scope == "read":
            operations.update(_ALL - WRITES - {"token"})
        elif scope == "write":
            operations.update(WRITES)
        else:
            operations.add(scope)
    return frozenset(operations)


_ALL: frozenset[str] = frozenset(Operation.__args__)
