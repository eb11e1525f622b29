"""I8: no secret, in whatever spelling, is in anything that the process said to anybody."""

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from tests.simulation.run_trace import RunTrace, Violation

# Shorter pieces of base64 are found everywhere.
_PIECE_CHARS = 12


def no_secret_told(trace: RunTrace) -> Iterator[Violation]:
    """I8: as it is, in JSON, in JSON within JSON, in a URL, in HTML, in base64."""
    told = "\n".join(trace.texts)
    for number, secret in enumerate(trace.secrets):
        found = next((how for how, text in _spellings(secret) if text and text in told), None)
        if found is not None:
            # The evidence must not tell it either.
            yield Violation("I8", f"secret {number} of {len(trace.secrets)} is told, {found}")


def _spellings(secret: str) -> Iterator[tuple[str, str]]:
    yield "as it is", secret
    once = json.dumps(secret)[1:-1]
    yield "in JSON", once
    yield "in JSON within JSON", json.dumps(once)[1:-1]
    yield "as Python writes it", repr(secret)[1:-1]
    yield "in a URL", quote(secret, safe="")
    yield "in a path", quote(secret)
    yield "in a form", quote_plus(secret)
    yield "in HTML", html.escape(secret)
    content = secret.encode()
    for encoded in (b64encode, urlsafe_b64encode):
        for before in range(3):
            # Whatever stands before it shifts the letters; those that its neighbours touch are left out.
            text = encoded(b"\0" * before + content).decode().rstrip("=")
            piece = text[(0, 2, 3)[before] : len(text) - 1]
            if len(piece) >= _PIECE_CHARS:
                yield "in base64", piece
