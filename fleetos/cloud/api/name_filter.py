"""A fleet that is a small part of a large list: texts of names by which it is shown without the rest. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import takewhile

from fleetos.limits import LIST_PAGE

# Texts by which a fleet is listed, each in a query of its own.
_TEXTS_MOST = 16
# How often a list by text may leave out what the whole list shows, or be refused: a page can shift while servers come
# and go, and an answer can be garbled.
_LEFT_OUT_MOST = 2
# What stands for itself in a query by name, or for more than itself: a "." there is any character (ECS API, "listing
# details about ECSs"), and a "_" might be.
_PLAIN = re.compile(r"[A-Za-z0-9._-]*")


class NameFilters:
    """What is known of the names in a list, and the texts by which a fleet is asked for, each with its pages.

    There are no texts while the names are not known, where the fleet shares none, and once the cloud did not heed them.
    """

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._fleet: set[str] = set()
        self._left_out = 0

    def learn(self, names: Mapping[str, str]) -> None:
        """Enters the names that a page shows."""
        self._names.update(names)

    def groups(self, wanted: Set[str], pages: int) -> Mapping[str, Set[str]]:
        """Return the servers by the text that each is shown by; none where the whole list, of so many pages, is to be
        walked instead.
        """
        if pages <= 1 or self._left_out > _LEFT_OUT_MOST or not wanted <= self._names.keys():
            return {}
        named = {one: self._names[one] for one in wanted}
        found = _by_text(named, self.texts)
        if found is None:
            self._fleet |= wanted
            self.texts = texts_of([self._names[one] for one in self._fleet], self._names.values())
            found = _by_text(named, self.texts)
        return found or {} if sum(self.texts.values()) < pages else {}

    def took(self, text: str, pages: int, *, whole: bool) -> None:
        """Enters how many pages a list by that text was seen to have, or to have at least."""
        # Another sweep may have chosen other texts meanwhile.
        if text in self.texts:
            self.texts[text] = pages if whole else max(pages, self.texts[text])

    def left_out(self) -> None:
        """Enters that the whole list shows what a list by text left out."""
        self._left_out += 1

    @property
    def calls(self) -> int | None:
        """How many requests it takes to see the fleet by its texts, None where they are not used."""
        return sum(self.texts.values()) or None if self._left_out <= _LEFT_OUT_MOST else None


def texts_of(fleet: Sequence[str], everybody: Iterable[str]) -> dict[str, int]:
    """Return texts of which each name of the fleet has one, with how many pages a list by each should take.

    Those that take the fewest pages among the names of everybody; none if no texts are shared by the fleet.
    """
    # Whether a cloud tells capitals from small letters is not documented: that it does not costs more.
    names = [name.casefold() for name in everybody]
    counted = [{text: _pages(text.casefold(), names) for text in texts} for texts in _candidates(fleet)]
    return min(counted, key=lambda pages: sum(pages.values())) if counted else {}


def _pages(text: str, names: Sequence[str]) -> int:
    return max(1, -(-sum(text in name for name in names) // LIST_PAGE))


def _candidates(fleet: Sequence[str]) -> Iterator[Sequence[str]]:
    begin = _plain(_beginning(fleet))
    end = _plain(_beginning([name[::-1] for name in fleet]))[::-1]
    # What is left of "web-001" and "db-eu-07" without their numbers.
    stems = sorted({_plain(name).rstrip("0123456789") for name in fleet})
    for texts in ((begin,), (end,), stems):
        if all(texts) and 0 < len(texts) <= _TEXTS_MOST:
            yield texts


def _beginning(names: Sequence[str]) -> str:
    """What all the names begin with: what the first and the last of them in their order share."""
    pairs = zip(min(names, default=""), max(names, default=""), strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _plain(text: str) -> str:
    found = _PLAIN.match(text)
    return found[0] if found else ""


def _by_text(names: Mapping[str, str], texts: Iterable[str]) -> Mapping[str, Set[str]] | None:
    """Return the servers by the text that the name of each has, None if one has none."""
    found: dict[str, set[str]] = {text: set() for text in texts}
    for server_id, name in names.items():
        text = next((one for one in found if one in name), None)
        if text is None:
            return None
        found[text].add(server_id)
    return {text: servers for text, servers in found.items() if servers}
