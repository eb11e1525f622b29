"""Parse request bodies into orders.

A body refused here never reaches the world. Unknown keys are no error, as in the API. Refusals quote no value: it may
be a secret.
"""

import json
from base64 import b64decode
from hashlib import sha256
from typing import Annotated, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleetos.sim.wire.error_codes import ApiError, refusal
from fleetos.sim.world.ledger import WriteContent
from fleetos.sim.world.orders import ChangeOs, PowerOrder

# Special characters of a password: the newest and longest of the documented sets.
_SPECIAL = frozenset("!@$%^-_=+[{}]:,./?~#*")

Json = dict[str, object]


class BodyError(Exception):
    """Invalid body; `api_error` is the response."""

    def __init__(self, api_error: ApiError) -> None:
        super().__init__(api_error.message)
        self.api_error = api_error


class RequestModel(BaseModel):
    """Part of a body, with strict types; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", populate_by_name=False)


class Metadata(RequestModel):
    """Options of a change for the disk and the first start."""

    encrypted: Annotated[Literal["0", "1"] | None, Field(alias="__system__encrypted")] = None
    key_id: Annotated[str | None, Field(alias="__system__cmkid")] = None
    user_data: str | None = None
    byol: Annotated[Literal["true"] | None, Field(alias="BYOL")] = None


class Reinstall(RequestModel):
    """Parameters of a reinstallation (API page ecs_02_0204)."""

    adminpass: str | None = None
    keyname: str | None = None
    userid: str | None = None
    mode: Literal["withStopServer"] | None = None
    auto_pay: Annotated[Literal["true", "false"] | None, Field(alias="isAutoPay")] = None
    metadata: Metadata | None = None


class Change(Reinstall):
    """Parameters of a change (API page ecs_02_0202)."""

    imageid: Annotated[str, Field(min_length=1)]


class ChangeBody(RequestModel):
    """The body of a changeos."""

    os_change: Annotated[Change, Field(alias="os-change")]


class ReinstallBody(RequestModel):
    """The body of a reinstallos."""

    os_reinstall: Annotated[Reinstall, Field(alias="os-reinstall")]


class DescribeKey(RequestModel):
    """Body of a query of an encryption key (KMS API, "querying the information about a CMK")."""

    key_id: str


class ServerId(RequestModel):
    """Id of one server among several."""

    id: str


class ServerIds(RequestModel):
    """Servers of a call for several servers; alone it is a start (API page ecs_02_0303)."""

    servers: Annotated[list[ServerId], Field(min_length=1)]


class Stop(ServerIds):
    """Stop; soft without a type."""

    type: Literal["SOFT", "HARD"] | None = None


class Reboot(ServerIds):
    """Reboot; the type is required."""

    type: Literal["SOFT", "HARD"]


class StopBody(RequestModel):
    """The body of a stop of several servers."""

    model_config = ConfigDict(extra="forbid")
    os_stop: Annotated[Stop, Field(alias="os-stop")]


class StartBody(RequestModel):
    """The body of a start of several servers."""

    model_config = ConfigDict(extra="forbid")
    os_start: Annotated[ServerIds, Field(alias="os-start")]


class RebootBody(RequestModel):
    """The body of a reboot of several servers."""

    model_config = ConfigDict(extra="forbid")
    reboot: Reboot


class IdOrName(RequestModel):
    """Domain or project, by id or name."""

    id: str | None = None
    name: str | None = None


class LoginUser(IdOrName):
    """User and password of a login."""

    password: str
    domain: IdOrName | None = None


class PasswordLogin(RequestModel):
    """Value of the key `password` of a login."""

    user: LoginUser


class TokenLogin(RequestModel):
    """Token that is exchanged for another."""

    id: str


class PasswordIdentity(RequestModel):
    """Identity proved by a password."""

    methods: Annotated[list[Literal["password"]], Field(min_length=1, max_length=1)]
    password: PasswordLogin


class TokenIdentity(RequestModel):
    """Identity proved by a token."""

    methods: Annotated[list[Literal["token"]], Field(min_length=1, max_length=1)]
    token: TokenLogin


class TokenScope(RequestModel):
    """Requested scope of a token."""

    project: IdOrName | None = None


class LoginModel(RequestModel):
    """Identity and scope of a login."""

    identity: PasswordIdentity | TokenIdentity
    scope: TokenScope | None = None


class TokenBody(RequestModel):
    """The body of a request for a token (IAM API, "token through password", "obtaining a scoped token")."""

    auth: LoginModel


B = TypeVar("B", bound=RequestModel)


def parse_body(body: bytes) -> Json:
    """Parse the JSON object of a body. Raises BodyError."""
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        raise BodyError(refusal("Common.0002")) from None
    if not isinstance(content, dict):
        raise BodyError(refusal("Ecs.0005", message="an object is expected."))
    return cast("Json", content)


def read_model(model: type[B], content: Json) -> B:
    """Validate a JSON object as a model. Raises BodyError for the first problem, with its place."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, problem["loc"]))
    raise BodyError(refusal("Ecs.0005", message=f"{place}: {problem['msg']}"))


