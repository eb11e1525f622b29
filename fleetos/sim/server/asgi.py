"""HTTP front of the simulated cloud: pass each request to the gateway, and send or cut its response."""

import asyncio
import socket
import struct
from collections.abc import Callable
from email.utils import formatdate
from typing import cast

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from fleetos.limits import SIM_BODY_BYTES_MAX
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.server import admin
from fleetos.sim.wire.messages import SIMULATED, Cut, Hang, SimRequest, SimResponse, WireOutcome

# Fault rules posted to /admin/faults may be longer than a request of the API.
_READ_BYTES_MAX = 4 * SIM_BODY_BYTES_MAX
# Closing a socket with this linger option sends a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)


class CuttingProtocol(H11Protocol):
    """uvicorn's protocol that passes the connection to the application, which may have to cut it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the connection into the state of its requests."""
        self.app_state = {**self.app_state, "connection": transport}
        super().connection_made(cast("asyncio.Transport", transport))


def make_app(cloud: SimulatedCloud, identity: dict[str, object], on_request: Callable[[], None]) -> ASGIApp:
    """Return the application. It calls `on_request` for each request, so that the process knows when it is idle."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or end its connection as the cloud decides."""
        if scope["type"] != "http":
            return
        on_request()
        http_request = HttpRequest(scope, receive)
        try:
            body = await _read_body(http_request)
        except ClientDisconnect:
            return
        headers = dict(http_request.headers)
        query = cast("bytes", scope["query_string"])
        target = cast("bytes", scope["raw_path"]) + (b"?" + query if query else b"")
        request = SimRequest(
            http_request.method,
            str(scope["path"]),
            dict(http_request.query_params),
            headers,
            body,
            target.decode("latin-1"),
        )
        if request.path.startswith("/admin/"):
            outcome = WireOutcome(admin.handle_request(cloud, request, identity))
        else:
            outcome = cloud.handle(request)
        if outcome.delay_s > 0:
            await asyncio.sleep(outcome.delay_s)
        ending = outcome.ending
        if isinstance(ending, SimResponse):
            await _to_http_response(ending, cloud.now)(scope, receive, send)
            return
        if isinstance(ending, Hang):
            await _wait_for_disconnect(receive, ending.seconds)
        await _cut_connection(scope, receive, reset=not isinstance(ending, Cut) or ending.reset)

    return app


async def _read_body(http_request: HttpRequest) -> bytes:
    """Read the body, and stop just past the limit: a longer body is refused anyway."""
    parts: list[bytes] = []
    size = 0
    async for part in http_request.stream():
        parts.append(part)
        size += len(part)
        if size > _READ_BYTES_MAX:
            break
    return b"".join(parts)


def _to_http_response(sim_response: SimResponse, now: float) -> Response:
    date = ("Date", formatdate(now, usegmt=True))
    response = Response(sim_response.body, sim_response.status, dict([date, SIMULATED]))
    for name, value in sim_response.headers:
        response.headers[name] = value
    return response


async def _wait_for_disconnect(receive: Receive, seconds: float) -> None:
    """Wait until the client disconnects, at most `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


async def _cut_connection(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """End the connection without a response, and wait until the server has noticed."""
    connection = cast("asyncio.Transport", scope["state"]["connection"])
    if reset:
        raw = cast("socket.socket | None", connection.get_extra_info("socket"))
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.abort()
    else:
        connection.close()
    await _wait_for_disconnect(receive, 5.0)
