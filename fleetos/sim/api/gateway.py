"""Handle a request: route, authenticate, apply faults, respond. No sockets here.

`server/asgi.py` serves it over HTTP, `in_process.py` to an httpx client in the same process.
"""

import json
from collections.abc import Callable

from fleetos.limits import SIM_BODY_BYTES_MAX
from fleetos.sim.api import action_log, openstack, quotas, reads
from fleetos.sim.api.grants import denial
from fleetos.sim.api.request_bodies import BodyError, change_order, parse_body, power_order
from fleetos.sim.api.routes import Route, find_route
from fleetos.sim.api.signatures import SignatureChecker
from fleetos.sim.api.tokens import TokenIssuer
from fleetos.sim.scenario.fault_table import NO_DECISION, FaultDecision, FaultTable
from fleetos.sim.scenario.faults import FaultEffect, LostAnswer
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.wire.error_codes import ApiError, error_body, refusal
from fleetos.sim.wire.messages import Cut, Ending, Hang, NeverSent, SimRequest, SimResponse, WireOutcome
from fleetos.sim.world.delivery import Accepted, Delivery, deliver, deliver_foreign_order
from fleetos.sim.world.journal import JournalLine, WorldJournal
from fleetos.sim.world.orders import ChangeOs, ForeignOrder, PowerOrder, SetFaults, WorldOrder, WriteOrder
from fleetos.sim.world.world import World

_OVERSIZED_BYTES = 33 * 1024 * 1024
_JOURNAL_FULL = "This simulated world has had all the writes that it can keep: make a new one."
_JSON = "application/json;charset=UTF-8"
# Reads that show the history of a server: its actions, and the disks.
_HISTORY_READS = frozenset({"actions", "action", "volumes", "volume"})

