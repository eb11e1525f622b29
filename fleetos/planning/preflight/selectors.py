"""Selectors: what one says, which servers it means, and why it means none."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from ipaddress import ip_address
from typing import get_args

from fleetos.errors import Problem
from fleetos.limits import CANDIDATES_LISTED
from fleetos.model.inventory import Inventory, Server
from fleetos.model.plan import ANY_VALUE, Network, Plan, Selector, SourcePosition
from fleetos.names import Suggestions, shown
from fleetos.planning.plan_file.schema import SelectableStatus
from fleetos.planning.plan_file.value_types import is_project_id
from fleetos.text import join_some

Fits = Callable[[Server], bool]

_SELECTABLE = frozenset[str](get_args(SelectableStatus))
# What a key of a selector is about, in messages: of one value, and of several.
_CALLED = {
    "az": ("availability zone", "availability zones"),
    "image": ("image", "images"),
    "flavor": ("flavor", "flavors"),
    "status": ("status", "statuses"),
    "enterprise_project": ("enterprise project", "enterprise projects"),
}


def projects_by_name(plan: Plan) -> Mapping[str, SourcePosition]:
    """The enterprise projects that selectors of the plan name by name, and where the first of them does."""
    found: dict[str, SourcePosition] = {}
    for ref in plan.servers:
        for name in () if ref.select is None else ref.select.enterprise_project:
            if ref.select is not None and not is_project_id(name):
                found.setdefault(name, ref.select.places.get("enterprise_project", ref.place))
    return found


def with_project_names(inventory: Inventory, names: Mapping[str, str]) -> Inventory:
    """The inventory with the names of enterprise projects, which are given by their ids."""
    named = {
        server.id: replace(server, enterprise_project_name=names.get(server.enterprise_project or ""))
        for server in inventory.servers.values()
    }
    return replace(inventory, servers=named)


def selected(selector: Selector, servers: Iterable[Server]) -> list[Server]:
    """The servers that the selector means, by name, but never one that is being built or deleted."""
    tests = [one.fits for one in _criteria(selector)]
    found = [server for server in servers if is_selectable(server) and all(fits(server) for fits in tests)]
    return sorted(found, key=lambda server: (server.name, server.id))


def lasting(selector: Selector) -> Selector | None:
    """The selector without the keys that a change of the OS alters, image and status; None if it has neither.

    It matches the servers that the selector matched before they were changed, and may have no key left.
    """
    if not selector.image and not selector.status:
        return None
    return replace(selector, image=(), status=())


def is_selectable(server: Server) -> bool:
    """Whether a selector may mean the server.

    For each change the platform builds a temporary server in the project, and lists may show it (API page ecs_02_0202;
    how it looks there no page says).
    """
    return server.picture.status in _SELECTABLE


def near_misses(selector: Selector, place: SourcePosition, servers: Sequence[Server]) -> Problem:
    """Why the selector means none of the servers, at the key that is to blame, with what comes near it."""
    there = [server for server in servers if is_selectable(server)]
    criteria = _criteria(selector)
    fitting = {one.key: sum(map(one.fits, there)) for one in criteria}
    if not there:
        return place.fault("the project has no server that can be selected")
    for one in criteria:
        if not fitting[one.key]:
            return selector.places.get(one.key, place).fault(f"no server has {one.said}", one.near(there))
    counts = ", ".join(f"`{key}` matches {count:,}" for key, count in fitting.items())
    without = {one.key: _count(there, [other for other in criteria if other is not one]) for one in criteria}
    best = max(without, key=lambda key: without[key])
    hint = f"without `{best}` it would be {without[best]:,}" if without[best] else None
    return place.fault(f"no server matches every key ({counts})", hint)


def _count(servers: Sequence[Server], criteria: Sequence["_Criterion"]) -> int:
    return sum(all(one.fits(server) for one in criteria) for server in servers)


@dataclass(frozen=True, slots=True)
class _Criterion:
    """One key of a selector: which servers fit it, how it is said, and what is shown when none does."""

    key: str
    said: str
    fits: Fits
    near: Callable[[Sequence[Server]], str | None]


def _criteria(selector: Selector) -> list[_Criterion]:
    exact: dict[str, tuple[tuple[str, ...], Callable[[Server], Iterable[str | None]]]] = {
        "az": (selector.az, lambda server: (server.az,)),
        "image": (selector.image, lambda server: (server.picture.likely_image, server.image_name)),
        "flavor": (selector.flavor, lambda server: (server.flavor,)),
        "status": (selector.status, lambda server: (server.picture.status,)),
        "enterprise_project": (
            selector.enterprise_project,
            lambda server: (server.enterprise_project, server.enterprise_project_name),
        ),
    }
    return [
        *([_by_name(selector.name)] if selector.name else []),
        *(_by_tag(key, values) for key, values in selector.tags),
        *(_by_values(key, values, told) for key, (values, told) in exact.items() if values),
        *([_by_address(selector.ip)] if selector.ip else []),
    ]


def _by_name(globs: tuple[str, ...]) -> _Criterion:
    patterns = [re.compile(translate(glob)) for glob in globs]

    def near(servers: Sequence[Server]) -> str | None:
        other_case = [re.compile(translate(glob), re.IGNORECASE) for glob in globs]
        names = [server.name for server in servers]
        found = [name for name in names if any(pattern.match(name) for pattern in other_case)]
        if found:
            return f"upper and lower case count: {shown(found[0])} is there"
        return _seen("names", names, globs)

    return _Criterion(
        "name",
        f"a name like {_or(globs)}",
        lambda server: any(pattern.match(server.name) for pattern in patterns),
        near,
    )


def _by_tag(key: str, values: tuple[str, ...]) -> _Criterion:
    anything, wanted = ANY_VALUE in values, frozenset(values)

    def near(servers: Sequence[Server]) -> str | None:
        tags = [(own, value) for server in servers for own, value in server.tags.items()]
        of_key = [_tag(own, value) for own, value in tags if own == key]
        if of_key:
            return _seen("tags", of_key, [_tag(key, value) for value in values])
        return _seen("keys of tags", [own for own, _ in tags], (key,))

    said = f"tag {key}" if anything else f"tag {_or([_tag(key, value) for value in values])}"
    return _Criterion(
        f"tags.{key}",
        said,
        lambda server: key in server.tags and (anything or server.tags[key] in wanted),
        near,
    )


def _by_values(key: str, values: tuple[str, ...], told: Callable[[Server], Iterable[str | None]]) -> _Criterion:
    wanted, (one, several) = frozenset(values), _CALLED[key]
    return _Criterion(
        key,
        f"{one} {_or(values)}",
        lambda server: not wanted.isdisjoint(told(server)),
        lambda servers: _seen(several, (text for server in servers for text in told(server) if text), values),
    )


def _by_address(networks: tuple[Network, ...]) -> _Criterion:
    def fits(server: Server) -> bool:
        return any(_within(address, networks) for address in server.addresses)

    def near(servers: Sequence[Server]) -> str | None:
        return _seen("addresses", (address for server in servers for address in server.addresses), ())

    return _Criterion("ip", f"an address in {_or([str(network) for network in networks])}", fits, near)


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        read = ip_address(address)
    except ValueError:
        return False
    return any(read in network for network in networks)


def _tag(key: str, value: str) -> str:
    return f"{shown(key)}={shown(value)}" if value else shown(key)


def _or(texts: Sequence[str]) -> str:
    more = len(texts) - CANDIDATES_LISTED
    return " or ".join(map(shown, texts[:CANDIDATES_LISTED])) + (f" or one of {more} more" if more > 0 else "")


def _seen(what: str, texts: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The texts that servers have, the most frequent first, and the one that is nearest to what was wanted."""
    counted: Mapping[str, int] = Counter(texts)
    if not counted:
        return f"{what} seen: none"
    seen = f"{what} seen: {join_some([shown(text) for text, _ in Counter(counted).most_common()], CANDIDATES_LISTED)}"
    meant = Suggestions(counted).meant(wanted[0], most=1) if len(wanted) == 1 else None
    return f"{meant} {seen}" if meant else seen
