"""A destination: what a URL may be, and that no error says what it is."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fleetos.model.plan import NotifyEntry, SecretRef
from fleetos.notify import apprise_services
from fleetos.notify.destination import EXTRA_HINT, Destination, UnusableReceiver, resolve

URL, KEY = SecretRef("env", "HOOK"), SecretRef("env", "KEY")
MAIL = "mailto://ops:canary@127.0.0.1/anna@example.org?from=fleet@example.org"


def resolved(url: str, key: str | None = None) -> Destination:
    env = {"HOOK": url} | ({} if key is None else {"KEY": key})
    return resolve(2, NotifyEntry(URL, secret=None if key is None else KEY), env)


def refused(env: Mapping[str, str], entry: NotifyEntry | None = None) -> tuple[str, str, str | None]:
    with pytest.raises(UnusableReceiver) as caught:
        resolve(1, entry or NotifyEntry(URL, secret=KEY if "KEY" in env else None), env)
    error = caught.value
    assert "canary" not in f"{error!r} {error.expected} {error.hint} {error.__context__!r}"
    return error.key, error.expected, error.hint


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://hooks.example/T/canary", "https hooks.example"),
        ("HTTPS://user:canary@hooks.example:8443/x", "https hooks.example"),
        ("http://127.0.0.1:8080/canary\n", "http 127.0.0.1"),
        ("http://[::1]/canary", "http ::1"),
        ("http://localhost/canary", "http localhost"),
    ],
)
def test_a_webhook_is_known_by_its_host_alone(url: str, service: str) -> None:
    destination = resolved(url)
    assert (destination.number, destination.service, destination.webhook) == (2, service, True)
    assert destination.url == url.strip()
    assert "canary" not in repr(destination)


def test_a_service_is_known_by_its_scheme_alone() -> None:
    destination = resolved(MAIL)
    assert (destination.service, destination.webhook, destination.key) == ("mailto", False, None)


@pytest.mark.parametrize(
    ("key", "secret"),
    [("whsec_Y2FuYXJ5", b"canary"), ("plain text\r\n", b"plain text"), ("whsec-x", b"whsec-x")],
)
def test_a_key_is_base64_behind_its_prefix_or_any_text(key: str, secret: bytes) -> None:
    assert resolved("https://hooks.example/", key).key == secret


@pytest.mark.parametrize(
    ("env", "key", "words"),
    [
        ({}, "url", "a URL of notifications in the environment variable HOOK, which is not set"),
        ({"HOOK": "canary"}, "url", "in the environment variable HOOK"),
        ({"HOOK": "https://"}, "url", "a webhook"),
        ({"HOOK": "https://hooks.example:99999/canary"}, "url", "a webhook"),
        ({"HOOK": "https://[canary/"}, "url", "a webhook"),
        ({"HOOK": "https://hooks.example/a canary"}, "url", "a webhook"),
        ({"HOOK": f"https://hooks.example/{'canary' * 400}"}, "url", "a webhook"),
        ({"HOOK": "http://hooks.example/canary"}, "url", "since plain http is for this machine alone"),
        ({"HOOK": "canary://x/y"}, "url", "a URL that apprise understands"),
        ({"HOOK": "slack://canary"}, "url", "a URL that apprise understands"),
        ({"HOOK": MAIL, "KEY": "canary"}, "secret", "no key beside a mailto URL"),
        ({"HOOK": "https://hooks.example/", "KEY": ""}, "secret", "a key in the environment variable KEY"),
        ({"HOOK": "https://hooks.example/", "KEY": " "}, "secret", "a key that is not empty"),
        ({"HOOK": "https://hooks.example/", "KEY": "whsec_"}, "secret", "base64 behind whsec_"),
        ({"HOOK": "https://hooks.example/", "KEY": "whsec_canary!"}, "secret", "base64 behind whsec_"),
    ],
)
def test_what_cannot_be_a_receiver_is_said_without_it(env: Mapping[str, str], key: str, words: str) -> None:
    if env.get("KEY") == "":
        found, said, _ = refused(env, NotifyEntry(URL, secret=KEY))
    else:
        found, said, _ = refused(env)
    assert found == key
    assert words in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    entry = NotifyEntry(SecretRef("file", str(tmp_path / "hook")))
    assert refused({}, entry)[:2] == (
        "url",
        f"a file with a URL of notifications: {tmp_path / 'hook'} cannot be read: No such file or directory",
    )


def test_a_service_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_services, "installed", lambda: False)
    assert refused({"HOOK": MAIL}) == (
        "url",
        "the extra `notify` for the mailto URL in the environment variable HOOK",
        EXTRA_HINT,
    )
    assert resolved("https://hooks.example/").webhook
