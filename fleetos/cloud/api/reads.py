"""Helpers shared by all reads: parse a response, classify a 404."""

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
# Statuses of a service that does not have an API: no such path, method, or function.
_NOT_OFFERED = frozenset({404, 405, 501})
_FORBIDDEN = 403
# All enterprise projects that the user may see.
ALL_GRANTED = {"enterprise_project_id": "all_granted_eps"}


def parse_response(about: str, response: HttpResponse, parse: Callable[[Fields], T]) -> T:
    """Parse the JSON object of a response. Raise ReadRefused if it is not as the API promises."""
    try:
        return parse(parse_object(response.body))
    except InvalidJson as error:
        reason = str(error)
    request_id = parse_error_body(response.headers, b"").request_id
    raise ReadRefused(
        f"{about}: the cloud's answer cannot be read: {reason}", status=response.status, request_id=request_id
    )


async def read_if_offered(session: Session, read: ReadRequest, parse: Callable[[Fields], T]) -> T | None:
    """Return the parsed response of an API that not every cloud offers, or not to every user; None if it does not."""
    try:
        response = await session.read(read)
    except PermissionDenied:
        return None
    except ReadRefused as error:
        if error.status in _NOT_OFFERED:
            return None
        raise
    return parse_response(read.about, response, parse)


class GrantedReads:
    """Reads of one list, also for a user who may see some enterprise projects but not the whole project.

    The cloud refuses such a user (403) unless the query asks for `all_granted_eps` (ECS API, "listing details about
    ECSs"; EVS and IMS have the same query). `narrowed`: every read asks for that from now on.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.narrowed = False

    async def read(self, read: ReadRequest) -> HttpResponse:
        """Return the response. Raise what Session.read raises."""
        granted_read = replace(read, params={**read.params, **ALL_GRANTED})
        if self.narrowed:
            return await self._session.read(granted_read)
        try:
            return await self._session.read(read)
        except PermissionDenied as error:
            if error.status != _FORBIDDEN:
                raise
            refusal = error
        try:
            response = await self._session.read(granted_read)
        except (PermissionDenied, ReadRefused):
            raise refusal from None
        self.narrowed = True
        return response


def is_gone(error: ReadRefused) -> bool:
    """Return whether a refused read proves that the thing does not exist; a 404 without a code may be a gateway's."""
    known = known_code(error.code)
    return error.status == 404 and known is not None and known.write is AnswerClass.GONE


def segment(name: str) -> str:
    """Return an id or name, percent-encoded, as one segment of a path."""
    return quote(name, safe="")
