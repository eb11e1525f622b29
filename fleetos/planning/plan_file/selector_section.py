"""The `select` section of a plan file."""

from collections.abc import Callable
from typing import TypeVar, cast

from fleetos.model.plan import Selector, SourcePosition
from fleetos.planning.plan_file.schema import SelectSection

T = TypeVar("T")
S = TypeVar("S", bound=str)


def build_selector(section: SelectSection, place: Callable[..., SourcePosition]) -> Selector:
    """Build the selector that the section describes. `place` returns the place of one of its keys."""
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
        ip=tuple(sorted(set(_as_list(section.ip)), key=str)),
        places={**places, **{f"tags.{key}": place("tags", key) for key in tags}},
    )


def _as_list(values: T | list[T] | None) -> list[T]:
    """Return the values of a key that is written as one value or as a list."""
    if values is None:
        return []
    return cast("list[T]", values) if isinstance(values, list) else [values]


def _sorted(values: S | list[S] | None) -> tuple[S, ...]:
    return tuple(sorted(set(_as_list(values))))
