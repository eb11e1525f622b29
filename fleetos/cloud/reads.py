"""What the reads of all services share: from an answer to a value, and what a 404 proves."""

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from fleetos.cloud.errors import read_complaint
from fleetos.cloud.fields import Fields, Unreadable, parse_object
from fleetos.cloud.session import Read, Session
from fleetos.cloud.transport import Answer
from fleetos.errors import PermissionDenied, ReadRefused
from fleetos.model.codes import AnswerClass, known_code

T = TypeVar("T")
# How a service says that it does not have an API: no such path, method, or function.
_NOT_OFFERED = frozenset({404, 405, 501})


def parsed(about: str, answer: Answer, parse: Callable[[Fields], T]) -> T:
    """Return what `parse` makes of the answer's JSON object. Raises ReadRefused where it is not as promised."""
    try:
        return parse(parse_object(answer.body))
    except Unreadable as error:
        reason = str(error)
    request_id = read_complaint(answer.headers, b"").request_id
    raise ReadRefused(
        f"{about}: the cloud's answer cannot be read: {reason}", status=answer.status, request_id=request_id
    )


async def read_offered(session: Session, read: Read, parse: Callable[[Fields], T]) -> T | None:
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


def is_gone(error: ReadRefused) -> bool:
    """Return whether a refused read proves that the thing does not exist; a 404 alone may be the gateway's own."""
    known = known_code(error.code)
    return error.status == 404 and known is not None and known.write is AnswerClass.GONE


def segment(name: str) -> str:
    """Return an id or name as one segment of a path, whatever letters it has."""
    return quote(name, safe="")
