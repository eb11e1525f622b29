"""A webhook: the signature is that of Standard Webhooks, and each answer means what the page says."""

import base64

import pytest

from fleetos.notify.destination import Destination
from fleetos.notify.webhook import Delivery, post, sign
from tests.support.receivers import free_port, verify, web_receiver

# The test vector that the reference libraries of Standard Webhooks share.
SECRET, MESSAGE, TIMESTAMP = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
BODY, SIGNATURE = b'{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_that_of_the_published_vector() -> None:
    assert sign(base64.b64decode(SECRET), MESSAGE, TIMESTAMP, BODY) == SIGNATURE


@pytest.mark.parametrize(
    ("status", "failure", "final"),
    [
        (200, None, False),
        (204, None, False),
        (307, "HTTP 307: a redirect is not followed", True),
        (400, "HTTP 400", True),
        (404, "HTTP 404", True),
        (408, "HTTP 408", False),
        (425, "HTTP 425", False),
        (429, "HTTP 429", False),
        (500, "HTTP 500", False),
        (503, "HTTP 503", False),
    ],
)
async def test_an_answer_ends_the_tries_or_asks_for_another(status: int, failure: str | None, *, final: bool) -> None:
    with web_receiver(status) as web:
        destination = Destination(1, "http 127.0.0.1", web.url("/hook?a=b"), webhook=True)
        assert await post(destination, MESSAGE, TIMESTAMP, BODY) == Delivery(failure, final)
        (posted,) = web.posted
    assert (posted.path, posted.body) == ("/hook?a=b", BODY)
    assert "webhook-signature" not in posted.headers


async def test_a_signed_request_is_verified_by_its_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.receivers.time.time", lambda: TIMESTAMP + 1.0)
    with web_receiver() as web:
        destination = Destination(1, "http 127.0.0.1", web.url("/"), webhook=True, key=b"any text")
        assert await post(destination, MESSAGE, TIMESTAMP, BODY) == Delivery()
    verify(web.posted[0], b"any text")


async def test_a_receiver_that_is_away_or_silent_is_named_without_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Destination(1, "http 127.0.0.1", f"http://127.0.0.1:{free_port()}/canary", webhook=True)
    assert await post(away, MESSAGE, TIMESTAMP, BODY) == Delivery("no connection")
    monkeypatch.setattr("fleetos.notify.webhook.TRY_S", 0.5)
    with web_receiver(0) as web:
        silent = Destination(1, "http 127.0.0.1", web.url("/canary"), webhook=True)
        assert await post(silent, MESSAGE, TIMESTAMP, BODY) == Delivery("no answer within 0.5 s")
    assert "canary" not in repr(silent)
