"""The simulated cloud without its sockets: a request goes in, and how it ends comes out.

`app.py` puts it behind HTTP, `transport.py` behind an httpx client in the same process.
"""

import json
from collections.abc import Callable

from fleetos.limits import SIM_BODY_BYTES_MAX
from fleetos.sim.api import action_log, openstack, quotas, reads
from fleetos.sim.api.grants import denied
from fleetos.sim.api.request_bodies import BodyError, change_order, parse, power_order
from fleetos.sim.api.routes import Route, find
from fleetos.sim.api.signatures import SignatureChecker
from fleetos.sim.api.tokens import TokenIssuer
from fleetos.sim.scenario.fault_table import NO_DECISION, FaultDecision, FaultTable
from fleetos.sim.scenario.faults import FaultEffect, Lost
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.wire.error_codes import ApiError, body_of, refusal
from fleetos.sim.wire.messages import Cut, Ending, Hang, NeverSent, SimRequest, SimResponse, WireOutcome
from fleetos.sim.world.delivery import Accepted, Verdict, act_foreign, deliver
from fleetos.sim.world.journal import JournalLine, WorldJournal
from fleetos.sim.world.orders import ChangeOs, Foreign, Order, PowerOrder, SetFaults, WriteOrder
from fleetos.sim.world.world import World

_OVERSIZED_BYTES = 33 * 1024 * 1024
_FULL = "This simulated world has had all the writes that it can keep: make a new one."
_JSON = "application/json;charset=UTF-8"
# What shows that something was done to a server: its actions, and the disks that there are.
_LOGS = frozenset({"actions", "action", "volumes", "volume"})

_READS: dict[str, Callable[[World, reads.ReadQuery], reads.Answer]] = {
    "detail": reads.detail,
    "list": reads.listing,
    "flavors": quotas.flavors,
    "limits": quotas.limits,
    "disk-quota": quotas.disk_quota,
    "enterprise-projects": quotas.enterprise_projects,
    "job": reads.job,
    "actions": action_log.listing,
    "action": action_log.detail,
    "block-device": reads.block_device,
    "volumes": reads.volumes,
    "volume": reads.volume,
    "images": reads.image_page,
    "keypairs": reads.key_pairs,
    "keypair": reads.key_pair,
    "key": quotas.key,
    "native-servers": openstack.servers,
    "native-images": openstack.images,
    "credential": openstack.credential,
    "versions": openstack.versions,
    "version": openstack.version,
}


