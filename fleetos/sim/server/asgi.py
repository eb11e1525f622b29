"""The simulated cloud behind HTTP: reads a request from the socket, hands it over, renders how it ends."""

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

# Rules of a scenario posted to /admin/faults may be longer than a request of the API.
_READ_BYTES_MAX = 4 * SIM_BODY_BYTES_MAX
# Closing a socket with this linger sends a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)


class CuttingProtocol(H11Protocol):
    """uvicorn's protocol, which shows the application its connection, so that it can be cut."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection for the requests on it."""
        self.app_state = {**self.app_state, "connection": transport}
        super().connection_made(cast("asyncio.Transport", transport))


def make_app(cloud: SimulatedCloud, identity: dict[str, object], seen: Callable[[], None]) -> ASGIApp:
    """Return the application. `seen` is called for each request, so that an idle process can be told."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or end its connection as the cloud decides."""
        if scope["type"] != "http":
            return
        seen()
        http = HttpRequest(scope, receive)
        try:
            body = await _read(http)
        except ClientDisconnect:
            return
        headers = dict(http.headers)
        query = cast("bytes", scope["query_string"])
        target = cast("bytes", scope["raw_path"]) + (b"?" + query if query else b"")
        asked = SimRequest(
            http.method, str(scope["path"]), dict(http.query_params), headers, body, target.decode("latin-1")
        )
        if asked.path.startswith("/admin/"):
            outcome = WireOutcome(admin.answer(cloud, asked, identity))
        else:
            outcome = cloud.handle(asked)
        if outcome.delay_s > 0:
            await asyncio.sleep(outcome.delay_s)
        ending = outcome.ending
        if isinstance(ending, SimResponse):
            await _response(ending, cloud.now)(scope, receive, send)
            return
        if isinstance(ending, Hang):
            await _gone(receive, ending.seconds)
        await _cut(scope, receive, reset=not isinstance(ending, Cut) or ending.reset)

    return app


async def _read(http: HttpRequest) -> bytes:
    """Return the body, cut off just past the limit: what is longer is refused whatever it says."""
    parts: list[bytes] = []
    size = 0
    async for part in http.stream():
        parts.append(part)
        size += len(part)
        if size > _READ_BYTES_MAX:
            break
    return b"".join(parts)


def _response(reply: SimResponse, now: float) -> Response:
    response = Response(reply.body, reply.status, dict([("Date", formatdate(now, usegmt=True)), SIMULATED]))
    for name, value in reply.headers:
        response.headers[name] = value
    return response


async def _gone(receive: Receive, seconds: float) -> None:
    """Wait until the client gives up, or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


async def _cut(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """End the connection without an answer, and wait until the server has seen it."""
    connection = cast("asyncio.Transport", scope["state"]["connection"])
    if reset:
        raw = cast("socket.socket | None", connection.get_extra_info("socket"))
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.abort()
    else:
        connection.close()
    await _gone(receive, 5.0)
