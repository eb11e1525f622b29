"""What the reads of all services share: from an answer to a value, and what a 404 proves."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from fleetos.cloud.http.error_body import parse_error_body
from fleetos.cloud.http.json_fields import Fields, InvalidJson, parse_object
from fleetos.cloud.http.transport import HttpResponse
from fleetos.cloud.session import ReadRequest, Session
from fleetos.errors import PermissionDenied, ReadRefused
from fleetos.model.codes import AnswerClass, known_code

T = TypeVar("T")
# How a service says that it does not have an API: no such path, method, or function.
_NOT_OFFERED = frozenset({404, 405, 501})
_FORBIDDEN = 403
# All enterprise projects that the user may see.
ALL_GRANTED = {"enterprise_project_id": "all_granted_eps"}


def parsed(about: str, answer: HttpResponse, parse: Callable[[Fields], T]) -> T:
    """Return what `parse` makes of the answer's JSON object. Raises ReadRefused where it is not as promised."""
    try:
        return parse(parse_object(answer.body))
    except InvalidJson as error:
        reason = str(error)
    request_id = parse_error_body(answer.headers, b"").request_id
    raise ReadRefused(
        f"{about}: the cloud's answer cannot be read: {reason}", status=answer.status, request_id=request_id
    )


async def read_offered(session: Session, read: ReadRequest, parse: Callable[[Fields], T]) -> T | None:
    """Return what a view shows that not every cloud has, or not to every user; None where it is not offered."""
    try:
        answer = await session.read(read)
    except PermissionDenied:
        return None
    except ReadRefused as error:
        if error.status in _NOT_OFFERED:
            return None
        raise
    return parsed(read.about, answer, parse)


class GrantedReads:
    """Reads of one list, for a user who may be allowed to see some enterprise projects and not the whole project.

    Such a user is refused (403) unless asking for `all_granted_eps` (ECS API, "listing details about ECSs"; EVS and IMS
    have the same query). `narrowed`: that is what is asked for from now on.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.narrowed = False

    async def read(self, read: ReadRequest) -> HttpResponse:
        """Return the answer. Raises what a read raises."""
        narrow = replace(read, params={**read.params, **ALL_GRANTED})
        if self.narrowed:
            return await self._session.read(narrow)
        try:
            return await self._session.read(read)
        except PermissionDenied as error:
            if error.status != _FORBIDDEN:
                raise
            refused = error
        try:
            answer = await self._session.read(narrow)
        except (PermissionDenied, ReadRefused):
            raise refused from None
        self.narrowed = True
        return answer


def is_gone(error: ReadRefused) -> bool:
    """Return whether a refused read proves that the thing does not exist; a 404 alone may be the gateway's own."""
    known = known_code(error.code)
    return error.status == 404 and known is not None and known.write is AnswerClass.GONE


def segment(name: str) -> str:
    """Return an id or name as one segment of a path, whatever letters it has."""
    return quote(name, safe="")
