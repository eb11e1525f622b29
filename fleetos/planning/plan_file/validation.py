"""Turn validation errors into problems with line and column."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fleetos.errors import Problem
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
from fleetos.planning.plan_file.schema_rollout import (
    NotifySection,
    OfLastSection,
    ThenSection,
    UnavailableSection,
    WaveSection,
    WindowSection,
    WindowsSection,
)
from fleetos.planning.plan_file.value_types import EACH, MEANINGS, ONE
from fleetos.text import did_you_mean
from fleetos.yaml_file import SECRET_KEYS, Key, KeyPath, Node, dotted

# Problems that are listed of a plan with its files; the others are counted.
INPUT_PROBLEMS_LISTED = 2_000
# The sections by path; `*` is any item of a list.
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
    ("rollout", "waves", "*"): (WaveSection,),
    ("rollout", "waves", "*", "then"): (ThenSection,),
    ("rollout", "between_waves"): (ThenSection,),
    ("rollout", "max_unavailable", "*"): (UnavailableSection,),
    ("failure",): (FailureSection,),
    ("failure", "of_last"): (OfLastSection,),
    ("windows",): (WindowsSection,),
    ("windows", "allow", "*"): (WindowSection,),
    ("windows", "deny", "*"): (WindowSection,),
    ("notify", "*"): (NotifySection,),
    ("timeouts",): (TimeoutsSection,),
    ("polling",): (PollingSection,),
    ("api",): (ApiSection,),
}
# Keys that a later version will know, by the path of their section.
LATER: Mapping[tuple[str, ...], frozenset[str]] = {
    (): frozenset({"hooks", "health", "backup"}),
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
class Validation:
    """Result of the validation of a whole file."""

    shape: PlanShape | None
    """The plan without the places in `pruned`, so that further checks can go on; None if too little remains."""
    problems: tuple[Problem, ...]
    pruned: frozenset[KeyPath]
    """Paths where the problems are."""
    unlisted: int = 0
    """Number of problems beyond INPUT_PROBLEMS_LISTED, which are not in `problems`."""


def place_of(root: Node, path: KeyPath, file: str) -> SourcePosition:
    """Return the place of a path: its key or item, or the nearest one around it that exists."""
    node, mark = root, root.mark
    for part in path:
        if part not in node.below:
            break
        below = node.below[part]
        mark = node.keys.get(part, below.mark) if isinstance(part, str) else below.mark
        node = below
    return SourcePosition(file, mark.line, mark.column, dotted(path))


def validate_plan(root: Node, file: str) -> Validation:
    """Validate the tree of a plan file: return its shape and all problems of it."""
    if not root.is_mapping:
        text = "the plan is no mapping of keys"
        problem = place_of(root, (), file).fault(text, "its keys are version, name, change, servers and others")
        return Validation(None, (problem,), frozenset())
    empty = {path for path in _null_paths(root) if _is_empty_key(path)}
    problems = [
        place_of(root, path, file).fault("the key has no value", "leave the key out, or give it one")
        for path in sorted(empty, key=str)
    ]
    shape, errors = _validate(_without(root.plain, tuple(empty)))
    if shape is not None:
        return Validation(shape, tuple(problems), frozenset(empty))
    key_errors = [(path, error) for error in errors if (path := _error_path(error)) not in empty]
    problems += [_make_problem(root, file, path, error) for path, error in key_errors[:INPUT_PROBLEMS_LISTED]]
    pruned = empty | {_entry_path(path) for path, _ in key_errors}
    shape, errors = _validate_rest(root, pruned)
    if shape is None:
        # A list may have lost all its entries.
        pruned |= {_error_path(error) for error in errors}
        shape, _ = _validate_rest(root, pruned)
    return Validation(shape, tuple(problems), frozenset(pruned), max(0, len(key_errors) - INPUT_PROBLEMS_LISTED))


def limit_problems(problems: Iterable[Problem], file: str, unlisted: int = 0) -> tuple[Problem, ...]:
    """Return the problems in order; if there are too many, the first ones and how many more there are."""
    ordered = sort_problems(problems)
    left_out = unlisted + max(0, len(ordered) - INPUT_PROBLEMS_LISTED)
    if left_out == 0:
        return ordered
    note = Problem(file, None, None, "", f"{left_out} more problems are not listed")
    return (*ordered[:INPUT_PROBLEMS_LISTED], note)


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems ordered by file, line and column."""
    return tuple(sorted(problems, key=lambda problem: (problem.file, problem.line or 0, problem.column or 0)))


def _is_empty_key(path: KeyPath) -> bool:
    """Return whether the key at the path, which has no value, is one that the format knows."""
    if not path or not isinstance(path[-1], str) or SECRET_KEYS & set(path[:-1]):
        return False
    known = known_keys(path[:-1])
    return not known or path[-1] in known


