"""Try every read that fleetos makes, and note what it shows of its permission. Change nothing, and judge nothing."""

from collections.abc import Mapping
from dataclasses import replace

from fleetos.app.doctor.cloud_rules import PermissionFacts, Right
from fleetos.cloud.api.reads import GrantedReads, is_gone, parse_response, segment
from fleetos.cloud.client import ProjectEndpoints
from fleetos.cloud.http.json_fields import Fields, InvalidJson, parts, text
from fleetos.cloud.operations import CALLS, EFFECTS, Call, Operation, Use
from fleetos.cloud.session import ReadRequest, Session
from fleetos.errors import AuthenticationFailed, CloudError, PermissionDenied, ReadRefused
from fleetos.model.codes import code_key

# Ids and names of nothing: that there is no such thing is said only to whom may ask for it.
_NO_JOB, _NO_KEY_PAIR = "0" * 32, "fleetos-doctor"
_UNKNOWN_JOB = "common.0011"
_ABSENT = frozenset({404, 405, 501})
# What may be allowed in some enterprise projects alone, and then is asked for in these.
_BY_PROJECT = frozenset({"list", "image", "volumes"})
_GRANTED = "in the enterprise projects that the user may see, not in the whole project"
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


class DryReads:
    """Every read that fleetos makes, tried once and cheaply. `keyed`: a plan is meant that gives servers a key pair."""

    def __init__(self, session: Session, place: ProjectEndpoints, *, keyed: bool) -> None:
        self._session = session
        self._origins = {"ecs": place.ecs, "ims": place.ims, "evs": place.evs}
        self._keyed = keyed
        self._narrowed = False
        self._named = {"project": place.project_id, "job": _NO_JOB, "name": _NO_KEY_PAIR}

    async def look(self, operation: Operation) -> PermissionFacts:
        """Return what a read shows of its permission. Raises AuthenticationFailed."""
        call = CALLS[operation]
        origin = self._origins.get(call.service)
        if origin is None:
            return self.untried(operation, "the cloud has no such service")
        if "{server}" in call.path and "server" not in self._named:
            return self.untried(operation, "no server is known to ask for")
        path = call.path.format(**{name: segment(value) for name, value in self._named.items()})
        read = ReadRequest(operation, origin, path, f"{call.method} {call.path}", call.trial_query)
        granted = GrantedReads(self._session)
        try:
            answer = await (granted.read(read) if operation in _BY_PROJECT else self._session.read(read))
            self._narrowed |= granted.narrowed
            if operation == "list":
                # The reads of a single server have something to ask for then.
                self._named |= parse_response(read.about, answer, _first_server)
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
    """Return the id of the first server of a list as a path parameter; empty if none can be read."""
    try:
        first = next(iter(parts(listed, "servers")), None)
        server_id = None if first is None else text(first, "id")
    except InvalidJson:
        return {}
    return {} if server_id is None else {"server": server_id}
