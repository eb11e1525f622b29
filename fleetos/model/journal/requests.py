"""Requests of an operator to a run that another process may be driving, and how they are answered.

The engine reads them from the database. Each is answered once, in the commit of its effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class RequestKind(StrEnum):
    """Kind of request. The values are stored."""

    ABORT = "abort"
    PAUSE = "pause"
    RESUME = "resume"
    HOLD = "hold"
    SKIP = "skip"
    SET = "set"
    APPROVE = "approve"
    PROMOTE = "promote"
    RELEASE = "release"
    RETRY = "retry"


# Their servers may have been given up: each is answered in a commit of its own, which takes the claims anew.
TAKE_UP = frozenset({RequestKind.RELEASE, RequestKind.RETRY})


class RequestOutcome(StrEnum):
    """Outcome of a request. The values are stored."""

    DONE = "done"
    NO_EFFECT = "no-effect"  # the run was as it was asked to be, or is past it
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RequestArguments:
    """Arguments of a request; each kind uses those that it needs."""

    servers: tuple[str, ...] = ()
    """Ids of the servers that it is about."""
    concurrency: int | None = None
    wave: int | None = None
    """Number of the wave that an approval opens, or that is promoted."""
    incomplete: int | None = None
    """Number of unfinished members in spite of which the next wave opens; None: there are to be none."""
    disks: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """System disks that the operator agreed to wipe, by server id."""


NO_ARGUMENTS = RequestArguments()


@dataclass(frozen=True, slots=True)
class OperatorRequest:
    """One request, as the database holds it. `by` names the operator."""

    id: int
    kind: RequestKind
    by: str
    at: datetime
    reason: str = ""
    """Why, in the operator's words; empty if none was given."""
    arguments: RequestArguments = NO_ARGUMENTS
