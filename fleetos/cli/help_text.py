"""Help of the commands: a flag takes no value, so no type stands beside it."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup, TyperOption


class PlainGroup(TyperGroup):
    """Group of commands whose help shows a type only where a value is given."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the group itself."""
        params = super().get_params(ctx)
        _hide_types(params)
        return params

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name; None if there is none."""
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            _hide_types(found.get_params(ctx))
        return found


def _hide_types(params: Sequence[object]) -> None:
    for one in params:
        if isinstance(one, TyperOption) and one.is_bool_flag:
            one.metavar = ""
