"""From what a validation found to Problems: at their line and column, with what was expected and a hint."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fleetos.errors import Problem
from fleetos.limits import INPUT_PROBLEMS_LISTED
from fleetos.model.plan import SourcePosition
from fleetos.planning.plan_file.schema import (
    ApiSection,
    ChangeSection,
    ExcludedId,
    ExcludedName,
    FailureSection,
    MetadataSection,
    PlanShape,
    PollingSection,
    RolloutSection,
    SelectSection,
    ServerById,
    ServerByName,
    ServerFile,
    ServerSelect,
    TimeoutsSection,
)
from fleetos.planning.plan_file.value_types import EACH, MEANINGS, ONE
from fleetos.yaml_file import SECRET_KEYS, Key, KeyPath, Node, dotted

# What stands at which path; `*` is any item of a list.
SECTIONS: Mapping[tuple[str, ...], tuple[type[BaseModel], ...]] = {
    (): (PlanShape,),
    ("change",): (ChangeSection,),
    ("change", "metadata"): (MetadataSection,),
    ("servers", "*"): (ServerById, ServerByName, ServerFile, ServerSelect),
    ("servers", "*", "select"): (SelectSection,),
    ("servers", "*", "change"): (ChangeSection,),
    ("servers", "*", "change", "metadata"): (MetadataSection,),
    ("exclude", "*"): (ExcludedId, ExcludedName),
    ("rollout",): (RolloutSection,),
    ("failure",): (FailureSection,),
    ("timeouts",): (TimeoutsSection,),
    ("polling",): (PollingSection,),
    ("api",): (ApiSection,),
}
# Keys that a later version will know, by the path of their section.
LATER: Mapping[tuple[str, ...], frozenset[str]] = {
    (): frozenset({"windows", "hooks", "health", "backup", "notify"}),
    ("rollout",): frozenset({"waves", "between_waves", "max_unavailable", "order"}),
    ("failure",): frozenset({"max_failed", "max_failed_per_wave"}),
}
_NOT_SUPPORTED = "not supported by this version"
_ENTRIES = frozenset({"servers", "exclude"})
_MARKS = frozenset({"[key]", ONE, EACH})
_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "model_type": "a mapping of keys",
    "dict_type": "a mapping of names to values",
    "list_type": "a list",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of the whole file found.

    `unlisted` counts problems that are not among them, since there are too many. `shape` is what remains of the plan
    without the places in `pruned`, where the problems are, so that further checks can go on; None when nothing useful
    remains.
    """

    shape: PlanShape | None
    problems: tuple[Problem, ...]
    pruned: frozenset[KeyPath]
    unlisted: int = 0


def place_of(root: Node, path: KeyPath, file: str) -> SourcePosition:
    """Return the place of a path: its key or item, or the nearest that is there of those around it."""
    node, mark = root, root.mark
    for part in path:
        if part not in node.below:
            break
        below = node.below[part]
        mark = node.keys.get(part, below.mark) if isinstance(part, str) else below.mark
        node = below
    return SourcePosition(file, mark.line, mark.column, dotted(path))


def checked(root: Node, file: str) -> Checked:
    """The plan's shape and all problems of it."""
    if not root.is_mapping:
        text = "the plan is no mapping of keys"
        problem = place_of(root, (), file).fault(text, "its keys are version, name, change, servers and others")
        return Checked(None, (problem,), frozenset())
    empty = {path for path in _null_paths(root) if _is_empty_key(path)}
    problems = [
        place_of(root, path, file).fault("the key has no value", "leave the key out, or give it one")
        for path in sorted(empty, key=str)
    ]
    shape, errors = _validated(_without(root.plain, tuple(empty)))
    if shape is not None:
        return Checked(shape, tuple(problems), frozenset(empty))
    found = [(path, error) for error in errors if (path := _path(error)) not in empty]
    problems += [_problem(root, file, path, error) for path, error in found[:INPUT_PROBLEMS_LISTED]]
    pruned = empty | {_entry(path) for path, _ in found}
    rest = _without(root.plain, tuple(pruned))
    rest.setdefault("version", 1)
    rest.setdefault("name", "unnamed")
    shape, _ = _validated(rest)
    return Checked(shape, tuple(problems), frozenset(pruned), max(0, len(found) - INPUT_PROBLEMS_LISTED))


