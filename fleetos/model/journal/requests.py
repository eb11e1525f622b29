"""What an operator asks of a run while it may be driven by another process: rows that the engine reads."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RequestKind(StrEnum):
    """What an operator can ask of a run."""

    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class OperatorRequest:
    """An operator's request, as the database holds it. `by` names the operator, `at` is UTC."""

    id: int
    kind: RequestKind
    by: str
    at: datetime
