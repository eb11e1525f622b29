"""Requests of an operator to a run that another process may be driving. The engine reads them from the database."""

from dataclasses import dataclass
from enum import StrEnum


class RequestKind(StrEnum):
    """Kind of request."""

    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class OperatorRequest:
    """One request, as the database holds it. `by` names the operator."""

    id: int
    kind: RequestKind
    by: str
