"""Requests about servers: hold, skip, release, retry. What each may be done to, and what it writes. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleetos.model.journal.events import EndAsked, Event, Released, Retried
from fleetos.model.journal.requests import OperatorRequest, RequestKind
from fleetos.model.run import End, Run, Target
from fleetos.model.states import AHEAD, ENDS, NEVER_RETRIED, QUEUED, RETRIABLE, Reason, TargetState
from fleetos.rules.outcomes import give_up


@dataclass(frozen=True, slots=True)
class ServerVerb:
    """Verb of a request about servers."""

    done: str
    """Word for what was done, before the names of the servers."""
    already: str
    """Why nothing was to be done."""
    why_not: Callable[[Target, OperatorRequest], str]
    """Returns why it may not be done to a target, as words that follow its name; empty if it may."""
    is_so: Callable[[Target], bool]
    """Returns whether a target is as it is asked to be."""
    event: Callable[[Target, OperatorRequest, Run], Event]
    """Returns the event of the effect."""


def _is_ended_by_operator(state: TargetState) -> Callable[[Target], bool]:
    def is_so(target: Target) -> bool:
        asked = target.asked_end is not None and target.asked_end.state is state
        return asked or (target.state is state and target.reason is Reason.OPERATOR)

    return is_so


def _end(state: TargetState) -> Callable[[Target, OperatorRequest, Run], Event]:
    def event(target: Target, request: OperatorRequest, _: Run) -> Event:
        """Return the end of the target; for one that is being prepared, the word that it ends as soon as it can."""
        end = End(state, Reason.OPERATOR, f"{request.by}: {request.reason}")
        if target.state in AHEAD:
            return EndAsked(target.server_id, end)
        (ended,) = give_up(target, end.state, Reason.OPERATOR, end.detail).events
        return ended

    return event


def _why_not_held(target: Target, _: OperatorRequest) -> str:
    if target.state in QUEUED | AHEAD or (target.state is TargetState.HELD and target.reason is Reason.OPERATOR):
        return ""
    return f"is {target.state}: its change is under way" if not target.ended else f"is {target.state}"


def _why_not_skipped(target: Target, _: OperatorRequest) -> str:
    if target.unsettled or target.unanswered:
        return "has an unknown outcome"
    if target.state in QUEUED | AHEAD | RETRIABLE | {TargetState.SKIPPED}:
        return ""
    return f"is {target.state}: its change is under way" if not target.ended else f"is {target.state}"


def _why_not_released(target: Target, _: OperatorRequest) -> str:
    if target.held_by_operator:
        return ""
    if target.ended:
        return f"is {target.state}{f' ({target.reason})' if target.reason is not None else ''}"
    return _coming_end(target)


def _release(target: Target, _: OperatorRequest, run: Run) -> Event:
    return Released(target.server_id, TargetState.WAITING if target.ended else None, run.passes)


def why_not_retried(target: Target) -> str:
    """Return why the target gets no further attempt while its run goes on; empty if it may, or has one anyway.

    One with an unknown outcome is not queued again: only the end of the run leaves time to look at it first.
    """
    if not target.ended:
        return _coming_end(target)
    if target.proven:
        return f"is {target.state}: its new OS is proven"
    if target.state not in RETRIABLE:
        return f"is {target.state}"
    if target.unsettled or target.unanswered:
        return "has an unknown outcome"
    return f"is {target.state} ({target.reason}): no retry changes it" if target.reason in NEVER_RETRIED else ""


def _why_not_retried_on(target: Target, request: OperatorRequest) -> str:
    """Return why the target is not retried, also if its disk is not the one that the operator agreed to."""
    why = why_not_retried(target)
    named = request.arguments.disks.get(target.server_id)
    if why or not target.ended or named == target.last_disk:
        return why
    return f"has system disk {target.last_disk} by now, and {named or 'none'} was agreed to"


def _retry(target: Target, _: OperatorRequest, run: Run) -> Event:
    return Retried(target.server_id, target.last_disk, run.passes)


def _coming_end(target: Target) -> str:
    """Return the end that a target comes to which has not ended, empty if it comes to none."""
    end = target.then or target.asked_end
    return f"is {target.state} and ends as {end.state}" if end is not None and end.state in ENDS else ""


SERVER_VERBS: Mapping[RequestKind, ServerVerb] = {
    RequestKind.HOLD: ServerVerb(
        "held",
        "held by an operator already",
        _why_not_held,
        _is_ended_by_operator(TargetState.HELD),
        _end(TargetState.HELD),
    ),
    RequestKind.SKIP: ServerVerb(
        "skipped",
        "skipped by an operator already",
        _why_not_skipped,
        _is_ended_by_operator(TargetState.SKIPPED),
        _end(TargetState.SKIPPED),
    ),
    RequestKind.RELEASE: ServerVerb(
        "released",
        "no operator holds any of them",
        _why_not_released,
        lambda target: not target.held_by_operator,
        _release,
    ),
    RequestKind.RETRY: ServerVerb(
        "one more attempt",
        "each of them has an attempt left or under way",
        _why_not_retried_on,
        lambda target: not target.ended,
        _retry,
    ),
}
