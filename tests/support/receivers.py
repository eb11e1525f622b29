"""Receivers of notifications that are really there: a web server and a mail server on this machine."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

# As long as a server holds a request that it never answers, and the test that waits for it.
HANG_S = 60.0


@dataclass(frozen=True)
class Posted:
    """A request as the web server got it."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        return cast("dict[str, Any]", json.loads(self.body))

    @property
    def occasion(self) -> str:
        """The occasion that the body names."""
        return self.document["data"]["occasion"]


@dataclass
class WebReceiver:
    """A web server that answers with the statuses of `answers` in turn, then with 204; 0 never answers."""

    port: int = 0
    answers: list[int] = field(default_factory=list[int])
    posted: list[Posted] = field(default_factory=list[Posted])
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def occasions(self) -> list[str]:
        """The occasions of the requests that were answered with 204, and of all others, in turn."""
        return [one.occasion for one in self.posted]

    def take(self, posted: Posted) -> int:
        """Note a request; return its answer."""
        self.posted.append(posted)
        return self.answers.pop(0) if self.answers else 204


@contextmanager
def web_receiver(*answers: int) -> Generator[WebReceiver]:
    """Yield a web server on this machine."""
    receiver = WebReceiver(answers=list(answers))

    class WebhookEndpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.take(Posted(self.path, dict(self.headers.items()), body))
            if status == 0:
                receiver.closing.wait(HANG_S)
                return
            self.send_response(status)
            if status == 307:
                self.send_header("location", receiver.url("/elsewhere"))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            del code, size

    server = ThreadingHTTPServer(("127.0.0.1", 0), WebhookEndpoint)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        server.shutdown()
        server.server_close()


@dataclass
class MailReceiver:
    """A mail server that keeps what it gets."""

    port: int = 0
    logins: list[bytes] = field(default_factory=list[bytes])
    mails: list[EmailMessage] = field(default_factory=list[EmailMessage])

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        """Let everybody in, and note the password (aiosmtpd calls this)."""
        del server, session, envelope, mechanism
        self.logins.append(data.password)
        return AuthResult(success=True)

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep a mail."""
        del server, session
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(message_from_bytes(content, policy=policy.default))
        return "250 kept"


def free_port() -> int:
    """A port that nobody listens at: aiosmtpd does not say which one it was given."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return cast("int", asked.getsockname()[1])


@contextmanager
def silent_port() -> Generator[int]:
    """Yield a port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield cast("int", listening.getsockname()[1])


@contextmanager
def mail_receiver() -> Generator[MailReceiver]:
    """Yield a mail server on this machine."""
    receiver = MailReceiver(free_port())
    controller = Controller(
        receiver,
        hostname="127.0.0.1",
        port=receiver.port,
        authenticator=receiver.authenticate,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield receiver
    finally:
        controller.stop()


def verify(posted: Posted, key: bytes) -> None:
    """Verify a request as its receiver would, by the text of Standard Webhooks 1.0."""
    headers = {name.lower(): value for name, value in posted.headers.items()}
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + posted.body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"].split(" ") == [f"v1,{wanted}"]


def ids(posted: Sequence[Posted]) -> list[str]:
    """The ids of the messages."""
    return [one.headers["webhook-id"] for one in posted]
