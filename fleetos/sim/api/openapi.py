"""OpenAPI 3.1 description of the simulated cloud, generated from routes and types.

`openapi` raises KeyError for a path whose operation has no entry here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import TypeAdapter

from fleetos import __version__
from fleetos.sim.api import request_bodies
from fleetos.sim.api.routes import PATHS, ApiPath, RouteOperation
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
# Status of a body over the limit, and of a world with a full journal.
_BODY_TOO_LARGE, _FULL = "413", "503"


@dataclass(frozen=True, slots=True)
class OperationDoc:
    """Description of one operation."""

    summary: str
    response: Any
    """Type of the response."""
    query: Mapping[str, Json]
    """Schemas of the query parameters."""
    codes: tuple[str, ...] = ()
    """Error codes of its refusals."""
    body: Any = None
    """Type of the request body, None for no body."""
    headers: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Schemas of the required headers."""


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
_OPERATIONS: Mapping[RouteOperation, OperationDoc] = {
    "token": OperationDoc(
        "a token",
        openstack_types.TokenAnswer,
        {"nocatalog": _TEXT},
        ("Common.0002", "Ecs.0005", "IAM.0011"),
        request_bodies.TokenBody,
    ),
    "list": OperationDoc("a page of servers", response_types.ServersAnswer, _SERVERS, ("Ecs.0005",)),
    "detail": OperationDoc("one server", response_types.ServerAnswer, {}, ("Ecs.0114",)),
    "job": OperationDoc("a job", response_types.JobShown, {}, ("Common.0011",)),
    "power": OperationDoc(
        "stop, start or reboot servers",
        response_types.JobAnswer,
        {},
        (*_WRITE, "Ecs.0118"),
        request_bodies.StopBody | request_bodies.StartBody | request_bodies.RebootBody,
    ),
    "changeos": OperationDoc(
        "change the OS of a server",
        response_types.JobAnswer,
        {},
        (*_WRITE, *_LOGIN_OF_SERVER),
        request_bodies.ChangeBody,
    ),
    "reinstallos": OperationDoc(
        "install the OS of a server again",
        response_types.JobAnswer,
        {},
        (*_WRITE, *_LOGIN_OF_SERVER),
        request_bodies.ReinstallBody,
    ),
    "actions": OperationDoc("the actions on a server", response_types.ActionsAnswer, {}, ("Ecs.0114", "APIGW.0101")),
    "action": OperationDoc("one action on a server", response_types.ActionAnswer, {}, ("Ecs.0114", "APIGW.0101")),
    "block-device": OperationDoc("the disks of a server", response_types.BlockDevicesAnswer, {}, ("Ecs.0114",)),
    "volumes": OperationDoc(
        "a page of volumes",
        response_types.VolumesAnswer,
        {"limit": _PAGE, "marker": _TEXT, "server_id": _TEXT, "sort_key": _TEXT, "sort_dir": _TEXT},
        ("Ecs.0005", "APIGW.0101"),
    ),
    "volume": OperationDoc("one volume", response_types.VolumeAnswer, {}, ("Ecs.0114", "APIGW.0101")),
    "flavors": OperationDoc("the flavors", quota_types.FlavorsAnswer, {}),
    "limits": OperationDoc("the quotas of servers", quota_types.LimitsAnswer, {}),
    "disk-quota": OperationDoc("the quotas of disks", quota_types.DiskQuotaAnswer, {}),
    "key": OperationDoc(
        "one encryption key",
        quota_types.KeyAnswer,
        {},
        ("Common.0002", "Ecs.0005", "KMS.0205"),
        request_bodies.DescribeKey,
    ),
    "enterprise-projects": OperationDoc(
        "a page of enterprise projects",
        quota_types.EnterpriseAnswer,
        {"limit": _PAGE, "offset": _FROM_0, "id": _TEXT, "name": _TEXT},
        ("Ecs.0005",),
    ),
    "images": OperationDoc("a page of images", openstack_types.ImagesAnswer, _IMAGES, ("Ecs.0005",)),
    "keypairs": OperationDoc("the key pairs of the user", response_types.KeyPairsAnswer, {}),
    "keypair": OperationDoc("one key pair", response_types.KeyPairAnswer, {}, ("Ecs.0114",)),
    "native-servers": OperationDoc(
        "a page of servers, by Nova",
        openstack_types.NativeServersAnswer,
        {"limit": _PAGE, "marker": _TEXT, "name": _TEXT, "status": _TEXT},
        ("Ecs.0005",),
    ),
    "native-images": OperationDoc(
        "a page of images, by Glance", openstack_types.NativeImagesAnswer, _IMAGES, ("Ecs.0005",)
    ),
    "projects": OperationDoc("the projects of a name, or all", openstack_types.ProjectsAnswer, {"name": _TEXT}),
    "credential": OperationDoc("one access key", openstack_types.CredentialAnswer, {}, ("IAM.0004",)),
    "versions": OperationDoc("the versions of the image API", openstack_types.VersionsAnswer, {}),
    "version": OperationDoc(
        "a version of the API of identity (v3) or compute (v2.1)", openstack_types.VersionAnswer, {}, ("APIGW.0101",)
    ),
}

