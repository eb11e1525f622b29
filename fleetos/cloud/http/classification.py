"""What an answer means: to the pace, to a read, to the login, and to a write."""

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


def words(answer: HttpResponse, complaint: ErrorBody) -> str:
    """Return an error answer in words: status, code, meaning, message, request id."""
    said = [f"HTTP {answer.status}"]
    if complaint.code is not None:
        meaning = meaning_of(complaint.code)
        said.append(f"{complaint.code} ({meaning})" if meaning else complaint.code)
    text = ", ".join(said)
    text = f"{text}: {complaint.message}" if complaint.message else text
    return f"{text} [request {complaint.request_id}]" if complaint.request_id else text


def failed_read(about: str, answer: HttpResponse, complaint: ErrorBody) -> tuple[CloudError, bool]:
    """Return what a refused read of `about` comes to, and whether repeating it may cure it."""
    status, known = answer.status, known_code(complaint.code)
    documented = known is not None and status in known.statuses
    kind, again = ReadRefused, known is not None and known.read_again
    if status == 403 or (known is not None and documented and known.write is AnswerClass.STOP_RUN):
        kind, again = PermissionDenied, False
    elif status == 408 or status >= 500:
        kind, again = CloudUnreachable, True
    failure = kind(
        f"{about}: {words(answer, complaint)}",
        "the address leads elsewhere: check the endpoint" if 300 <= status < 400 else None,
        code=complaint.code,
        status=status,
        request_id=complaint.request_id,
    )
    return failure, again


def unreachable(about: str, error: CloudError) -> CloudUnreachable:
    """Return a request that found no answer as the failure of a read of `about`."""
    return CloudUnreachable(
        f"{about}: {error.message}", error.hint, code=error.code, status=error.status, request_id=error.request_id
    )


def reply_of(answer: HttpResponse, complaint: ErrorBody, clock: Clock) -> Reply:
    """Return the answer to a write. A 2xx whose body cannot be read is no answer: the write may have been done."""
    job_id = None
    if 200 <= answer.status < 300:
        content = parse_json(answer.body)
        if not isinstance(content, dict):
            return Unanswered(f"HTTP {answer.status} with a body that cannot be read")
        given: object = content.get("job_id")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if given is not None and given != "":
            if not isinstance(given, str) or not _JOB_ID.fullmatch(given):
                return Unanswered(f"HTTP {answer.status} with a job id that cannot be read")
            job_id = given
    return Delivered(
        status=answer.status,
        job_id=job_id,
        code=complaint.code if job_id is None else None,
        message=complaint.message if job_id is None else None,
        request_id=complaint.request_id,
        retry_after_s=retry_after_s(answer.headers, clock),
    )
