"""Read one YAML document with the position of every key.

No other module parses YAML. Errors name line and column, but quote no value: passwords and user data are
in such files, sometimes in a wrong place.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, cast

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scanner import Scanner
from ruamel.yaml.tag import Tag
from ruamel.yaml.tokens import TagToken

from fleetos.errors import Problem
from fleetos.limits import TEXT_MAX_LETTERS

Key = str | int
KeyPath = tuple[Key, ...]
# Messages repeat keys: a text in the wrong place must not make them endless.
_KEY_LETTERS = 60
# Messages never show anything below these keys, not even a key.
SECRET_KEYS = frozenset({"adminpass", "user_data", "url", "secret"})
_LITERALS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Numbers of the core schema of YAML 1.2. No document means a longer one.
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,3})?")
_TAG_LETTERS = 100
_WORD_ENDS = "\0 \t\r\n\x85\u2028\u2029,[]{}"
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_PUNCTUATION = re.compile(r"<[a-z ]+>|[-,:?@`%&*!|>\[\]{}]|\\t")
# Plain scalars that are a boolean or a number in YAML 1.1, and a text for PyYAML.
_PYYAML_TEXTS = re.compile(r"[yYnN]|[-+]?[0-9_]+[eE][-+]?[0-9]+")
_MERGE: Any = object()
_PYYAML_TAGS = frozenset(map(str, cast("Any", SafeConstructor).yaml_constructors))
_STANDARD_TAG = "tag:yaml.org,2002:"
# Number of keys that all merge keys (`<<`) may copy: aliases of aliases multiply them.
_MERGED_KEYS_MAX = 1_000_000
# Errors of the parser for scalars whose value does not fit their tag or form: `!!bool x`, `2001-99-99`.
_NO_VALUE = (YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Mark:
    """Position in the text; line and column count from 1."""

    line: int
    column: int


class UnreadableYaml(Exception):
    """Document that is not YAML (`is_syntax`), or holds something that its kind of file must not hold."""

    def __init__(
        self, text: str, hint: str | None, mark: Mark | None, path: KeyPath = (), *, is_syntax: bool = False
    ) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.line = mark.line if mark else None
        self.column = mark.column if mark else None
        self.path = path
        self.is_syntax = is_syntax

    def problem(self, file: str) -> Problem:
        """Return the problem for a message."""
        return Problem(file, self.line, self.column, dotted(self.path), self.text, self.hint, fact=not self.is_syntax)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one kind of document."""

    noun: str
    """Name of the kind of document in messages."""
    depth: int
    aliases: int
    values: int | None = None
    """Number of values with aliases followed; None: unlimited."""
    hint: str | None = None
    """Advice for a document with too many values or aliases."""
    merge_hint: str = "write the keys out"
    """Advice for a merge key where none is supported."""


