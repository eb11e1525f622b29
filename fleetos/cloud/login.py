"""The request for a token."""

import httpx

from fleetos.clock import Clock
from fleetos.cloud.answers import refused_login, throttled
from fleetos.cloud.errors import read_complaint
from fleetos.cloud.fields import Unreadable
from fleetos.cloud.identity import Credentials, Grant, read_grant, token_request
from fleetos.cloud.throttle import Kind, Throttle
from fleetos.cloud.transport import Outgoing, Transport
from fleetos.errors import CloudUnreachable
from fleetos.limits import READ_TIMEOUT_S, SMALL_ANSWER_BYTES


class Login:
    """Asks IAM for tokens. `iam` is its address as clouds.yaml has it, with or without the version."""

    def __init__(
        self, credentials: Credentials, iam: str, transport: Transport, throttle: Throttle, clock: Clock
    ) -> None:
        self._credentials = credentials
        versioned = iam.rstrip("/") if httpx.URL(iam).path.strip("/") else f"{iam.rstrip('/')}/v3"
        self._address = f"{versioned}/auth/tokens"
        self._transport = transport
        self._throttle = throttle
        self._clock = clock

    async def ask(self) -> Grant:
        """Return what IAM grants to one request; only a 429 is repeated, when the scope is open again.

        Raises AuthenticationFailed when IAM refuses, NotSent, AnswerLost, and CloudUnreachable for any other answer.
        """
        while True:
            await self._throttle.opened()
            left_s = self._clock.moment().elapsed_s
            answer = await self._transport.send(self._request())
            if answer.status in (200, 201):
                try:
                    return read_grant(answer.headers, answer.body)
                except Unreadable as error:
                    raise CloudUnreachable(f"the answer of IAM cannot be read: {error}") from None
            complaint = read_complaint(answer.headers, answer.body, answer.secrets)
            told = throttled(answer, complaint, Kind.LOGIN, left_s, self._clock)
            if told is None:
                raise refused_login(answer, complaint)
            self._throttle.refused(told)

    def _request(self) -> Outgoing:
        return Outgoing(
            operation="token",
            method="POST",
            url=self._address,
            headers={"Content-Type": "application/json;charset=utf8"},
            timeout_s=READ_TIMEOUT_S,
            answer_bytes=SMALL_ANSWER_BYTES,
            content=token_request(self._credentials),
            secrets=(self._credentials.password,),
        )