_TOKEN_SHOWN = OperationDoc(
    "the description of a token",
    openstack_types.TokenAnswer,
    {"nocatalog": _TEXT},
    ("IAM.0004",),
    headers={"X-Subject-Token": _TEXT},
)
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
    """Return the OpenAPI document. It leaves out the admin endpoints, which no real cloud has."""
    paths: dict[str, Json] = {}
    schemas: dict[str, Json] = {"Refusal": _refusal_schema()}
    for path in PATHS:
        operation_doc = _OPERATIONS[path.operation] if path.public or path.operation != "token" else _TOKEN_SHOWN
        paths.setdefault(path.template, {})[path.method.lower()] = _operation(path, operation_doc, schemas)
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


def _operation(path: ApiPath, operation_doc: OperationDoc, schemas: dict[str, Json]) -> Json:
    path_parameters = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in path.parameters]
    query_parameters = [{"name": name, "in": "query", "schema": schema} for name, schema in operation_doc.query.items()]
    header_parameters = [
        {"name": name, "in": "header", "required": True, "schema": schema}
        for name, schema in operation_doc.headers.items()
    ]
    content: Json = {
        "operationId": _operation_id(path),
        "summary": operation_doc.summary,
        "parameters": [*path_parameters, *query_parameters, *header_parameters],
        "responses": _responses(path, operation_doc, _schema(operation_doc.response, schemas, closed=True)),
        "security": [] if path.public else [{scheme: []} for scheme in _SECURITY],
    }
    if operation_doc.body is not None:
        body = {"application/json": {"schema": _schema(operation_doc.body, schemas, closed=False)}}
        content["requestBody"] = {"required": True, "content": body}
    return content


def _operation_id(path: ApiPath) -> str:
    """Return the unique name of an operation, with the version of its path."""
    version = re.match(r"/(v[\d.]+)/", path.template)
    name = path.operation if path.public or path.operation != "token" else "token-shown"
    return f"{name}-{version[1]}" if version is not None else name


def _responses(path: ApiPath, operation_doc: OperationDoc, schema: Json) -> Json:
    codes = operation_doc.codes
    if not path.public:
        codes = (*codes, *_ENTRY)
    if "project" in path.parameters:
        codes = (*codes, *_IN_PROJECT)
    by_status: dict[str, list[str]] = {}
    for code in codes:
        by_status.setdefault(str(refusal(code).status), []).append(code)
    if operation_doc.body is not None:
        by_status[_BODY_TOO_LARGE] = ["APIGW.0201"]
        if path.operation not in ("token", "key"):
            by_status[_FULL] = ["Common.0001"]
    responses: Json = {
        "201" if path.operation == "token" and path.public else "200": _response(operation_doc.summary, schema)
    }
    # Fault rules may add any other response.
    for status, status_codes in sorted(by_status.items()):
        description = "; ".join(f"{code}: {refusal(code).message}" for code in status_codes)
        responses[status] = _response(description, {"$ref": _REF.format(model="Refusal")})
    return responses


def _response(description: str, schema: Json) -> Json:
    request_id = {"X-Request-Id": {"required": True, "schema": _TEXT}}
    return {"description": description, "headers": request_id, "content": {"application/json": {"schema": schema}}}


def _refusal_schema() -> Json:
    """Return the schema of the error bodies without fault rules: of ECS, gateway, job query and Nova."""
    code_and_message = {"code": _TEXT, "message": _TEXT}
    gateway = {"error_code": _TEXT, "error_msg": _TEXT, "request_id": _TEXT}
    nova = {"type": "object", "maxProperties": 1, "minProperties": 1, "propertyNames": {"not": {"const": "error"}}}
    nova["additionalProperties"] = _object({"code": {"type": "integer"}, "message": _TEXT})
    return {"oneOf": [_object({"error": _object(code_and_message)}), _object(gateway), _object(code_and_message), nova]}


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": sorted(properties), "additionalProperties": False}


def _schema(kind: Any, schemas: dict[str, Json], *, closed: bool) -> Json:
    """Return the schema of a type, and add the types it refers to, to `schemas`. `closed` forbids other keys."""
    schema: Json = TypeAdapter[Any](kind).json_schema(by_alias=True, ref_template=_REF)
    definitions = cast("dict[str, Json]", schema.pop("$defs", {}))
    for part in (schema, *definitions.values()):
        if closed and "properties" in part:
            part.setdefault("additionalProperties", False)
    schemas.update(definitions)
    return schema
