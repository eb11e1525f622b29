"""Reads a YAML or JSON file that may hold secrets: no error quotes a line of it. Scalars are read as by PyYAML."""

import re
import warnings
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Protocol, cast

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver

from fleetos.cloud.values import shown
from fleetos.errors import InputError, Problem
from fleetos.limits import CREDENTIALS_FILE_BYTES

# Keys of all mappings of a file with merge keys (`<<`) followed: aliases of aliases multiply them.
_KEYS_MAX = 1_000_000
# What the parser raises for texts that it takes for something else and cannot make that of: `!!bool x`, `"\UFFFFFFFF"`.
_UNREADABLE = (YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError)


# Plain scalars that YAML 1.1 takes for a truth value or a number, and PyYAML for a text.
_TEXTS = re.compile(r"[yYnN]|[-+]?[0-9_]+[eE][-+]?[0-9]+")


class _Mark(Protocol):
    """Where ruamel found what it cannot read; lines and columns count from 0."""

    line: int
    column: int


class _Refused(Exception):
    """Something that the file must not hold, in words that show no value, and where it stands."""

    def __init__(self, mark: _Mark, what: str, hint: str) -> None:
        super().__init__(what)
        self.mark = mark
        self.what = what
        self.hint = hint


class _Constructor(SafeConstructor):
    """Makes values of YAML, and gives up on a file whose merge keys would fill the memory."""

    keys_seen = 0

    def flatten_mapping(self, node: Any) -> None:
        untyped: Any = super()
        untyped.flatten_mapping(node)
        self.keys_seen += len(node.value)
        if self.keys_seen > _KEYS_MAX:
            raise ConstructorError(None, None, "too many keys", node.start_mark)

    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Hashable, value: Any) -> bool:
        del node, value
        if key in mapping:
            name = shown(key) if isinstance(key, str | int) else "of several values"
            raise _Refused(key_node.start_mark, f"the key {name} stands there twice", "keep one of the two")
        return True

    def refuse_tag(self, node: Any) -> None:
        hint = "write the value itself, or use password_command"
        raise _Refused(node.start_mark, f"fleetos does not know the tag {shown(node.tag)}", hint)


cast("Any", _Constructor).add_constructor(None, _Constructor.refuse_tag)


class _Resolver(VersionedResolver):
    """Takes plain scalars as PyYAML does, by YAML 1.1 whatever the file names: `no` is false, but `n` a text."""

    @property
    def processing_version(self) -> Any:
        return (1, 1)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and _TEXTS.fullmatch(value):
            return self.DEFAULT_SCALAR_TAG
        untyped: Any = super()
        return untyped.resolve(kind, value, implicit)


class _Loader(Protocol):
    """What is used of ruamel's YAML, with types."""

    Constructor: type
    Resolver: type

    def load(self, stream: bytes) -> object: ...


def read_yaml(file: Path) -> object:
    """Return what the file holds, None for an empty one. Raises InputError."""
    name, content = str(file), read_bounded(file)
    line, column, expected, hint = 1, 1, "not YAML that can be read", None
    try:
        loader = cast("_Loader", YAML(typ="safe", pure=True))
        loader.Constructor, loader.Resolver = _Constructor, _Resolver
        with warnings.catch_warnings():
            # The parser's warnings quote values.
            warnings.simplefilter("ignore")
            return loader.load(content)
    except _Refused as error:
        line, column = error.mark.line + 1, error.mark.column + 1
        expected, hint = f"{expected}: {error.what}", error.hint
    except MarkedYAMLError as error:
        mark = cast("_Mark | None", getattr(error, "problem_mark", None))
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    except _UNREADABLE:
        pass
    # Raised here and not above: the parser's errors hold the line that it could not read.
    raise InputError((Problem(name, line, column, "", expected, hint),))


def read_bounded(file: Path) -> bytes:
    """Return the bytes of a file of credentials. Raises InputError for one that cannot be read or is too long."""
    try:
        with file.open("rb") as opened:
            content = opened.read(CREDENTIALS_FILE_BYTES + 1)
    except OSError as error:
        expected, hint = "not a file that can be read", error.strerror
    else:
        if len(content) <= CREDENTIALS_FILE_BYTES:
            return content
        expected, hint = f"not a file of at most {CREDENTIALS_FILE_BYTES} bytes", None
    raise InputError((Problem(str(file), None, None, "", expected, hint),))
