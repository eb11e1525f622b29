"""What both clients of others show of a server by the same words, in fleetos' terms."""

from collections.abc import Iterable
from typing import Any

from fleetos.model.inventory import Server, ServerSnapshot


def server_of(
    seen: Any,
    *,
    state: tuple[str, str | None, int],
    disk: str | None,
    locked: bool,
    addresses: Iterable[str],
    **more: Any,
) -> Server:
    """The server that a client shows. `state` are its vm_state, task and power; `more` are further fields of it."""
    vm_state, task, power = state
    fault = seen.fault["message"] if seen.fault else None
    return Server(
        id=seen.id,
        name=seen.name,
        snapshot=ServerSnapshot(seen.status, vm_state, task, power, disk, seen.image.id, fault, locked),
        flavor=seen.flavor.id,
        key_name=seen.key_name,
        os_type=seen.metadata["os_type"],
        tags={tag.partition("=")[0]: tag.partition("=")[2] for tag in seen.tags},
        image_name=seen.metadata.get("image_name"),
        addresses=tuple(addresses),
        **more,
    )
