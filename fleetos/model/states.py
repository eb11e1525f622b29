"""Law of states: every state of targets and runs, and every legal move.

The whole law is in this file. A move that no table names is refused by `check_move`, and nothing is changed.
The diagram in the documentation is generated from these tables.
"""

from enum import StrEnum

from fleetos.errors import IllegalMove


class TargetState(StrEnum):
    """State of a target within its run."""

    WAITING = "waiting"  # queued, nothing done yet
    CHECKING = "checking"  # admitted; the server is read just before the first write to it
    DRAINING = "draining"  # load is being moved away
    STOPPING = "stopping"  # a stop was asked for and is not yet final
    READY = "ready"  # stopped and idle; the submit may be sent
    SUBMITTING = "submitting"  # the intent is durable; the request is on its way
    CHANGING = "changing"  # the cloud accepted the change, or was seen changing
    VERIFYING = "verifying"  # the job succeeded; the new OS is being proven
    STARTING = "starting"  # the change left it stopped, and the driver starts it
    RESTORING = "restoring"  # its power is set back to what it was before the run
    BACKOFF = "backoff"  # a failed attempt waits for the next
    INSPECTING = "inspecting"  # an outcome is unknown: look before acting
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    HELD = "held"  # waits for a human
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """State of a run. A run whose driver was killed stays `running`, without a driver."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHING = "finishing"  # aborted, or ended by a budget: admits no more, lets changes in flight end
    DONE = "done"
    FAILED = "failed"  # the failure budget was used up
    ABORTED = "aborted"


class Command(StrEnum):
    """The command that a process drives a run for."""

    APPLY = "apply"
    RESUME = "resume"
    RETRY = "retry"
    ABORT = "abort"
    REQUEST = "request"  # a request of the operator, such as a pause, or a resume that says why


class Reason(StrEnum):
    """Reason why a target was skipped, failed, held or cancelled, or why a run is paused. The values are stored."""

    ALREADY_ON_IMAGE = "already-on-image"
    GONE = "gone"
    REFUSED = "refused"
    UNHEALTHY = "unhealthy"
    OUTCOME_UNKNOWN = "outcome-unknown"
    STILL_CHANGING = "still-changing"
    FOREIGN_CHANGE = "foreign-change"
    ATTEMPTS_USED_UP = "attempts-used-up"
    LOCKED = "locked"
    NO_SYSTEM_DISK = "no-system-disk"
    WRONG_STATE = "wrong-state"
    UNSUITABLE = "unsuitable"
    MANAGED = "managed"
    PROTECTED = "protected"
    UNANSWERED_SEND = "unanswered-send"
    STOP_TIMEOUT = "stop-timeout"
    STOP_REFUSED = "stop-refused"
    START_FAILED = "start-failed"
    NOT_DELIVERED = "not-delivered"
    ABORTED = "aborted"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    UNREACHABLE = "unreachable"
    TOO_MANY_OVERDUE = "too-many-overdue"
    BUDGET = "budget"
    INPUT_CHANGED = "input-changed"
    OPERATOR = "operator"
    STUCK = "stuck"


_S = TargetState

ENDS = frozenset({_S.DONE, _S.SKIPPED, _S.FAILED, _S.HELD, _S.CANCELLED})
QUEUED = frozenset({_S.WAITING, _S.BACKOFF})
STABLE = ENDS | QUEUED
IN_FLIGHT = frozenset(_S) - STABLE

# The intent of a change takes a slot, and the record that ends the change gives it back. In between nothing else may be
# written to the server.
HOLDS_SLOT = frozenset({_S.SUBMITTING, _S.CHANGING, _S.INSPECTING})
# Admitted, and prepared just before a slot is free.
AHEAD = frozenset({_S.CHECKING, _S.DRAINING, _S.STOPPING, _S.READY})
# What a pause by a budget follows to its end before the driver leaves: the change, and the power after it.
FLIGHT = IN_FLIGHT - AHEAD
# States in which `retry` may queue a target again.
RETRIABLE = frozenset({_S.FAILED, _S.HELD})
# Only a plan that allows it may change a managed or protected server, so a retry of a run that left it alone does not.
NEVER_RETRIED = frozenset({Reason.MANAGED, Reason.PROTECTED})

MOVES: dict[TargetState, dict[TargetState, str]] = {
    _S.WAITING: {
        _S.CHECKING: "a slot is free, or soon will be",
        _S.INSPECTING: "a slot is free, and an earlier send of this target has no known outcome",
        _S.SKIPPED: "it runs the image already",
        _S.HELD: "it cannot be changed, or the run was aborted after an earlier send to it",
        _S.CANCELLED: "the run was aborted before it was admitted",
    },
    _S.CHECKING: {
        _S.DRAINING: "it carries load",
        _S.STOPPING: "it runs and is as the run knows it",
        _S.READY: "it is stopped already, or failed a change before",
        _S.SKIPPED: "it runs the image already",
        _S.FAILED: "it is gone",
        _S.HELD: "it is not as the run knows it",
        _S.CANCELLED: "the run was aborted",
        _S.RESTORING: "it is powered off by us and will not be changed",
        _S.WAITING: "recalled untouched",
    },
    _S.DRAINING: {
        _S.STOPPING: "its load is away",
        _S.FAILED: "it is gone",
        _S.HELD: "the drain failed",
        _S.CANCELLED: "the run was aborted",
    },
    _S.STOPPING: {
        _S.READY: "it is stopped and every stop call is final",
        _S.CHECKING: "it is not as it was when the stop was sent",
        _S.FAILED: "it is gone",
        _S.HELD: "it does not stop, or is not as the run knows it",
        _S.CANCELLED: "the run was aborted",
        _S.RESTORING: "it will not be changed, and the stop may have taken it down",
        _S.SKIPPED: "an operator skipped it",
        _S.WAITING: "recalled before its stop was sent",
    },
    _S.READY: {
        _S.SUBMITTING: "it has a slot, and the intent is durable",
        _S.CHECKING: "somebody started it",
        _S.FAILED: "it is gone",
        _S.HELD: "it is not as the run knows it, or was refused too often",
        _S.CANCELLED: "the run was aborted",
        _S.RESTORING: "it is powered off by us and will not be changed",
        _S.SKIPPED: "an operator skipped it",
        _S.WAITING: "recalled, its power as it was",
    },
    _S.SUBMITTING: {
        _S.CHANGING: "the cloud accepted the change",
        _S.READY: "proven not done, and worth another send",
        _S.INSPECTING: "nobody knows whether it was accepted",
        _S.FAILED: "the cloud refused the request for good",
        _S.HELD: "the cloud refused it for a reason that a human must clear",
        _S.RESTORING: "the cloud refused it for good, and it is powered off by us",
    },
    _S.CHANGING: {
        _S.VERIFYING: "the job succeeded",
        _S.BACKOFF: "the attempt failed and another is left",
        _S.INSPECTING: "the cloud does not know the job, or shows no change any more",
        _S.STARTING: "the new disk is there and the server is down",
        _S.FAILED: "it is gone",
        _S.HELD: "the attempts are used up, the deadline is over, or the snapshot needs a human",
    },
    _S.INSPECTING: {
        _S.VERIFYING: "the new disk with the image is there",
        _S.CHANGING: "it is seen changing",
        _S.READY: "proven not delivered: the same attempt may be sent again",
        _S.CHECKING: "somebody started it with its old disk",
        _S.BACKOFF: "the attempt failed and another is left",
        _S.STARTING: "the new disk is there and the server is down",
        _S.FAILED: "it is gone",
        _S.HELD: "the evidence needs a human",
        _S.RESTORING: "it was not changed, is powered off by us and will not be tried again",
        _S.CANCELLED: "the run was aborted and nothing was changed",
    },
    _S.VERIFYING: {
        _S.DONE: "the new OS is proven",
        _S.RESTORING: "the new OS is proven, and it was stopped before",
        _S.STARTING: "the new disk is there and the server is down",
        _S.BACKOFF: "the job succeeded without any effect",
        _S.FAILED: "it is gone, or unhealthy",
        _S.HELD: "the snapshot needs a human",
    },
    _S.STARTING: {
        _S.VERIFYING: "it runs",
        _S.FAILED: "it is gone",
        _S.HELD: "it does not start",
    },
    _S.RESTORING: {
        _S.DONE: "its power is as it was",
        _S.SKIPPED: "its power is as it was",
        _S.FAILED: "its power is as it was, or it is gone",
        _S.HELD: "its power is as it was, or cannot be put back",
        _S.CANCELLED: "its power is as it was",
        _S.WAITING: "recalled, and its power is as it was",
    },
    _S.BACKOFF: {
        _S.CHECKING: "its wait is over and a slot is free, or soon will be",
        _S.HELD: "no attempt is left, or the run was aborted after a change that failed",
        _S.SKIPPED: "an operator skipped it",
        _S.CANCELLED: "the run was aborted",
        _S.RESTORING: "it is powered off by us and will not be changed",
    },
    _S.DONE: {},
    _S.SKIPPED: {},
    _S.FAILED: {
        _S.WAITING: "the operator asked for one more attempt",
        _S.SKIPPED: "an operator skipped it",
    },
    _S.HELD: {
        _S.WAITING: "an operator asked for one more attempt, or released it",
        _S.SKIPPED: "an operator skipped it",
    },
    _S.CANCELLED: {},
}

_R = RunState

RUN_ENDS = frozenset({_R.DONE, _R.FAILED, _R.ABORTED})

RUN_MOVES: dict[RunState, dict[RunState, str]] = {
    _R.RUNNING: {
        _R.PAUSED: "nothing may be admitted until somebody resumes it",
        _R.FINISHING: "the operator aborted it, or a failure budget ends it",
        _R.DONE: "every target has ended",
        _R.FAILED: "the failure budget is used up and every target has ended",
        _R.ABORTED: "every target has ended, and an abort before this pass left some unchanged",
    },
    _R.PAUSED: {
        _R.RUNNING: "somebody resumed it",
        _R.FINISHING: "the operator aborted it",
    },
    _R.FINISHING: {
        _R.ABORTED: "every target has ended",
        _R.FAILED: "every target has ended, and a failure budget with `on_exceeded: end` was used up",
    },
    _R.DONE: {_R.RUNNING: "the operator asked for a next pass"},
    _R.FAILED: {_R.RUNNING: "the operator asked for a next pass"},
    _R.ABORTED: {_R.RUNNING: "the operator asked for a next pass"},
}


# Pauses with a cause outside of the run: it may have been repaired since, and shows again at once if it was not.
# `apply`, which a timer may call, ends only these. Every other pause, also one that is added later, is for a person
# to look at.
ENDED_BY_APPLY = frozenset({Reason.AUTHENTICATION, Reason.PERMISSION, Reason.UNREACHABLE})


# Pauses in which the driver follows everything in flight to its end before it leaves, and that only an operator's
# request ends, which says why.
COMES_TO_REST = frozenset({Reason.BUDGET, Reason.OPERATOR})


def ends_pause(command: Command, reason: Reason | None) -> bool:
    """Return whether a driver that this command started continues a run that is paused for this reason.

    Where it does not, a request of the operator may.
    """
    match command:
        case Command.RESUME:
            return reason not in COMES_TO_REST
        case Command.APPLY:
            return reason in ENDED_BY_APPLY
        case Command.RETRY | Command.ABORT | Command.REQUEST:
            return False


def check_move(server_id: str, before: TargetState, after: TargetState) -> None:
    """Raise IllegalMove unless the law allows the move."""
    if after not in MOVES[before]:
        raise IllegalMove(f"target {server_id}: the law of states has no move from {before} to {after}")


def check_run_move(run_id: str, before: RunState, after: RunState) -> None:
    """Raise IllegalMove unless the law allows the move of the run."""
    if after not in RUN_MOVES[before]:
        raise IllegalMove(f"run {run_id}: the law of states has no move from {before} to {after}")
