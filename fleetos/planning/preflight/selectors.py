"""Match servers by their properties, and explain a selector that matches none."""

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
# Names of selector keys in messages: singular and plural.
_KEY_NAMES = {
    "az": ("availability zone", "availability zones"),
    "image": ("image", "images"),
    "flavor": ("flavor", "flavors"),
    "status": ("status", "statuses"),
    "enterprise_project": ("enterprise project", "enterprise projects"),
}


def projects_by_name(plan: Plan) -> Mapping[str, SourcePosition]:
    """Return the enterprise projects that selectors of the plan name by name, and the place of the first mention."""
    positions: dict[str, SourcePosition] = {}
    for ref in plan.servers:
        for name in () if ref.select is None else ref.select.enterprise_project:
            if ref.select is not None and not is_project_id(name):
                positions.setdefault(name, ref.select.places.get("enterprise_project", ref.place))
    return positions


def with_project_names(inventory: Inventory, names: Mapping[str, str]) -> Inventory:
    """Return the inventory with the names of enterprise projects. `names` are by id."""
    named = {
        server.id: replace(server, enterprise_project_name=names.get(server.enterprise_project or ""))
        for server in inventory.servers.values()
    }
    return replace(inventory, servers=named)


def match_servers(selector: Selector, servers: Iterable[Server]) -> list[Server]:
    """Return the servers that the selector means, sorted by name; never one that is being built or deleted."""
    tests = [criterion.fits for criterion in _criteria(selector)]
    matching = [server for server in servers if is_selectable(server) and all(fits(server) for fits in tests)]
    return sorted(matching, key=lambda server: (server.name, server.id))


def without_changing_keys(selector: Selector) -> Selector | None:
    """Return the selector without image and status, the keys that a change of the OS alters; None if it has neither.

    The result matches the servers that the selector matched before they were changed, and may have no key left.
    """
    if not selector.image and not selector.status:
        return None
    return replace(selector, image=(), status=())


def is_selectable(server: Server) -> bool:
    """Return whether a selector may mean the server.

    For each change the platform builds a temporary server in the project, and lists may show it (API page ecs_02_0202;
    no page says how it looks there).
    """
    return server.snapshot.status in _SELECTABLE


def explain_no_match(selector: Selector, place: SourcePosition, servers: Sequence[Server]) -> Problem:
    """Explain why the selector means none of the servers, at the key to blame, with similar values."""
    selectable = [server for server in servers if is_selectable(server)]
    criteria = _criteria(selector)
    counts_by_key = {criterion.key: sum(map(criterion.fits, selectable)) for criterion in criteria}
    if not selectable:
        return place.fault("the project has no server that can be selected")
    for criterion in criteria:
        if not counts_by_key[criterion.key]:
            return selector.places.get(criterion.key, place).fault(
                f"no server has {criterion.description}", criterion.hint(selectable)
            )
    counts = ", ".join(f"`{key}` matches {count:,}" for key, count in counts_by_key.items())
    without = {
        criterion.key: _count(selectable, [other for other in criteria if other is not criterion])
        for criterion in criteria
    }
    best = max(without, key=lambda key: without[key])
    hint = f"without `{best}` it would be {without[best]:,}" if without[best] else None
    return place.fault(f"no server matches every key ({counts})", hint)


def _count(servers: Sequence[Server], criteria: Sequence["_Criterion"]) -> int:
    return sum(all(criterion.fits(server) for criterion in criteria) for server in servers)


@dataclass(frozen=True, slots=True)
class _Criterion:
    """One key of a selector: its test, its words, and its hint if no server fits."""

    key: str
    description: str
    fits: Fits
    hint: Callable[[Sequence[Server]], str | None]


