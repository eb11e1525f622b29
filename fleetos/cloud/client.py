"""CloudClient: servers, jobs, power, OS change of one project."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime

import anyio

from fleetos.cloud.api.action_log import (
    Action,
    disk_actions,
    find_own_change,
    limit_traces,
    read_change_end,
    volume_traces,
)
from fleetos.cloud.api.decode import read_job, read_server
from fleetos.cloud.api.images import Images
from fleetos.cloud.api.project import Project, ProjectEndpoints
from fleetos.cloud.api.reads import is_gone, parse_response, read_if_offered, segment
from fleetos.cloud.api.request_bodies import change_body, start_body, stop_body
from fleetos.cloud.api.servers import ServerList
from fleetos.cloud.http.error_body import parse_error_body
from fleetos.cloud.http.json_fields import Fields, part
from fleetos.cloud.operations import Operation
from fleetos.cloud.rate.priority_queue import Priority
from fleetos.cloud.session import ReadRequest, Session, WriteRequest
from fleetos.errors import CloudError, ReadRefused
from fleetos.limits import LIST_PAGE, POWER_CALL_SERVERS
from fleetos.model.codes import code_key
from fleetos.model.experience import Limit
from fleetos.model.inventory import Inventory, Job, Reply, Server, Undelivered
from fleetos.model.permit import LastCheck, Permit
from fleetos.model.run import Order, Secrets
from fleetos.model.traces import LoggedChange, Traces

_UNKNOWN_JOB = "common.0011"


class CloudClient:
    """Client of one project of a cloud.

    Reads raise AuthenticationFailed, PermissionDenied, CloudUnreachable or ReadRefused. Writes are sent at most once
    and do not raise. `images` and `project` read everything that a plan needs besides servers.
    """

    def __init__(self, session: Session, place: ProjectEndpoints) -> None:
        self.place = place
        self._session = session
        self._list = ServerList(session, place.ecs, place.project_id)
        self.images = Images(session, place.ims)
        self.project = Project(session, place)

    @property
    def simulated(self) -> bool:
        """True if every response so far, and at least one, came from a simulated cloud."""
        return self._session.simulated

    # --- rate ------------------------------------------------------------------------------------------------

    def permit(self) -> Permit | None:
        """Return a permit for one write, or None while the rate, a pause or the connections allow none."""
        return self._session.throttle.permit()

    def permit_in_s(self) -> float:
        """Return the seconds until `permit` is worth calling again, 0 if now."""
        return self._session.throttle.permit_in_s()

    def read_rate_per_s(self) -> float | None:
        """Return the allowed reads per second, None for unlimited."""
        return self._session.throttle.read_rate_per_s()

    def write_rate_per_s(self) -> float | None:
        """Return the allowed writes per second, None for unlimited."""
        return self._session.throttle.write_rate_per_s()

    def recall(self, limits: Mapping[str, Limit]) -> None:
        """Start with the limits that earlier runs learned, where they are slower than the current rate."""
        self._session.throttle.recall(limits, self._session.clock.now())

    def learned(self) -> Mapping[str, Limit]:
        """Return the limits that are worth remembering, by kind of request."""
        return self._session.throttle.learned(self._session.clock.now())

    def sweep_calls(self, servers: int) -> int:
        """Return the number of requests that a sweep of `servers` servers takes."""
        return min(servers, self._list.count_requests(servers))

    @property
    def requests(self) -> Mapping[str, int]:
        """Number of requests that left this machine so far, by operation."""
        return self._session.sent_counts

    # --- reads -----------------------------------------------------------------------------------------------

    async def server(self, server_id: str) -> Server | None:
        """Return the server by a single read, None if the cloud says that it does not exist (API page ecs_02_0104).

        A 404 alone is no proof, since gateways answer it too: the body must have a code that says so.
        """
        return await self._server(server_id, Priority.EVIDENCE)

    async def _server(self, server_id: str, priority: Priority) -> Server | None:
        about = f"server {server_id}"
        path = f"/v1/{self.place.project_id}/cloudservers/{segment(server_id)}"
        try:
            response = await self._session.read(self._read("server", path, about, priority))
        except ReadRefused as error:
            if is_gone(error):
                return None
            raise

        def parse(fields: Fields) -> Server:
            return read_server(part(fields, "server"), response.secrets, response.sent_at, response.cloud_time)

        server = parse_response(about, response, parse)
        if server.id != server_id:
            raise ReadRefused(f"{about}: the cloud answers with another server, {server.id}", status=response.status)
        return server

    async def sweep(self, server_ids: Sequence[str]) -> Mapping[str, Server]:
        """Return the servers that the cloud shows, by list pages, or one by one if that takes fewer requests."""
        wanted = frozenset(server_ids)
        if len(wanted) <= 1 or len(wanted) < self._list.count_requests(len(wanted)):
            return await self._one_by_one(sorted(wanted))
        return await self._list.sweep(wanted)

    async def list_servers(self) -> Inventory:
        """Return all servers of the project."""
        servers, unidentified = await self._list.list_all()
        return Inventory(servers, tuple(unidentified))

    async def job(self, job_id: str) -> Job | None:
        """Return the job, None if the cloud does not know it (API page ecs_02_0901); it forgets old jobs."""
        about = f"job {job_id}"
        path = f"/v1/{self.place.project_id}/jobs/{segment(job_id)}"
        try:
            response = await self._session.read(self._read("job", path, about))
        except ReadRefused as error:
            if is_gone(error) or code_key(error.code or "") == _UNKNOWN_JOB:
                return None
            raise
        fields = parse_response(about, response, lambda fields: fields)
        # The cloud may answer a failed query with a 200 that has a code and no status.
        if fields.get("status") is None:
            code = parse_error_body(response.headers, response.body, response.secrets).code
            if code_key(code or "") == _UNKNOWN_JOB:
                return None
        return parse_response(about, response, lambda fields: read_job(fields, job_id, response.secrets))

    async def traces(self, server_id: str, since: datetime) -> Traces | None:
        """Return traces of what was done to the server's disks since `since`; None if the cloud offers no view."""
        project, server = self.place.project_id, segment(server_id)
        path = f"/v2.1/{project}/servers/{server}/os-instance-actions"
        read = self._read("actions", path, f"the actions on server {server_id}", Priority.EVIDENCE)
        actions = await read_if_offered(self._session, read, lambda fields: disk_actions(fields, since))
        volumes = None
        if self.place.evs is not None:
            params = {"server_id": server_id, "limit": str(LIST_PAGE)}
            about = f"the volumes of server {server_id}"
            read = ReadRequest(
                "volumes", self.place.evs, f"/v2/{project}/cloudvolumes/detail", about, params, Priority.EVIDENCE
            )
            volumes = await read_if_offered(self._session, read, lambda fields: volume_traces(fields, server_id, since))
        if actions is None and volumes is None:
            return None
        descriptions = (*limit_traces([action.description for action in actions or ()]), *limit_traces(volumes or ()))
        return Traces(descriptions, await self._logged_change(path, actions) if actions and not volumes else None)

    async def _logged_change(self, path: str, actions: Sequence[Action]) -> LoggedChange | None:
        """Return the end of our own OS change if it is the only action; None in any doubt."""
        if len(actions) != 1 or (action := find_own_change(actions, await self.user_id())) is None:
            return None
        about = f"action {action.request_id}"
        read = self._read("action", f"{path}/{segment(action.request_id or '')}", about, Priority.EVIDENCE)
        return await read_if_offered(self._session, read, lambda fields: read_change_end(fields, action))

    async def user_id(self) -> str | None:
        """Return the id of the user who makes the requests: the token's, or the access key's if IAM shows it."""
        return self.place.user_id or await self._session.access_key_user()

    def hide(self, password: str) -> None:
        """Redact a password from everything that the cloud returns later, such as the reason of a failed job."""
        self._session.hide(password)

    # --- writes ----------------------------------------------------------------------------------------------

    async def stop(self, server_ids: Sequence[str], *, hard: bool, permit: Permit, last_check: LastCheck) -> Reply:
        """Send one stop of several servers and return the reply (API page ecs_02_0303: at most 1000 servers)."""
        return await self._power("stop", server_ids, stop_body(server_ids, hard=hard), permit, last_check)

    async def start(self, server_ids: Sequence[str], *, permit: Permit, last_check: LastCheck) -> Reply:
        """Send one start of several servers and return the reply."""
        return await self._power("start", server_ids, start_body(server_ids), permit, last_check)

    async def change_os(
        self,
        server_id: str,
        order: Order,
        secrets: Secrets,
        *,
        stop_first: bool,
        permit: Permit,
        last_check: LastCheck,
    ) -> Reply:
        """Send one changeos (API page ecs_02_0202), or one reinstallos if the order says so; return the reply.

        `stop_first` sends mode withStopServer.
        """
        if secrets.user_data is not None and order.api == "v1":
            permit.give_back()
            return Undelivered("user data needs v2 of the call")
        operation: Operation = "reinstallos" if order.reinstall else "changeos"
        path = f"/{order.api}/{self.place.project_id}/cloudservers/{segment(server_id)}/{operation}"
        body = change_body(order, secrets, user_id=self.place.user_id, stop_first=stop_first)
        if secrets.adminpass is not None:
            self.hide(secrets.adminpass)
        write = WriteRequest(operation, self.place.ecs, path, body, _quotable_secrets(secrets))
        return await self._session.write(write, permit, last_check)

    async def _power(
        self,
        operation: Operation,
        server_ids: Sequence[str],
        body: Mapping[str, object],
        permit: Permit,
        last_check: LastCheck,
    ) -> Reply:
        if not 1 <= len(server_ids) <= POWER_CALL_SERVERS:
            permit.give_back()
            return Undelivered(f"a call names 1 to {POWER_CALL_SERVERS} servers, not {len(server_ids)}")
        path = f"/v1/{self.place.project_id}/cloudservers/action"
        return await self._session.write(WriteRequest(operation, self.place.ecs, path, body), permit, last_check)

    # --- helpers ---------------------------------------------------------------------------------------------

    def _read(self, operation: Operation, path: str, about: str, priority: Priority = Priority.POLL) -> ReadRequest:
        return ReadRequest(operation, self.place.ecs, path, about, priority=priority)

    async def _one_by_one(self, server_ids: Sequence[str]) -> dict[str, Server]:
        """Read the servers one by one, concurrently. A refused read leaves its server out, unless all are refused."""
        servers: dict[str, Server] = {}
        failures: list[CloudError] = []

        async def read_one(server_id: str) -> None:
            try:
                server = await self._server(server_id, Priority.POLL)
            except CloudError as error:
                failures.append(error)
                return
            if server is not None:
                servers[server_id] = server

        async with anyio.create_task_group() as group:
            for server_id in server_ids:
                group.start_soon(read_one, server_id)
        for error in failures:
            if not servers or not isinstance(error, ReadRefused):
                raise error
        return servers


def _quotable_secrets(secrets: Secrets) -> tuple[str, ...]:
    """Return the secrets as the cloud may quote them: user data as it is, and as it was sent."""
    quotable = [] if secrets.adminpass is None else [secrets.adminpass]
    if secrets.user_data is not None:
        quotable += [secrets.user_data.decode(errors="replace"), b64encode(secrets.user_data).decode()]
    return tuple(quotable)
