"""From a plan file to a Plan: YAML read with the place of every key, checked, and built. All errors at once."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.scanner import Scanner
from ruamel.yaml.tokens import TagToken

from fleetos.errors import InputError, Problem
from fleetos.files import TooLarge, Unreadable, decode_text, read_bounded
from fleetos.limits import PLAN_MAX_ALIASES, PLAN_MAX_BYTES, PLAN_MAX_DEPTH, PLAN_MAX_VALUES
from fleetos.model.plan import Plan
from fleetos.planning.build import build_plan
from fleetos.planning.problems import checked, listed
from fleetos.planning.tree import Mark, Node, dotted

_CSV_HINT = "list a large fleet in a CSV file and name it under servers as `file:`"
_LITERALS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Numbers of the core schema of YAML 1.2; longer ones are no number that a plan can mean.
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,3})?")
_WORD_ENDS = "\0 \t\r\n\x85\u2028\u2029,[]{}"
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_PUNCTUATION = re.compile(r"<[a-z ]+>|[-,:?@`%&*!|>\[\]{}]|\\t")


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
    except Unreadable as bad:
        hint = _CSV_HINT if isinstance(bad, TooLarge) else bad.hint
        raise InputError(
            (Problem(file, bad.line, bad.column, "", bad.expected.removeprefix(f"{file} "), hint),)
        ) from None
    reader = _Reader(file)
    parser: Any = YAML(typ="safe", pure=True)
    parser.Scanner = _Scanner
    problem: Problem | None = None
    try:
        for event in parser.parse(text):
            reader.take(event)
    except MarkedYAMLError as error:
        problem = _syntax_problem(file, error)
    except (YAMLError, OverflowError, ValueError):
        # The parser lets an escape beyond Unicode through as the error of chr().
        problem = Problem(file, None, None, "", "this is not valid YAML 1.2")
    if problem is not None:
        # Outside of the handler, so that no traceback carries the parser's excerpt of the file.
        raise InputError((problem,))
    if reader.root is None:
        raise InputError((Problem(file, 1, 1, "", "the file is empty", "begin with `version: 1`"),))
    return reader.root


def _syntax_problem(file: str, error: Any) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = _QUOTED.sub(_masked, error.problem or "cannot be read")
    hint = None
    if "cannot start any token" in said:
        hint = "indent with spaces" if "\\t" in said else "put the text in quotes"
    elif "mapping values are not allowed" in said:
        hint = "put the text in quotes, or begin a new line"
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
    return Problem(file, line, column, "", f"this is not valid YAML 1.2: {said}", hint)


def _masked(quoted: re.Match[str]) -> str:
    text = quoted.group(1) if quoted.group(1) is not None else quoted.group(2)
    return f"'{text}'" if _PUNCTUATION.fullmatch(text.replace("\t", "\\t")) else "something else"


def _reader_of(scanner: Any) -> Any:
    return scanner.reader


class _Scanner(Scanner):
    """Reads a tag as one word. The library takes minutes to decode one of a megabyte, and a plan has none anyway."""

    def scan_tag(self) -> TagToken:
        reader = _reader_of(self)
        begins, length = reader.get_mark(), 1
        while reader.peek(length) not in _WORD_ENDS:
            length += 1
        reader.forward(length)
        return TagToken(("!", "tag"), begins, reader.get_mark())


# The parser comes without types: its events are Any here, and what is taken from them is converted.
_KeyAt = tuple[str, Mark]


@dataclass(slots=True, repr=False)
class _Level:
    """A mapping or sequence that is not closed yet. `key` is where it goes, `next_key` what waits for its value."""

    node: Node
    anchor: str | None
    key: _KeyAt | None
    next_key: _KeyAt | None = None


class _Reader:
    """Builds the tree from parser events, and refuses what a plan has no use for."""

    def __init__(self, file: str) -> None:
        self.root: Node | None = None
        self._file = file
        self._open: list[_Level] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._values = 0
        self._aliases = 0

    def take(self, event: Any) -> None:
        """Takes the parser's next event. Raises InputError."""
        match event:
            case ScalarEvent():
                self._scalar(event)
            case MappingStartEvent() | SequenceStartEvent():
                self._collection(event)
            case MappingEndEvent() | SequenceEndEvent():
                level = self._open.pop()
                self._placed(level.node, level.anchor, level.key)
            case AliasEvent():
                self._alias(event)
            case DocumentStartEvent():
                self._document(event)
            case _:
                pass

    def _refusal(self, mark: Mark, text: str, hint: str | None = None) -> InputError:
        path = [level.key[0] for level in self._open if level.key is not None]
        if self._open and self._open[-1].next_key is not None:
            path.append(self._open[-1].next_key[0])
        return InputError((Problem(self._file, mark.line, mark.column, dotted(path), text, hint, fact=True),))

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._refusal(_mark(event), "a second document begins here", "remove the `---`")
        if event.version not in (None, (1, 2)):
            raise self._refusal(Mark(1, 1), "the file says that it is not YAML 1.2", "remove the %YAML line")
        if event.tags:
            raise self._refusal(Mark(1, 1), "the file has a %TAG line", "remove it")

    def _wants_key(self) -> bool:
        return bool(self._open) and self._open[-1].node.is_mapping and self._open[-1].next_key is None

    def _scalar(self, event: Any) -> None:
        mark = _mark(event)
        text = str(event.value)
        self._check_node(event, mark)
        if _UNUSABLE.search(text):
            raise self._refusal(mark, "the text holds NUL, or half of a surrogate pair")
        if self._wants_key():
            self._take_key(event, text, mark)
            return
        self._count(mark, 1, 1)
        self._placed(Node(mark, _resolved(text) if event.implicit[0] else text), event.anchor, self._key())

    def _take_key(self, event: Any, text: str, mark: Mark) -> None:
        level = self._open[-1]
        if event.anchor is not None:
            raise self._refusal(mark, "an anchor on a key is not supported")
        if text == "<<":
            hint = "write the keys out, or use `change` at the top"
            raise self._refusal(mark, "the merge key `<<` is not supported", hint)
        first = level.node.keys.get(text)
        level.next_key = (text, mark)
        if first is not None:
            raise self._refusal(mark, f"the key stands twice; first at {self._file}:{first.line}:{first.column}")

    def _check_node(self, event: Any, mark: Mark) -> None:
        if event.tag is not None:
            raise self._refusal(
                mark, "a tag is not supported", "remove the word that begins with `!`, or put the text in quotes"
            )

    def _count(self, mark: Mark, values: int, height: int) -> None:
        self._values += values
        if self._values > PLAN_MAX_VALUES:
            raise self._refusal(mark, f"the plan has more than {PLAN_MAX_VALUES} values, aliases followed", _CSV_HINT)
        if len(self._open) + height > PLAN_MAX_DEPTH:
            raise self._refusal(mark, f"the plan has more than {PLAN_MAX_DEPTH} levels")

    def _collection(self, event: Any) -> None:
        mark = _mark(event)
        if self._wants_key():
            raise self._refusal(mark, "a key is no text", "put a text that begins with `{` or `[` in quotes")
        self._check_node(event, mark)
        self._count(mark, 1, 1)
        anchor: str | None = event.anchor
        plain: Any = {} if isinstance(event, MappingStartEvent) else []
        self._open.append(_Level(Node(mark, plain), anchor, self._key()))

    def _alias(self, event: Any) -> None:
        mark = _mark(event)
        if self._wants_key():
            raise self._refusal(mark, "a key is an alias, not a text", "put a text that begins with `*` in quotes")
        self._aliases += 1
        if self._aliases > PLAN_MAX_ALIASES:
            raise self._refusal(mark, f"the plan has more than {PLAN_MAX_ALIASES} aliases", _CSV_HINT)
        node = self._anchors.get(str(event.anchor))
        if node is None:
            hint = "put a text that begins with `*` in quotes"
            raise self._refusal(mark, "the alias names nothing that stands complete before it", hint)
        self._count(mark, node.count, node.height)
        self._placed(node, None, self._key())

    def _key(self) -> _KeyAt | None:
        return self._open[-1].next_key if self._open else None

    def _placed(self, node: Node, anchor: str | None, key: _KeyAt | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.node.add(key, node)
        parent.next_key = None


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _resolved(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar by the core schema of YAML 1.2."""
    if text in _LITERALS:
        return _LITERALS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
