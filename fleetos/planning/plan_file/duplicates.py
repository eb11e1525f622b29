"""Merge duplicate servers, or report the contradiction."""

from collections.abc import Hashable, Iterable
from dataclasses import replace

from fleetos.errors import Problem
from fleetos.model.plan import CHANGE_KEYS, ChangeSpec, ServerRef


def merge_servers(servers: Iterable[tuple[Hashable, ServerRef]]) -> tuple[dict[Hashable, ServerRef], list[Problem]]:
    """Return the servers by identity, in the order of their first mention, and the contradictions between them.

    Each contradiction names both places. Two entries that both mean thousands of servers are joined, and judged, once.
    """
    kept: dict[Hashable, ServerRef] = {}
    problems: list[Problem] = []
    # Keyed by id(), which is safe: the values keep the entries alive.
    joined: dict[tuple[int, int], tuple[ServerRef, ServerRef, ServerRef]] = {}
    for identity, server in servers:
        first = kept.setdefault(identity, server)
        if first is server:
            continue
        pair = (id(first), id(server))
        if pair not in joined:
            joined[pair] = (first, server, _merge(first, server, problems))
        kept[identity] = joined[pair][2]
    return kept, problems


def _merge(first: ServerRef, second: ServerRef, problems: list[Problem]) -> ServerRef:
    for key in CHANGE_KEYS:
        ours, theirs = getattr(first.change, key), getattr(second.change, key)
        if ours is not None and theirs is not None and ours != theirs:
            problems.append(_contradiction(first, second, key))
    if (
        _image_keys(first.change)
        and _image_keys(second.change)
        and _image_keys(first.change) != _image_keys(second.change)
    ):
        problems.append(_contradiction(first, second, "image or reinstall"))
    if (
        _login_keys(first.change)
        and _login_keys(second.change)
        and _login_keys(first.change) != _login_keys(second.change)
    ):
        problems.append(_contradiction(first, second, "keyname or adminpass"))
    for label, value in second.labels.items():
        if first.labels.get(label, value) != value:
            problems.append(_contradiction(first, second, f"labels.{label}"))
    if not second.labels and not second.change.written:
        return first
    return replace(first, change=second.change.over(first.change), labels={**second.labels, **first.labels})


def _login_keys(change: ChangeSpec) -> frozenset[str]:
    return frozenset(key for key in ("keyname", "adminpass") if getattr(change, key) is not None)


def _image_keys(change: ChangeSpec) -> frozenset[str]:
    return frozenset(key for key in ("image", "reinstall") if getattr(change, key) is not None)


def _contradiction(first: ServerRef, second: ServerRef, key: str) -> Problem:
    place = second.change.places.get(key, second.place)
    expected = f"the same {key} as at {first.change.places.get(key, first.place)}, where this server is listed too"
    return place.problem(expected, "list the server once")
