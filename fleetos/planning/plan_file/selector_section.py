"""The `select` section of a plan file."""

from collections.abc import Callable
from typing import TypeVar, cast

from fleetos.model.plan import Selector, SourcePosition
from fleetos.planning.plan_file.schema import SelectSection

T = TypeVar("T")
S = TypeVar("S", bound=str)


def selector_of(section: SelectSection, place: Callable[..., SourcePosition]) -> Selector:
    """The selector that the section describes. `place` says where a key of it stands."""
    tags = {key: _sorted(values) for key, values in (section.tags or {}).items()}
    places = {key: place(key) for key in section.model_fields_set}
    return Selector(
        name=_sorted(section.name),
        tags=tuple(sorted(tags.items())),
        az=_sorted(section.az),
        image=_sorted(section.image),
        flavor=_sorted(section.flavor),
        status=_sorted(section.status),
        enterprise_project=_sorted(section.enterprise_project),
        ip=tuple(sorted(set(_each(section.ip)), key=str)),
        places={**places, **{f"tags.{key}": place("tags", key) for key in tags}},
    )


def _each(values: T | list[T] | None) -> list[T]:
    """The values of a key that is written as one or as a list."""
    if values is None:
        return []
    return cast("list[T]", values) if isinstance(values, list) else [values]


def _sorted(values: S | list[S] | None) -> tuple[S, ...]:
    return tuple(sorted(set(_each(values))))
