"""Collect facts about the cloud and have them judged: from the credentials to the reads that fleetos makes."""

import math
import os
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from fleetos.app.context import AppContext, chosen_cloud, scope_key
from fleetos.app.doctor.cloud_checks import DryReads
from fleetos.app.doctor.cloud_rules import (
    ClockFacts,
    CredentialFacts,
    EndpointFacts,
    LoginFacts,
    PermissionFacts,
    of_clock,
    of_credentials,
    of_endpoint,
    of_login,
    of_memory,
    of_permission,
    of_silence,
    without_endpoint,
)
from fleetos.app.survey import scope_of
from fleetos.cloud.auth.credentials import AccessKey, Credentials, GivenToken, Password
from fleetos.cloud.auth.grant import Grant
from fleetos.cloud.client import CloudClient, ProjectEndpoints
from fleetos.cloud.connect import iam_address, open_session, project_endpoints, with_overrides
from fleetos.cloud.http.addresses import Origin, Proxies, proxies_from
from fleetos.cloud.operations import CALLS, DRY_READS, EFFECTS, Operation, Service
from fleetos.cloud.session import Session
from fleetos.errors import (
    AuthenticationFailed,
    CloudError,
    CloudUnreachable,
    FleetosError,
    InputError,
    NoCredentials,
    StoreError,
    UsageError,
)
from fleetos.ids import SystemChance
from fleetos.limits import EXAMINED_WITHIN_S, LIMIT_FORGOTTEN_LOOPBACK_S, LIMIT_FORGOTTEN_S
from fleetos.model.diagnosis import Diagnosis, Grade, OnDiagnosis, Topic, diagnose_error, diagnose_skipped
from fleetos.model.plan import ApiLimits, Plan
from fleetos.store import history
from fleetos.store.database.database import Database

T = TypeVar("T")
# The date of an answer has no fractions of a second.
_DATE_STEP_S = 1.0
_CLOUD = (Topic.ENDPOINT, Topic.CLOCK, Topic.LOGIN, Topic.PERMISSION, Topic.LIMITS, Topic.DURATIONS)


async def probe_cloud(
    context: AppContext, plan: Plan | None, asked: str | None, database: Database | None, tell: OnDiagnosis
) -> None:
    """Report every check of the cloud. `database` None: no database can be read."""
    try:
        name = chosen_cloud(asked, None if plan is None else plan.cloud)
        access = await context.credentials(name, None if plan is None else plan.region)
    except NoCredentials as error:
        hint = "name an entry of clouds.yaml (--cloud, OS_CLOUD), or set the OS_* variables"
        text, code = "no credentials were found", error.exit_code
        tell(Diagnosis(Topic.CREDENTIALS, Grade.BROKEN, text, hint, exit_code=code))
        _leave_out(tell, "there are no credentials", *_CLOUD)
        return
    except FleetosError as error:
        tell(diagnose_error(Topic.CREDENTIALS, error))
        _leave_out(tell, "there are no usable credentials", *_CLOUD)
        return
    limits = ApiLimits() if plan is None else plan.api
    opening = open_session(access, clock=context.clock, chance=SystemChance(), limits=limits, env=os.environ)
    facts = credential_facts(access)
    tell(of_credentials(facts))
    try:
        async with opening as session:
            keyed = plan is not None and _gives_key_pair(plan)
            await _Probe(session, access, facts, tell, keyed).all(name, database)
    except UsageError as error:
        tell(diagnose_error(Topic.ENDPOINT, error))
        _leave_out(tell, "the cloud cannot be asked", *_CLOUD[1:])


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


async def probe_endpoint(
    session: Session, service: Service, origin: Origin, proxies: Proxies
) -> tuple[EndpointFacts, ClockFacts | None]:
    """Return the answer of a service, and the difference between the clocks if the answer has a date.

    Raise CloudUnreachable, also for a certificate that is refused.
    """
    answer = await session.probe_endpoint(origin)
    arrived, left = session.clock.moment(), answer.sent_at or session.clock.moment()
    cloud_time = answer.cloud_time
    facts = EndpointFacts(
        service=service,
        address=str(origin),
        loopback=origin.loopback,
        status=answer.status,
        latency_s=arrived.since_s(left),
        proxy=proxies.for_host(origin.host),
    )
    if cloud_time is None:
        return facts, None
    # The cloud's clock showed it at some moment between the two of ours, cut off to the second.
    least_s = (left.wall - cloud_time).total_seconds() - _DATE_STEP_S
    most_s = (arrived.wall - cloud_time).total_seconds()
    ahead_s = least_s if least_s > 0 else min(most_s, 0.0)
    return facts, ClockFacts(ahead_s, arrived.wall, f"the {service} service")


def _gives_key_pair(plan: Plan) -> bool:
    return any(change.keyname for change in (plan.change, *(server.change for server in plan.servers)))


def _leave_out(tell: OnDiagnosis, why: str, *topics: Topic) -> None:
    for topic in topics:
        tell(diagnose_skipped(topic, why))


