"""Facts about the cloud, and judgements on them: fine, doubtful or broken, and what to do about it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from fleetos.errors import AuthenticationFailed, FleetosError
from fleetos.model.diagnosis import Diagnosis, Grade, Topic, diagnose_error, format_roughly
from fleetos.model.experience import Experience
from fleetos.text import counted

# From this difference on a clock is worth a look: a machine that asks a time server is within a second, and what is
# noted of a run should be found in the cloud's own logs.
CLOCK_DOUBTFUL_S = 60.0
# A signature whose time is further off is refused (API Request Signing Guide).
SIGNATURE_OFF_S = 900.0
# A token that cannot be renewed and ends sooner than many a rollout.
TOKEN_SHORT_S = 3600.0
# Clocks that were set to the time of another zone are off by such steps, but for a little.
_ZONE_STEP_S, _ZONE_SLACK_S = 1800.0, 90.0


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """Facts about the credentials. None of them is secret."""

    way: str
    """Way to log in."""
    user: str | None
    """None: the credentials do not name their user."""
    found_in: str
    """Source of the credentials."""
    region: str | None
    verify: bool
    """TLS certificates of the cloud are verified."""
    dated: bool = False
    """Requests carry a date, as with an access key: a wrong clock makes the credentials worthless."""
    temporary: bool = False
    """The credentials end at a time that nobody states."""
    renewable: bool = True
    """fleetos can log in again when the token ends."""


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """Facts from the login. None: the cloud does not say."""

    project_id: str
    project: str | None
    domain: str | None
    life_s: float | None


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """Answer of a service to a request without credentials."""

    service: str
    address: str
    loopback: bool
    """The address is on this machine."""
    status: int
    """HTTP status."""
    latency_s: float
    """Duration of the request, connecting included."""
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """Difference between the clocks of this machine and of the cloud."""

    ahead_s: float
    """Least time by which this machine is ahead, negative if it is behind."""
    here: datetime
    """Time by this machine's clock."""
    by: str
    """Service whose answer had the date."""


class Right(StrEnum):
    """Permission for a call, as far as a trial read shows it."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    ABSENT = "absent"  # the cloud has no such call
    UNKNOWN = "unknown"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class PermissionFacts:
    """Facts about the permission for one call."""

    call: str
    action: str | None
    """The cloud's name of the permission."""
    right: Right
    needed: bool
    """No run is possible without the call."""
    lost: str
    """Feature that is missing without the call."""
    words: str | None = None
    """Message of the error, if the call failed."""
    exit_code: int = 0
    narrowed: bool = False
    """The user may see servers of some enterprise projects only."""


def of_credentials(facts: CredentialFacts) -> Diagnosis:
    """Judge the credentials that were found."""
    who = f" of {facts.user}" if facts.user else ""
    text = f"by the {facts.way}{who}, from {facts.found_in}"
    values = {"way": facts.way, "user": facts.user, "found_in": facts.found_in, "region": facts.region}
    if not facts.verify:
        hint = "take verify: false out of the cloud's entry"
        return Diagnosis(
            Topic.CREDENTIALS, Grade.DOUBTFUL, f"{text}; every certificate is trusted", hint, values=values
        )
    return Diagnosis(Topic.CREDENTIALS, Grade.FINE, text, values=values)


