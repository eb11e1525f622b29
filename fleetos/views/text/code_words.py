"""Words for an error code of the cloud."""

from fleetos.model.codes import meaning_of
from fleetos.views.text.format import printable


def code_words(code: str) -> str:
    """Return the cloud's error code, with its meaning if it is known: `Ecs.0021, the disk quota is used up`."""
    meaning = meaning_of(code)
    return f"{printable(code)}, {meaning}" if meaning else printable(code)