@dataclass(slots=True, eq=False)
class Node:
    """One value of the document. No repr shows its content."""

    mark: Mark
    plain: Any = field(repr=False)
    """The value with everything below it, as Python values."""
    keys: dict[str, Mark] = field(default_factory=dict[str, Mark], repr=False)
    """Position of each key of a mapping."""
    below: "dict[Key, Node]" = field(default_factory=dict[Key, "Node"], repr=False)
    """The values of a mapping, or the items of a sequence."""
    count: int = 1
    """Number of values in it, with aliases followed."""
    height: int = 1
    """Number of its levels, with aliases followed."""

    @property
    def is_mapping(self) -> bool:
        """True if the value is a mapping."""
        return isinstance(self.plain, dict)

    def add(self, key: tuple[str, Mark] | None, value: "Node") -> None:
        """Add a value under a key, or at the end of a sequence."""
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
    """Return the path in the spelling of messages: `servers[3].change.keyname`, items counted from 0.

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


def parse_yaml(text: str, file: str, bounds: Bounds) -> Node | None:
    """Return a document of YAML 1.2 as a tree, None for an empty one; `file` is its name in messages.

    Raise UnreadableYaml. Tags, merge keys, and keys that are not texts are refused.
    """
    return _Reader(file, bounds).read(text)


def parse_pyyaml(text: str, file: str, bounds: Bounds) -> object:
    """Return the values of a document that PyYAML is known to read, as PyYAML reads it. Raise UnreadableYaml."""
    with warnings.catch_warnings():
        # The parser's warnings quote values.
        warnings.simplefilter("ignore")
        root = _PyYamlReader(file, bounds).read(text)
    return None if root is None else root.plain


def kind_of_document(text: str, max_depth: int) -> Literal["mapping", "other"] | None:
    """Return the kind of the first value of a document, None if it is empty. Any tags and keys are allowed.

    Raise UnreadableYaml for a syntax error. Reading ends at the first value deeper than `max_depth`.
    """
    kind: Literal["mapping", "other"] | None = None
    depth = 0
    for event in _events(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if kind is None and isinstance(event, NodeEvent):
            kind = "mapping" if isinstance(event, MappingStartEvent) else "other"
        if depth > max_depth:
            break
    return kind


class _Scanner(Scanner):
    """Scanner that keeps only the beginning of a tag: the library takes minutes to decode one of a megabyte."""

    def scan_tag(self) -> TagToken:
        reader = cast("Any", self).reader
        begins, length = reader.get_mark(), 1
        while reader.peek(length) not in _WORD_ENDS:
            length += 1
        word = reader.prefix(min(length, _TAG_LETTERS))
        reader.forward(length)
        return TagToken((None, word), begins, reader.get_mark())


def _events(text: str) -> Iterator[Any]:
    """Yield the parser's events. The library has no types: callers convert every value."""
    parser: Any = YAML(typ="safe", pure=True)
    parser.Scanner = _Scanner
    try:
        yield from parser.parse(text)
    except MarkedYAMLError as error:
        failure = _syntax_error(error)
    except (YAMLError, OverflowError, ValueError, RecursionError):
        # For an escape beyond Unicode the parser raises the error of chr().
        failure = UnreadableYaml("this is not valid YAML 1.2", None, None, is_syntax=True)
    else:
        return
    # Raised outside of the handler, so that no traceback holds the parser's excerpt of the file.
    raise failure


def _syntax_error(error: Any) -> UnreadableYaml:
    mark = error.problem_mark or error.context_mark
    problem = _QUOTED.sub(_mask, error.problem or "cannot be read")
    hint = None
    if "cannot start any token" in problem:
        hint = "indent with spaces" if "\\t" in problem else "put the text in quotes"
    elif "mapping values are not allowed" in problem:
        hint = "put the text in quotes, or begin a new line"
    place = Mark(mark.line + 1, mark.column + 1) if mark is not None else None
    return UnreadableYaml(f"this is not valid YAML 1.2: {problem}", hint, place, is_syntax=True)


def _mask(quoted: re.Match[str]) -> str:
    """Return quoted punctuation as it is, and any other quotation as `something else`."""
    text = quoted.group(1) if quoted.group(1) is not None else quoted.group(2)
    return f"'{text}'" if _PUNCTUATION.fullmatch(text.replace("\t", "\\t")) else "something else"


_KeyAt = tuple[str, Mark]


@dataclass(slots=True, repr=False)
class _Level:
    """Mapping or sequence that is not closed yet."""

    node: Node
    anchor: str | None
    key: _KeyAt | None
    """Its key in the level above."""
    next_key: _KeyAt | None = None
    """The key that waits for its value."""


