"""Load a scenario file (YAML, and so JSON), with the place of every problem; the built-in world."""

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fleetos.errors import InputError, Problem
from fleetos.files import UnreadableFile, decode_text, read_bounded
from fleetos.sim.scenario.faults import Fail, LostAfter
from fleetos.sim.scenario.scenario import ChangeManner, ImageEntry, PhaseDurations, Scenario, ServerGroup
from fleetos.yaml_file import Bounds, Mark, Node, UnreadableYaml, parse_yaml

# A scenario with all its rules stays far below this.
SIM_SCENARIO_BYTES_MAX = 1024 * 1024
# The deepest value of a scenario is five levels down; the YAML parser grows slow with depth.
SIM_SCENARIO_DEPTH_MAX = 16
# No aliases: a few of them make a huge value of a small file.
_BOUNDS = Bounds("scenario", depth=SIM_SCENARIO_DEPTH_MAX, aliases=0)
_TYPES = {
    "tuple_type": "a list",
    "model_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
}
# Number of servers of the built-in world, a fleet to try fleetos on.
SERVERS = 200
# Servers whose first submit has its effect but loses its response. None of their changes fails.
LOST = ("web-023", "web-118", "web-171")


def load_scenario(path: Path) -> Scenario:
    """Load the scenario in a file. Raises InputError with every problem, each with line and column."""
    try:
        text = decode_text(read_bounded(path, SIM_SCENARIO_BYTES_MAX))
    except UnreadableFile as error:
        raise InputError((error.problem(path),)) from None
    return parse_scenario(text, str(path))


def parse_scenario(text: str, name: str) -> Scenario:
    """Parse a scenario; messages call the text `name`. Raises InputError."""
    try:
        root = parse_yaml(text, name, _BOUNDS) or Node(Mark(1, 1), {})
    except UnreadableYaml as error:
        raise InputError((error.problem(name),)) from None
    try:
        return Scenario.model_validate({} if root.plain is None else root.plain)
    except ValidationError as error:
        problems: dict[Problem, list[str]] = {}
        for details in error.errors(include_input=False, include_url=False):
            place, words = _place(name, root, details["loc"]), _expected(details)
            problems.setdefault(place, []).append(words)
        raise InputError(
            tuple(replace(one, expected=", or ".join(dict.fromkeys(words))) for one, words in problems.items())
        ) from error


def _expected(details: ErrorDetails) -> str:
    """Return what was expected, in words of the file."""
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return "not a key that is known here"
        case "missing":
            return "a value" if isinstance(details["loc"][-1], str) else "one value more"
        case "too_long":
            return f"at most {context['max_length']} values"
        case "literal_error":
            return f"one of {context['expected']}"
        case "union_tag_invalid":
            return f"one of {context['expected_tags']} for {str(context['discriminator']).strip(chr(39))}"
        case kind:
            return _TYPES.get(kind) or details["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def _place(name: str, node: Node, loc: tuple[int | str, ...]) -> Problem:
    """Return the place `loc` as a problem, without the parts of `loc` that are no keys of the file."""
    keys: list[str] = []
    for part in loc:
        if part in node.below:
            node = node.below[part]
            keys.append(str(part))
        elif isinstance(part, str) and part == loc[-1] and node.is_mapping:
            keys.append(part)
    return Problem(name, node.mark.line, node.mark.column, ".".join(keys), "")


def builtin_scenario() -> Scenario:
    """Return the scenario of `cloud: sim`: about one change in fifteen fails once, and its retry succeeds."""
    codes = ("Ecs.0202", "Ecs.0205", "Ecs.0217", "Ecs.0219", "Ecs.0503")
    return Scenario(
        # With this seed web-001 to web-005 run, and no server of LOST fails its change.
        seed=31,
        servers=(
            ServerGroup(
                count=SERVERS,
                name="web-###",
                state={"running": 0.9, "stopped": 0.1},
                image="Standard_Debian_11_latest",
                az=("eu-de-01", "eu-de-02", "eu-de-03"),
                tags=("role=web", "stage=demo"),
                key="KeyPair-350b",
            ),
        ),
        images=(
            ImageEntry(name="Standard_Debian_11_latest"),
            ImageEntry(name="Standard_Debian_12_latest"),
            ImageEntry(name="Standard_Ubuntu_24.04_latest"),
            ImageEntry(name="Standard_Windows_2022_latest", os_type="Windows", min_disk_gb=60),
        ),
        key_pairs=("KeyPair-350b", "KeyPair-dmz"),
        durations=PhaseDurations(
            stop=(0.5, 1.5), start=(0.5, 1.5), reboot=(1.0, 2.0), change=(1.5, 4.0), job_init=(0.05, 0.3)
        ),
        change=ChangeManner(flip_lag_s=1.0),
        faults=(
            Fail(do="fail", on="changeos", rate=1 / 15, nth=(1,), code=codes, picture=("old-disk", "error")),
            LostAfter(do="cut-after", on="changeos", servers=LOST, nth=(1,)),
        ),
    )
