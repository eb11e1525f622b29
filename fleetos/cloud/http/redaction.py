"""What may be kept of the words of others: nothing that a request held in secret, however they quote it.

Gateways and proxies put requests into their error pages: headers and bodies, escaped for HTML, JSON or an address, in
base64, and cut off anywhere. So it is not enough to look for the whole secret.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from html import escape
from itertools import groupby
from urllib.parse import quote

BLOT = "***"
# Shorter secrets would make every other word disappear, and no cloud accepts them as a password.
_SECRET_CHARS = 4
# Half of a short secret is looked for, and this much of a long one: less is chance, or of no use to anybody.
_STRETCH_CHARS = 16
# Whoever quotes a request may cut it off in the middle of a token. Of its beginning and its end so much is looked for
# anywhere, and of its inside where that is a whole word: less is chance, and opens nothing.
_END_CHARS = 6
# Every stretch of a form of at most this length is looked for; of a longer one, each that begins at this step.
_SHORT_CHARS = 64
_STEP_CHARS = 8
# Secrets whose stretches are kept at hand: a run has a token, a password or two, and user data.
_AT_HAND = 32

# What tokens and passwords are spelled with; a longer word of theirs holds a stretch that is looked for anyway.
_WORD = re.compile(rf"(?<![\w+/=%~\\-])[\w+/=%~\\.-]{{{_END_CHARS},{_STRETCH_CHARS + _STEP_CHARS}}}(?![\w+/=%~\\-])")
_PERCENT = re.compile("%[0-9A-F]{2}")


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the secrets: each stretch of one, in whatever spelling, is three stars."""
    hidden = bytearray(len(text))
    for secret in secrets:
        if len(secret) < _SECRET_CHARS:
            continue
        for length, stretches in _sought(secret):
            at = 0
            while at <= len(text) - length:
                found = stretches.get(text[at : at + length])
                if found is None:
                    at += 1
                    continue
                first, end = _whole(text, at, length, *found)
                hidden[first:end] = b"\1" * (end - first)
                # Whatever reaches beyond the end is seen from here.
                at = max(at, end - length) + 1
        for first, end in _torn(text, secret):
            hidden[first:end] = b"\1" * (end - first)
    parts = groupby(zip(text, hidden, strict=True), key=lambda letter: letter[1])
    return "".join(BLOT if blot else "".join(letter for letter, _ in part) for blot, part in parts)


def _torn(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Where words stand in the text that are from the inside of a token."""
    if not _is_token(secret):
        return
    forms = _spelled(secret)
    for found in _WORD.finditer(text):
        # Dots stand for what was left out, or are letters of a token.
        words = [one for one in {found[0], found[0].strip(".")} if len(one) >= _END_CHARS]
        if any(word in form for form in forms for word in words):
            yield found.span()


def _is_token(secret: str) -> bool:
    """Whether it is one word. User data is many: its parts are ordinary words, and not secret each for itself."""
    return not any(letter.isspace() for letter in secret)


def _whole(text: str, at: int, length: int, form: str, place: int) -> tuple[int, int]:
    """Where the quotation begins and ends of which a stretch stands in the text: it goes on as long as they agree."""
    first, end, before, after = at, at + length, place, place + length
    while first > 0 and before > 0 and text[first - 1] == form[before - 1]:
        first, before = first - 1, before - 1
    while end < len(text) and after < len(form) and text[end] == form[after]:
        end, after = end + 1, after + 1
    return first, end


def holds_secret(text: str, secrets: Iterable[str]) -> bool:
    """Return whether a whole secret stands in the text as it is."""
    return any(secret in text for secret in secrets if len(secret) >= _SECRET_CHARS)


@lru_cache(maxsize=_AT_HAND)
def _sought(secret: str) -> tuple[tuple[int, Mapping[str, tuple[str, int]]], ...]:
    """What is looked for: stretches by their length, each with the form that it is of, and its place in it."""
    found: dict[int, dict[str, tuple[str, int]]] = {}
    for form in _spelled(secret):
        length = min(_STRETCH_CHARS, max(_SECRET_CHARS, (len(secret) + 1) // 2), len(form))
        last = len(form) - length
        starts = {*range(0, last + 1, 1 if len(form) <= _SHORT_CHARS else _STEP_CHARS), last}
        found.setdefault(length, {}).update((form[at : at + length], (form, at)) for at in starts)
        if length > _END_CHARS and _is_token(secret):
            ends = (0, len(form) - _END_CHARS)
            found.setdefault(_END_CHARS, {}).update((form[at : at + _END_CHARS], (form, at)) for at in ends)
    return tuple(found.items())


@lru_cache(maxsize=_AT_HAND)
def _spelled(secret: str) -> tuple[str, ...]:
    """The spellings of a secret, each once."""
    return tuple(dict.fromkeys(form for form in _forms(secret) if form))


def _forms(secret: str) -> Iterator[str]:
    """The spellings in which it is quoted: as it is and as JSON, each also escaped in the usual ways and in base64."""
    for form in dict.fromkeys((secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])):
        yield form
        yield form.replace("/", "\\/")
        yield repr(form)[1:-1]
        yield escape(form)
        for safe in ("", "/"):
            quoted = quote(form, safe=safe, errors="replace")
            yield quoted
            yield quoted.replace("%20", "+")
            yield _PERCENT.sub(lambda code: code[0].lower(), quoted)
        yield from _in_base64(form.encode(errors="replace"))


def _in_base64(content: bytes) -> Iterator[str]:
    """All that base64 makes of it wherever it begins in a longer text, without what depends on its neighbours."""
    for before in range(3):
        encoded = b64encode(bytes(before) + content).decode().rstrip("=")
        whole = encoded[(0, 2, 3)[before] : len(encoded) - bool((before + len(content)) % 3)]
        yield whole
        yield whole.translate(_FOR_ADDRESSES)


_FOR_ADDRESSES = str.maketrans("+/", "-_")
