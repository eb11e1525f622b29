"""From a plan file to a Plan: YAML read with the place of every key, checked, and built. All errors at once."""

from dataclasses import replace
from pathlib import Path

from fleetos.errors import InputError, Problem
from fleetos.files import FileTooLarge, UnreadableFile, decode_text, read_bounded
from fleetos.limits import PLAN_MAX_ALIASES, PLAN_MAX_BYTES, PLAN_MAX_DEPTH, PLAN_MAX_VALUES
from fleetos.model.plan import Plan
from fleetos.planning.plan_file.build import build_plan
from fleetos.planning.plan_file.validation import checked, listed
from fleetos.yaml_file import Bounds, Node, UnreadableYaml, parse_yaml

_CSV_HINT = "list a large fleet in a CSV file and name it under servers as `file:`"
_BOUNDS = Bounds(
    "plan",
    depth=PLAN_MAX_DEPTH,
    aliases=PLAN_MAX_ALIASES,
    values=PLAN_MAX_VALUES,
    hint=_CSV_HINT,
    merge_hint="write the keys out, or use `change` at the top",
)


def load_plan(path: Path) -> Plan:
    """The plan in the file, with its CSV files read and the files that it names digested.

    Raises InputError with every problem of the file; a syntax error or a duplicate key ends the list.
    """
    file = str(path)
    if not _is_utf8(str(path.absolute())):
        # Such a path cannot be kept in the database, nor shown in JSON.
        raise InputError(
            (Problem(file, None, None, "", "the path is not UTF-8, or one of its folders is not", "rename it"),)
        )
    root = read_tree(path)
    found = checked(root, file)
    if found.shape is None:
        raise InputError(listed(found.problems, file, found.unlisted))
    plan, more = build_plan(found.shape, root, path, found.pruned)
    if found.problems or more:
        raise InputError(listed((*found.problems, *more), file, found.unlisted))
    return plan


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def user_data_texts(path: Path) -> tuple[str, ...]:
    """The user data that stands as text in the plan file, in the order of the file.

    Raises InputError if the file cannot be read as YAML; the rest of the plan need not be valid.
    """
    root = read_tree(path)
    servers = root.below.get("servers")
    entries = (root, *(servers.below.values() if servers is not None else ()))
    found = (_text_in(entry, ("change", "user_data", "text")) for entry in entries)
    return tuple(text for text in found if text is not None)


def _text_in(node: Node, keys: tuple[str, ...]) -> str | None:
    for key in keys:
        if key not in node.below:
            return None
        node = node.below[key]
    return node.plain if isinstance(node.plain, str) else None


def read_tree(path: Path) -> Node:
    """The YAML file as a tree. Raises InputError with the one problem that ends the reading."""
    file = str(path)
    try:
        text = decode_text(read_bounded(path, PLAN_MAX_BYTES))
    except FileTooLarge as bad:
        raise InputError((replace(bad.problem(path), hint=_CSV_HINT),)) from None
    except UnreadableFile as bad:
        raise InputError((bad.problem(path),)) from None
    try:
        root = parse_yaml(text, file, _BOUNDS)
    except UnreadableYaml as error:
        raise InputError((error.problem(file),)) from None
    if root is None:
        raise InputError((Problem(file, 1, 1, "", "the file is empty", "begin with `version: 1`"),))
    return root
