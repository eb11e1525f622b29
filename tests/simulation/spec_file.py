"""A spec as JSON, and in words: what was left by shrinking can be kept, replayed and read."""

import json
from dataclasses import fields, is_dataclass
from typing import cast

from pydantic import BaseModel, TypeAdapter

from fleetos.sim.scenario.scenario import Scenario
from tests.simulation.spec import Spec

_SPEC = TypeAdapter(Spec)


def to_json(spec: Spec) -> str:
    """Return the spec as indented JSON."""
    return _SPEC.dump_json(spec, indent=1).decode()


def from_json(text: str | bytes) -> Spec:
    """Return the spec that the JSON describes. Raises ValueError for anything else."""
    return _SPEC.validate_json(text)


def described(spec: Spec) -> list[str]:
    """Return one line for everything in which the spec differs from the plainest play."""
    plain = Spec(seed=spec.seed, scenario=Scenario(seed=spec.seed))
    lines = [f"seed: {spec.seed}"]
    for name in (one.name for one in fields(spec) if one.name not in ("seed", "enumerate")):
        value, usual = cast("object", getattr(spec, name)), cast("object", getattr(plain, name))
        if value == usual:
            continue
        if isinstance(value, tuple):
            lines += [f"{name}: {_words(one)}" for one in cast("tuple[object, ...]", value)]
        elif isinstance(value, Scenario):
            lines += _scenario(value)
        else:
            lines.append(f"{name}: {_words(value, usual)}")
    return lines


def _scenario(scenario: Scenario) -> list[str]:
    """Return what the simulated cloud holds, and how it differs from the usual one."""
    told = scenario.model_dump(mode="json", exclude_defaults=True, exclude={"seed", "servers"})
    lines = [
        f"servers: {group.count} {_json(group.model_dump(mode='json', exclude_defaults=True, exclude={'count'}))}"
        for group in scenario.servers
    ]
    return [*lines, *(f"cloud {name}: {_json(value)}" for name, value in told.items())]


def _words(value: object, usual: object = None) -> str:
    if isinstance(value, BaseModel):
        return _json(value.model_dump(mode="json", exclude_defaults=True))
    if is_dataclass(value) and not isinstance(value, type):
        adapter = TypeAdapter[object](type(value))
        told = cast("dict[str, object]", adapter.dump_python(value, mode="json"))
        known = cast("dict[str, object]", adapter.dump_python(usual, mode="json")) if usual is not None else {}
        return _json({name: one for name, one in told.items() if name not in known or known[name] != one})
    return _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
