"""A relay between clients and the cloud that keeps what passed: each request as it left, each answer as it came."""

import json
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.commands import HTTP_TIMEOUT_S

# Of this hop alone (RFC 9110, 7.6.1), or written anew by the relay.
_OWN = frozenset({"connection", "keep-alive", "content-length", "transfer-encoding", "date", "server"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. Header names are in lower case; `target` is path and query as they were sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    answer_headers: Mapping[str, str]
    answer: bytes

    @property
    def path(self) -> str:
        """The path, as it was sent."""
        return urlsplit(self.target).path

    @property
    def query(self) -> Mapping[str, str]:
        """The query, decoded; a name that came twice fails."""
        pairs = parse_qsl(urlsplit(self.target).query, keep_blank_values=True, strict_parsing=False)
        assert len(dict(pairs)) == len(pairs), f"a name twice in {self.target}"
        return dict(pairs)

    @property
    def sent(self) -> Any:
        """The body of the request as JSON, None for none."""
        return json.loads(self.body) if self.body else None

    @property
    def told(self) -> Any:
        """The body of the answer as JSON."""
        return json.loads(self.answer)


class Relay(ThreadingHTTPServer):
    """The relay. `kept` holds the exchanges in the order in which they ended."""

    daemon_threads = True

    def __init__(self, cloud_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.cloud = urlsplit(cloud_url).netloc
        self.kept: list[Exchange] = []

    @property
    def url(self) -> str:
        """The address that stands for the cloud's."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def since(self, first: int) -> Sequence[Exchange]:
        """What passed after so many exchanges."""
        return self.kept[first:]

    @property
    def last(self) -> Exchange:
        """What passed last."""
        return self.kept[-1]


class _Pass(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer that waits for the client's acknowledgement of its head costs 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _pass_on(self, body: bytes) -> None:
        wire = self.server
        assert isinstance(wire, Relay)
        headers = {name.lower(): value for name, value in self.headers.items()}
        cloud = HTTPConnection(wire.cloud, timeout=HTTP_TIMEOUT_S)
        try:
            # The Host stays the relay's: the catalog that the cloud answers with leads here again.
            passed = {name: value for name, value in headers.items() if name not in _OWN}
            cloud.request(self.command, self.path, body or None, passed)
            answer = cloud.getresponse()
            content = answer.read()
        finally:
            cloud.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        wire.kept.append(Exchange(self.command, self.path, headers, body, answer.status, told, content))
        self.send_response(answer.status)
        for name, value in told.items():
            if name not in _OWN:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: object = None, size: object = None) -> None:
        del code, size  # kept on the wire


@contextmanager
def wire_to(cloud_url: str) -> Generator[Relay]:
    """A relay to the cloud at that address, which ends with the context."""
    with Relay(cloud_url) as wire:
        thread = threading.Thread(target=wire.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            wire.shutdown()
            thread.join()
