"""Reads a scenario file (YAML or JSON, which is a part of it) and says where it is wrong."""

from pathlib import Path

from pydantic import ValidationError

from fleetos.errors import InputError, Problem
from fleetos.files import UnreadableFile, decode_text, read_bounded
from fleetos.limits import SIM_SCENARIO_BYTES_MAX, SIM_SCENARIO_DEPTH_MAX
from fleetos.sim.scenario.scenario import Scenario
from fleetos.yaml_file import Bounds, Mark, Node, UnreadableYaml, parse_yaml

# A few aliases make a small file a huge value.
_BOUNDS = Bounds("scenario", depth=SIM_SCENARIO_DEPTH_MAX, aliases=0)


def load_scenario(path: Path) -> Scenario:
    """Return the scenario in a file. Raises InputError with every problem in it, each with line and column."""
    try:
        text = decode_text(read_bounded(path, SIM_SCENARIO_BYTES_MAX))
    except UnreadableFile as error:
        raise InputError((error.problem(path),)) from None
    return parse_scenario(text, str(path))


def parse_scenario(text: str, name: str) -> Scenario:
    """Return the scenario in a text; `name` stands for the file in messages. Raises InputError."""
    try:
        root = parse_yaml(text, name, _BOUNDS) or Node(Mark(1, 1), {})
    except UnreadableYaml as error:
        raise InputError((error.problem(name),)) from None
    try:
        return Scenario.model_validate({} if root.plain is None else root.plain)
    except ValidationError as error:
        found = [_problem(name, root, e["loc"], e["msg"]) for e in error.errors(include_input=False)]
        raise InputError(tuple(found)) from error


def _problem(name: str, node: Node, loc: tuple[int | str, ...], message: str) -> Problem:
    """Return the problem at a place of the content. Parts of the place that are no keys of the file are left out."""
    keys: list[str] = []
    for part in loc:
        if part in node.below:
            node = node.below[part]
            keys.append(str(part))
        elif isinstance(part, str) and part == loc[-1] and node.is_mapping:
            keys.append(part)
    return Problem(name, node.mark.line, node.mark.column, ".".join(keys), message)
