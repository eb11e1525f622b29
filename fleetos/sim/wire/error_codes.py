"""Error codes with their documented HTTP status, and the formats of an error body."""

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict

Form = Literal["ecs", "gateway", "job", "nova", "nested", "html", "plain", "empty"]

# Code -> (documented HTTP status, message). Sources: appendix "error codes" of the ECS API reference, and the error
# page of the API gateway. The messages are ours; clients decide by the code.
_DOCUMENTED: dict[str, tuple[int, str]] = {
    "Ecs.0000": (400, "The request is not valid."),
    "Ecs.0001": (400, "The ECS quota is used up."),
    "Ecs.0002": (400, "The request could not be submitted: system exception."),
    "Ecs.0003": (403, "No permission."),
    "Ecs.0005": (400, "A parameter is not valid."),
    "Ecs.0007": (400, "The attributes of the image do not allow this."),
    "Ecs.0011": (400, "The password is not complex enough."),
    "Ecs.0021": (400, "The EVS disk quota is used up."),
    "Ecs.0023": (400, "The project of the token differs from the project of the URL."),
    "Ecs.0025": (400, "EVS may not use the KMS key."),
    "Ecs.0030": (400, "The server is frozen."),
    "Ecs.0031": (400, "The image does not exist."),
    "Ecs.0032": (400, "The image is not active."),
    "Ecs.0044": (400, "The disk type is sold out."),
    "Ecs.0073": (400, "The system disk is being backed up."),
    "Ecs.0100": (400, "The server status does not allow this operation."),
    "Ecs.0101": (400, "The system disk is in an abnormal state."),
    "Ecs.0105": (400, "The server has no system disk."),
    "Ecs.0106": (400, "Network exception."),
    "Ecs.0110": (403, "The policy does not allow this operation."),
    "Ecs.0114": (404, "The server does not exist."),
    "Ecs.0118": (400, "Too many servers in one call."),
    "Ecs.0119": (400, "The KMS key is disabled."),
    "Ecs.0120": (400, "The OS of a yearly/monthly server may not be rebuilt like this."),
    "Ecs.0202": (400, "Creating the system disk failed."),
    "Ecs.0203": (400, "Attaching the disk failed."),
    "Ecs.0204": (400, "Creating the disk failed."),
    "Ecs.0205": (400, "Attaching the disk failed."),
    "Ecs.0208": (400, "Updating the image metadata failed."),
    "Ecs.0217": (400, "Attaching the NIC failed."),
    "Ecs.0219": (400, "Creating the temporary ECS failed."),
    "Ecs.0226": (400, "Starting the server failed."),
    "Ecs.0227": (400, "Restarting the server failed."),
    "Ecs.0301": (400, "Querying the server failed."),
    "Ecs.0304": (400, "Querying the image failed."),
    "Ecs.0314": (400, "The key pair does not exist or does not belong to the user."),
    "Ecs.0319": (400, "The capacity of the flavor is used up."),
    "Ecs.0402": (400, "Rolling back the disk failed."),
    "Ecs.0403": (400, "Rolling back the ECS failed."),
    "Ecs.0501": (400, "Deleting the ECS failed."),
    "Ecs.0510": (400, "A yearly/monthly server of a marketplace image cannot change its OS."),
    "Ecs.0503": (400, "Querying the system disk failed."),
    "Ecs.0603": (501, "Other commands are being executed on the server."),
    "Ecs.0605": (400, "The server is locked."),
    "Ecs.0611": (400, "The operation on several servers failed."),
    "Ecs.0614": (404, "The server does not exist."),
    "Ecs.0615": (500, "Internal error."),
    "Ecs.0912": (400, "The encryption key of the disk is not valid."),
    "Ecs.1000": (400, "The call of Nova failed."),
    "Ecs.1001": (400, "OpenStack could not be reached."),
    "Ecs.1002": (400, "OpenStack timed out."),
    "Ecs.1300": (400, "EVS timed out."),
    "Pdp.0001": (403, "Policy does not allow this operation."),
    "KMS.0205": (400, "Invalid key ID."),
    "Common.0001": (500, "System exception."),
    "Common.0002": (400, "The request body is empty or cannot be read."),
    "Common.0011": (400, "The job id is not known."),
    "Common.0013": (401, "The token is not valid."),
    "Common.0018": (400, "The project id does not match."),
    "Common.0020": (400, "The job could not be repeated."),
    "Common.0021": (400, "A sub job failed."),
    "Common.0025": (400, "The job query failed."),
    "Common.0024": (202, "The flow limit is exceeded."),
    "Common.1503": (429, "Too many APIs are being executed."),
    "APIGW.0101": (404, "The API does not exist or has not been published in the environment."),
    "APIGW.0201": (504, "Backend timeout."),
    "APIGW.0301": (401, "Incorrect IAM authentication information."),
    "APIGW.0302": (403, "The user is not allowed to access the API."),
    "APIGW.0307": (401, "The token must be updated."),
    "APIGW.0308": (429, "The throttling threshold has been reached."),
    "APIGW.0402": (403, "The IP address is not authorized to access the API."),
    "IAM.0004": (404, "The token could not be found."),
    "IAM.0011": (401, "The username or password is wrong."),
}
_JOB_CODES = frozenset({"Common.0011", "Common.0025"})
_NOVA_KEYS = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}


class ApiError(BaseModel):
    """Error response: code, HTTP status, message, and the format of the body."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    status: int
    message: str
    form: Form = "ecs"
    retry_after_s: int | None = None


def refusal(code: str, *, status: int | None = None, message: str | None = None, form: Form | None = None) -> ApiError:
    """Return the error response of a code, with defaults from the table; an unknown code is a 400."""
    known_status, known_message = _DOCUMENTED.get(code, (400, f"The operation failed with {code}."))
    return ApiError(
        code=code, status=status or known_status, message=message or known_message, form=form or _form(code)
    )


def error_message(code: str) -> str:
    """Return the message of a code, as in `fail_reason` of a job."""
    return refusal(code).message


def _form(code: str) -> Form:
    if code.startswith("APIGW."):
        return "gateway"
    return "job" if code in _JOB_CODES else "ecs"


def error_body(error: ApiError, request_id: str) -> tuple[str, bytes]:
    """Return the content type and the body of an error response, in its format."""
    code, message = error.code, error.message
    nova = {_NOVA_KEYS.get(error.status, "computeFault"): {"message": message, "code": error.status}}
    match error.form:
        case "ecs":
            content: object = {"error": {"code": code, "message": message}}
        case "gateway":
            content = {"error_msg": message, "error_code": code, "request_id": request_id}
        case "job":
            content = {"code": code, "message": message}
        case "nova":
            content = nova
        case "nested":
            content = {"error": {"code": code, "message": json.dumps(nova)}}
        case "html":
            page = f"<html><head><title>{error.status}</title></head><body><h1>{message}</h1></body></html>"
            return "text/html", page.encode()
        case "plain":
            return "text/plain", message.encode()
        case "empty":
            return "text/plain", b""
    return "application/json;charset=UTF-8", json.dumps(content).encode()
