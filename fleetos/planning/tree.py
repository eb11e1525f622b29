"""A YAML document as plain values, with the place of every key."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from fleetos.model.plan import Place

Key = str | int
Path = tuple[Key, ...]
# Keys are repeated in messages: a password in the wrong place must not make them endless.
_KEY_LETTERS = 60
# What stands below these keys is never shown, not even as a key.
SECRET_KEYS = frozenset({"adminpass", "user_data"})


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the text; line and column count from 1."""

    line: int
    column: int


@dataclass(slots=True, eq=False)
class Node:
    """One value of the document: `plain` is it and all below it as Python values.

    `keys` holds the place of each key of a mapping, `below` its values or the items of a sequence. `count` is the
    number of values in it and `height` its levels, both with aliases followed. No repr shows what is in it: user data
    stands in plans, and now and then a password in a wrong place.
    """

    mark: Mark
    plain: Any = field(repr=False)
    keys: dict[str, Mark] = field(default_factory=dict[str, Mark], repr=False)
    below: "dict[Key, Node]" = field(default_factory=dict[Key, "Node"], repr=False)
    count: int = 1
    height: int = 1

    @property
    def is_mapping(self) -> bool:
        """Whether it is a mapping."""
        return isinstance(self.plain, dict)

    def add(self, key: tuple[str, Mark] | None, value: "Node") -> None:
        """Adds a value under a key, or at the end of a sequence."""
        if key is None:
            self.below[len(self.below)] = value
            self.plain.append(value.plain)
        else:
            name, mark = key
            self.keys[name] = mark
            self.below[name] = value
            self.plain[name] = value.plain
        self.count += value.count
        self.height = max(self.height, 1 + value.height)


def dotted(path: Iterable[Key]) -> str:
    """The path in the spelling of messages: `servers[3].change.keyname`, items counted from 0.

    It ends at the first key that holds a secret: a password in a wrong place may have been read as a key.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if len(part) <= _KEY_LETTERS else part[:_KEY_LETTERS] + "...")
            if part in SECRET_KEYS:
                break
    return text


def place_of(root: Node, path: Sequence[Key], file: str) -> Place:
    """Where the path stands: its key or item, or the nearest that is there of those around it."""
    node, mark = root, root.mark
    for part in path:
        if part not in node.below:
            break
        below = node.below[part]
        mark = node.keys.get(part, below.mark) if isinstance(part, str) else below.mark
        node = below
    return Place(file, mark.line, mark.column, dotted(path))


def nulls(root: Node) -> Iterator[Path]:
    """The paths of the keys and items that have no value, in the order of the document."""
    stack: list[tuple[Path, Node]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if node.plain is None:
            yield path
        stack.extend((((*path, key), below) for key, below in reversed(node.below.items())))


def without(value: Any, paths: Sequence[Path]) -> Any:
    """A copy of plain values that lacks what the paths name; what no path touches is shared."""
    heads: dict[Key, list[Path]] = {}
    for path in paths:
        heads.setdefault(path[0], []).append(path[1:])
    gone = {head for head, rests in heads.items() if () in rests}
    if isinstance(value, dict):
        items = cast("dict[Key, Any]", value)
        return {
            key: without(item, heads[key]) if key in heads else item for key, item in items.items() if key not in gone
        }
    if isinstance(value, list):
        listed = cast("list[Any]", value)
        return [
            without(item, heads[index]) if index in heads else item
            for index, item in enumerate(listed)
            if index not in gone
        ]
    return value