def _validate(plain: Any) -> tuple[PlanShape | None, list[ErrorDetails]]:
    try:
        return PlanShape.model_validate(plain), []
    except ValidationError as error:
        # Without the input: it may hold a password in a wrong place.
        return None, error.errors(include_input=False, include_url=False)


def _validate_rest(root: Node, pruned: set[KeyPath]) -> tuple[PlanShape | None, list[ErrorDetails]]:
    """Validate the plan without the places in `pruned`."""
    plain = _without(root.plain, tuple(pruned))
    plain.setdefault("version", 1)
    plain.setdefault("name", "unnamed")
    return _validate(plain)


def _error_path(error: ErrorDetails) -> KeyPath:
    """Return the path of an error: its location without the tags of unions and the marks of mapping keys."""
    location = tuple(part for part in error["loc"] if part not in _MARKS)
    if len(location) > 2 and location[0] in _ENTRIES:
        return (*location[:2], *location[3:])
    return location


def _entry_path(path: KeyPath) -> KeyPath:
    """Return the path; if it is the key by which a list entry names its servers, the path of the entry."""
    return path[:2] if len(path) == 3 and path[0] in _ENTRIES and path[2] in _entry_kinds(path) else path


def _section_path(path: KeyPath) -> tuple[str, ...]:
    return tuple("*" if isinstance(part, int) else part for part in path)


def known_keys(path: KeyPath) -> tuple[str, ...]:
    """Return the keys that the format knows at the path, in its order; none if keys are free or there are none."""
    models = SECTIONS.get(_section_path(path), ())
    names = (info.alias or name for model in models for name, info in model.model_fields.items())
    return tuple(dict.fromkeys(names))


def _make_problem(root: Node, file: str, path: KeyPath, error: ErrorDetails) -> Problem:
    place = place_of(root, path, file)
    match error["type"]:
        case "extra_forbidden":
            return place.fault(*_explain_unknown_key(path))
        case "missing":
            return place.fault("the key is missing, and is required")
        case "union_tag_invalid" | "union_tag_not_found":
            return _no_kind_problem(root, path, file)
        case _:
            return place.problem(*_explain(path, error))


def _no_kind_problem(root: Node, path: KeyPath, file: str) -> Problem:
    """Return the problem of an entry that has none of the keys that name servers."""
    kinds = _entry_kinds(path)
    node = root
    for part in path:
        node = node.below.get(part, node)
    for key in node.keys:
        if suggestion := _suggest_key(key, kinds):
            return place_of(root, (*path, key), file).fault("the key is not known", suggestion)
    return place_of(root, path, file).fault(f"the entry has none of {_join_words(kinds)}", "each entry has exactly one")


def _explain(path: KeyPath, error: ErrorDetails) -> tuple[str, str | None]:
    """Return what was expected at the path, and a hint."""
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


def _entry_kinds(path: KeyPath) -> tuple[str, ...]:
    return ("id", "name") if path[0] == "exclude" else ("id", "name", "file", "select")


def _explain_unknown_key(path: KeyPath) -> tuple[str, str | None]:
    """Return what is wrong about a key that its section does not have, and a hint."""
    section, key = path[:-1], str(path[-1])
    later_section = next((later for later, keys in LATER.items() if key in keys), None)
    known = known_keys(section)
    if later_section is not None and (
        later_section == _section_path(section) or not any(key in known_keys(place) for place in SECTIONS)
    ):
        later_key = f"`{dotted((*later_section, key))}`"
        return _NOT_SUPPORTED, None if later_section == _section_path(section) else f"it will be {later_key}"
    if key in known:
        return (
            f"the entry has more than one of {_join_words(_entry_kinds(path))}",
            f"make `{key}` an entry of its own, or remove it",
        )
    if suggestion := _suggest_key(key, known):
        return "the key is not known", suggestion
    elsewhere = sorted({_section_name(path) for path in SECTIONS if key in known_keys(path)} - {_section_name(section)})
    if elsewhere:
        return "the key is not known here", f"`{key}` belongs {' or '.join(elsewhere)}"
    return "the key is not known", f"known here: {', '.join(known)}"


def _suggest_key(key: str, known: Sequence[str]) -> str | None:
    return did_you_mean(key.lower(), known, spelled="`{}`".format)


def _section_name(path: KeyPath) -> str:
    spelled = dotted(_section_path(path)).replace(".*", "[]")
    return f"into `{spelled}`" if spelled else "to the top level"


def _join_words(words: tuple[str, ...]) -> str:
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
    """Return a copy of plain values without those at the paths; parts that no path touches are shared."""
    heads: dict[Key, list[KeyPath]] = {}
    for path in paths:
        heads.setdefault(path[0], []).append(path[1:])
    gone = {head for head, tails in heads.items() if () in tails}
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