class SimulatedCloud:
    """A world with its fault rules and tokens. `now` returns seconds since 1970; the journal, if any, keeps writes.

    The clock of the cloud itself may differ from that, as the scenario says.
    """

    def __init__(
        self, scenario: Scenario, born_at: float, now: Callable[[], float], journal: WorldJournal | None = None
    ) -> None:
        ahead_s = scenario.clock_ahead_s
        self.world = World(scenario, born_at + ahead_s)
        self.table = FaultTable(scenario.faults, self.world.chance, self.world.name_of)
        self._tokens = TokenIssuer(self.world.chance, scenario.tokens, self.world.project_id, self.world.user_id)
        self._keys = SignatureChecker(self.world.project_id)
        self._now = lambda: now() + ahead_s
        self._journal = journal
        self._requests = 0

    def handle(self, request: SimRequest) -> WireOutcome:
        """Return how the request ends; its effect on the world has happened when this returns."""
        now = self.world.advance(self._now())
        self._requests += 1
        request_id = self.world.chance.hex("request", self._requests)
        route = find(request.method, request.path)
        if route is None:
            return WireOutcome(_refused(refusal("APIGW.0101"), request_id))
        if len(request.body) > SIM_BODY_BYTES_MAX:
            return WireOutcome(_refused(refusal("APIGW.0201", status=413), request_id))
        if route.operation in ("power", "changeos", "reinstallos"):
            return self._write(request, route, now, request_id)
        self.world.ledger.requests[route.operation] += 1
        servers = (route.at_id,) if route.operation in ("detail", "actions", "action", "block-device") else ()
        fate = self.table.decide(route.operation, servers, now).whole
        if (early := _before(fate, request_id)) is not None:
            return early
        if route.operation == "token" and route.open:
            return _after(fate, self._token(request, now, request_id), request_id)
        refused = self._entry_refused(request, route, now) or denied(
            self.world, route.operation, servers, request.query
        )
        if refused is None and route.operation == "token":
            return _after(fate, self._shown(request, now, request_id), request_id)
        if refused is None and route.operation == "projects":
            answer = json.dumps(self._tokens.projects(request.query.get("name"), _base_url(request)))
        elif refused is None:
            base_url = _base_url(request)
            look = reads.ReadQuery(now, request.query, fate.stale_s, route.at_id, request.body, base_url, route.part_id)
            answer = _READS[route.operation](self.world, look)
        else:
            answer = refused
        return _after(fate, _answered(answer, request_id), request_id)

    @property
    def now(self) -> float:
        """The time of day at the cloud, in seconds since 1970."""
        return self._now()

    def settle(self) -> float:
        """Move the world on to the present, and return its time."""
        return self.world.advance(self._now())

    def order(self, order: Order) -> bool:
        """Carry out an order that no client gave (faults, a foreign actor), and return whether it could be done."""
        now = self.world.advance(self._now())
        self._requests += 1
        entry = JournalLine(at=now, order=order, request_id=self.world.chance.hex("request", self._requests))
        done = self._execute(entry)
        self._store(entry)
        return done

    def replay(self, entry: JournalLine) -> None:
        """Carry out an entry of the journal again, at its own time."""
        self.world.advance(entry.at)
        # Request ids of the time after a restart must differ from those before: reads are not in the journal.
        self._requests += 1 << 20
        if isinstance(entry.order, ChangeOs | PowerOrder):
            self.world.ledger.requests[entry.order.operation] += 1
            self.table.count(entry.order.operation, entry.order.servers, _decision(entry))
        self._execute(entry)

    def _execute(self, entry: JournalLine) -> bool:
        order = entry.order
        if isinstance(order, SetFaults):
            self.table = FaultTable(order.rules, self.world.chance, self.world.name_of)
            return True
        if isinstance(order, Foreign):
            return act_foreign(self.world, order, entry.at, entry.request_id)
        return isinstance(deliver(self.world, order, _decision(entry), entry.at, entry.request_id), Accepted)

    def _store(self, entry: JournalLine) -> None:
        if self._journal is not None:
            self._journal.append(entry)

    # --- writes --------------------------------------------------------------------------------------------

    def _write(self, request: SimRequest, route: Route, now: float, request_id: str) -> WireOutcome:
        try:
            order = _order(request, route)
        except BodyError as error:
            self.world.ledger.requests[route.operation] += 1
            return WireOutcome(_refused(self._entry_refused(request, route, now) or error.refused, request_id))
        self.world.ledger.requests[order.operation] += 1
        if self._journal is not None and self._journal.full:
            return WireOutcome(_refused(refusal("Common.0001", status=503, message=_FULL), request_id))
        decision = self.table.decide(order.operation, order.servers, now)
        if decision.whole.refuse is None and decision.whole.dropped is None:
            refused = self._entry_refused(request, route, now) or denied(
                self.world, order.operation, order.servers, request.query
            )
            if refused is not None:
                whole = decision.whole.model_copy(update={"refuse": refused})
                decision = FaultDecision(whole, decision.servers)
        verdict = deliver(self.world, order, decision, now, request_id)
        self._store(JournalLine.of(now, order, decision, request_id))
        return _write_outcome(decision.whole, verdict, request_id)

    def _entry_refused(self, request: SimRequest, route: Route, now: float) -> ApiError | None:
        if route.open:
            return None
        if "authorization" in request.headers:
            refused = self._keys.judge(request, now)
        else:
            refused = self._tokens.judge(request.headers.get("x-auth-token"), now)
        if refused is not None:
            return refused
        if route.project is not None and route.project != self.world.project_id:
            return refusal("Ecs.0023")
        if route.operation in _LOGS and not self.world.scenario.logs:
            return refusal("APIGW.0101")
        if route.operation in ("changeos", "reinstallos") and route.api == "v1" and not self.world.scenario.v1_change:
            return refusal("APIGW.0101")
        return None

    def _token(self, request: SimRequest, now: float, request_id: str) -> SimResponse:
        issued = self._tokens.issue(request.body, _base_url(request), now, self._requests)
        if isinstance(issued, ApiError):
            return _refused(issued, request_id)
        token, described = issued
        if request.query.get("nocatalog"):
            del described["token"]["catalog"]
        reply = _answered(json.dumps(described), request_id)
        return SimResponse(201, (*reply.headers, ("X-Subject-Token", token)), reply.body)

    def _shown(self, request: SimRequest, now: float, request_id: str) -> SimResponse:
        """What IAM says of a token that is shown to it (IAM API, "verifying a token")."""
        token = request.headers.get("x-subject-token")
        shown = self._tokens.show(token, _base_url(request), now)
        if isinstance(shown, ApiError):
            return _refused(shown, request_id)
        if request.query.get("nocatalog"):
            del shown["token"]["catalog"]
        reply = _answered(json.dumps(shown), request_id)
        return SimResponse(200, (*reply.headers, ("X-Subject-Token", token or "")), reply.body)