@dataclass
class _Probe:
    """Probe of one cloud. What it finds is told as it comes."""

    session: Session
    access: Credentials
    facts: CredentialFacts
    tell: OnDiagnosis
    keyed: bool

    def __post_init__(self) -> None:
        self._proxies = proxies_from(os.environ)
        self._clock_judged = False

    async def all(self, name: str | None, database: Database | None) -> None:
        """Look at everything that can be looked at. Raise UsageError for an address that cannot be one."""
        _, iam = iam_address(with_overrides(self.access, os.environ))
        if iam is None:
            self.tell(
                diagnose_skipped(Topic.ENDPOINT, "nothing says where IAM is, and nothing needs to", subject="iam")
            )
        else:
            await self._probe_endpoints([("iam", iam)])
        grant = await self._login()
        if grant is None:
            return
        try:
            place = project_endpoints(grant, with_overrides(self.access, os.environ))
        except (UsageError, InputError) as error:
            self.tell(diagnose_error(Topic.ENDPOINT, error))
            self._without(Topic.PERMISSION, Topic.LIMITS, Topic.DURATIONS, why="the services are not known")
            return
        services: list[tuple[Service, Origin]] = [("ecs", place.ecs), ("ims", place.ims)]
        await self._probe_endpoints([*services, ("evs", place.evs)] if place.evs is not None else services)
        if place.evs is None:
            self.tell(without_endpoint("evs"))
        if not self._clock_judged:
            self.tell(diagnose_skipped(Topic.CLOCK, "no answer bears a date"))
        if await self._permissions(place, grant):
            await self._memory(name, place, database)

    def _without(self, *topics: Topic, why: str) -> None:
        if not self._clock_judged:
            topics = (Topic.CLOCK, *topics)
        _leave_out(self.tell, why, *topics)

    async def _probe_endpoints(self, services: Sequence[tuple[Service, Origin]]) -> None:
        """Probe the services concurrently; report them in order, and the clock after the first answer with a date."""
        diagnoses: dict[str, Diagnosis] = {}
        clocks: dict[str, ClockFacts] = {}

        async def probe_service(service: Service, origin: Origin) -> None:
            try:
                endpoint, clock = await self._in_time(
                    service, probe_endpoint(self.session, service, origin, self._proxies)
                )
            except CloudError as error:
                diagnoses[service] = of_silence(service, error, needed=self._needs(service))
                return
            diagnoses[service] = of_endpoint(endpoint, self.facts)
            if clock is not None:
                clocks[service] = clock

        async with anyio.create_task_group() as group:
            for service, origin in services:
                group.start_soon(probe_service, service, origin)
        for service, _ in services:
            self.tell(diagnoses[service])
            if service in clocks and not self._clock_judged:
                self._clock_judged = True
                self.tell(of_clock(clocks[service], self.facts))

    def _needs(self, service: Service) -> bool:
        """Return whether a run needs the service. An access key whose project is known does not need IAM."""
        return service != "evs" and not (service == "iam" and self.facts.dated and self.access.project_id is not None)

    async def _login(self) -> Grant | None:
        try:
            grant = await self._in_time("the login", self.session.login())
        except (CloudError, UsageError) as error:
            self.tell(diagnose_error(Topic.LOGIN, error))
            self._without(Topic.PERMISSION, Topic.LIMITS, Topic.DURATIONS, why="it needs the login")
            return None
        if not self.facts.dated:
            self.tell(of_login(login_facts(grant), self.facts))
        return grant

    async def _permissions(self, place: ProjectEndpoints, grant: Grant) -> bool:
        """Report what each dry read shows; return whether the cloud accepts the credentials.

        An access key is tried by the first read alone.
        """
        reads = DryReads(self.session, place, keyed=self.keyed)
        first, *others = DRY_READS
        try:
            first_facts = [await self._read(reads, first)]
        except AuthenticationFailed as error:
            self.tell(diagnose_error(Topic.LOGIN, error))
            _leave_out(self.tell, "it needs the login", Topic.PERMISSION, Topic.LIMITS, Topic.DURATIONS)
            return False
        if self.facts.dated:
            self.tell(of_login(login_facts(grant), self.facts))
        results: dict[Operation, PermissionFacts] = {}

        async def try_read(operation: Operation) -> None:
            try:
                results[operation] = await self._read(reads, operation)
            except AuthenticationFailed as error:
                results[operation] = reads.unknown(operation, error)

        async with anyio.create_task_group() as group:
            for operation in others:
                group.start_soon(try_read, operation)
        effects: list[Operation] = [operation for operation, call in CALLS.items() if call.use in EFFECTS]
        untried = [reads.untried(effect, "only doing it shows whether it is allowed") for effect in effects]
        for facts in (*first_facts, *(results[operation] for operation in others), *untried):
            self.tell(of_permission(facts))
        return True

    async def _read(self, reads: DryReads, operation: Operation) -> PermissionFacts:
        try:
            return await self._in_time(operation, reads.look(operation))
        except CloudUnreachable as error:
            return reads.unknown(operation, error)

    async def _memory(self, name: str | None, place: ProjectEndpoints, database: Database | None) -> None:
        if database is None:
            _leave_out(self.tell, "there is no database that remembers", Topic.LIMITS, Topic.DURATIONS)
            return
        try:
            known = await history.experience(database, scope_key(scope_of(name, CloudClient(self.session, place))))
        except StoreError as error:
            self.tell(diagnose_error(Topic.LIMITS, error))
            return
        kept_s = LIMIT_FORGOTTEN_LOOPBACK_S if self.session.simulated else LIMIT_FORGOTTEN_S
        for diagnosis in of_memory(known, kept_s, self.session.clock.now()):
            self.tell(diagnosis)

    async def _in_time(self, about: str, work: Awaitable[T]) -> T:
        """Return the result of the work. Raise CloudUnreachable after EXAMINED_WITHIN_S, and what the work raises."""
        try:
            with anyio.fail_after(EXAMINED_WITHIN_S):
                return await work
        except TimeoutError:
            paused = self.session.throttle.closed_for_s() > 0
            why = "the cloud asks for a pause (429)" if paused else f"no answer within {EXAMINED_WITHIN_S:g} s"
            raise CloudUnreachable(f"{about}: {why}", "try again later") from None
