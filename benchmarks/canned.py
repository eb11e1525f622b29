"""A server that answers at once, so that only its clients are measured: `python -m benchmarks.canned`, on loopback.

It lets everybody log in, and knows one answer to everything else: a job that runs. Prints its address.
"""

import asyncio
import json
import sys

from fleetos.clock import SystemClock
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.wire.messages import SimRequest, SimResponse

JOB_ID = "0" * 32
_ANSWER = json.dumps({"job_id": JOB_ID, "job_type": "changeOS", "status": "RUNNING", "end_time": ""}).encode()
_HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nX-Simulated-Cloud: fleetos\r\nContent-Length: %d\r\n"
_OK = _HEAD % (200, len(_ANSWER)) + b"\r\n" + _ANSWER


class Canned(asyncio.Protocol):
    """One connection, which may carry any number of requests, one after the other."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._cloud = cloud
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers each whole request in what has come so far."""
        self._received += data
        while self._transport is not None and (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, rest = self._received[:end], self._received[end + 4 :]
            fields = _fields(head)
            length = int(fields.get("content-length", "0"))
            if len(rest) < length:
                return
            body, self._received = rest[:length], rest[length:]
            self._transport.write(_OK if head.startswith(b"GET") else self._token(fields, body))

    def _token(self, fields: dict[str, str], body: bytes) -> bytes:
        ending = self._cloud.handle(SimRequest("POST", "/v3/auth/tokens", {}, fields, body)).ending
        if not isinstance(ending, SimResponse):
            raise TypeError(f"no answer to a login: {ending}")
        token = dict(ending.headers).get("X-Subject-Token", "")
        head = _HEAD % (ending.status, len(ending.body))
        return head + f"X-Subject-Token: {token}\r\n\r\n".encode() + ending.body


def _fields(head: bytes) -> dict[str, str]:
    lines = (line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.lower(): value for name, _, value in lines}


async def main() -> None:
    """Serves until it is killed."""
    clock = SystemClock()
    cloud = SimulatedCloud(Scenario(), clock.now().timestamp(), lambda: clock.now().timestamp())
    server = await asyncio.get_running_loop().create_server(lambda: Canned(cloud), "127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
