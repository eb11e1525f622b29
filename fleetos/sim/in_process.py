"""httpx transport to the simulated cloud, without sockets.

For a URL of another machine it plays a real cloud: its responses lack the header that marks a simulated one. Time
comes from the cloud's `now` and the given `sleep`, so it also runs in virtual time.
"""

from collections.abc import Awaitable, Callable
from email.utils import formatdate

import httpx

from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.wire.messages import SIMULATED, Cut, Hang, NeverSent, SimRequest, SimResponse

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
MakeError = Callable[[httpx.Request], Exception]


class SimTransport(httpx.AsyncBaseTransport):
    """Transport whose responses come from a simulated cloud.

    `on_not_sent` makes the error for a request that never left, `on_lost` the error for a lost response.
    """

    def __init__(
        self,
        cloud: SimulatedCloud,
        sleep: Callable[[float], Awaitable[object]],
        on_not_sent: MakeError,
        on_lost: MakeError,
    ) -> None:
        self.cloud = cloud
        self._sleep = sleep
        self._on_not_sent = on_not_sent
        self._on_lost = on_lost

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the cloud's response. Raises the errors that `on_not_sent` and `on_lost` make."""
        body = await request.aread()
        request_headers = dict(request.headers.items())
        target = request.url.raw_path.decode("ascii")
        sim_request = SimRequest(
            request.method, request.url.path, dict(request.url.params), request_headers, body, target
        )
        outcome = self.cloud.handle(sim_request)
        if outcome.delay_s > 0:
            await self._sleep(outcome.delay_s)
        match outcome.ending:
            case SimResponse(status, headers, content):
                date = ("Date", formatdate(self.cloud.now, usegmt=True))
                marker = [SIMULATED] if request.url.host in _LOOPBACK_HOSTS else []
                return httpx.Response(status, headers=[*headers, date, *marker], content=content, request=request)
            case NeverSent():
                raise self._on_not_sent(request)
            case Hang(seconds):
                await self._sleep(seconds)
                raise self._on_lost(request)
            case Cut():
                raise self._on_lost(request)
