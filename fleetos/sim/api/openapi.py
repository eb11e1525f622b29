"""The simulated cloud described for programs, in OpenAPI 3.1: written from the table of its paths and from its types.

A path without an entry here has no description, and `openapi` raises KeyError for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import TypeAdapter

from fleetos import __version__
from fleetos.sim.api import request_bodies
from fleetos.sim.api.routes import PATHS, Path, RouteOperation
from fleetos.sim.wire import openstack_types, quota_types, response_types
from fleetos.sim.wire.error_codes import refusal

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
_TEXT: Json = {"type": "string"}
_PAGE: Json = {"type": "integer", "minimum": 1, "maximum": 1000}
_FROM_0: Json = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_ENTRY = ("APIGW.0301", "APIGW.0307")
_IN_PROJECT = ("Ecs.0023",)
_WRITE = ("APIGW.0101", "Common.0002", "Common.0001", "Ecs.0005", "Ecs.0114", "Ecs.0603", "Ecs.0605")
_LOGIN_OF_SERVER = ("Ecs.0011", "Ecs.0119", "Ecs.0912", "Ecs.0031", "Ecs.0032", "Ecs.0100", "Ecs.0105", "Ecs.0314")
# A body over the limit, and a world that has had all its writes, have a status of their own.
_BODY_TOO_LARGE, _FULL = "413", "503"


@dataclass(frozen=True, slots=True)
class Told:
    """What one operation is: in words, its answer, its query, the codes of its refusals, its body, and its headers."""

    summary: str
    answer: Any
    query: Mapping[str, Json]
    codes: tuple[str, ...] = ()
    body: Any = None
    headers: Mapping[str, Json] = field(default_factory=dict[str, Json])


_SERVERS: Mapping[str, Json] = {
    "limit": _PAGE,
    "offset": {"type": "integer", "minimum": 0, "description": "the number of the page, from 1"},
    "marker": _TEXT,
    "server_id": {**_TEXT, "description": "at most 100 ids, with commas between them"},
    **dict.fromkeys(
        ("name", "status", "tags", "not-tags", "ip", "ip_eq", "reservation_id", "flavor", "enterprise_project_id"),
        _TEXT,
    ),
}
_IMAGES: Mapping[str, Json] = {
    "limit": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    **dict.fromkeys(("marker", "id", "name", "status", "visibility", "__imagetype", "enterprise_project_id"), _TEXT),
}
_TOLD: Mapping[RouteOperation, Told] = {
    "token": Told("a token", openstack_types.TokenAnswer, {"nocatalog": _TEXT}, ("Common.0002", "Ecs.0005", "IAM.0011"),
                  request_bodies.TokenBody),
    "list": Told("a page of servers", response_types.ServersAnswer, _SERVERS, ("Ecs.0005",)),
    "detail": Told("one server", response_types.ServerAnswer, {}, ("Ecs.0114",)),
    "job": Told("a job", response_types.JobShown, {}, ("Common.0011",)),
    "power": Told("stop, start or reboot servers", response_types.JobAnswer, {}, (*_WRITE, "Ecs.0118"),
                  request_bodies.StopBody | request_bodies.StartBody | request_bodies.RebootBody),
    "changeos": Told("change the OS of a server", response_types.JobAnswer, {}, (*_WRITE, *_LOGIN_OF_SERVER),
                     request_bodies.ChangeBody),
    "reinstallos": Told("install the OS of a server again", response_types.JobAnswer, {}, (*_WRITE, *_LOGIN_OF_SERVER),
                        request_bodies.ReinstallBody),
    "actions": Told("what was done to a server", response_types.ActionsAnswer, {}, ("Ecs.0114", "APIGW.0101")),
    "action": Told("one thing that was done to a server", response_types.ActionAnswer, {}, ("Ecs.0114", "APIGW.0101")),
    "block-device": Told("the disks of a server", response_types.BlockDevicesAnswer, {}, ("Ecs.0114",)),
    "volumes": Told("a page of volumes", response_types.VolumesAnswer,
                    {"limit": _PAGE, "marker": _TEXT, "server_id": _TEXT, "sort_key": _TEXT, "sort_dir": _TEXT},
                    ("Ecs.0005", "APIGW.0101")),
    "volume": Told("one volume", response_types.VolumeAnswer, {}, ("Ecs.0114", "APIGW.0101")),
    "flavors": Told("the flavors", quota_types.FlavorsAnswer, {}),
    "limits": Told("the quotas of servers", quota_types.LimitsAnswer, {}),
    "disk-quota": Told("the quotas of disks", quota_types.DiskQuotaAnswer, {}),
    "key": Told("one encryption key", quota_types.KeyAnswer, {}, ("Common.0002", "Ecs.0005", "KMS.0205"),
                request_bodies.DescribeKey),
    "enterprise-projects": Told("a page of enterprise projects", quota_types.EnterpriseAnswer,
                                {"limit": _PAGE, "offset": _FROM_0, "id": _TEXT, "name": _TEXT}, ("Ecs.0005",)),
    "images": Told("a page of images", openstack_types.ImagesAnswer, _IMAGES, ("Ecs.0005",)),
    "keypairs": Told("the key pairs of the user", response_types.KeyPairsAnswer, {}),
    "keypair": Told("one key pair", response_types.KeyPairAnswer, {}, ("Ecs.0114",)),
    "native-servers": Told("a page of servers, by Nova", openstack_types.NativeServersAnswer,
                           {"limit": _PAGE, "marker": _TEXT, "name": _TEXT, "status": _TEXT}, ("Ecs.0005",)),
    "native-images": Told("a page of images, by Glance", openstack_types.NativeImagesAnswer, _IMAGES, ("Ecs.0005",)),
    "projects": Told("the projects of a name, or all", openstack_types.ProjectsAnswer, {"name": _TEXT}),
    "credential": Told("one access key", openstack_types.CredentialAnswer, {}, ("IAM.0004",)),
    "versions": Told("the versions of the image API", openstack_types.VersionsAnswer, {}),
    "version": Told("a version of the API of identity (v3) or compute (v2.1)", openstack_types.VersionAnswer, {},
                    ("APIGW.0101",)),
}  # fmt: skip

_TOKEN_SHOWN = Told("what a token is for", openstack_types.TokenAnswer, {"nocatalog": _TEXT}, ("IAM.0004",),
                    headers={"X-Subject-Token": _TEXT})  # fmt: skip
_SECURITY: Json = {
    "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "SDK-HMAC-SHA256, by an access key; its time is in the header X-Sdk-Date",
    },
}


def openapi() -> Json:
    """Return the description, as OpenAPI has it. The admin paths, which no cloud has, are not in it."""
    paths: dict[str, Json] = {}
    schemas: dict[str, Json] = {"Refusal": _refusal_schema()}
    for path in PATHS:
        told = _TOLD[path.operation] if path.open or path.operation != "token" else _TOKEN_SHOWN
        paths.setdefault(path.template, {})[path.method.lower()] = _operation(path, told, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "The simulated cloud of fleetos", "version": __version__},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": _SECURITY,
        },
    }


def _operation(path: Path, told: Told, schemas: dict[str, Json]) -> Json:
    known = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in path.parameters]
    asked = [{"name": name, "in": "query", "schema": schema} for name, schema in told.query.items()]
    shown = [{"name": name, "in": "header", "required": True, "schema": one} for name, one in told.headers.items()]
    content: Json = {
        "operationId": _id(path),
        "summary": told.summary,
        "parameters": [*known, *asked, *shown],
        "responses": _responses(path, told, _schema(told.answer, schemas, closed=True)),
        "security": [] if path.open else [{scheme: []} for scheme in _SECURITY],
    }
    if told.body is not None:
        body = {"application/json": {"schema": _schema(told.body, schemas, closed=False)}}
        content["requestBody"] = {"required": True, "content": body}
    return content


def _id(path: Path) -> str:
    """Return a name of the operation; two versions of one have two."""
    version = re.match(r"/(v[\d.]+)/", path.template)
    name = path.operation if path.open or path.operation != "token" else "token-shown"
    return f"{name}-{version[1]}" if version is not None else name


def _responses(path: Path, told: Told, answer: Json) -> Json:
    codes = told.codes
    if not path.open:
        codes = (*codes, *_ENTRY)
    if "project" in path.parameters:
        codes = (*codes, *_IN_PROJECT)
    by_status: dict[str, list[str]] = {}
    for code in codes:
        by_status.setdefault(str(refusal(code).status), []).append(code)
    if told.body is not None:
        by_status[_BODY_TOO_LARGE] = ["APIGW.0201"]
        if path.operation not in ("token", "key"):
            by_status[_FULL] = ["Common.0001"]
    shown: Json = {"201" if path.operation == "token" and path.open else "200": _response(told.summary, answer)}
    # Whatever a rule of the scenario asks for may come as well.
    for status, these in sorted(by_status.items()):
        words = "; ".join(f"{code}: {refusal(code).message}" for code in these)
        shown[status] = _response(words, {"$ref": _REF.format(model="Refusal")})
    return shown


def _response(words: str, schema: Json) -> Json:
    request_id = {"X-Request-Id": {"required": True, "schema": _TEXT}}
    return {"description": words, "headers": request_id, "content": {"application/json": {"schema": schema}}}


def _refusal_schema() -> Json:
    """Return the schema of the error bodies that come without a fault rule: of ECS, gateway, job query, and Nova."""
    code_and_message = {"code": _TEXT, "message": _TEXT}
    gateway = {"error_code": _TEXT, "error_msg": _TEXT, "request_id": _TEXT}
    nova = {"type": "object", "maxProperties": 1, "minProperties": 1, "propertyNames": {"not": {"const": "error"}}}
    nova["additionalProperties"] = _object({"code": {"type": "integer"}, "message": _TEXT})
    return {"oneOf": [_object({"error": _object(code_and_message)}), _object(gateway), _object(code_and_message), nova]}


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}


def _schema(kind: Any, schemas: dict[str, Json], *, closed: bool) -> Json:
    """Return the schema of a type; those that it refers to are put into `schemas`. `closed`: no key but its own."""
    made: Json = TypeAdapter[Any](kind).json_schema(by_alias=True, ref_template=_REF)
    known = cast("dict[str, Json]", made.pop("$defs", {}))
    for one in (made, *known.values()):
        if closed and "properties" in one:
            one.setdefault("additionalProperties", False)
    schemas.update(known)
    return made
