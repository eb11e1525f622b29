"""Classify responses: failures of reads, and replies to writes."""

import re

from fleetos.clock import Clock
from fleetos.cloud.http.error_body import ErrorBody, parse_json, retry_after_s
from fleetos.cloud.http.transport import HttpResponse
from fleetos.errors import (
    CloudError,
    CloudUnreachable,
    PermissionDenied,
    ReadRefused,
)
from fleetos.model.codes import AnswerClass, known_code, meaning_of
from fleetos.model.inventory import Delivered, Reply, Unanswered

# A job id is 32 hexadecimal digits in all examples (API page ecs_02_0901); other clouds write UUIDs.
_JOB_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")


def describe_response(response: HttpResponse, error_body: ErrorBody) -> str:
    """Describe an error response: status, code, meaning, message, request id."""
    parts = [f"HTTP {response.status}"]
    if error_body.code is not None:
        meaning = meaning_of(error_body.code)
        parts.append(f"{error_body.code} ({meaning})" if meaning else error_body.code)
    text = ", ".join(parts)
    text = f"{text}: {error_body.message}" if error_body.message else text
    return f"{text} [request {error_body.request_id}]" if error_body.request_id else text


def classify_read_failure(about: str, response: HttpResponse, error_body: ErrorBody) -> tuple[CloudError, bool]:
    """Return the error for a refused read of `about`, and whether repeating the read may help."""
    status, known = response.status, known_code(error_body.code)
    documented = known is not None and status in known.statuses
    error_class, worth_repeating = ReadRefused, known is not None and known.read_again
    if status == 403 or (known is not None and documented and known.write is AnswerClass.STOP_RUN):
        error_class, worth_repeating = PermissionDenied, False
    elif status == 408 or status >= 500:
        error_class, worth_repeating = CloudUnreachable, True
    failure = error_class(
        f"{about}: {describe_response(response, error_body)}",
        "the address leads elsewhere: check the endpoint" if 300 <= status < 400 else None,
        code=error_body.code,
        status=status,
        request_id=error_body.request_id,
    )
    return failure, worth_repeating


def unreachable_error(about: str, error: CloudError) -> CloudUnreachable:
    """Return the error for a read of `about` that got no response."""
    return CloudUnreachable(
        f"{about}: {error.message}", error.hint, code=error.code, status=error.status, request_id=error.request_id
    )


def parse_reply(response: HttpResponse, error_body: ErrorBody, clock: Clock) -> Reply:
    """Return the reply to a write. A 2xx with an unreadable body counts as unanswered: the cloud may have acted."""
    job_id = None
    if 200 <= response.status < 300:
        content = parse_json(response.body)
        if not isinstance(content, dict):
            return Unanswered(f"HTTP {response.status} with a body that cannot be read")
        value: object = content.get("job_id")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if value is not None and value != "":
            if not isinstance(value, str) or not _JOB_ID.fullmatch(value):
                return Unanswered(f"HTTP {response.status} with a job id that cannot be read")
            job_id = value
    return Delivered(
        status=response.status,
        job_id=job_id,
        code=error_body.code if job_id is None else None,
        message=error_body.message if job_id is None else None,
        request_id=error_body.request_id,
        retry_after_s=retry_after_s(response.headers, clock),
    )
