"""Helpers for sentences: lists cut to "and 3 more", suggestions, plurals."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches


def counted(number: int, noun: str) -> str:
    """Return number and noun, in the plural unless the number is one: `1 server`, `1,200 servers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def and_more(count: int) -> str:
    """Return the end of a list that leaves out `count` items: ` and 3 more`, empty for none."""
    return f" and {count:,} more" if count > 0 else ""


def join_some(items: Sequence[str], limit: int) -> str:
    """Return the first `limit` items joined, and the number of the others: `a, b and 3 more`."""
    return ", ".join(items[:limit]) + and_more(len(items) - limit)


def did_you_mean(word: str, known: Iterable[str], limit: int = 1, spelled: Callable[[str], str] = str) -> str | None:
    """Return a question with the known words nearest to `word`, None if none is near."""
    near = get_close_matches(word, list(known), n=limit)
    return f"did you mean {' or '.join(map(spelled, near))}?" if near else None
