"""Model values to JSON and back. What cannot be read back raises ValueError."""

from typing import Annotated

from pydantic import Field, TypeAdapter

from fleetos.model.events import Event
from fleetos.model.run import Run, Target

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
_TARGET: TypeAdapter[Target] = TypeAdapter(Target)
_RUN: TypeAdapter[Run] = TypeAdapter(Run)


def event_json(event: Event) -> str:
    """The event as one line of JSON."""
    return _EVENT.dump_json(event).decode()


def event_from(text: str) -> Event:
    """The event that the JSON tells."""
    return _EVENT.validate_json(text)


def target_json(target: Target) -> str:
    """The target as one line of JSON."""
    return _TARGET.dump_json(target).decode()


def target_from(text: str) -> Target:
    """The target that the JSON tells."""
    return _TARGET.validate_json(text)


def run_json(run: Run) -> str:
    """The run as one line of JSON."""
    return _RUN.dump_json(run).decode()


def run_from(text: str) -> Run:
    """The run that the JSON tells."""
    return _RUN.validate_json(text)
