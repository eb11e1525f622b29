"""Perform actions against the cloud and deliver facts: the only effects of the engine."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fleetos.clock import Clock, Moment
from fleetos.engine.facts import (
    ChangeReplied,
    CloudNotReached,
    Fact,
    JobNotRead,
    JobRead,
    PowerReplied,
    Refused,
    ServerRead,
    ServersNotRead,
    TracesNotRead,
    TracesRead,
)
from fleetos.engine.protocols import Cloud
from fleetos.errors import AnswerLost, AuthenticationFailed, CloudError, CloudUnreachable, NotSent, PermissionDenied
from fleetos.limits import INTENT_MAX_AGE_S
from fleetos.model.inventory import Server
from fleetos.model.permit import Permit
from fleetos.model.run import Order, Secrets
from fleetos.model.states import Reason
from fleetos.model.traces import NO_TRACES
from fleetos.rules.observation import Observation
from fleetos.rules.polling import DueRead, ReadJob, ReadServer, ReadTraces, Sweep


@dataclass(frozen=True, slots=True)
class SubmitChange:
    """One changeos whose intent is durable."""

    server_id: str
    attempt: int
    order: Order
    stop_first: bool
    intended: Moment
    permit: Permit
    secrets: Secrets = field(repr=False)


@dataclass(frozen=True, slots=True)
class StopServers:
    """One stop whose intents are durable."""

    call_id: str
    server_ids: tuple[str, ...]
    hard: bool
    intended: Moment
    permit: Permit


@dataclass(frozen=True, slots=True)
class StartServers:
    """One start whose intents are durable."""

    call_id: str
    server_ids: tuple[str, ...]
    intended: Moment
    permit: Permit


Action = SubmitChange | StopServers | StartServers


class Performer:
    """Performer of actions, which delivers each fact that comes of them.

    `halted` returns, without waiting, why a write may not be sent now, or None.
    """

    def __init__(
        self,
        cloud: Cloud,
        clock: Clock,
        halted: Callable[[Action, Moment], str | None],
        deliver: Callable[[Fact], None],
    ) -> None:
        self._cloud = cloud
        self._clock = clock
        self._halted = halted
        self._deliver = deliver

    async def perform(self, action: Action) -> None:
        """Send one write and deliver its reply. The last check stands right before the request, without an await."""

        def last_check() -> str | None:
            now = self._clock.moment()
            age_s = now.age_s(action.intended)
            if age_s > INTENT_MAX_AGE_S:
                return f"not sent: the intent was {age_s:.1f} s old"
            return self._halted(action, now)

        permit = action.permit
        match action:
            case SubmitChange(server_id, attempt, order, stop_first):
                reply = await self._cloud.change_os(
                    server_id, order, action.secrets, stop_first=stop_first, permit=permit, last_check=last_check
                )
                self._deliver(ChangeReplied(server_id, attempt, reply))
            case StopServers(call_id, server_ids, hard):
                reply = await self._cloud.stop(server_ids, hard=hard, permit=permit, last_check=last_check)
                self._deliver(PowerReplied(call_id, server_ids, reply))
            case StartServers(call_id, server_ids):
                reply = await self._cloud.start(server_ids, permit=permit, last_check=last_check)
                self._deliver(PowerReplied(call_id, server_ids, reply))

    async def read(self, read: DueRead) -> None:
        """Perform one read and deliver what it shows, or that it shows nothing."""
        requested = self._clock.moment()
        try:
            facts = await self._read(read, requested)
        except AuthenticationFailed as error:
            facts = [*_not_read(read), Refused(Reason.AUTHENTICATION, error.message)]
        except PermissionDenied as error:
            facts = [*_not_read(read), Refused(Reason.PERMISSION, error.message)]
            if isinstance(read, ReadTraces):
                # What may not be read counts as not offered: the run can do without it.
                facts = [TracesRead(read.server_id, NO_TRACES, requested)]
        except (CloudUnreachable, NotSent, AnswerLost) as error:
            facts = [*_not_read(read), CloudNotReached(error.message)]
        except CloudError:
            facts = _not_read(read)
        for fact in facts:
            self._deliver(fact)

    async def _read(self, read: DueRead, requested: Moment) -> list[Fact]:
        match read:
            case Sweep():
                servers = await self._cloud.sweep(read.server_ids)
                received = self._clock.moment()
                absent = tuple(server_id for server_id in read.server_ids if server_id not in servers)
                facts: list[Fact] = [
                    ServerRead(server_id, _observe(servers[server_id], requested, received, single=False))
                    for server_id in read.server_ids
                    if server_id in servers
                ]
                return [*facts, ServersNotRead(absent)] if absent else facts
            case ReadServer():
                server = await self._cloud.server(read.server_id)
                return [ServerRead(read.server_id, _observe(server, requested, self._clock.moment(), single=True))]
            case ReadJob():
                job = await self._cloud.job(read.job_id)
                return [JobRead(read.job_id, read.server_ids, job)]
            case ReadTraces():
                traces = await self._cloud.traces(read.server_id, read.ask.since)
                return [TracesRead(read.server_id, traces or NO_TRACES, requested)]


def _observe(server: Server | None, requested: Moment, received: Moment, *, single: bool) -> Observation:
    if server is None:
        return Observation(None, requested, received, single)
    return Observation(server.snapshot, server.asked or requested, received, single, server.cloud_time)


def _not_read(read: DueRead) -> list[Fact]:
    match read:
        case Sweep():
            return [ServersNotRead(read.server_ids)]
        case ReadJob():
            return [JobNotRead(read.job_id, read.server_ids)]
        case ReadTraces():
            return [TracesNotRead(read.server_id)]
        case ReadServer():
            return [ServersNotRead((read.server_id,))]
