"""Bodies of write requests (API pages ecs_02_0202 change OS, ecs_02_0303 batch stop)."""

from base64 import b64encode
from collections.abc import Sequence

from fleetos.model.run import Order, Secrets

JsonObject = dict[str, object]


def stop_body(server_ids: Sequence[str], *, hard: bool) -> JsonObject:
    """Return the body of a stop of several servers."""
    return {"os-stop": {"type": "HARD" if hard else "SOFT", "servers": [{"id": server_id} for server_id in server_ids]}}


def start_body(server_ids: Sequence[str]) -> JsonObject:
    """Return the body of a start of several servers."""
    return {"os-start": {"servers": [{"id": server_id} for server_id in server_ids]}}


def change_body(order: Order, secrets: Secrets, *, user_id: str | None, stop_first: bool) -> JsonObject:
    """Return the body of a changeos or reinstallos, with only the fields that the order has.

    A reinstallos (ECS API, "reinstalling an ECS OS") names no image: the cloud takes the one on record for the server.
    A key pair belongs to a user, so `userid` is sent with it, by default the token's user.
    """
    change: JsonObject = {} if order.reinstall else {"imageid": order.image_id}
    if secrets.adminpass is not None:
        change["adminpass"] = secrets.adminpass
    if order.keyname is not None:
        change["keyname"] = order.keyname
        if (owner := order.userid or user_id) is not None:
            change["userid"] = owner
    metadata = dict(order.metadata)
    if secrets.user_data is not None:
        metadata["user_data"] = b64encode(secrets.user_data).decode()
    if metadata:
        change["metadata"] = metadata
    if stop_first:
        change["mode"] = "withStopServer"
    return {"os-reinstall" if order.reinstall else "os-change": change}
