"""The bodies of requests, as the API has them, and the orders that they are.

What is refused here never reaches the world. Keys that are not known are no error, as in the API. Nothing of a value is
quoted: it may be a secret.
"""

import json
from base64 import b64decode
from hashlib import sha256
from typing import Annotated, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.world.ledger import Content
from fleetos.sim.world.orders import ChangeOs, PowerOrder

# The documented special characters of a password, the newest and longest set.
_SPECIAL = frozenset("!@$%^-_=+[{}]:,./?~#*")

Json = dict[str, object]


class BodyError(Exception):
    """The body is not what the API expects; `refused` is the answer."""

    def __init__(self, refused: ApiError) -> None:
        super().__init__(refused.message)
        self.refused = refused


class RequestModel(BaseModel):
    """A part of a body: of exact types, with keys that it does not know left out."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", populate_by_name=False)


class Metadata(RequestModel):
    """What a change may be told about the disk and the first start."""

    encrypted: Annotated[Literal["0", "1"] | None, Field(alias="__system__encrypted")] = None
    key_id: Annotated[str | None, Field(alias="__system__cmkid")] = None
    user_data: str | None = None
    byol: Annotated[Literal["true"] | None, Field(alias="BYOL")] = None


class Reinstall(RequestModel):
    """What a reinstallation says (API page ecs_02_0204)."""

    adminpass: str | None = None
    keyname: str | None = None
    userid: str | None = None
    mode: Literal["withStopServer"] | None = None
    auto_pay: Annotated[Literal["true", "false"] | None, Field(alias="isAutoPay")] = None
    metadata: Metadata | None = None


class Change(Reinstall):
    """What a change says (API page ecs_02_0202)."""

    imageid: Annotated[str, Field(min_length=1)]


class ChangeBody(RequestModel):
    """The body of a changeos."""

    os_change: Annotated[Change, Field(alias="os-change")]


class ReinstallBody(RequestModel):
    """The body of a reinstallos."""

    os_reinstall: Annotated[Reinstall, Field(alias="os-reinstall")]


class DescribeKey(RequestModel):
    """Which encryption key is asked about (KMS API, "querying the information about a CMK")."""

    key_id: str


class ServerId(RequestModel):
    """One server of several."""

    id: str


class Named(RequestModel):
    """The servers of a start (API page ecs_02_0303)."""

    servers: Annotated[list[ServerId], Field(min_length=1)]


class Stop(Named):
    """A stop; without a type it is soft."""

    type: Literal["SOFT", "HARD"] | None = None


class Reboot(Named):
    """A reboot, which must say how."""

    type: Literal["SOFT", "HARD"]


class StopBody(RequestModel):
    """The body of a stop of several servers."""

    model_config = ConfigDict(extra="forbid")
    os_stop: Annotated[Stop, Field(alias="os-stop")]


class StartBody(RequestModel):
    """The body of a start of several servers."""

    model_config = ConfigDict(extra="forbid")
    os_start: Annotated[Named, Field(alias="os-start")]


class RebootBody(RequestModel):
    """The body of a reboot of several servers."""

    model_config = ConfigDict(extra="forbid")
    reboot: Reboot


class Known(RequestModel):
    """A domain or a project, by id or name."""

    id: str | None = None
    name: str | None = None


class User(Known):
    """Who asks for a token by a password."""

    password: str
    domain: Known | None = None


class PasswordOf(RequestModel):
    """The part of a login that is named after its method."""

    user: User


class OldToken(RequestModel):
    """A token that is given for another one."""

    id: str


class ByPassword(RequestModel):
    """Who one is, by a password."""

    methods: Annotated[list[Literal["password"]], Field(min_length=1, max_length=1)]
    password: PasswordOf


class ByToken(RequestModel):
    """Who one is, by a token."""

    methods: Annotated[list[Literal["token"]], Field(min_length=1, max_length=1)]
    token: OldToken


class TokenScope(RequestModel):
    """What the token shall be for."""

    project: Known | None = None


class LoginModel(RequestModel):
    """A login."""

    identity: ByPassword | ByToken
    scope: TokenScope | None = None


class TokenBody(RequestModel):
    """The body of a request for a token (IAM API, "token through password", "obtaining a scoped token")."""

    auth: LoginModel


B = TypeVar("B", bound=RequestModel)


def parse(body: bytes) -> Json:
    """Return the JSON object of a body. Raises BodyError."""
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        raise BodyError(refusal("Common.0002")) from None
    if not isinstance(content, dict):
        raise BodyError(refusal("Ecs.0005", message="an object is expected."))
    return cast("Json", content)


def read(kind: type[B], content: Json) -> B:
    """Return the body of that kind. Raises BodyError."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        # Of what was wrong the first, by its place.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    raise BodyError(refusal("Ecs.0005", message=f"{place}: {first['msg']}"))


