"""Name of a target's server, as lines for people show it."""

from fleetos.model.run import Target
from fleetos.names import shown
from fleetos.views.text.format import printable


def server_name(target: Target) -> str:
    """Return the name of the target's server, or its id if it has none. Printable."""
    return printable(shown(target.name)) or printable(target.server_id)


def server_name_and_id(target: Target) -> str:
    """Return the server's name and its id, since names need not be unique. Printable."""
    name = printable(shown(target.name))
    return f"{name} ({printable(target.server_id)})" if name else printable(target.server_id)