class _Reader:
    """Builder of the tree from parser events, which refuses everything that a document must not hold."""

    _allows_cycles = False

    def __init__(self, file: str, bounds: Bounds) -> None:
        self._file = file
        self._bounds = bounds
        self._root: Node | None = None
        self._open: list[_Level] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._values = 0
        self._aliases = 0

    def read(self, text: str) -> Node | None:
        """Return the tree. Raise UnreadableYaml."""
        for event in _events(text):
            match event:
                case ScalarEvent():
                    self._take_scalar(event)
                case CollectionStartEvent():
                    self._take_collection(event)
                case CollectionEndEvent():
                    self._close()
                case AliasEvent():
                    self._take_alias(event)
                case DocumentStartEvent():
                    self._take_document(event)
                case _:
                    pass
        return self._root

    def _refuse(self, mark: Mark, text: str, hint: str | None = None) -> NoReturn:
        path = [level.key[0] for level in self._open if level.key is not None]
        if self._open and self._open[-1].next_key is not None:
            path.append(self._open[-1].next_key[0])
        raise UnreadableYaml(text, hint, mark, tuple(path))

    def _take_document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse(_mark(event), "a second document begins here", "remove the `---`")
        self._check_directives(event)

    def _check_directives(self, event: Any) -> None:
        if event.version not in (None, (1, 2)):
            self._refuse(Mark(1, 1), "the file says that it is not YAML 1.2", "remove the %YAML line")
        if event.tags:
            self._refuse(Mark(1, 1), "the file has a %TAG line", "remove it")

    def _is_at_key(self) -> bool:
        return bool(self._open) and self._open[-1].node.is_mapping and self._open[-1].next_key is None

    def _take_scalar(self, event: Any) -> None:
        mark, text = _mark(event), str(event.value)
        if _UNUSABLE.search(text):
            self._refuse(mark, "the text holds NUL, or half of a surrogate pair")
        if self._is_at_key():
            self._take_key(event, mark)
            return
        self._count(mark, 1, 1)
        self._place(Node(mark, self._value_of(event, mark)), event.anchor)

    def _value_of(self, event: Any, mark: Mark) -> Any:
        self._check_tag(event, mark)
        return _resolve(str(event.value)) if event.implicit[0] else str(event.value)

    def _take_key(self, event: Any, mark: Mark) -> None:
        if event.anchor is not None:
            self._refuse(mark, "an anchor on a key is not supported")
        key = self._key_of(event, mark)
        level = self._open[-1]
        first = level.node.keys.get(key)
        level.next_key = (key, mark)
        if first is not None:
            self._refuse_second(key, mark, first)

    def _key_of(self, event: Any, mark: Mark) -> str:
        self._check_tag(event, mark)
        if event.value == "<<":
            self._refuse(mark, "the merge key `<<` is not supported", self._bounds.merge_hint)
        return str(event.value)

    def _refuse_second(self, key: object, mark: Mark, first: Mark) -> NoReturn:
        del key
        self._refuse(mark, f"the key stands twice; first at {self._file}:{first.line}:{first.column}")

    def _check_tag(self, event: Any, mark: Mark) -> None:
        if event.tag is not None:
            hint = "remove the word that begins with `!`, or put the text in quotes"
            self._refuse(mark, "a tag is not supported", hint)

    def _count(self, mark: Mark, values: int, height: int) -> None:
        self._values += values
        noun, limit = self._bounds.noun, self._bounds.values
        if limit is not None and self._values > limit:
            self._refuse(mark, f"the {noun} has more than {limit} values, aliases followed", self._bounds.hint)
        if len(self._open) + height > self._bounds.depth:
            self._refuse(mark, f"the {noun} has more than {self._bounds.depth} levels")

    def _take_collection(self, event: Any) -> None:
        mark = _mark(event)
        if self._is_at_key():
            self._refuse(mark, "a key is no text", "put a text that begins with `{` or `[` in quotes")
        self._check_tag(event, mark)
        self._count(mark, 1, 1)
        plain: Any = {} if isinstance(event, MappingStartEvent) else []
        node, anchor = Node(mark, plain), cast("str | None", event.anchor)
        if anchor is not None and self._allows_cycles:
            self._anchors[anchor] = node
        self._open.append(_Level(node, anchor, self._open[-1].next_key if self._open else None))

    def _close(self) -> None:
        level = self._open.pop()
        self._place(level.node, level.anchor)

    def _take_alias(self, event: Any) -> None:
        mark = _mark(event)
        if self._is_at_key():
            self._refuse(mark, "a key is an alias, not a text", "put a text that begins with `*` in quotes")
        self._aliases += 1
        if self._aliases > self._bounds.aliases:
            text = f"the {self._bounds.noun} has more than {self._bounds.aliases} aliases"
            self._refuse(mark, text if self._bounds.aliases else "an alias is not supported", self._bounds.hint)
        node = self._anchors.get(str(event.anchor))
        if node is None:
            hint = "put a text that begins with `*` in quotes"
            self._refuse(mark, "the alias names nothing that stands complete before it", hint)
        self._count(mark, node.count, node.height)
        self._place(node, None)

    def _place(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        self._add(parent.node, parent.next_key, node)
        parent.next_key = None

    def _add(self, parent: Node, key: _KeyAt | None, node: Node) -> None:
        parent.add(key, node)


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _resolve(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar by the core schema of YAML 1.2."""
    if text in _LITERALS:
        return _LITERALS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Resolver(VersionedResolver):
    """Resolver of plain scalars as in PyYAML: YAML 1.1 for every file, so that `no` is false, but `n` is a text."""

    @property
    def processing_version(self) -> Any:
        return (1, 1)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and _PYYAML_TEXTS.fullmatch(value):
            return self.DEFAULT_SCALAR_TAG
        untyped: Any = super()
        return untyped.resolve(kind, value, implicit)


def _shown(name: object) -> str:
    """Return a name for a message: bounded, and without control characters for a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(name)[:TEXT_MAX_LETTERS])


class _PyYamlReader(_Reader):
    """Reader of scalars, keys and merge keys as in PyYAML."""

    _allows_cycles = True

    def __init__(self, file: str, bounds: Bounds) -> None:
        super().__init__(file, bounds)
        self._scalars: Any = YAML(typ="safe", pure=True)
        self._scalars.Resolver = _Resolver
        self._merged_keys = 0
        # Sources of `<<` in each open mapping, whose own keys replace theirs.
        self._merges: dict[Node, list[Node]] = {}

    def _check_directives(self, event: Any) -> None:
        """Accept every directive: PyYAML reads YAML 1.1 even if the file names another version."""

    def _check_tag(self, event: Any, mark: Mark) -> None:
        if event.tag is not None:
            self._refuse_tag(str(event.tag), mark)

    def _refuse_tag(self, tag: str, mark: Mark) -> NoReturn:
        hint = "write the value itself, or use password_command"
        self._refuse(mark, f"fleetos does not know the tag {_shown(tag)}", hint)

    def _value_of(self, event: Any, mark: Mark) -> Any:
        if event.tag is None:
            tag = self._scalars.resolver.resolve(ScalarNode, event.value, event.implicit)
        else:
            tag = Tag(suffix=_STANDARD_TAG + event.tag[2:])
        if (event.tag or "!!")[:2] != "!!" or str(tag) not in _PYYAML_TAGS:
            self._refuse_tag(str(event.tag or tag), mark)
        try:
            value = self._scalars.constructor.construct_object(ScalarNode(tag, event.value))
        except _NO_VALUE:
            is_value, value = False, None
        else:
            is_value = True
        if not is_value:
            # Raised outside of the handler: the error holds the value.
            self._refuse(mark, "a value is not what it looks like, or what its tag says", "put it in quotes")
        return value

    def _key_of(self, event: Any, mark: Mark) -> Any:
        is_merge = event.value == "<<" and event.implicit[0] and event.tag is None
        return _MERGE if is_merge else self._value_of(event, mark)

    def _add(self, parent: Node, key: _KeyAt | None, node: Node) -> None:
        if key is None or key[0] is not _MERGE:
            parent.add(key, node)
            return
        sources = list(node.below.values()) if isinstance(node.plain, list) else [node]
        if parent in self._merges or not all(source.is_mapping for source in sources):
            self._refuse(key[1], "`<<` takes one mapping or a list of mappings, once")
        self._merges[parent] = sources

    def _close(self) -> None:
        node = self._open[-1].node
        for source in self._merges.pop(node, ()):
            self._merged_keys += len(source.below)
            if self._merged_keys > _MERGED_KEYS_MAX:
                self._refuse(node.mark, "too many keys are merged")
            for name in [name for name in source.keys if name not in node.keys]:
                node.add((name, source.keys[name]), source.below[name])
        super()._close()

    def _refuse_second(self, key: object, mark: Mark, first: Mark) -> NoReturn:
        del first
        name = _shown(key) if isinstance(key, str | int) else "of several values"
        self._refuse(mark, f"the key {name} stands there twice", "keep one of the two")