def _base_url(request: SimRequest) -> str:
    """Return the address by which the client has found the cloud."""
    return f"{request.headers.get('x-forwarded-proto', 'http')}://{request.headers.get('host', '127.0.0.1')}"


def _order(request: SimRequest, route: Route) -> WriteOrder:
    content = parse(request.body)
    if route.operation == "power":
        return power_order(content)
    return change_order(content, request.path, route.at_id, route.api, reinstall=route.operation == "reinstallos")


def _decision(entry: JournalLine) -> FaultDecision:
    if entry.fate is None and not entry.fates:
        return NO_DECISION
    return FaultDecision(entry.fate or FaultEffect(), entry.fates)


def _write_outcome(fate: FaultEffect, verdict: Verdict | None, request_id: str) -> WireOutcome:
    if (early := _before(fate, request_id)) is not None:
        return early
    if isinstance(verdict, Accepted):
        reply = _answered(json.dumps({"job_id": verdict.job_id}), request_id)
    elif verdict is None:
        # A late effect has no answer: a rule that delays it also says how the answer is lost.
        reply = _refused(refusal("APIGW.0201"), request_id)
    else:
        reply = _refused(verdict, request_id)
    return _after(fate, reply, request_id)


def _before(fate: FaultEffect, request_id: str) -> WireOutcome | None:
    """Return how a request ends that the world must not see, or None."""
    if fate.dropped == "unreachable":
        return WireOutcome(NeverSent(), fate.delay_s)
    if fate.refuse is not None:
        return WireOutcome(_refused(fate.refuse, request_id), fate.delay_s)
    if fate.dropped is not None:
        return WireOutcome(_lost(fate.dropped, fate.hang_s, request_id), fate.delay_s)
    return None


def _after(fate: FaultEffect, reply: SimResponse, request_id: str) -> WireOutcome:
    """Return how a request ends whose effect has happened."""
    if fate.lost is not None:
        return WireOutcome(_lost(fate.lost, fate.hang_s, request_id), fate.delay_s)
    if fate.error_after is not None:
        return WireOutcome(_refused(fate.error_after, request_id), fate.delay_s)
    if fate.garble is not None:
        reply = _garbled(fate.garble, reply)
    return WireOutcome(reply, fate.delay_s)


def _lost(how: Lost, hang_s: float, request_id: str) -> Ending:
    match how:
        case "cut":
            return Cut()
        case "close":
            return Cut(reset=False)
        case "hang":
            return Hang(hang_s)
        case "504":
            return _refused(refusal("APIGW.0201"), request_id)


def _garbled(how: str, reply: SimResponse) -> SimResponse:
    match how:
        case "html":
            return SimResponse(reply.status, (("Content-Type", "text/html"),), b"<html><body>Welcome</body></html>")
        case "truncated":
            return SimResponse(reply.status, reply.headers, reply.body[: len(reply.body) // 2])
        case "oversized":
            return SimResponse(reply.status, reply.headers, b'{"pad": "' + b"x" * _OVERSIZED_BYTES + b'"}')
        case "empty":
            return SimResponse(reply.status, reply.headers, b"")
        case "no-job-id":
            return SimResponse(reply.status, reply.headers, b"{}")
        case _:
            return SimResponse(reply.status, reply.headers, b"\x00\xff\xfe" + reply.body[:16])


def _answered(answer: str | ApiError, request_id: str) -> SimResponse:
    if isinstance(answer, ApiError):
        return _refused(answer, request_id)
    return SimResponse(200, (("Content-Type", _JSON), ("X-Request-Id", request_id)), answer.encode())


def _refused(refused: ApiError, request_id: str) -> SimResponse:
    content_type, body = body_of(refused, request_id)
    headers = [("Content-Type", content_type), ("X-Request-Id", request_id)]
    if refused.retry_after_s is not None:
        headers.append(("Retry-After", str(refused.retry_after_s)))
    return SimResponse(refused.status, tuple(headers), body)