def of_login(facts: LoginFacts, access: CredentialFacts) -> Diagnosis:
    """Judge what the login gave, and for how long."""
    values = {"project_id": facts.project_id, "project": facts.project, "domain": facts.domain}
    values |= {"life_s": facts.life_s if facts.life_s is None else round(facts.life_s)}
    named = f"{facts.project} ({facts.project_id})" if facts.project else facts.project_id
    text = f"for project {named}" + (f" of domain {facts.domain}" if facts.domain else "")
    if access.temporary:
        text = f"{text}; the key is one for a time, and nobody says when it ends"
        hint = "a run that outlives it pauses: give a new one, then fleetos resume"
        return Diagnosis(Topic.LOGIN, Grade.DOUBTFUL, text, hint, values=values)
    if facts.life_s is not None:
        text = f"{text}; the token is valid for {format_roughly(facts.life_s)}"
        text = f"{text} and renewed by itself" if access.renewable else text
    if not access.renewable and facts.life_s is not None and facts.life_s < TOKEN_SHORT_S:
        hint = "a run that outlives it pauses: give a new one, then fleetos resume"
        return Diagnosis(Topic.LOGIN, Grade.DOUBTFUL, text, hint, values=values)
    return Diagnosis(Topic.LOGIN, Grade.FINE, text, values=values)


def of_clock(facts: ClockFacts, access: CredentialFacts) -> Diagnosis:
    """Judge the clock. One that differs means nothing to what is sent, but a signature far off is refused (ADR 9)."""
    off_s = abs(facts.ahead_s)
    values = {"ahead_s": round(facts.ahead_s, 1), "here": f"{facts.here:%Y-%m-%dT%H:%M:%S}Z"}
    if off_s < CLOCK_DOUBTFUL_S:
        text = f"{facts.here:%Y-%m-%d %H:%M:%S} UTC here, as {facts.by} has it"
        return Diagnosis(Topic.CLOCK, Grade.FINE, text, values=values)
    text = f"this machine is {format_roughly(off_s)} {'ahead of' if facts.ahead_s > 0 else 'behind'} {facts.by}"
    steps = round(off_s / _ZONE_STEP_S)
    hint = "set it, best by a time server"
    if steps and abs(off_s - steps * _ZONE_STEP_S) < _ZONE_SLACK_S:
        hint = f"{hint}; it looks as if the time of a zone had been set as UTC"
    if access.dated and off_s >= SIGNATURE_OFF_S:
        text = f"{text}: the cloud refuses signatures that are more than 15 minutes off"
        code = AuthenticationFailed.exit_code
        return Diagnosis(Topic.CLOCK, Grade.BROKEN, text, hint, values=values, exit_code=code)
    text = f"{text}: nothing is sent wrongly for that, but the times that fleetos notes are not the cloud's"
    return Diagnosis(Topic.CLOCK, Grade.DOUBTFUL, text, hint, values=values)


def of_endpoint(facts: EndpointFacts, access: CredentialFacts) -> Diagnosis:
    """Judge a service that has answered, whatever it answered."""
    latency_ms = round(facts.latency_s * 1000)
    secure = facts.address.startswith("https:")
    values = {"address": facts.address, "status": facts.status, "latency_ms": latency_ms, "tls": secure}
    how = "no TLS" if not secure else "certificate verified" if access.verify else "certificate not verified"
    text = f"{facts.address} answers in {latency_ms} ms, {how}" + (f", by {facts.proxy}" if facts.proxy else "")
    if facts.status >= 500:
        text = f"{text}, and is in trouble (HTTP {facts.status})"
        return Diagnosis(Topic.ENDPOINT, Grade.DOUBTFUL, text, "try again later", facts.service, values)
    if not (secure or facts.loopback):
        hint = "anybody on the way can read the token; use https"
        return Diagnosis(Topic.ENDPOINT, Grade.DOUBTFUL, text, hint, facts.service, values)
    return Diagnosis(Topic.ENDPOINT, Grade.FINE, text, None, facts.service, values)


def of_silence(service: str, error: FleetosError, *, needed: bool) -> Diagnosis:
    """Judge a service that does not answer: nothing worse than a doubt where runs do without it."""
    diagnosis = diagnose_error(Topic.ENDPOINT, error, service)
    return diagnosis if needed else replace(diagnosis, grade=Grade.DOUBTFUL, exit_code=0)