def change_order(content: Json, path: str, server_id: str, api: Literal["v1", "v2"], *, reinstall: bool) -> ChangeOs:
    """Return the order in the body of a changeos or reinstallos request to `path`. Raises BodyError."""
    change = read_model(ReinstallBody, content).os_reinstall if reinstall else read_model(ChangeBody, content).os_change
    user_data = change.metadata.user_data if change.metadata is not None else None
    return ChangeOs(
        kind="change",
        server_id=server_id,
        image_id=change.imageid if isinstance(change, Change) else None,
        keyname=change.keyname,
        userid=change.userid,
        adminpass="none" if change.adminpass is None else _password_quality(change.adminpass),
        user_data_bytes=len(user_data or "") * 3 // 4,
        encrypted=change.metadata is not None and change.metadata.encrypted == "1",
        key_id=change.metadata.key_id if change.metadata is not None else None,
        with_stop=change.mode is not None,
        api=api,
        content=_write_content(change, cast("Json", content["os-reinstall" if reinstall else "os-change"]), path),
    )


def _write_content(change: Reinstall, raw_change: Json, path: str) -> WriteContent:
    """Return the content of a change for the ledger, with all its metadata, also those that the cloud ignores."""
    metadata = cast("dict[str, str]", raw_change.get("metadata") or {})
    user_data = metadata.get("user_data")
    return WriteContent(
        path,
        change.imageid if isinstance(change, Change) else None,
        change.keyname,
        change.userid,
        None if change.adminpass is None else sha256(change.adminpass.encode(errors="surrogatepass")).hexdigest(),
        None if user_data is None else _digest_of_base64(user_data),
        {key: value for key, value in metadata.items() if key != "user_data"},
        change.mode,
    )


def _digest_of_base64(text: str) -> str:
    try:
        return sha256(b64decode(text, validate=True)).hexdigest()
    except ValueError:
        return "not base64"


def power_order(content: Json) -> PowerOrder:
    """Return the order in the body of a `cloudservers/action` request. Raises BodyError."""
    match list(content):
        case ["os-stop"]:
            stop = read_model(StopBody, content).os_stop
            return _power_order_of("stop", stop, hard=stop.type == "HARD")
        case ["os-start"]:
            return _power_order_of("start", read_model(StartBody, content).os_start, hard=False)
        case ["reboot"]:
            reboot = read_model(RebootBody, content).reboot
            return _power_order_of("reboot", reboot, hard=reboot.type == "HARD")
        case _:
            raise BodyError(refusal("Ecs.0005", message="exactly one of os-stop, os-start and reboot is expected."))


def _power_order_of(operation: Literal["stop", "start", "reboot"], change: ServerIds, *, hard: bool) -> PowerOrder:
    ids = tuple(dict.fromkeys(server.id for server in change.servers))
    return PowerOrder(kind="power", operation=operation, servers=ids, hard=hard)


def _password_quality(password: str) -> Literal["good", "bad"]:
    """Judge a password: good if it has 8 to 26 allowed characters of at least three kinds."""
    kinds = (str.isupper, str.islower, str.isdigit, _SPECIAL.__contains__)
    kinds_used = sum(any(kind(letter) for letter in password) for kind in kinds)
    allowed = all((letter.isascii() and letter.isalnum()) or letter in _SPECIAL for letter in password)
    return "good" if 8 <= len(password) <= 26 and kinds_used >= 3 and allowed else "bad"
