"""One project of a cloud, as the engine and the planning see it: servers, jobs, power, changeos, images, key pairs."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime

import anyio

from fleetos.cloud.api.action_log import Action, actions, change_of, end_of, told, volume_traces
from fleetos.cloud.api.decode import key_pair_names, read_job, read_server
from fleetos.cloud.api.images import Images
from fleetos.cloud.api.project import Project, ProjectEndpoints
from fleetos.cloud.api.reads import is_gone, parsed, read_offered, segment
from fleetos.cloud.api.request_bodies import change_body, start_body, stop_body
from fleetos.cloud.api.servers import ServerList
from fleetos.cloud.http.error_body import parse_error_body
from fleetos.cloud.http.json_fields import Fields, part
from fleetos.cloud.http.transport import LastCheck
from fleetos.cloud.operations import Operation
from fleetos.cloud.rate.priority_queue import Priority
from fleetos.cloud.rate.throttle import Permit
from fleetos.cloud.session import ReadRequest, Session, WriteRequest
from fleetos.errors import CloudError, ReadRefused
from fleetos.limits import LIST_PAGE, POWER_CALL_SERVERS
from fleetos.model.codes import code_key
from fleetos.model.experience import Limit
from fleetos.model.inventory import Disks, Flavor, Image, Inventory, Job, KeyState, Quota, Reply, Server, Undelivered
from fleetos.model.run import Order, Secrets
from fleetos.model.traces import LoggedChange, Traces

_UNKNOWN_JOB, _NO_KEY_PAIR = "common.0011", "ecs.0314"


class CloudClient:
    """One project of a cloud.

    Reads raise AuthenticationFailed, PermissionDenied, CloudUnreachable or ReadRefused. Writes are sent at most once
    and do not raise.
    """

    def __init__(self, session: Session, place: ProjectEndpoints) -> None:
        self.place = place
        self._session = session
        self._list = ServerList(session, place.ecs, place.project_id)
        self._images = Images(session, place.ims)
        self._project = Project(session, place)

    @property
    def simulated(self) -> bool:
        """Whether all that has answered so far is a simulated cloud."""
        return self._session.simulated

    # --- the pace --------------------------------------------------------------------------------------------

    def permit(self) -> Permit | None:
        """Return a permit to write, or None while rate, closure or connections allow none."""
        return self._session.throttle.permit()

    def permit_in_s(self) -> float:
        """Return in how many seconds `permit` is worth asking again, 0 if now."""
        return self._session.throttle.permit_in_s()

    def read_rate_per_s(self) -> float | None:
        """Return how many reads a second the budget allows, None for unlimited."""
        return self._session.throttle.read_rate_per_s()

    def write_rate_per_s(self) -> float | None:
        """Return how many writes a second the budget allows, None for unlimited."""
        return self._session.throttle.write_rate_per_s()

    def recall(self, limits: Mapping[str, Limit]) -> None:
        """Begin with the limits that earlier runs have learned, where they are slower than the pace so far."""
        self._session.throttle.recall(limits, self._session.clock.now())

    def learned(self) -> Mapping[str, Limit]:
        """Return the limits that are worth remembering, by kind of request."""
        return self._session.throttle.learned(self._session.clock.now())

    def sweep_calls(self, servers: int) -> int:
        """Return how many requests a sweep of so many servers takes."""
        return min(servers, self._list.calls(servers))

    @property
    def requests(self) -> Mapping[str, int]:
        """How many requests left so far, by operation."""
        return self._session.left

    # --- reads -----------------------------------------------------------------------------------------------

    async def server(self, server_id: str) -> Server | None:
        """Return the server by a single read, None if the cloud says that there is none (API page ecs_02_0104).

        A 404 alone does not say so: gateways answer it too. It takes a code or a body that speaks of the server.
        """
        return await self._server(server_id, Priority.EVIDENCE)

    async def _server(self, server_id: str, rank: Priority) -> Server | None:
        about = f"server {server_id}"
        path = f"/v1/{self.place.project_id}/cloudservers/{segment(server_id)}"
        try:
            answer = await self._session.read(self._read("server", path, about, rank))
        except ReadRefused as error:
            if is_gone(error):
                return None
            raise

        def parse(fields: Fields) -> Server:
            return read_server(part(fields, "server"), answer.secrets, answer.left, answer.told_at)

        server = parsed(about, answer, parse)
        if server.id != server_id:
            raise ReadRefused(f"{about}: the cloud answers with another server, {server.id}", status=answer.status)
        return server

    async def sweep(self, server_ids: Sequence[str]) -> Mapping[str, Server]:
        """Return those of the servers that the cloud shows: by list pages, or one by one when that costs less."""
        wanted = frozenset(server_ids)
        if len(wanted) <= 1 or len(wanted) < self._list.calls(len(wanted)):
            return await self._one_by_one(sorted(wanted))
        return await self._list.sweep(wanted)

    async def list_servers(self) -> Inventory:
        """Return all servers of the project."""
        requested_at = self._session.clock.now()
        servers, unidentified = await self._list.walk()
        return Inventory(servers, requested_at, tuple(unidentified))

    async def job(self, job_id: str) -> Job | None:
        """Return the job, None if the cloud does not know it, or no longer (API page ecs_02_0901)."""
        about = f"job {job_id}"
        path = f"/v1/{self.place.project_id}/jobs/{segment(job_id)}"
        try:
            answer = await self._session.read(self._read("job", path, about))
        except ReadRefused as error:
            if is_gone(error) or code_key(error.code or "") == _UNKNOWN_JOB:
                return None
            raise
        fields = parsed(about, answer, lambda fields: fields)
        # A query that failed may also come as a 200 that holds a code in place of a status.
        if fields.get("status") is None:
            code = parse_error_body(answer.headers, answer.body, answer.secrets).code
            if code_key(code or "") == _UNKNOWN_JOB:
                return None
        return parsed(about, answer, lambda fields: read_job(fields, job_id, answer.secrets))

    async def traces(self, server_id: str, since: datetime) -> Traces | None:
        """Return what was done to the server's disks since then; None where no view is offered."""
        project, own = self.place.project_id, segment(server_id)
        path = f"/v2.1/{project}/servers/{own}/os-instance-actions"
        read = self._read("actions", path, f"the actions on server {server_id}", Priority.EVIDENCE)
        found = await read_offered(self._session, read, lambda fields: actions(fields, since))
        volumes = None
        if self.place.evs is not None:
            params = {"server_id": server_id, "limit": str(LIST_PAGE)}
            about = f"the volumes of server {server_id}"
            read = ReadRequest(
                "volumes", self.place.evs, f"/v2/{project}/cloudvolumes/detail", about, params, Priority.EVIDENCE
            )
            volumes = await read_offered(self._session, read, lambda fields: volume_traces(fields, server_id, since))
        if found is None and volumes is None:
            return None
        words = (*told([action.words for action in found or ()]), *told(volumes or ()))
        return Traces(words, await self._logged_change(path, found) if found and not volumes else None)

    async def _logged_change(self, path: str, found: Sequence[Action]) -> LoggedChange | None:
        """How the change of our own ended that is all that was done; None where that is not so, or not told."""
        if len(found) != 1 or (action := change_of(found, await self.user_id())) is None:
            return None
        about = f"action {action.request_id}"
        read = self._read("action", f"{path}/{segment(action.request_id or '')}", about, Priority.EVIDENCE)
        return await read_offered(self._session, read, lambda fields: end_of(fields, action))

    async def image(self, image_id: str) -> Image | None:
        """Return the image of that id, whatever its status; None if there is none."""
        return await self._images.by_id(image_id)

    async def images_named(self, name: str) -> tuple[Image, ...]:
        """Return the active images of exactly that name."""
        return await self._images.named(name)

    async def all_images(self) -> tuple[tuple[Image, ...], bool]:
        """Return the images that the project may use, and whether these are all of them."""
        return await self._images.all()

    async def disks(self, enough_gib: int) -> Disks | None:
        """Return the volumes of the project; of very many only those below that size. None where there is no EVS."""
        return await self._project.disks(enough_gib)

    async def flavors(self) -> Mapping[str, Flavor]:
        """Return the flavors by id."""
        return await self._project.flavors()

    async def disk_quota(self) -> Quota | None:
        """Return how many disks may still be made, None where there is no EVS."""
        return await self._project.disk_quota()

    async def server_quota(self) -> Quota:
        """Return how many servers may still be made."""
        return await self._project.server_quota()

    async def key_state(self, key_id: str) -> KeyState | None:
        """Return the state of an encryption key, None where there is no service for keys."""
        return await self._project.key_state(key_id)

    async def enterprise_projects(self) -> Mapping[str, str] | None:
        """Return the names of the enterprise projects by their ids, None where there is no service for them."""
        return await self._project.enterprise_projects()

    async def user_id(self) -> str | None:
        """Return the user whom requests are made for: of a token, or else of an access key where IAM tells it."""
        return self.place.user_id or await self._session.owner()

    async def has_key_pair(self, name: str) -> bool:
        """Return whether the user whom the token is for has a key pair of that name; other users' are not seen.

        Beside the body that Nova answers, Ecs.0314 says that there is none: "not found, or not owned by the user".
        """
        path = f"/v2.1/{self.place.project_id}/os-keypairs/{segment(name)}"
        try:
            await self._session.read(self._read("keypair", path, f"key pair {name!r}"))
        except ReadRefused as error:
            if is_gone(error) or code_key(error.code or "") == _NO_KEY_PAIR:
                return False
            raise
        return True

    async def key_pairs(self) -> tuple[str, ...]:
        """Return the names of the key pairs that the user whom the token is for has."""
        about = "the key pairs"
        answer = await self._session.read(self._read("keypairs", f"/v2.1/{self.place.project_id}/os-keypairs", about))
        return parsed(about, answer, key_pair_names)

    def hide(self, password: str) -> None:
        """Keep a password out of whatever the cloud says later, such as why a job failed."""
        self._session.hide(password)

    # --- writes ----------------------------------------------------------------------------------------------

    async def stop(self, server_ids: Sequence[str], *, hard: bool, permit: Permit, last_check: LastCheck) -> Reply:
        """Return the answer to one multi-server stop (API page ecs_02_0303: at most 1000 servers)."""
        return await self._power("stop", server_ids, stop_body(server_ids, hard=hard), permit, last_check)

    async def start(self, server_ids: Sequence[str], *, permit: Permit, last_check: LastCheck) -> Reply:
        """Return the answer to one multi-server start."""
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
        """Return the answer to one changeos (API page ecs_02_0202), or to one reinstallos where that is ordered.

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
        write = WriteRequest(operation, self.place.ecs, path, body, _spelled(secrets))
        return await self._session.write(write, permit, last_check)

    async def _power(
        self,
        operation: Operation,
        server_ids: Sequence[str],
        body: Mapping[str, object],
        permit: Permit,
        check: LastCheck,
    ) -> Reply:
        if not 1 <= len(server_ids) <= POWER_CALL_SERVERS:
            permit.give_back()
            return Undelivered(f"a call names 1 to {POWER_CALL_SERVERS} servers, not {len(server_ids)}")
        path = f"/v1/{self.place.project_id}/cloudservers/action"
        return await self._session.write(WriteRequest(operation, self.place.ecs, path, body), permit, check)

    # --- within ----------------------------------------------------------------------------------------------

    def _read(self, operation: Operation, path: str, about: str, rank: Priority = Priority.POLL) -> ReadRequest:
        return ReadRequest(operation, self.place.ecs, path, about, rank=rank)

    async def _one_by_one(self, server_ids: Sequence[str]) -> dict[str, Server]:
        """Single reads side by side. One that is refused leaves its server out, unless all are refused."""
        found: dict[str, Server] = {}
        failures: list[CloudError] = []

        async def look(server_id: str) -> None:
            try:
                server = await self._server(server_id, Priority.POLL)
            except CloudError as error:
                failures.append(error)
                return
            if server is not None:
                found[server_id] = server

        async with anyio.create_task_group() as group:
            for server_id in server_ids:
                group.start_soon(look, server_id)
        for error in failures:
            if not found or not isinstance(error, ReadRefused):
                raise error
        return found


def _spelled(secrets: Secrets) -> tuple[str, ...]:
    """The secrets as they may be quoted: user data as it is, and as it was sent."""
    spelled = [] if secrets.adminpass is None else [secrets.adminpass]
    if secrets.user_data is not None:
        spelled += [secrets.user_data.decode(errors="replace"), b64encode(secrets.user_data).decode()]
    return tuple(spelled)
