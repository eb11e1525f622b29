"""Load a plan file and report all errors at once."""

from dataclasses import replace
from pathlib import Path

from fleetos.errors import InputError, Problem
from fleetos.files import FileTooLarge, UnreadableFile, decode_text, read_bounded
from fleetos.model.plan import Plan
from fleetos.planning.plan_file.build import build_plan
from fleetos.planning.plan_file.validation import limit_problems, validate_plan
from fleetos.yaml_file import Bounds, Node, UnreadableYaml, parse_yaml

# The parser takes some 2 s for 1 MB of YAML; larger fleets belong into a CSV file.
PLAN_MAX_BYTES = 4 * 1024 * 1024
# Values in a plan, aliases counted as often as they are used: some 40,000 servers, and no alias bomb.
PLAN_MAX_VALUES = 250_000
# The format itself is five levels deep.
PLAN_MAX_DEPTH = 16
PLAN_MAX_ALIASES = 1_000
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
    """Load the plan with its CSV files, and digest the files that it names.

    Raise InputError with every problem of the file; a syntax error or a duplicate key ends the list.
    """
    file = str(path)
    if not _is_utf8(str(path.absolute())):
        # The database cannot keep such a path, and JSON cannot show it.
        raise InputError(
            (Problem(file, None, None, "", "the path is not UTF-8, or one of its folders is not", "rename it"),)
        )
    root = read_tree(path)
    validation = validate_plan(root, file)
    if validation.shape is None:
        raise InputError(limit_problems(validation.problems, file, validation.unlisted))
    plan, build_problems = build_plan(validation.shape, root, path, validation.pruned)
    if validation.problems or build_problems:
        raise InputError(limit_problems((*validation.problems, *build_problems), file, validation.unlisted))
    return plan


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def user_data_texts(path: Path) -> tuple[str, ...]:
    """Return the user data that the plan file holds as text, in the order of the file.

    Raise InputError if the file cannot be read as YAML; the rest of the plan need not be valid.
    """
    root = read_tree(path)
    servers = root.below.get("servers")
    entries = (root, *(servers.below.values() if servers is not None else ()))
    texts = (_text_in(entry, ("change", "user_data", "text")) for entry in entries)
    return tuple(text for text in texts if text is not None)


def _text_in(node: Node, keys: tuple[str, ...]) -> str | None:
    for key in keys:
        if key not in node.below:
            return None
        node = node.below[key]
    return node.plain if isinstance(node.plain, str) else None


def read_tree(path: Path) -> Node:
    """Read the YAML file as a tree. Raise InputError with the one problem that ends the reading."""
    file = str(path)
    try:
        text = decode_text(read_bounded(path, PLAN_MAX_BYTES))
    except FileTooLarge as error:
        raise InputError((replace(error.problem(path), hint=_CSV_HINT),)) from None
    except UnreadableFile as error:
        raise InputError((error.problem(path),)) from None
    try:
        root = parse_yaml(text, file, _BOUNDS)
    except UnreadableYaml as error:
        raise InputError((error.problem(file),)) from None
    if root is None:
        raise InputError((Problem(file, 1, 1, "", "the file is empty", "begin with `version: 1`"),))
    return root
