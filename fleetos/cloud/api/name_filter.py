"""Name filters that list a small fleet in a large project. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import takewhile

from fleetos.limits import LIST_PAGE

# Most filters for one fleet; each is a query of its own.
_FILTERS_MAX = 16
# How often a filtered list may omit servers that the whole list shows, or be refused, before filters are given up: a
# page can shift while servers come and go, and a response can be garbled.
_OMISSIONS_MAX = 2
# Letters that match at least themselves in a query by name: a "." matches any character (ECS API, "listing details
# about ECSs"), and a "_" might.
_PLAIN = re.compile(r"[A-Za-z0-9._-]*")


class NameFilters:
    """Names in a server list, and the filters for a fleet, each with its number of pages.

    There are no filters while the names are unknown, if the names of the fleet share no text, and once the cloud has
    ignored filters.
    """

    def __init__(self) -> None:
        self.filters: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._fleet: set[str] = set()
        self._omissions = 0

    def add_names(self, names: Mapping[str, str]) -> None:
        """Add the names that a page shows, by server id."""
        self._names.update(names)

    def group_servers(self, wanted: Set[str], pages: int) -> Mapping[str, Set[str]]:
        """Return the wanted servers by filter; empty if a walk through the whole list of `pages` pages is better."""
        if pages <= 1 or self._omissions > _OMISSIONS_MAX or not wanted <= self._names.keys():
            return {}
        wanted_names = {server_id: self._names[server_id] for server_id in wanted}
        groups = _group_by_filter(wanted_names, self.filters)
        if groups is None:
            self._fleet |= wanted
            self.filters = choose_filters([self._names[server_id] for server_id in self._fleet], self._names.values())
            groups = _group_by_filter(wanted_names, self.filters)
        return groups or {} if sum(self.filters.values()) < pages else {}

    def record_pages(self, name_filter: str, pages: int, *, whole: bool) -> None:
        """Record the number of pages of a filtered list; if not `whole`, the list has at least that many."""
        # Another sweep may have replaced the filters meanwhile.
        if name_filter in self.filters:
            self.filters[name_filter] = pages if whole else max(pages, self.filters[name_filter])

    def record_omission(self) -> None:
        """Record that a filtered list omitted a server that the whole list shows."""
        self._omissions += 1

    @property
    def calls(self) -> int | None:
        """Number of requests to list the fleet by its filters, None if filters are not used."""
        return sum(self.filters.values()) or None if self._omissions <= _OMISSIONS_MAX else None


def choose_filters(fleet: Sequence[str], all_names: Iterable[str]) -> dict[str, int]:
    """Return filters such that each name of the fleet contains one, with the pages that a list by each should take.

    They take the fewest pages in a list of the names in `all_names`; empty if the fleet shares no texts.
    """
    # Whether a query by name is case-sensitive is not documented; assume not, which is more expensive.
    names = [name.casefold() for name in all_names]
    candidates = [
        {name_filter: _pages(name_filter.casefold(), names) for name_filter in filters}
        for filters in _candidates(fleet)
    ]
    return min(candidates, key=lambda pages: sum(pages.values())) if candidates else {}


def _pages(name_filter: str, names: Sequence[str]) -> int:
    return max(1, -(-sum(name_filter in name for name in names) // LIST_PAGE))


def _candidates(fleet: Sequence[str]) -> Iterator[Sequence[str]]:
    prefix = _plain_prefix(_common_prefix(fleet))
    suffix = _plain_prefix(_common_prefix([name[::-1] for name in fleet]))[::-1]
    # "web-001" and "db-eu-07" without their numbers: "web-" and "db-eu-".
    stems = sorted({_plain_prefix(name).rstrip("0123456789") for name in fleet})
    for filters in ((prefix,), (suffix,), stems):
        if all(filters) and 0 < len(filters) <= _FILTERS_MAX:
            yield filters


def _common_prefix(names: Sequence[str]) -> str:
    """Return the longest common prefix of the names: the prefix that the smallest and the largest share."""
    pairs = zip(min(names, default=""), max(names, default=""), strict=False)
    return "".join(letter for letter, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _plain_prefix(text: str) -> str:
    match = _PLAIN.match(text)
    return match[0] if match else ""


def _group_by_filter(names: Mapping[str, str], filters: Iterable[str]) -> Mapping[str, Set[str]] | None:
    """Return the servers by the filter that the name of each contains, None if a name contains none."""
    groups: dict[str, set[str]] = {name_filter: set() for name_filter in filters}
    for server_id, name in names.items():
        name_filter = next((name_filter for name_filter in groups if name_filter in name), None)
        if name_filter is None:
            return None
        groups[name_filter].add(server_id)
    return {name_filter: servers for name_filter, servers in groups.items() if servers}
