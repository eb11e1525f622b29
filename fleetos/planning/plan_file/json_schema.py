"""JSON Schema of the plan file, for editors and for programs that write plans."""

from typing import Any, cast

from pydantic import BaseModel

from fleetos.planning.plan_file.schema import PlanShape
from fleetos.planning.plan_file.validation import SECTIONS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TITLE = PlanShape.model_config.get("title")


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a plan, with descriptions, and with defaults as a plan spells them.

    It checks a little less than the loader: neither the bounds of durations, nor keys against each other.
    """
    schema = _clean(PlanShape.model_json_schema(by_alias=True))
    definitions: dict[str, Any] = schema["$defs"]
    for models in SECTIONS.values():
        for model in models:
            described = schema if model is PlanShape else definitions[model.__name__]
            for key, default in _defaults(model).items():
                described["properties"][key]["default"] = default
    return {"$schema": DIALECT, **schema}


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Return the plain defaults of a section, by key. A key whose default is to be left out has none."""
    fields = {name: info for name, info in model.model_fields.items() if not info.is_required()}
    bare = model.model_construct()
    dumped = bare.model_dump(mode="json", by_alias=True, include=set(fields))
    return {key: value for key, value in dumped.items() if isinstance(value, str | int)}


def _clean(value: Any) -> Any:
    """Return the schema without what pydantic adds: generated titles, null for keys left out, and defaults."""
    if isinstance(value, list):
        return [_clean(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    kept = {key: item for key, item in fields.items() if key != "default" and not _is_generated_title(key, item)}
    choices: list[Any] = kept.get("anyOf", [])
    rest = [choice for choice in choices if choice != {"type": "null"}]
    if len(rest) < len(choices):
        del kept["anyOf"]
        kept |= rest[0] if len(rest) == 1 else {"anyOf": rest}
    return {key: _clean(item) for key, item in kept.items()}


def _is_generated_title(key: str, item: object) -> bool:
    return key == "title" and isinstance(item, str) and item != _TITLE
