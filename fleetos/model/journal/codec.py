"""Model values to JSON and back. What cannot be read back raises ValueError."""

from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import Field, TypeAdapter
from pydantic_core import SchemaValidator

from fleetos.model.experience import Experience, checked
from fleetos.model.journal.events import Event
from fleetos.model.run import Run, Target

Value = TypeVar("Value")

# Beyond what the types say: all our times are UTC, and no number of ours is endless or none.
_STRICTER = {"datetime": {"tz_constraint": 0}, "float": {"allow_inf_nan": False}}


class _Codec(Generic[Value]):
    """Writes values of one type, and reads them with the stricter rules."""

    def __init__(self, adapter: TypeAdapter[Value]) -> None:
        self._adapter = adapter
        self._validator = SchemaValidator(_stricter(adapter.core_schema))

    def json(self, value: Value) -> str:
        return self._adapter.dump_json(value).decode()

    def read(self, text: str) -> Value:
        return cast("Value", self._validator.validate_json(text))


def _stricter(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_stricter(one) for one in cast("list[Any]", schema)]
    if isinstance(schema, tuple):
        return tuple(_stricter(one) for one in cast("tuple[Any, ...]", schema))
    if not isinstance(schema, dict):
        return schema
    fields = cast("dict[str, Any]", schema)
    more = _STRICTER.get(fields["type"], {}) if isinstance(fields.get("type"), str) else {}
    return {key: _stricter(one) for key, one in fields.items()} | more


_EVENT: _Codec[Event] = _Codec(TypeAdapter(Annotated[Event, Field(discriminator="kind")]))
_TARGET: _Codec[Target] = _Codec(TypeAdapter(Target))
_RUN: _Codec[Run] = _Codec(TypeAdapter(Run))
_EXPERIENCE: _Codec[Experience] = _Codec(TypeAdapter(Experience))


def event_json(event: Event) -> str:
    """The event as one line of JSON."""
    return _EVENT.json(event)


def event_from(text: str) -> Event:
    """The event that the JSON tells."""
    return _EVENT.read(text)


def target_json(target: Target) -> str:
    """The target as one line of JSON."""
    return _TARGET.json(target)


def target_from(text: str) -> Target:
    """The target that the JSON tells."""
    return _TARGET.read(text)


def run_json(run: Run) -> str:
    """The run as one line of JSON."""
    return _RUN.json(run)


def run_from(text: str) -> Run:
    """The run that the JSON tells."""
    return _RUN.read(text)


def experience_json(experience: Experience) -> str:
    """The experience as one line of JSON."""
    return _EXPERIENCE.json(experience)


def experience_from(text: str) -> Experience:
    """The experience that the JSON tells, within its bounds."""
    return checked(_EXPERIENCE.read(text))
