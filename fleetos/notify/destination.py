"""Destination of notifications: the URL and the key of one receiver, resolved and checked. Both are secrets."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from fleetos.cloud.http.addresses import is_loopback
from fleetos.model.plan import NotifyEntry
from fleetos.notify import apprise_services
from fleetos.planning.secrets import UnusableSecret, read_secret

# Longest URL that is taken: those of services have some 200 characters.
URL_MAX_CHARS = 2_048
# Key of a webhook as Standard Webhooks writes it: the prefix, then base64 of 24 to 64 bytes.
KEY_PREFIX = "whsec_"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")
_WEBHOOK = ("https", "http")
_KINDS = "a webhook (https://HOST/PATH), or a URL of apprise such as mailto://... or slack://..."
EXTRA_HINT = "pip install 'fleetos[notify]'"


class UnusableReceiver(Exception):
    """Error: an entry of `notify` cannot be used. `key` names which of its keys is to blame; it holds no secret."""

    def __init__(self, key: str, expected: str, hint: str | None = None) -> None:
        super().__init__(expected)
        self.key = key
        self.expected = expected
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Destination:
    """Destination of the notifications of one receiver."""

    number: int
    """Number of the entry in the plan's `notify`, from 1."""
    service: str
    """Kind of the receiver for people: the scheme, and the host of a webhook. Nothing else of a URL is ever shown."""
    url: str = field(repr=False)
    webhook: bool = False
    """fleetos posts to it itself; else apprise sends."""
    key: bytes | None = field(default=None, repr=False)
    """Key that signs the requests of a webhook."""


def resolve(number: int, entry: NotifyEntry, env: Mapping[str, str]) -> Destination:
    """Return the destination of an entry, whose files are absolute. Raise UnusableReceiver."""
    url = _read(entry, "url", env).strip()
    source = "the environment variable" if entry.url.kind == "env" else "the file"
    where = f" in {source} {entry.url.where}"
    scheme = _SCHEME.match(url)
    if scheme is None or len(url) > URL_MAX_CHARS or not (url.isascii() and url.isprintable()) or " " in url:
        raise UnusableReceiver("url", f"{_KINDS}{where}")
    name = scheme[1].lower()
    if name in _WEBHOOK:
        return Destination(number, f"{name} {_host(name, url, where)}", url, webhook=True, key=_key(entry, env))
    if not apprise_services.installed():
        raise UnusableReceiver("url", f"the extra `notify` for the {name} URL{where}", EXTRA_HINT)
    if not apprise_services.understands(url):
        hint = "`apprise -vv -t test -b test URL` says what is wrong with it"
        raise UnusableReceiver("url", f"a URL that apprise understands{where}", hint)
    if entry.secret is not None:
        raise UnusableReceiver("secret", f"no key beside a {name} URL", "only the requests of a webhook are signed")
    return Destination(number, name, url)


def _read(entry: NotifyEntry, key: str, env: Mapping[str, str]) -> str:
    ref = entry.url if key == "url" or entry.secret is None else entry.secret
    try:
        return read_secret(ref, env, "a URL of notifications" if key == "url" else "a key")
    except UnusableSecret as error:
        raise UnusableReceiver(key, error.expected, error.hint) from None


def _host(scheme: str, url: str, where: str) -> str:
    """Return the host of a webhook. Raise UnusableReceiver for none, and for plain http to another machine."""
    parts = _split(url)
    if parts is None:
        raise UnusableReceiver("url", f"{_KINDS}{where}")
    host = parts.hostname or ""
    if scheme == "http" and not is_loopback(host):
        raise UnusableReceiver("url", f"https{where}, since plain http is for this machine alone")
    return host


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL; None if its host or port is invalid."""
    try:
        parts = urlsplit(url)
        # An invalid port is found when it is asked for.
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if whole else None


def _key(entry: NotifyEntry, env: Mapping[str, str]) -> bytes | None:
    if entry.secret is None:
        return None
    text = _read(entry, "secret", env).strip()
    if not text.startswith(KEY_PREFIX):
        if not text:
            raise UnusableReceiver("secret", "a key that is not empty")
        return text.encode()
    try:
        key = base64.b64decode(text.removeprefix(KEY_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise UnusableReceiver("secret", f"base64 behind {KEY_PREFIX}")
    return key
