"""The reference page, the schema, the example plans and the loader say the same."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from fleetos.limits import ROWS_MAX_BYTES
from fleetos.planning.plan_file.json_schema import DIALECT, plan_schema
from fleetos.planning.plan_file.load import PLAN_MAX_BYTES, PLAN_MAX_VALUES, load_plan, read_tree
from fleetos.planning.plan_file.validation import LATER, SECTIONS
from tests.unit.planning.plan_folder import PlanFolder

ROOT = Path(__file__).parents[4]
PLANS = sorted((ROOT / "plans").glob("*.yaml"))
PAGE = (ROOT / "docs" / "reference" / "plan.md").read_text()
ROW = re.compile(r"^\| `([^`]+)` \|\s*([^|]*?)\s*\| (.+) \|$", re.MULTILINE)
# The change of a server has the keys of the plan's change; the page says so once.
REPEATED = ("servers", "*", "change")


def keys_of_schema() -> Iterator[tuple[str, str]]:
    """Every key of the format with its default as the page spells it."""
    schema = plan_schema()
    for path, models in SECTIONS.items():
        if path[:3] == REPEATED:
            continue
        for model in models:
            described = schema if not path else schema["$defs"][model.__name__]
            for key, field in described["properties"].items():
                dotted = ".".join([*path, key]).replace(".*", "[]")
                is_choice = path[-1:] == ("*",)
                default = "required" if key in described.get("required", ()) and not is_choice else ""
                if "default" in field:
                    default = f"`{json.dumps(field['default']).strip(chr(34))}`"
                yield dotted, default


def test_the_page_has_every_key_with_its_default() -> None:
    written = {key: default for key, default, _ in ROW.findall(PAGE)}
    assert written == dict(keys_of_schema())
    assert len(ROW.findall(PAGE)) == len(written)


def test_the_page_names_every_key_of_a_later_version() -> None:
    (line,) = (line for line in PAGE.splitlines() if "keys of later versions" in line)
    assert set(re.findall(r"`(\w+)`", line)) == set().union(*LATER.values())


def test_the_page_names_the_bounds() -> None:
    assert f"at most {PLAN_MAX_BYTES // 2**20} MiB and {PLAN_MAX_VALUES:,} values" in PAGE
    assert f"together have at most {ROWS_MAX_BYTES // 2**20} MiB" in PAGE


def test_the_example_of_the_page_is_a_plan(plans: PlanFolder) -> None:
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    plan = plans.plan(example, {"more-servers.csv": "name\nweb-03\n"})
    assert [one.name for one in plan.servers] == ["web-01", "web-02", "web-03", None]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_every_example_plan_is_valid_and_says_where_its_schema_is(path: Path) -> None:
    plan = load_plan(path)
    assert plan.servers
    assert path.read_text().startswith("# yaml-language-server: $schema=./fleetos-plan.schema.json\n")


def test_the_demo_changes_two_hundred_servers_of_the_simulated_cloud() -> None:
    plan = load_plan(ROOT / "plans" / "demo.yaml")
    assert (plan.name, plan.cloud, plan.change.image) == ("demo", "sim", "Standard_Debian_12_latest")
    assert [one.name for one in plan.servers] == [f"web-{number:03d}" for number in range(1, 201)]


def test_the_schema_beside_the_examples_is_the_schema() -> None:
    stored = json.loads((ROOT / "plans" / "fleetos-plan.schema.json").read_text())
    assert stored == plan_schema(), "write it anew: fleetos schema > plans/fleetos-plan.schema.json"


def test_every_key_of_the_schema_is_described() -> None:
    schema = plan_schema()
    assert schema["$schema"] == DIALECT
    for described in (schema, *schema["$defs"].values()):
        assert described["description"]
        assert described["additionalProperties"] is False
        for key, field in described["properties"].items():
            section = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})
            assert field.get("description") or section.get("description"), key


def test_the_sections_cover_the_whole_schema() -> None:
    assert set(plan_schema()["$defs"]) == {model.__name__ for models in SECTIONS.values() for model in models} - {
        "PlanShape"
    }


class Checker:
    """As much of JSON Schema as the plan's schema uses; it fails on a word that it does not know."""

    WORDS = (
        *("$schema", "$defs", "$ref", "title", "description", "default", "type", "enum", "const", "anyOf", "oneOf"),
        *("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"),
        *("items", "minItems", "maxItems", "pattern", "minLength", "minimum", "maximum"),
    )
    TYPES: Mapping[str, type | tuple[type, ...]] = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "integer": int,
    }

    def __init__(self) -> None:
        self.root = plan_schema()

    def valid(self, value: Any, schema: Mapping[str, Any] | None = None) -> bool:
        schema = self.root if schema is None else schema
        assert not set(schema) - set(self.WORDS)
        if "$ref" in schema and not self.valid(value, self.root["$defs"][schema["$ref"].rpartition("/")[2]]):
            return False
        kind = self.TYPES.get(schema.get("type", ""))
        if kind is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            return False
        choices = [self.valid(value, one) for one in schema.get("oneOf", ())]
        return (
            (not choices or choices.count(True) == 1)
            and ("anyOf" not in schema or any(self.valid(value, one) for one in schema["anyOf"]))
            and ("enum" not in schema or value in schema["enum"])
            and ("const" not in schema or (value == schema["const"] and not isinstance(value, bool)))
            and self._fits(value, schema)
        )

    def _fits(self, value: Any, schema: Mapping[str, Any]) -> bool:
        if isinstance(value, dict):
            return self._mapping(cast("dict[str, Any]", value), schema)
        if isinstance(value, list):
            items = cast("list[Any]", value)
            least, most = schema.get("minItems", 0), schema.get("maxItems", len(items))
            return least <= len(items) <= most and all(self.valid(item, schema.get("items", {})) for item in items)
        if isinstance(value, str):
            pattern = schema.get("pattern", "")
            return bool(re.search(pattern, value)) and len(value) >= schema.get("minLength", 0)
        if isinstance(value, int):
            return schema.get("minimum", value) <= value <= schema.get("maximum", value)
        return True

    def _mapping(self, value: dict[str, Any], schema: Mapping[str, Any]) -> bool:
        least, most = schema.get("minProperties", 0), schema.get("maxProperties", len(value))
        return (
            set(schema.get("required", ())) <= value.keys()
            and least <= len(value) <= most
            and all(self._item(key, item, schema) for key, item in value.items())
        )

    def _item(self, key: str, item: Any, schema: Mapping[str, Any]) -> bool:
        if key in schema.get("properties", {}):
            return self.valid(item, schema["properties"][key])
        for pattern, described in schema.get("patternProperties", {}).items():
            if re.search(pattern, key):
                return self.valid(item, described)
        return schema.get("additionalProperties", True)


