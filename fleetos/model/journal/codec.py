"""Conversion of model values to JSON and back. The reading functions raise ValueError for invalid JSON or values."""

from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import Field, TypeAdapter
from pydantic_core import SchemaValidator

from fleetos.model.experience import Experience, check_experience
from fleetos.model.journal.events import Event
from fleetos.model.journal.requests import RequestArguments
from fleetos.model.run import Run, Target

Value = TypeVar("Value")

# Stricter than the types: all times are UTC, and no number is infinite or NaN.
_STRICTER = {"datetime": {"tz_constraint": 0}, "float": {"allow_inf_nan": False}}


class _Codec(Generic[Value]):
    """Codec for one type, which reads with the stricter rules.

    It is built on first use: that of the events takes longer than a command that reads none.
    """

    def __init__(self, form: Any) -> None:
        self._form = form

    @cached_property
    def _adapter(self) -> TypeAdapter[Value]:
        return TypeAdapter(self._form)

    @cached_property
    def _validator(self) -> SchemaValidator:
        return SchemaValidator(_stricter(self._adapter.core_schema))

    def json(self, value: Value) -> str:
        return self._adapter.dump_json(value).decode()

    def read(self, text: str) -> Value:
        return cast("Value", self._validator.validate_json(text))


def _stricter(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_stricter(item) for item in cast("list[Any]", schema)]
    if isinstance(schema, tuple):
        return tuple(_stricter(item) for item in cast("tuple[Any, ...]", schema))
    if not isinstance(schema, dict):
        return schema
    fields = cast("dict[str, Any]", schema)
    constraints = _STRICTER.get(fields["type"], {}) if isinstance(fields.get("type"), str) else {}
    return {key: _stricter(value) for key, value in fields.items()} | constraints


_EVENT: _Codec[Event] = _Codec(Annotated[Event, Field(discriminator="kind")])
_TARGET: _Codec[Target] = _Codec(Target)
_RUN: _Codec[Run] = _Codec(Run)
_ARGUMENTS: _Codec[RequestArguments] = _Codec(RequestArguments)
_EXPERIENCE: _Codec[Experience] = _Codec(Experience)


def event_json(event: Event) -> str:
    """Return the event as one line of JSON."""
    return _EVENT.json(event)


def event_from_json(text: str) -> Event:
    """Return the event that the JSON holds."""
    return _EVENT.read(text)


def target_json(target: Target) -> str:
    """Return the target as one line of JSON."""
    return _TARGET.json(target)


def target_from_json(text: str) -> Target:
    """Return the target that the JSON holds."""
    return _TARGET.read(text)


def run_json(run: Run) -> str:
    """Return the run as one line of JSON."""
    return _RUN.json(run)


def run_from_json(text: str) -> Run:
    """Return the run that the JSON holds. Raise ValueError for one whose waves contradict each other."""
    run = _RUN.read(text)
    begun = run.wave_finished_at is not None or run.promoted is not None
    if not begun <= run.waves_opened <= len(run.steering.waves):
        raise ValueError(f"wave {run.waves_opened} of {len(run.steering.waves)} cannot be the one that was opened last")
    return run


def arguments_json(arguments: RequestArguments) -> str:
    """Return the arguments of a request as one line of JSON."""
    return _ARGUMENTS.json(arguments)


def arguments_from_json(text: str) -> RequestArguments:
    """Return the arguments of a request that the JSON holds."""
    return _ARGUMENTS.read(text)


def experience_json(experience: Experience) -> str:
    """Return the experience as one line of JSON."""
    return _EXPERIENCE.json(experience)


def experience_from_json(text: str) -> Experience:
    """Return the experience that the JSON holds. Raise ValueError also for one beyond its bounds."""
    return check_experience(_EXPERIENCE.read(text))
