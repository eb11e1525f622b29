"""The simulated cloud as the transport of an httpx client in the same process: no sockets, the same answers.

Asked by an address of another machine it plays a real cloud, and does not say that it is a simulated one. Time is
whatever the world's `now` and the given `sleep` say, so that it runs in virtual time as well.
"""

from collections.abc import Awaitable, Callable
from email.utils import formatdate

import httpx

from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.wire.messages import SIMULATED, Cut, Hang, NeverSent, SimRequest, SimResponse

_HERE = frozenset({"127.0.0.1", "::1", "localhost"})
MakeError = Callable[[httpx.Request], Exception]


class SimTransport(httpx.AsyncBaseTransport):
    """Answers from a simulated cloud.

    `on_not_sent` makes the error for a request that never left, `on_lost` the one for an answer that does not come.
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
        """Return the cloud's answer. Raises what `on_not_sent` and `on_lost` make."""
        body = await request.aread()
        headers = dict(request.headers.items())
        target = request.url.raw_path.decode("ascii")
        asked = SimRequest(request.method, request.url.path, dict(request.url.params), headers, body, target)
        outcome = self.cloud.handle(asked)
        if outcome.delay_s > 0:
            await self._sleep(outcome.delay_s)
        match outcome.ending:
            case SimResponse(status, answered, content):
                date = ("Date", formatdate(self.cloud.now, usegmt=True))
                told = [SIMULATED] if request.url.host in _HERE else []
                return httpx.Response(status, headers=[*answered, date, *told], content=content, request=request)
            case NeverSent():
                raise self._on_not_sent(request)
            case Hang(seconds):
                await self._sleep(seconds)
                raise self._on_lost(request)
            case Cut():
                raise self._on_lost(request)