GOOD: dict[str, Any] = {
    "version": 1,
    "name": "x",
    "change": {"image": "a"},
    "servers": [{"name": "web-01"}],
}


BAD: list[dict[str, Any]] = [
    {"version": 2},
    {"version": True},
    {"name": "Web Tier"},
    {"nmae": "x"},
    {"change": {"adminpass": "hunter2"}},
    {"change": {"adminpass": {"env": "A", "file": "b"}}},
    {"change": {"adminpass": {"env": "1A"}}},
    {"change": {"api": "v3"}},
    {"change": {"image": 12}},
    {"change": {"image": None}},
    {"change": {"metadata": {"__system__encrypted": 1}}},
    {"change": {"metadata": {"BYOL": "false"}}},
    {"change": {"user_data": {"text": ""}}},
    {"servers": []},
    {"servers": [{}]},
    {"servers": [{"id": "web-01"}]},
    {"servers": [{"name": "a", "file": "b"}]},
    {"servers": [{"file": "b", "labels": {}}]},
    {"servers": [{"name": "a", "labels": {"two words": "x"}}]},
    {"servers": [{"name": "a", "labels": {"a": 1}}]},
    {"servers": [{"select": {}}]},
    {"servers": [{"select": "web-*"}]},
    {"servers": [{"select": {"name": []}}]},
    {"servers": [{"select": {"name": "a"}, "name": "a"}]},
    {"servers": [{"select": {"names": "a"}}]},
    {"servers": [{"select": {"tags": {}}}]},
    {"servers": [{"select": {"tags": ["role"]}}]},
    {"servers": [{"select": {"tags": {"role": True}}}]},
    {"servers": [{"select": {"status": ["ACTIVE", "BUILD"]}}]},
    {"servers": [{"select": {"enterprise_project": "o\tps"}}]},
    {"servers": [{"select": {"ip": "somewhere"}}]},
    {"exclude": [{"select": {"name": "x"}}]},
    {"exclude": [{"file": "x"}]},
    {"rollout": {"concurrency": 0}},
    {"rollout": {"concurrency": "many"}},
    {"rollout": {"waves": [0]}},
    {"rollout": {"waves": []}},
    {"rollout": {"waves": [{"sizes": [1], "match": {"zone": "a"}}]}},
    {"rollout": {"max_unavailable": [{"per": "az"}]}},
    {"rollout": {"force": "yes"}},
    {"failure": {"attempts": 11}},
    {"failure": {"backoff": 30}},
    {"timeouts": {"settle": "never"}},
    {"polling": {"min": "1 s"}},
    {"api": {"rate": "10"}},
    {"failure": {"max_failed": -1}},
    {"failure": {"of_last": {"failed": 1}}},
    {"windows": {"allow": []}},
    {"windows": {"fit": "p42"}},
    {"windows": {"deny": [{"weekdays": "mon"}]}},
    {"hooks": {}},
]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_the_schema_accepts_every_example(path: Path) -> None:
    assert Checker().valid(read_tree(path).plain)


@pytest.mark.parametrize("bad", BAD)
def test_the_schema_refuses_what_the_loader_refuses(plans: PlanFolder, bad: dict[str, Any]) -> None:
    plan = {**GOOD, **bad}
    assert Checker().valid(GOOD)
    assert not Checker().valid(plan)
    # JSON is YAML: the loader must agree.
    assert plans.problems(json.dumps(plan))


def test_a_selector_with_all_its_keys_is_one_for_the_schema_and_for_the_loader(plans: PlanFolder) -> None:
    selector = {
        "name": ["web-*", "db-0?"],
        "tags": {"role": ["web", "db"], "gold": "*", "bare": ""},
        "az": "eu-de-01",
        "image": "Debian",
        "flavor": ["s3.medium.2"],
        "status": ["ACTIVE", "SHUTOFF"],
        "enterprise_project": ["0", "7E25B1DA-389f-4697-a79d-f3a0e5bd494e", "ops"],
        "ip": ["10.0.0.0/24", "fd00::1"],
    }
    plan = {**GOOD, "servers": [{"select": selector, "labels": {"a": "b"}, "change": {"image": "b"}}]}
    assert Checker().valid(plan)
    (entry,) = plans.plan(json.dumps(plan)).servers
    assert entry.select is not None
    assert entry.select.written.keys() == selector.keys()


def test_a_good_plan_in_json_is_a_plan(plans: PlanFolder) -> None:
    assert plans.plan(json.dumps(GOOD)).servers[0].name == "web-01"
