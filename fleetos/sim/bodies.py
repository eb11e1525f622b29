"""From the JSON body of a write to an order. What is refused here never reaches the world."""

import json
from typing import Literal, cast

from fleetos.sim.codes import Refusal, refusal
from fleetos.sim.orders import ChangeOs, Power

# The documented special characters of a password, the newest and longest set.
_SPECIAL = frozenset("!@$%^-_=+[{}]:,./?~#*")
_POWER: dict[str, Literal["stop", "start", "reboot"]] = {"os-stop": "stop", "os-start": "start", "reboot": "reboot"}

Json = dict[str, object]


class BodyError(Exception):
    """The body is not what the API expects; `refused` is the answer."""

    def __init__(self, refused: Refusal) -> None:
        super().__init__(refused.message)
        self.refused = refused


def parse(body: bytes) -> Json:
    """Return the JSON object of a body. Raises BodyError."""
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        raise BodyError(refusal("Common.0002")) from None
    return _object(content)


def change_order(content: Json, server_id: str, api: Literal["v1", "v2"], *, reinstall: bool) -> ChangeOs:
    """Return the order of a changeos or reinstallos body (API page ecs_02_0202). Raises BodyError."""
    asked = _object(content.get("os-reinstall" if reinstall else "os-change"))
    image_id = _text(asked, "imageid")
    if not reinstall and not image_id:
        raise BodyError(refusal("Ecs.0005", message="imageid is missing."))
    mode = _text(asked, "mode")
    if mode not in (None, "withStopServer"):
        raise BodyError(refusal("Ecs.0005", message="mode has one value: withStopServer."))
    metadata = _object(asked.get("metadata", {}))
    byol = _text(metadata, "BYOL")
    if byol not in (None, "true") or _text(metadata, "__system__encrypted") not in (None, "0", "1"):
        raise BodyError(refusal("Ecs.0005", message="a value of metadata is not valid."))
    word = _text(asked, "adminpass")
    return ChangeOs(
        kind="change",
        server_id=server_id,
        image_id=None if reinstall else image_id,
        keyname=_text(asked, "keyname"),
        userid=_text(asked, "userid"),
        adminpass="none" if word is None else _quality(word),
        user_data_bytes=len(_text(metadata, "user_data") or "") * 3 // 4,
        encrypted=_text(metadata, "__system__encrypted") == "1",
        with_stop=mode is not None,
        api=api,
    )


def power_order(content: Json) -> Power:
    """Return the order of a `cloudservers/action` body (API page ecs_02_0303). Raises BodyError."""
    known = [key for key in content if key in _POWER]
    if len(content) != 1 or not known:
        raise BodyError(refusal("Ecs.0005", message="exactly one of os-stop, os-start and reboot is expected."))
    operation = _POWER[known[0]]
    asked = _object(content[known[0]])
    kind = _text(asked, "type")
    if kind not in (None, "SOFT", "HARD") or (operation == "reboot" and kind is None):
        raise BodyError(refusal("Ecs.0005", message="type is SOFT or HARD."))
    listed = asked.get("servers")
    if not isinstance(listed, list) or not listed:
        raise BodyError(refusal("Ecs.0005", message="servers is empty."))
    ids = tuple(_text(_object(entry), "id") or "" for entry in cast("list[object]", listed))
    return Power(kind="power", operation=operation, servers=tuple(dict.fromkeys(ids)), hard=kind == "HARD")


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise BodyError(refusal("Ecs.0005", message="an object is expected."))
    return cast("Json", value)


def _text(values: Json, key: str) -> str | None:
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BodyError(refusal("Ecs.0005", message=f"{key} must be a string."))
    return value


def _quality(word: str) -> Literal["good", "bad"]:
    """Judge a password: 8 to 26 characters of at least three kinds, and none that is not allowed."""
    kinds = (str.isupper, str.islower, str.isdigit, _SPECIAL.__contains__)
    used = sum(any(kind(letter) for letter in word) for kind in kinds)
    allowed = all((letter.isascii() and letter.isalnum()) or letter in _SPECIAL for letter in word)
    return "good" if 8 <= len(word) <= 26 and used >= 3 and allowed else "bad"