def change_order(content: Json, path: str, server_id: str, api: Literal["v1", "v2"], *, reinstall: bool) -> ChangeOs:
    """Return the order of a changeos or reinstallos body that came to this path. Raises BodyError."""
    asked = read(ReinstallBody, content).os_reinstall if reinstall else read(ChangeBody, content).os_change
    user_data = asked.metadata.user_data if asked.metadata is not None else None
    return ChangeOs(
        kind="change",
        server_id=server_id,
        image_id=asked.imageid if isinstance(asked, Change) else None,
        keyname=asked.keyname,
        userid=asked.userid,
        adminpass="none" if asked.adminpass is None else _quality(asked.adminpass),
        user_data_bytes=len(user_data or "") * 3 // 4,
        encrypted=asked.metadata is not None and asked.metadata.encrypted == "1",
        key_id=asked.metadata.key_id if asked.metadata is not None else None,
        with_stop=asked.mode is not None,
        api=api,
        content=_said(asked, cast("Json", content["os-reinstall" if reinstall else "os-change"]), path),
    )


def _said(asked: Reinstall, raw: Json, path: str) -> Content:
    """Return what a change said. Its metadata are taken as they came, those that the cloud does not know included."""
    metadata = cast("dict[str, str]", raw.get("metadata") or {})
    user_data = metadata.get("user_data")
    return Content(
        path,
        asked.imageid if isinstance(asked, Change) else None,
        asked.keyname,
        asked.userid,
        None if asked.adminpass is None else sha256(asked.adminpass.encode(errors="surrogatepass")).hexdigest(),
        None if user_data is None else _digest_of_base64(user_data),
        {key: value for key, value in metadata.items() if key != "user_data"},
        asked.mode,
    )


def _digest_of_base64(text: str) -> str:
    try:
        return sha256(b64decode(text, validate=True)).hexdigest()
    except ValueError:
        return "not base64"


def power_order(content: Json) -> PowerOrder:
    """Return the order of a `cloudservers/action` body. Raises BodyError."""
    match list(content):
        case ["os-stop"]:
            stop = read(StopBody, content).os_stop
            return _power("stop", stop, hard=stop.type == "HARD")
        case ["os-start"]:
            return _power("start", read(StartBody, content).os_start, hard=False)
        case ["reboot"]:
            reboot = read(RebootBody, content).reboot
            return _power("reboot", reboot, hard=reboot.type == "HARD")
        case _:
            raise BodyError(refusal("Ecs.0005", message="exactly one of os-stop, os-start and reboot is expected."))


def _power(operation: Literal["stop", "start", "reboot"], asked: Named, *, hard: bool) -> PowerOrder:
    ids = tuple(dict.fromkeys(one.id for one in asked.servers))
    return PowerOrder(kind="power", operation=operation, servers=ids, hard=hard)


def _quality(word: str) -> Literal["good", "bad"]:
    """Judge a password: 8 to 26 characters of at least three kinds, and none that is not allowed."""
    kinds = (str.isupper, str.islower, str.isdigit, _SPECIAL.__contains__)
    used = sum(any(kind(letter) for letter in word) for kind in kinds)
    allowed = all((letter.isascii() and letter.isalnum()) or letter in _SPECIAL for letter in word)
    return "good" if 8 <= len(word) <= 26 and used >= 3 and allowed else "bad"
