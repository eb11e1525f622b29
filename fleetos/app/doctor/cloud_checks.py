"""How `fleetos doctor` looks at a cloud: it knocks, logs in for real, and tries every read that fleetos makes.

Nothing here changes anything. What came of it is told as facts; nobody is judged here.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from fleetos.cloud.addresses import Origin, Proxies
from fleetos.cloud.calls import CALLS, EFFECTS, Call, Operation, Service, Use
from fleetos.cloud.ecs import Place
from fleetos.cloud.fields import Fields, Unreadable, parts, text
from fleetos.cloud.identity import Credentials, Grant
from fleetos.cloud.proofs import AccessKey, GivenToken, Password
from fleetos.cloud.reads import GrantedReads, is_gone, parsed, segment
from fleetos.cloud.session import Read, Session
from fleetos.errors import AuthenticationFailed, CloudError, PermissionDenied, ReadRefused
from fleetos.model.codes import code_key
from fleetos.model.diagnosis import (
    ClockFacts,
    CredentialFacts,
    EndpointFacts,
    LoginFacts,
    PermissionFacts,
    Right,
)

# Ids and names of nothing: that there is no such thing is said only to whom may ask for it.
_NO_JOB, _NO_KEY_PAIR = "0" * 32, "fleetos-doctor"
_UNKNOWN_JOB = "common.0011"
_ABSENT = frozenset({404, 405, 501})
# What may be allowed in some enterprise projects alone, and then is asked for in these.
_BY_PROJECT = frozenset({"list", "image", "volumes"})
_GRANTED = "in the enterprise projects that the user may see, not in the whole project"
# The date of an answer has no fractions of a second.
_DATE_STEP_S = 1.0
_LOST: Mapping[Use, str] = {
    Use.LOGIN: "it is not known who asks",
    Use.RUN: "no run is possible without it",
    Use.KEY_PAIR: "no plan with a key pair can be checked",
    Use.NAMED: "what a plan names is not known",
    Use.PREFLIGHT: "plans are checked less",
    Use.EVIDENCE: "an unknown outcome is judged by the server alone",
    Use.CHANGE: "no run is possible without it",
    Use.REINSTALL: "no plan with reinstall: true is possible",
}


def credential_facts(credentials: Credentials) -> CredentialFacts:
    """Return which way to log in these credentials are; nothing secret of them."""
    proof = credentials.proof
    match proof:
        case Password():
            way, user = "password", proof.username or proof.user_id
        case GivenToken():
            way, user = "token", None
        case AccessKey():
            way, user = "access key", None
    return CredentialFacts(
        way=way,
        user=user,
        found_in=credentials.found_in,
        region=credentials.region,
        verify=credentials.verify,
        dated=isinstance(proof, AccessKey),
        temporary=isinstance(proof, AccessKey) and proof.security_token is not None,
        renewable=not isinstance(proof, GivenToken),
    )


def login_facts(grant: Grant) -> LoginFacts:
    """Return what a login has given."""
    life_s = None if grant.life_s is None or math.isinf(grant.life_s) else grant.life_s
    return LoginFacts(grant.project_id, grant.project_name, grant.domain_name, life_s)


async def knocked(
    session: Session, service: Service, origin: Origin, proxies: Proxies
) -> tuple[EndpointFacts, ClockFacts | None]:
    """Return how a service answers, and how far the clocks are apart if it has told the time.

    Raises CloudUnreachable, also for a certificate that is refused.
    """
    answer = await session.knock(origin)
    arrived, left = session.clock.moment(), answer.left or session.clock.moment()
    told_at = answer.told_at
    facts = EndpointFacts(
        service=service,
        address=str(origin),
        loopback=origin.loopback,
        status=answer.status,
        latency_s=arrived.since_s(left),
        proxy=proxies.for_host(origin.host),
    )
    if told_at is None:
        return facts, None
    # The cloud's clock showed it at some moment between the two of ours, cut off to the second.
    least_s = (left.wall - told_at).total_seconds() - _DATE_STEP_S
    most_s = (arrived.wall - told_at).total_seconds()
    ahead_s = least_s if least_s > 0 else min(most_s, 0.0)
    return facts, ClockFacts(ahead_s, arrived.wall, f"the {service} service")


class DryReads:
    """Every read that fleetos makes, tried once and cheaply. `keyed`: a plan is meant that gives servers a key pair."""

    def __init__(self, session: Session, place: Place, *, keyed: bool) -> None:
        self._session = session
        self._origins = {"ecs": place.ecs, "ims": place.ims, "evs": place.evs}
        self._keyed = keyed
        self._narrowed = False
        self._named = {
            "project": place.project_id,
            "job": _NO_JOB,
            "name": _NO_KEY_PAIR,
        }

    async def look(self, operation: Operation) -> PermissionFacts:
        """Return what a read shows of its permission. Raises AuthenticationFailed."""
        call = CALLS[operation]
        origin = self._origins.get(call.service)
        if origin is None:
            return self.untried(operation, "the cloud has no such service")
        if "{server}" in call.path and "server" not in self._named:
            return self.untried(operation, "no server is known to ask for")
        path = call.path.format(**{name: segment(value) for name, value in self._named.items()})
        read = Read(operation, origin, path, f"{call.method} {call.path}", call.sparing)
        granted = GrantedReads(self._session)
        try:
            answer = await (granted.read(read) if operation in _BY_PROJECT else self._session.read(read))
            self._narrowed |= granted.narrowed
            if operation == "list":
                # The reads of a single server have something to ask for then.
                self._named |= parsed(read.about, answer, _first_server)
        except AuthenticationFailed:
            raise
        except PermissionDenied as error:
            return self._found(operation, call, Right.REFUSED, error)
        except ReadRefused as error:
            if is_gone(error) or code_key(error.code or "") == _UNKNOWN_JOB:
                return self._found(operation, call, Right.ALLOWED)
            absent = error.status in _ABSENT
            return self._found(operation, call, Right.ABSENT if absent else Right.UNKNOWN, error)
        except CloudError as error:
            return self._found(operation, call, Right.UNKNOWN, error)
        found = self._found(operation, call, Right.ALLOWED)
        return replace(found, words=_GRANTED) if granted.narrowed else found

    def unknown(self, operation: Operation, error: CloudError) -> PermissionFacts:
        """Return that nothing is known of a read, and why."""
        return self._found(operation, CALLS[operation], Right.UNKNOWN, error)

    def untried(self, operation: Operation, why: str) -> PermissionFacts:
        """Return that a call was not tried, and why."""
        call = CALLS[operation]
        return PermissionFacts(operation, call.action, Right.UNTRIED, self._needs(call), _LOST[call.use], why)

    def _needs(self, call: Call) -> bool:
        return call.use in (Use.RUN, *EFFECTS) or (call.use is Use.KEY_PAIR and self._keyed)

    def _found(
        self, operation: Operation, call: Call, right: Right, error: CloudError | None = None
    ) -> PermissionFacts:
        words, code = (None, 0) if error is None else (error.message, error.exit_code)
        needed, lost = self._needs(call), _LOST[call.use]
        return PermissionFacts(operation, call.action, right, needed, lost, words, code, narrowed=self._narrowed)


def _first_server(listed: Fields) -> dict[str, str]:
    """The id of the first server of a list, nothing without one that can be read."""
    try:
        first = next(iter(parts(listed, "servers")), None)
        server_id = None if first is None else text(first, "id")
    except Unreadable:
        return {}
    return {} if server_id is None else {"server": server_id}
