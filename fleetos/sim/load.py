"""Reads a scenario file (YAML or JSON, which is a part of it) and says where it is wrong."""

from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Protocol, cast

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from fleetos.errors import InputError, Problem
from fleetos.limits import SIM_SCENARIO_BYTES_MAX, SIM_SCENARIO_DEPTH_MAX
from fleetos.sim.scenario import Scenario


def load_scenario(path: Path) -> Scenario:
    """Return the scenario in a file. Raises InputError with every problem in it, each with line and column."""
    try:
        with path.open("rb") as file:
            raw = file.read(SIM_SCENARIO_BYTES_MAX + 1)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError((Problem(str(path), None, None, "", f"cannot be read: {error}"),)) from error
    if len(raw) > SIM_SCENARIO_BYTES_MAX:
        raise InputError((Problem(str(path), None, None, "", f"is larger than {SIM_SCENARIO_BYTES_MAX} bytes"),))
    return parse_scenario(text, str(path))


def parse_scenario(text: str, name: str) -> Scenario:
    """Return the scenario in a text; `name` stands for the file in messages. Raises InputError."""
    try:
        _refuse_excess(text, name)
        node = _parser().compose(StringIO(text))
        content = _parser().load(StringIO(text))
    except MarkedYAMLError as error:
        said = cast("_Said", error)
        line, column = _place(said.problem_mark)
        raise InputError((Problem(name, line, column, "", said.problem or "is not YAML"),)) from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise InputError((Problem(name, None, None, "", "is not YAML"),)) from error
    try:
        return Scenario.model_validate(content if content is not None else {})
    except ValidationError as error:
        found = [_problem(name, node, tuple(e["loc"]), e["msg"]) for e in error.errors(include_input=False)]
        raise InputError(tuple(found)) from error


class _Mark(Protocol):
    line: int
    column: int


class _Said(Protocol):
    problem: str | None
    problem_mark: _Mark | None


class _Node(Protocol):
    """A value of the file with its place; `id` is mapping, sequence or scalar."""

    id: str
    value: object
    start_mark: _Mark


class _Event(Protocol):
    start_mark: _Mark


class _Parser(Protocol):
    """The part of ruamel.yaml that is used here: it comes without complete types."""

    def parse(self, stream: StringIO) -> Iterator[_Event]: ...
    def compose(self, stream: StringIO) -> _Node | None: ...
    def load(self, stream: StringIO) -> object: ...


def _parser() -> _Parser:
    return cast("_Parser", YAML(typ="safe", pure=True))


def _refuse_excess(text: str, name: str) -> None:
    """Raise InputError at an alias (a few make a small file a huge value), or where the file is nested too deeply."""
    depth = 0
    for event in _parser().parse(StringIO(text)):
        mark = event.start_mark
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if isinstance(event, AliasEvent) or depth > SIM_SCENARIO_DEPTH_MAX:
            what = (
                "a value, not an alias" if isinstance(event, AliasEvent) else f"at most {SIM_SCENARIO_DEPTH_MAX} levels"
            )
            raise InputError((Problem(name, *_place(mark), "", what),))


def _place(mark: _Mark | None) -> tuple[int | None, int | None]:
    """Return line and column of a mark, counted from 1."""
    return (mark.line + 1, mark.column + 1) if mark is not None else (None, None)


def _problem(name: str, node: _Node | None, loc: tuple[int | str, ...], message: str) -> Problem:
    """Return the problem at a place of the content. Parts of the place that are no keys of the file are left out."""
    keys: list[str] = []
    for part in loc:
        found = _below(node, part)
        if found is None:
            if isinstance(part, str) and part == loc[-1] and node is not None and node.id == "mapping":
                keys.append(part)
            continue
        node = found
        keys.append(str(part))
    mark = node.start_mark if node is not None else None
    return Problem(name, *_place(mark), ".".join(keys), message)


def _below(node: _Node | None, part: int | str) -> _Node | None:
    if node is not None and node.id == "mapping":
        pairs = cast("Sequence[tuple[_Node, _Node]]", node.value)
        return next((value for key, value in pairs if key.value == part), None)
    if node is not None and node.id == "sequence" and isinstance(part, int):
        values = cast("Sequence[_Node]", node.value)
        return values[part] if part < len(values) else None
    return None
