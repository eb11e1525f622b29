"""A proxy between the command and its cloud: it knows every secret that passes, and quotes requests when told to."""

import html
import json
import socketserver
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fleetos.sim.api.access import PASSWORD
from tests.support.commands import HTTP_TIMEOUT_S

GONE = 502
_KEPT = ("X-Auth-Token", "Content-Type")


class Proxy(socketserver.ThreadingTCPServer):
    """Passes requests on, those to IAM with the password that the cloud knows, and keeps what it saw.

    `quoted` holds by the kind of a request (login, read, change) the statuses with which the next ones are answered
    here: by a page that quotes them whole. Changes seem to run until `told` is set: the reason for which they failed.
    Without `simulated` it hides that the cloud is a simulated one.
    """

    daemon_threads = True

    def __init__(self, cloud_url: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.cloud_url = cloud_url
        self.password = password
        self.paths: list[str] = []
        self.bodies: list[str] = []
        self.tokens: list[str] = []
        self.told: str | None = None
        self.simulated = True
        self.jobs: set[str] = set()
        self.quoted: dict[str, list[int]] = {"login": [], "read": [], "change": []}
        self.quotations = 0

    @property
    def url(self) -> str:
        """The address that stands for the cloud's."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def environment(self) -> Mapping[str, str]:
        """The variables that lead everything through the proxy."""
        login = {"OS_AUTH_URL": f"{self.url}/v3", "OS_PASSWORD": self.password}
        return {**login, "FLEETOS_ECS_ENDPOINT": self.url, "FLEETOS_IMS_ENDPOINT": self.url}


class _Pass(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def proxy(self) -> Proxy:
        assert isinstance(self.server, Proxy)
        return self.server

    def do_GET(self) -> None:
        self._take(None)

    def do_POST(self) -> None:
        self._take(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _take(self, body: bytes | None) -> None:
        kind = "login" if self.path.endswith("/auth/tokens") else "read" if body is None else "write"
        self.proxy.paths.append(self.path)
        if self.path.endswith("/changeos"):
            kind = "change"
            self.proxy.bodies.append((body or b"").decode())
        waiting = self.proxy.quoted.get(kind)
        if waiting:
            self.proxy.quotations += 1
            # The body first: what is quoted of a page is not much.
            request = f"{(body or b'').decode()} {self.headers}"
            page = f"<html><h1>{self.command} refused</h1><pre>{html.escape(request, quote=False)}</pre></html>"
            self._answer(waiting.pop(0), page.encode(), "text/html", [("X-Request-Id", "req-1")])
            return
        self._answer(*self._passed_on(kind, body))

    def _passed_on(self, kind: str, body: bytes | None) -> tuple[int, bytes, str, Sequence[tuple[str, str]]]:
        headers = {name: self.headers[name] for name in _KEPT if name in self.headers}
        if kind == "login":
            asked: Any = json.loads(body or b"{}")
            user = asked["auth"]["identity"]["password"]["user"]
            assert user["password"] == self.proxy.password
            user["password"] = PASSWORD
            body = json.dumps(asked).encode()
        request = Request(self.proxy.cloud_url + self.path, data=body, headers=headers, method=self.command)
        try:
            with urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:
                status, content, told = answer.status, answer.read(), answer.headers
        except HTTPError as refused:
            with refused:
                status, content, told = refused.code, refused.read(), refused.headers
        except OSError:
            return GONE, b"", "text/plain", ()
        token = told.get("X-Subject-Token")
        if token is not None:
            self.proxy.tokens.append(token)
        if kind == "change" and status == 200:
            self.proxy.jobs.add(json.loads(content)["job_id"])
        if self.path.rpartition("/")[2] in self.proxy.jobs:
            content = self._job(json.loads(content))
        passed = ["X-Subject-Token", *(["X-Simulated-Cloud"] if self.proxy.simulated else [])]
        return status, content, "application/json", [(name, told[name]) for name in passed if name in told]

    def _job(self, job: dict[str, Any]) -> bytes:
        if self.proxy.told is None:
            job = {"job_id": job["job_id"], "status": "RUNNING"}
        elif job["status"] == "FAIL":
            job["fail_reason"] = self.proxy.told
        return json.dumps(job).encode()

    def _answer(self, status: int, content: bytes, kind: str, headers: Sequence[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(content))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: object = None, size: object = None) -> None:
        del code, size  # said by the cloud's own books


@contextmanager
def running_proxy(cloud_url: str, password: str) -> Generator[Proxy]:
    """Yield a proxy in front of the cloud, to which one logs in with that password."""
    with Proxy(cloud_url, password) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
