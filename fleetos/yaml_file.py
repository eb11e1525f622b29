"""Read one YAML document with the position of every key.

Nothing else parses YAML. A document is refused with its line and column, in words that quote nothing of it: passwords
and user data stand in such files, now and then in a wrong place.
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
# Keys are repeated in messages: a password in the wrong place must not make them endless.
_KEY_LETTERS = 60
# What stands below these keys is never shown, not even as a key.
SECRET_KEYS = frozenset({"adminpass", "user_data"})
_LITERALS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Numbers of the core schema of YAML 1.2; longer ones are no number that a document can mean.
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,3})?")
_TAG_LETTERS = 100
_WORD_ENDS = "\0 \t\r\n\x85\u2028\u2029,[]{}"
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_PUNCTUATION = re.compile(r"<[a-z ]+>|[-,:?@`%&*!|>\[\]{}]|\\t")
# Plain scalars that YAML 1.1 takes for a truth value or a number, and PyYAML for a text.
_PYYAML_TEXTS = re.compile(r"[yYnN]|[-+]?[0-9_]+[eE][-+]?[0-9]+")
_MERGE: Any = object()
_PYYAML_TAGS = frozenset(map(str, cast("Any", SafeConstructor).yaml_constructors))
_STANDARD_TAG = "tag:yaml.org,2002:"
# Keys that merge keys (`<<`) copy, in all: aliases of aliases multiply them.
_MERGED_KEYS_MAX = 1_000_000
# What the parser raises for scalars that are not what their tag or their look says: `!!bool x`, `2001-99-99`.
_NO_VALUE = (YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the text; line and column count from 1."""

    line: int
    column: int


class UnreadableYaml(Exception):
    """A document that is not YAML (`is_syntax`), or holds what its kind of file must not hold, and where."""

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
        """Return the problem as messages show it."""
        return Problem(file, self.line, self.column, dotted(self.path), self.text, self.hint, fact=not self.is_syntax)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one kind of document."""

    noun: str
    """The document in messages."""
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
    """One value of the document. No repr shows what is in it."""

    mark: Mark
    plain: Any = field(repr=False)
    """The value and all below it as Python values."""
    keys: dict[str, Mark] = field(default_factory=dict[str, Mark], repr=False)
    """The place of each key of a mapping."""
    below: "dict[Key, Node]" = field(default_factory=dict[Key, "Node"], repr=False)
    """The values of a mapping, or the items of a sequence."""
    count: int = 1
    """Number of values in it, with aliases followed."""
    height: int = 1
    """Number of its levels, with aliases followed."""

    @property
    def is_mapping(self) -> bool:
        """Whether it is a mapping."""
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
    """Return what the first value of a document is, None where there is none; its tags and keys may be any.

    Raise UnreadableYaml for a syntax error; what is nested deeper than `max_depth` is not looked at.
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
    """Reads a tag as one word and keeps its beginning: the library takes minutes to decode one of a megabyte."""

    def scan_tag(self) -> TagToken:
        reader = cast("Any", self).reader
        begins, length = reader.get_mark(), 1
        while reader.peek(length) not in _WORD_ENDS:
            length += 1
        word = reader.prefix(min(length, _TAG_LETTERS))
        reader.forward(length)
        return TagToken((None, word), begins, reader.get_mark())


def _events(text: str) -> Iterator[Any]:
    """Yield the parser's events. It comes without types: what is taken from them is converted."""
    parser: Any = YAML(typ="safe", pure=True)
    parser.Scanner = _Scanner
    try:
        yield from parser.parse(text)
    except MarkedYAMLError as error:
        failure = _syntax_error(error)
    except (YAMLError, OverflowError, ValueError, RecursionError):
        # The parser lets an escape beyond Unicode through as the error of chr().
        failure = UnreadableYaml("this is not valid YAML 1.2", None, None, is_syntax=True)
    else:
        return
    # Outside of the handler, so that no traceback carries the parser's excerpt of the file.
    raise failure


def _syntax_error(error: Any) -> UnreadableYaml:
    mark = error.problem_mark or error.context_mark
    said = _QUOTED.sub(_masked, error.problem or "cannot be read")
    hint = None
    if "cannot start any token" in said:
        hint = "indent with spaces" if "\\t" in said else "put the text in quotes"
    elif "mapping values are not allowed" in said:
        hint = "put the text in quotes, or begin a new line"
    place = Mark(mark.line + 1, mark.column + 1) if mark is not None else None
    return UnreadableYaml(f"this is not valid YAML 1.2: {said}", hint, place, is_syntax=True)


def _masked(quoted: re.Match[str]) -> str:
    text = quoted.group(1) if quoted.group(1) is not None else quoted.group(2)
    return f"'{text}'" if _PUNCTUATION.fullmatch(text.replace("\t", "\\t")) else "something else"


_KeyAt = tuple[str, Mark]


@dataclass(slots=True, repr=False)
class _Level:
    """A mapping or sequence that is not closed yet."""

    node: Node
    anchor: str | None
    key: _KeyAt | None
    """Where it goes in the level above."""
    next_key: _KeyAt | None = None
    """The key that waits for its value."""


class _Reader:
    """Builds the tree from parser events, and refuses what a document must not hold."""

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

    def _wants_key(self) -> bool:
        return bool(self._open) and self._open[-1].node.is_mapping and self._open[-1].next_key is None

    def _take_scalar(self, event: Any) -> None:
        mark, text = _mark(event), str(event.value)
        if _UNUSABLE.search(text):
            self._refuse(mark, "the text holds NUL, or half of a surrogate pair")
        if self._wants_key():
            self._take_key(event, mark)
            return
        self._count(mark, 1, 1)
        self._place(Node(mark, self._value_of(event, mark)), event.anchor)

    def _value_of(self, event: Any, mark: Mark) -> Any:
        self._check_tag(event, mark)
        return _resolved(str(event.value)) if event.implicit[0] else str(event.value)

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
        if self._wants_key():
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
        if self._wants_key():
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


def _resolved(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar by the core schema of YAML 1.2."""
    if text in _LITERALS:
        return _LITERALS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Resolver(VersionedResolver):
    """Takes plain scalars as PyYAML does, by YAML 1.1 whatever the file names: `no` is false, but `n` a text."""

    @property
    def processing_version(self) -> Any:
        return (1, 1)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and _PYYAML_TEXTS.fullmatch(value):
            return self.DEFAULT_SCALAR_TAG
        untyped: Any = super()
        return untyped.resolve(kind, value, implicit)


def _shown(name: object) -> str:
    """Return a name as a message may show it: bounded, and with no letter that a terminal obeys."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(name)[:TEXT_MAX_LETTERS])


class _PyYamlReader(_Reader):
    """Reads scalars, keys and merge keys as PyYAML does."""

    _allows_cycles = True

    def __init__(self, file: str, bounds: Bounds) -> None:
        super().__init__(file, bounds)
        self._scalars: Any = YAML(typ="safe", pure=True)
        self._scalars.Resolver = _Resolver
        self._merged_keys = 0
        # What `<<` brought into each open mapping: keys of its own replace those.
        self._merges: dict[Node, list[Node]] = {}

    def _check_directives(self, event: Any) -> None:
        """Accept any: PyYAML reads YAML 1.1 whatever the file says."""

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
            # Outside of the handler: the error holds the value.
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