def _criteria(selector: Selector) -> list[_Criterion]:
    exact: dict[str, tuple[tuple[str, ...], Callable[[Server], Iterable[str | None]]]] = {
        "az": (selector.az, lambda server: (server.az,)),
        "image": (selector.image, lambda server: (server.snapshot.likely_image, server.image_name)),
        "flavor": (selector.flavor, lambda server: (server.flavor,)),
        "status": (selector.status, lambda server: (server.snapshot.status,)),
        "enterprise_project": (
            selector.enterprise_project,
            lambda server: (server.enterprise_project, server.enterprise_project_name),
        ),
    }
    return [
        *([_name_criterion(selector.name)] if selector.name else []),
        *(_tag_criterion(key, values) for key, values in selector.tags),
        *(_values_criterion(key, values, values_of) for key, (values, values_of) in exact.items() if values),
        *([_address_criterion(selector.ip)] if selector.ip else []),
    ]


def _name_criterion(globs: tuple[str, ...]) -> _Criterion:
    patterns = [re.compile(translate(glob)) for glob in globs]

    def hint(servers: Sequence[Server]) -> str | None:
        other_case = [re.compile(translate(glob), re.IGNORECASE) for glob in globs]
        names = [server.name for server in servers]
        matching = [name for name in names if any(pattern.match(name) for pattern in other_case)]
        if matching:
            return f"upper and lower case count: {shown(matching[0])} is there"
        return _list_values("names", names, globs)

    return _Criterion(
        "name",
        f"a name like {_join_or(globs)}",
        lambda server: any(pattern.match(server.name) for pattern in patterns),
        hint,
    )


def _tag_criterion(key: str, values: tuple[str, ...]) -> _Criterion:
    anything, wanted = ANY_VALUE in values, frozenset(values)

    def hint(servers: Sequence[Server]) -> str | None:
        tags = [(tag_key, value) for server in servers for tag_key, value in server.tags.items()]
        values_of_key = [_format_tag(tag_key, value) for tag_key, value in tags if tag_key == key]
        if values_of_key:
            return _list_values("tags", values_of_key, [_format_tag(key, value) for value in values])
        return _list_values("keys of tags", [tag_key for tag_key, _ in tags], (key,))

    description = f"tag {key}" if anything else f"tag {_join_or([_format_tag(key, value) for value in values])}"
    return _Criterion(
        f"tags.{key}",
        description,
        lambda server: key in server.tags and (anything or server.tags[key] in wanted),
        hint,
    )


def _values_criterion(
    key: str, values: tuple[str, ...], values_of: Callable[[Server], Iterable[str | None]]
) -> _Criterion:
    wanted, (singular, plural) = frozenset(values), _KEY_NAMES[key]
    return _Criterion(
        key,
        f"{singular} {_join_or(values)}",
        lambda server: not wanted.isdisjoint(values_of(server)),
        lambda servers: _list_values(
            plural, (text for server in servers for text in values_of(server) if text), values
        ),
    )


def _address_criterion(networks: tuple[Network, ...]) -> _Criterion:
    def fits(server: Server) -> bool:
        return any(_is_within(address, networks) for address in server.addresses)

    def hint(servers: Sequence[Server]) -> str | None:
        return _list_values("addresses", (address for server in servers for address in server.addresses), ())

    return _Criterion("ip", f"an address in {_join_or([str(network) for network in networks])}", fits, hint)


def _is_within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def _format_tag(key: str, value: str) -> str:
    return f"{shown(key)}={shown(value)}" if value else shown(key)


def _join_or(texts: Sequence[str]) -> str:
    left_out = len(texts) - CANDIDATES_LISTED
    return " or ".join(map(shown, texts[:CANDIDATES_LISTED])) + (f" or one of {left_out} more" if left_out > 0 else "")


def _list_values(noun: str, texts: Iterable[str], wanted: Sequence[str]) -> str | None:
    """List the values that servers have, the most frequent first, after the one most similar to the wanted value."""
    counted: Mapping[str, int] = Counter(texts)
    if not counted:
        return f"{noun} seen: none"
    listing = (
        f"{noun} seen: {join_some([shown(text) for text, _ in Counter(counted).most_common()], CANDIDATES_LISTED)}"
    )
    suggestion = Suggestions(counted).did_you_mean(wanted[0], most=1) if len(wanted) == 1 else None
    return f"{suggestion} {listing}" if suggestion else listing
