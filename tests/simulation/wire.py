"""The wire of one process: its requests reach the simulated cloud, and somebody impartial takes notes.

A process can die right before a request leaves and right after it had its effect. Answers can be told wrong.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import cast

import anyio
import httpx

from fleetos.cloud.session import WRITE_TIMEOUT_S
from fleetos.errors import AnswerLost, NotSent
from fleetos.limits import READ_TIMEOUT_S
from fleetos.model.states import HOLDS_SLOT
from fleetos.sim.api.access import PASSWORD
from fleetos.sim.api.routes import find_route
from fleetos.sim.in_process import SimTransport
from fleetos.sim.virtual_time import now_s
from tests.simulation.process import Process
from tests.simulation.run_context import RunContext
from tests.simulation.run_trace import Asked, Sent
from tests.support.ledger import CHANGES

_POWER = {"os-stop": "stop", "os-start": "start", "reboot": "reboot"}
_STRANGE = ("MIGRATING", "SHELVED", "UNKNOWN", "BANANA", "VERIFY_RESIZE")
_CODE = re.compile(rb'"(?:error_)?code":\s*"([A-Za-z]+\.[0-9]+)"')
_JSON = "application/json;charset=UTF-8"
# What is asked for one thing alone.
_ABOUT = frozenset({"job", "detail", "actions"})
# A time-out is counted from a moment before the request leaves.
_TICK_S = 1.0


class Wire(httpx.AsyncBaseTransport):
    """What stands in for sockets in the client of one process."""

    def __init__(self, process: Process, context: RunContext) -> None:
        self._process = process
        self._context = context
        self._inner = SimTransport(
            context.cloud,
            anyio.sleep,
            lambda request: NotSent(f"cannot connect to {request.url.host}"),
            lambda request: AnswerLost("connection reset by peer"),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the cloud's answer. Raises NotSent, AnswerLost, and Died."""
        context, number = self._context, self._process.number
        self._process.point("before request")
        context.requests += 1
        context.watch_servers()
        body = await request.aread()
        route = find_route(request.method, request.url.path)
        operation = "unknown" if route is None else route.operation
        write = operation == "power" or operation in CHANGES
        left_s = now_s()
        before = self._before(operation, request, body) if write else None
        status, retry_after_s, answered_s, given_up = None, None, None, False
        try:
            response = await self._inner.handle_async_request(request)
            status, answered_s = response.status_code, now_s()
            retry_after_s = float(response.headers["retry-after"]) if "retry-after" in response.headers else None
            response = self._distorted(operation, request, response, body)
        except asyncio.CancelledError:
            limit_s = WRITE_TIMEOUT_S if write else READ_TIMEOUT_S
            given_up = now_s() - left_s < limit_s - _TICK_S
            raise
        finally:
            if before is not None:
                operation = before.operation
            about = route.resource_id if route is not None and operation in _ABOUT else None
            context.asked.append(Asked(left_s, number, operation, write, answered_s, status, retry_after_s, about))
            # Of those that a process gives up at once when it ends, nobody can say which was the first.
            told = f"{operation} {request.url.path[-12:] if not write else ''}-> {status or 'no answer'}"
            context.log_line("  a request is given up" if given_up else f"  {told}")
        self._process.point("after request")
        return response

    # --- notes ---

    def _before(self, operation: str, request: httpx.Request, body: bytes) -> Sent:
        """Note a write as it leaves, with what is true at this moment."""
        context = self._context
        context.cloud.advance()
        verb, servers = _named(operation, request, body)
        world, store, process = context.cloud.world, context.store, self._process
        found = {server_id: world.servers.get(server_id) for server_id in servers}
        disks = {
            server_id: server.system_disk.id if server is not None and server.system_disk is not None else None
            for server_id, server in found.items()
        }
        changing = verb in CHANGES
        sent = Sent(
            at_s=now_s(),
            process=process.number,
            epoch=context.epochs.get(process.number, 0),
            epoch_now=store.epoch,
            operation=verb,
            servers=tuple(servers),
            seqs=(len(world.ledger.writes) + 1,),
            run_state=store.run.state,
            run_reason=store.run.reason,
            wall=process.now(),
            targets={one: store.targets[one] for one in servers if one in store.targets},
            disks=disks,
            slots=sum(one.state in HOLDS_SLOT for one in store.targets.values()) if changing else 0,
        )
        context.sent.append(sent)
        context.log_line(f"  sends {verb} {' '.join(one[:8] for one in servers[:5])} (ledger {sent.seqs[0]})")
        return sent

    # --- lies ---

    def _distorted(
        self, operation: str, request: httpx.Request, response: httpx.Response, body: bytes
    ) -> httpx.Response:
        context, lies = self._context, self._context.spec.distortion
        for name in ("x-subject-token",):
            if name in response.headers:
                context.secrets.add(response.headers[name])
        context.secrets.add(PASSWORD)
        if context.process_faults.calm:
            return response
        at = (context.requests,)
        if response.status_code >= 400 and lies.echo and context.chance.unit("echo", *at) < lies.echo:
            return _echo(response, request, body)
        if response.status_code != 200 or operation not in ("detail", "list"):
            return response
        if lies.status and context.chance.unit("status", *at) < lies.status:
            return self._strange(response, operation)
        if operation == "list" and lies.missing and context.chance.unit("missing", *at) < lies.missing:
            return self._fewer(response)
        return response

    def _strange(self, response: httpx.Response, operation: str) -> httpx.Response:
        """Return the answer with a status that no client knows."""
        content = _object(response)
        if content is None:
            return response
        servers = cast("list[dict[str, object]]", content.get("servers") or [content.get("server")])
        if servers and servers[0]:
            context = self._context
            servers[0]["status"] = context.chance.pick(_STRANGE, "strange", context.requests)
        return _with(response, json.dumps(content).encode())

    def _fewer(self, response: httpx.Response) -> httpx.Response:
        """Return a list page without one of its servers, as one that shifted while it was read."""
        content = _object(response)
        servers = cast("list[object]", content.get("servers")) if content is not None else []
        if content is None or not servers:
            return response
        context = self._context
        del servers[int(context.chance.unit("which", context.requests) * len(servers))]
        return _with(response, json.dumps(content).encode())


def _named(operation: str, request: httpx.Request, body: bytes) -> tuple[str, Sequence[str]]:
    """Return what a write asks for, and the ids of the servers that it names."""
    if operation in CHANGES:
        return operation, (request.url.path.split("/")[-2],)
    content = cast("Mapping[str, Mapping[str, Sequence[Mapping[str, str]]]]", json.loads(body))
    key = next(iter(content))
    return _POWER[key], [server["id"] for server in content[key]["servers"]]


def _object(response: httpx.Response) -> dict[str, object] | None:
    try:
        content = cast("object", json.loads(response.content))
    except ValueError:
        return None
    return cast("dict[str, object]", content) if isinstance(content, dict) else None


def _echo(response: httpx.Response, request: httpx.Request, body: bytes) -> httpx.Response:
    """Return the error with the whole request quoted in it, as some gateways do."""
    found = _CODE.search(response.content)
    code = found[1].decode() if found is not None else "APIGW.9999"
    quoted = f"cannot process {body.decode(errors='replace')} with token {request.headers.get('x-auth-token', '')}"
    return _with(response, json.dumps({"error": {"code": code, "message": quoted}}).encode())


def _with(response: httpx.Response, content: bytes) -> httpx.Response:
    headers = [(name, value) for name, value in response.headers.items() if name != "content-length"]
    return httpx.Response(response.status_code, headers=headers, content=content, request=response.request)