def without_endpoint(service: str) -> Diagnosis:
    """Judge a service that the cloud does not have, and that fleetos can do without."""
    text = "the cloud's catalog has none: sizes of disks and their quota are not checked"
    hint = f"set {service}_endpoint_override in the cloud's entry, if there is one"
    return Diagnosis(Topic.ENDPOINT, Grade.DOUBTFUL, text, hint, service)


def of_permission(facts: PermissionFacts) -> Diagnosis:
    """Judge what a dry read has shown; say what is lost without the permission."""
    values = {"action": facts.action, "right": facts.right.value}
    named = f" ({facts.action})" if facts.action else ""
    if facts.right is Right.ALLOWED:
        text = f"allowed{named}" + (f" {facts.words}" if facts.words else "")
        return Diagnosis(Topic.PERMISSION, Grade.FINE, text, None, facts.call, values)
    if facts.right is Right.UNTRIED:
        text = f"not tried{named}: {facts.words}"
        return Diagnosis(Topic.PERMISSION, Grade.SKIPPED, text, None, facts.call, values)
    grade = Grade.BROKEN if facts.needed else Grade.DOUBTFUL
    code = facts.exit_code if facts.needed else 0
    if facts.right is Right.REFUSED:
        hint = f"allow {facts.action}: fleetos doctor --policy" if facts.action else "fleetos doctor --policy"
        if facts.narrowed and facts.action:
            # A permission in an enterprise project, which the user may well have, does not cover it.
            hint = f"allow {facts.action} in the whole project: fleetos doctor --policy"
        text = f"refused{named}: {facts.lost}. {facts.words}"
        return Diagnosis(Topic.PERMISSION, grade, text, hint, facts.call, values, code)
    if facts.right is Right.ABSENT:
        hint = "is the endpoint right?" if facts.needed else None
        text = f"the cloud has no such call: {facts.lost}"
        return Diagnosis(Topic.PERMISSION, grade, text, hint, facts.call, values, code)
    return Diagnosis(Topic.PERMISSION, grade, f"not known: {facts.words}", None, facts.call, values, code)


def of_memory(known: Experience, kept_s: float, now: datetime) -> Sequence[Diagnosis]:
    """Report the rate limits and the durations of changes that earlier runs have learned.

    `kept_s`: time for which limits count after they were learned.
    """
    changes, longest_s = sum(map(len, known.changes.values())), known.longest_change_s
    kinds = len(known.changes)
    durations = {"changes": changes, "kinds": kinds, "longest_change_s": longest_s}
    remembered = f"remembered: {counted(changes, 'change')} of {counted(kinds, 'kind')} (image, flavor, zone)"
    watched = "an unknown outcome is watched for at least twice as long, up to timeouts.change"
    longest = f", the longest took {format_roughly(longest_s)}: {watched}" if longest_s else ""
    diagnoses: list[Diagnosis] = []
    for kind, limit in known.limits.items():
        age_s = max(0.0, (now - limit.learned_at).total_seconds())
        since = f"{limit.learned_at:%Y-%m-%d %H:%M} UTC"
        how = "named by the cloud" if limit.told else "found by its refusals"
        text = f"{limit.rate_per_s:.3g} {kind}s a second, {how}, last refused {since}"
        values = {"rate_per_s": limit.rate_per_s, "told": limit.told, "learned_at": f"{limit.learned_at:%FT%TZ}"}
        in_force = age_s < kept_s
        text = f"{text}; {'in force' if in_force else 'forgotten by now'}"
        hint = f"forgotten {format_roughly(kept_s)} after the last refusal (429)" if in_force else None
        diagnoses.append(Diagnosis(Topic.LIMITS, Grade.FINE, text, hint, f"{kind}s", {**values, "in_force": in_force}))
    if not diagnoses:
        diagnoses.append(Diagnosis(Topic.LIMITS, Grade.FINE, "none was learned here: no 429 is remembered"))
    return [*diagnoses, Diagnosis(Topic.DURATIONS, Grade.FINE, f"{remembered}{longest}", values=durations)]