def listed(problems: Iterable[Problem], file: str, unlisted: int = 0) -> tuple[Problem, ...]:
    """The problems in order; of too many the first, and how many more there are."""
    ordered = in_order(problems)
    more = unlisted + max(0, len(ordered) - INPUT_PROBLEMS_LISTED)
    if more == 0:
        return ordered
    note = Problem(file, None, None, "", f"{more} more problems are not listed")
    return (*ordered[:INPUT_PROBLEMS_LISTED], note)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems file by file, as the eye meets them."""
    return tuple(sorted(problems, key=lambda one: (one.file, one.line or 0, one.column or 0)))


def _is_empty_key(path: KeyPath) -> bool:
    """Whether the key at the path, which has no value, is one that the format knows."""
    if not path or not isinstance(path[-1], str) or SECRET_KEYS & set(path[:-1]):
        return False
    known = known_keys(path[:-1])
    return not known or path[-1] in known


def _validated(plain: Any) -> tuple[PlanShape | None, list[ErrorDetails]]:
    try:
        return PlanShape.model_validate(plain), []
    except ValidationError as error:
        # Without the input: it may hold a password in a wrong place.
        return None, error.errors(include_input=False, include_url=False)


def _path(error: ErrorDetails) -> KeyPath:
    """The path of an error: its location without the tags of unions and the marks of mapping keys."""
    location = tuple(part for part in error["loc"] if part not in _MARKS)
    if len(location) > 2 and location[0] in _ENTRIES:
        return (*location[:2], *location[3:])
    return location


def _entry(path: KeyPath) -> KeyPath:
    """The path, or the entry of a list as a whole where it is the key by which the entry names its servers."""
    return path[:2] if len(path) == 3 and path[0] in _ENTRIES and path[2] in _ways(path) else path


def _generic(path: KeyPath) -> tuple[str, ...]:
    return tuple("*" if isinstance(part, int) else part for part in path)


def known_keys(path: KeyPath) -> tuple[str, ...]:
    """The keys that the format knows at the path, in its order; none where keys are free or there are none."""
    models = SECTIONS.get(_generic(path), ())
    names = (info.alias or name for model in models for name, info in model.model_fields.items())
    return tuple(dict.fromkeys(names))


def _problem(root: Node, file: str, path: KeyPath, error: ErrorDetails) -> Problem:
    place = place_of(root, path, file)
    match error["type"]:
        case "extra_forbidden":
            return place.fault(*_unknown(path))
        case "missing":
            return place.fault("the key is missing, and is required")
        case "union_tag_invalid" | "union_tag_not_found":
            return _unnamed(root, path, file)
        case _:
            return place.problem(*_explained(path, error))


def _unnamed(root: Node, path: KeyPath, file: str) -> Problem:
    """The problem of an entry that names its servers by none of the keys that do."""
    ways = _ways(path)
    node = root
    for part in path:
        node = node.below.get(part, node)
    for key in node.keys:
        near = _known_near(key, ways)
        if near is not None:
            return place_of(root, (*path, key), file).fault("the key is not known", f"did you mean `{near}`?")
    return place_of(root, path, file).fault(f"the entry has none of {_spoken(ways)}", "each entry has exactly one")


def _explained(path: KeyPath, error: ErrorDetails) -> tuple[str, str | None]:
    """What was expected at the path, and a hint."""
    kind, context = error["type"], error.get("ctx", {})
    match kind:
        case "plan":
            return context["expected"], context["hint"]
        case "string_pattern_mismatch":
            return MEANINGS[context["pattern"]], None
        case "string_type":
            return "a text", "put it in quotes"
        case "literal_error":
            hint = 'put it in quotes: "1" is a text, 1 is a number' if path[-2:-1] == ("metadata",) else None
            return f"one of {context['expected']}".replace("'", "`"), hint
        case "greater_than_equal":
            return f"at least {context['ge']}", None
        case "less_than_equal":
            return f"at most {context['le']}", None
        case "too_short":
            return "at least one entry", None
        case "too_long":
            return f"at most {context['max_length']} entries", None
        case _:
            return _TYPES.get(kind, error["msg"]), None


def _ways(path: KeyPath) -> tuple[str, ...]:
    return ("id", "name") if path[0] == "exclude" else ("id", "name", "file", "select")


def _unknown(path: KeyPath) -> tuple[str, str | None]:
    """What is wrong about a key that its section does not have, and a hint."""
    section, key = path[:-1], str(path[-1])
    home = next((one for one, keys in LATER.items() if key in keys), None)
    known = known_keys(section)
    if home is not None and (home == _generic(section) or not any(key in known_keys(one) for one in SECTIONS)):
        where = f"`{dotted((*home, key))}`"
        return _NOT_SUPPORTED, None if home == _generic(section) else f"it will be {where}"
    if key in known:
        return (
            f"the entry has more than one of {_spoken(_ways(path))}",
            f"make `{key}` an entry of its own, or remove it",
        )
    near = _known_near(key, known)
    if near is not None:
        return "the key is not known", f"did you mean `{near}`?"
    elsewhere = sorted({_section_name(path) for path in SECTIONS if key in known_keys(path)} - {_section_name(section)})
    if elsewhere:
        return "the key is not known here", f"`{key}` belongs {' or '.join(elsewhere)}"
    return "the key is not known", f"known here: {', '.join(known)}"


def _known_near(key: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)), None)


def _section_name(path: KeyPath) -> str:
    spelled = dotted(_generic(path)).replace(".*", "[]")
    return f"into `{spelled}`" if spelled else "to the top level"


def _spoken(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words[:-1]) + f" and `{words[-1]}`"


def _null_paths(root: Node) -> Iterator[KeyPath]:
    """Yield the paths of the keys and items that have no value, in the order of the document."""
    stack: list[tuple[KeyPath, Node]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if node.plain is None:
            yield path
        stack.extend((((*path, key), below) for key, below in reversed(node.below.items())))


def _without(value: Any, paths: Sequence[KeyPath]) -> Any:
    """Return a copy of plain values that lacks what the paths name; what no path touches is shared."""
    heads: dict[Key, list[KeyPath]] = {}
    for path in paths:
        heads.setdefault(path[0], []).append(path[1:])
    gone = {head for head, rests in heads.items() if () in rests}
    if isinstance(value, dict):
        items = cast("dict[Key, Any]", value)
        return {
            key: _without(item, heads[key]) if key in heads else item for key, item in items.items() if key not in gone
        }
    if isinstance(value, list):
        listed = cast("list[Any]", value)
        return [
            _without(item, heads[index]) if index in heads else item
            for index, item in enumerate(listed)
            if index not in gone
        ]
    return value