_READS: dict[str, Callable[[World, reads.ReadQuery], reads.ReadResult]] = {
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
    """World with its fault rules, tokens and, if given, a journal of its writes.

    `now` returns seconds since 1970. The clock of the cloud is `clock_ahead_s` of the scenario ahead of it.
    """

    def __init__(
        self, scenario: Scenario, born_at: float, now: Callable[[], float], journal: WorldJournal | None = None
    ) -> None:
        ahead_s = scenario.clock_ahead_s
        self.world = World(scenario, born_at + ahead_s)
        self.table = FaultTable(scenario.faults, self.world.draws, self.world.server_name)
        self._tokens = TokenIssuer(self.world.draws, scenario.tokens, self.world.project_id, self.world.user_id)
        self._signatures = SignatureChecker(self.world.project_id)
        self._now = lambda: now() + ahead_s
        self._journal = journal
        self._requests = 0

    def handle(self, request: SimRequest) -> WireOutcome:
        """Handle a request: change the world, and return the outcome for the client."""
        now = self.world.advance(self._now())
        self._requests += 1
        request_id = self.world.draws.hex("request", self._requests)
        route = find_route(request.method, request.path)
        if route is None:
            return WireOutcome(_respond_error(refusal("APIGW.0101"), request_id))
        if len(request.body) > SIM_BODY_BYTES_MAX:
            return WireOutcome(_respond_error(refusal("APIGW.0201", status=413), request_id))
        if route.operation in ("power", "changeos", "reinstallos"):
            return self._handle_write(request, route, now, request_id)
        self.world.ledger.requests[route.operation] += 1
        servers = (route.resource_id,) if route.operation in ("detail", "actions", "action", "block-device") else ()
        effect = self.table.decide(route.operation, servers, now).whole
        if (early := _outcome_before_effect(effect, request_id)) is not None:
            return early
        if route.operation == "token" and route.public:
            return _outcome_after_effect(effect, self._issue_token(request, now, request_id), request_id)
        error = self._check_access(request, route, now) or denial(self.world, route.operation, servers, request.query)
        if error is None and route.operation == "token":
            return _outcome_after_effect(effect, self._describe_token(request, now, request_id), request_id)
        if error is None and route.operation == "projects":
            result = json.dumps(self._tokens.projects(request.query.get("name"), _base_url(request)))
        elif error is None:
            base_url = _base_url(request)
            query = reads.ReadQuery(
                now, request.query, effect.stale_s, route.resource_id, request.body, base_url, route.subresource_id
            )
            result = _READS[route.operation](self.world, query)
        else:
            result = error
        return _outcome_after_effect(effect, _respond(result, request_id), request_id)

    @property
    def now(self) -> float:
        """Clock of the cloud, in seconds since 1970."""
        return self._now()

    def advance(self) -> float:
        """Advance the world to the present, and return its time."""
        return self.world.advance(self._now())

    def execute_order(self, order: WorldOrder) -> bool:
        """Carry out an order of an admin endpoint (faults, a foreign actor), and return whether it was possible."""
        now = self.world.advance(self._now())
        self._requests += 1
        line = JournalLine(at=now, order=order, request_id=self.world.draws.hex("request", self._requests))
        possible = self._execute_line(line)
        self._store_line(line)
        return possible

    def replay(self, line: JournalLine) -> None:
        """Carry out a line of the journal again, at its own time."""
        self.world.advance(line.at)
        # Request ids after a restart must differ from those before it, and the journal does not count reads.
        self._requests += 1 << 20
        if isinstance(line.order, ChangeOs | PowerOrder):
            self.world.ledger.requests[line.order.operation] += 1
            self.table.count_request(line.order.operation, line.order.servers, _decision_of_line(line))
        self._execute_line(line)

    def _execute_line(self, line: JournalLine) -> bool:
        order = line.order
        if isinstance(order, SetFaults):
            self.table = FaultTable(order.rules, self.world.draws, self.world.server_name)
            return True
        if isinstance(order, ForeignOrder):
            return deliver_foreign_order(self.world, order, line.at, line.request_id)
        return isinstance(deliver(self.world, order, _decision_of_line(line), line.at, line.request_id), Accepted)

    def _store_line(self, line: JournalLine) -> None:
        if self._journal is not None:
            self._journal.append_line(line)

    # --- writes --------------------------------------------------------------------------------------------

    def _handle_write(self, request: SimRequest, route: Route, now: float, request_id: str) -> WireOutcome:
        try:
            order = _parse_order(request, route)
        except BodyError as error:
            self.world.ledger.requests[route.operation] += 1
            return WireOutcome(_respond_error(self._check_access(request, route, now) or error.api_error, request_id))
        self.world.ledger.requests[order.operation] += 1
        if self._journal is not None and self._journal.is_full:
            return WireOutcome(_respond_error(refusal("Common.0001", status=503, message=_JOURNAL_FULL), request_id))
        decision = self.table.decide(order.operation, order.servers, now)
        if decision.whole.refuse is None and decision.whole.dropped is None:
            access_error = self._check_access(request, route, now) or denial(
                self.world, order.operation, order.servers, request.query
            )
            if access_error is not None:
                effect = decision.whole.model_copy(update={"refuse": access_error})
                decision = FaultDecision(effect, decision.servers)
        delivery = deliver(self.world, order, decision, now, request_id)
        self._store_line(JournalLine.of_write(now, order, decision, request_id))
        return _write_outcome(decision.whole, delivery, request_id)

    def _check_access(self, request: SimRequest, route: Route, now: float) -> ApiError | None:
        if route.public:
            return None
        if "authorization" in request.headers:
            error = self._signatures.check_request(request, now)
        else:
            error = self._tokens.check_token(request.headers.get("x-auth-token"), now)
        if error is not None:
            return error
        if route.project is not None and route.project != self.world.project_id:
            return refusal("Ecs.0023")
        if route.operation in _HISTORY_READS and not self.world.scenario.logs:
            return refusal("APIGW.0101")
        if route.operation in ("changeos", "reinstallos") and route.api == "v1" and not self.world.scenario.v1_change:
            return refusal("APIGW.0101")
        return None

    def _issue_token(self, request: SimRequest, now: float, request_id: str) -> SimResponse:
        issued = self._tokens.issue_token(request.body, _base_url(request), now, self._requests)
        if isinstance(issued, ApiError):
            return _respond_error(issued, request_id)
        token, description = issued
        if request.query.get("nocatalog"):
            del description["token"]["catalog"]
        response = _respond(json.dumps(description), request_id)
        return SimResponse(201, (*response.headers, ("X-Subject-Token", token)), response.body)

    def _describe_token(self, request: SimRequest, now: float, request_id: str) -> SimResponse:
        """Return IAM's description of the token in X-Subject-Token (IAM API, "verifying a token")."""
        token = request.headers.get("x-subject-token")
        description = self._tokens.describe_token(token, _base_url(request), now)
        if isinstance(description, ApiError):
            return _respond_error(description, request_id)
        if request.query.get("nocatalog"):
            del description["token"]["catalog"]
        response = _respond(json.dumps(description), request_id)
        return SimResponse(200, (*response.headers, ("X-Subject-Token", token or "")), response.body)


def _base_url(request: SimRequest) -> str:
    """Return the URL by which the client reached the cloud."""
    return f"{request.headers.get('x-forwarded-proto', 'http')}://{request.headers.get('host', '127.0.0.1')}"


def _parse_order(request: SimRequest, route: Route) -> WriteOrder:
    content = parse_body(request.body)
    if route.operation == "power":
        return power_order(content)
    return change_order(content, request.path, route.resource_id, route.api, reinstall=route.operation == "reinstallos")


def _decision_of_line(line: JournalLine) -> FaultDecision:
    if line.fate is None and not line.fates:
        return NO_DECISION
    return FaultDecision(line.fate or FaultEffect(), line.fates)


def _write_outcome(effect: FaultEffect, delivery: Delivery | None, request_id: str) -> WireOutcome:
    if (early := _outcome_before_effect(effect, request_id)) is not None:
        return early
    if isinstance(delivery, Accepted):
        response = _respond(json.dumps({"job_id": delivery.job_id}), request_id)
    elif delivery is None:
        # A late write has no result yet; the rule that delays it also loses the response.
        response = _respond_error(refusal("APIGW.0201"), request_id)
    else:
        response = _respond_error(delivery, request_id)
    return _outcome_after_effect(effect, response, request_id)


def _outcome_before_effect(effect: FaultEffect, request_id: str) -> WireOutcome | None:
    """Return the outcome of a request that must not reach the world, or None."""
    if effect.dropped == "unreachable":
        return WireOutcome(NeverSent(), effect.delay_s)
    if effect.refuse is not None:
        return WireOutcome(_respond_error(effect.refuse, request_id), effect.delay_s)
    if effect.dropped is not None:
        return WireOutcome(_lose_response(effect.dropped, effect.hang_s, request_id), effect.delay_s)
    return None


def _outcome_after_effect(effect: FaultEffect, response: SimResponse, request_id: str) -> WireOutcome:
    """Return the outcome of a request that has had its effect."""
    if effect.lost is not None:
        return WireOutcome(_lose_response(effect.lost, effect.hang_s, request_id), effect.delay_s)
    if effect.error_after is not None:
        return WireOutcome(_respond_error(effect.error_after, request_id), effect.delay_s)
    if effect.garble is not None:
        response = _garble(effect.garble, response)
    return WireOutcome(response, effect.delay_s)


def _lose_response(loss: LostAnswer, hang_s: float, request_id: str) -> Ending:
    match loss:
        case "cut":
            return Cut()
        case "close":
            return Cut(reset=False)
        case "hang":
            return Hang(hang_s)
        case "504":
            return _respond_error(refusal("APIGW.0201"), request_id)


def _garble(kind: str, response: SimResponse) -> SimResponse:
    match kind:
        case "html":
            return SimResponse(response.status, (("Content-Type", "text/html"),), b"<html><body>Welcome</body></html>")
        case "truncated":
            return SimResponse(response.status, response.headers, response.body[: len(response.body) // 2])
        case "oversized":
            return SimResponse(response.status, response.headers, b'{"pad": "' + b"x" * _OVERSIZED_BYTES + b'"}')
        case "empty":
            return SimResponse(response.status, response.headers, b"")
        case "no-job-id":
            return SimResponse(response.status, response.headers, b"{}")
        case _:
            return SimResponse(response.status, response.headers, b"\x00\xff\xfe" + response.body[:16])


def _respond(result: str | ApiError, request_id: str) -> SimResponse:
    if isinstance(result, ApiError):
        return _respond_error(result, request_id)
    return SimResponse(200, (("Content-Type", _JSON), ("X-Request-Id", request_id)), result.encode())


def _respond_error(error: ApiError, request_id: str) -> SimResponse:
    content_type, body = error_body(error, request_id)
    headers = [("Content-Type", content_type), ("X-Request-Id", request_id)]
    if error.retry_after_s is not None:
        headers.append(("Retry-After", str(error.retry_after_s)))
    return SimResponse(error.status, tuple(headers), body)
