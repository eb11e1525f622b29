"""apprise: which URLs it takes, that it sends, and that neither its log nor its errors get out."""

import logging

import pytest

from fleetos.notify import apprise_services
from tests.support.receivers import free_port, web_receiver


def test_the_extra_is_there() -> None:
    assert apprise_services.installed()


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("mailto://127.0.0.1/?from=a@example.org&to=b@example.org", True),
        ("json://127.0.0.1/x", True),
        ("slack://canary", False),
        ("nonsense://canary", False),
    ],
)
def test_a_url_is_understood_or_not(url: str, *, known: bool) -> None:
    assert apprise_services.understands(url) is known


def test_a_message_is_taken_or_not_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with web_receiver(200, 500) as web:
        url = f"json://127.0.0.1:{web.port}/canary"
        assert apprise_services.send(url, "a title", "a text")
        assert not apprise_services.send(url, "a title", "a text")
    assert not apprise_services.send(f"json://127.0.0.1:{free_port()}/canary", "a title", "a text")
    assert not apprise_services.send("nonsense://canary", "a title", "a text")
    assert (web.posted[0].document["title"], web.posted[0].document["message"]) == ("a title", "a text")
    assert "canary" not in caplog.text


def test_an_error_of_a_service_is_no_error_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(apprise_services, "_apprise", broken)
    assert not apprise_services.understands("mailto://canary")
    assert "canary" not in caplog.text
