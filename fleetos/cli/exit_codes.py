"""Exit codes of the command: what a script learns from how fleetos left."""

from enum import IntEnum
from signal import SIGHUP, SIGINT, SIGTERM
from typing import TYPE_CHECKING

from fleetos.model.journal.requests import RequestKind, RequestOutcome
from fleetos.model.states import COMES_TO_REST, RUN_ENDS, Reason, RunState, TargetState

if TYPE_CHECKING:
    # Help and --version leave with an exit code as well, and need no run.
    from fleetos.app.results import AbortResult, DriveResult, RequestResult
    from fleetos.model.progress import Progress


class ExitCode(IntEnum):
    """The contract's exit codes."""

    OK = 0
    DEFECT = 1
    CHANGES_PENDING = 2
    SOME_FAILED = 10
    BUDGET = 11
    GATE = 12
    NOT_CONFIRMED = 13
    RESUMABLE = 20
    DRIVEN = 21
    UNKNOWN = 22
    USAGE = 64
    INPUT = 65
    UNREACHABLE = 69
    AUTHENTICATION = 77
    SIGHUP = 129
    SIGINT = 130
    SIGTERM = 143


class Leave(SystemExit):
    """Exit of the command with a code; everything that was to be said has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(int(code))


_BY_PAUSE = {
    Reason.AUTHENTICATION: ExitCode.AUTHENTICATION,
    Reason.PERMISSION: ExitCode.AUTHENTICATION,
    Reason.UNREACHABLE: ExitCode.UNREACHABLE,
    Reason.BUDGET: ExitCode.BUDGET,
    Reason.OPERATOR: ExitCode.RESUMABLE,
    Reason.STUCK: ExitCode.RESUMABLE,
}
_BY_SIGNAL = {SIGHUP: ExitCode.SIGHUP, SIGINT: ExitCode.SIGINT, SIGTERM: ExitCode.SIGTERM}


def code_of_reason(reason: Reason | None) -> ExitCode:
    """Return the exit code of a run that was left before its end for that reason; None: for none, it can be resumed.

    A pause that the next call of a timer does not end needs a person.
    """
    if reason is None:
        return ExitCode.RESUMABLE
    return _BY_PAUSE.get(reason, ExitCode.UNKNOWN)


def code_of(progress: "Progress") -> ExitCode:
    """Return the exit code that the run's state and counts ask for."""
    run = progress.run
    if run.state not in RUN_ENDS:
        return code_of_reason(run.reason if run.state is RunState.PAUSED else None)
    if run.state is RunState.FAILED:
        return ExitCode.BUDGET
    if any(target.unsettled for target in progress.targets.values()):
        return ExitCode.UNKNOWN
    short = (TargetState.FAILED, TargetState.HELD, TargetState.CANCELLED)
    if any(progress.counts.get(state, 0) for state in short):
        return ExitCode.SOME_FAILED
    return ExitCode.OK


def code_of_drive(result: "DriveResult") -> ExitCode:
    """Return the exit code of a run that this process has driven, or found ended."""
    code = code_of(result.progress)
    if result.signal is not None and (result.at_once or code is ExitCode.RESUMABLE):
        return _BY_SIGNAL[result.signal]
    return code if result.trouble is None else code_of_reason(result.trouble)


def code_of_request(result: "RequestResult") -> ExitCode:
    """Return the exit code of an operator's request: 0 unless it was refused, or the run that it drove was left so."""
    answer, drive = result.answer, result.drive
    if answer is None:
        return ExitCode.RESUMABLE
    if answer.outcome is RequestOutcome.REFUSED:
        return ExitCode.USAGE
    paused = result.progress.run.state is RunState.PAUSED and result.progress.run.reason in COMES_TO_REST
    if drive is None or (answer.verb is RequestKind.PAUSE and paused and drive.trouble is None):
        return ExitCode.OK
    return code_of_drive(drive)


def code_of_abort(result: "AbortResult") -> ExitCode:
    """Return the exit code of an abort: one that ended as it was asked to is no failure, however many it cancelled."""
    if result.drive is None:
        return ExitCode.OK
    code, counts = code_of_drive(result.drive), result.progress.counts
    trouble = counts.get(TargetState.FAILED, 0) + counts.get(TargetState.HELD, 0)
    return ExitCode.OK if code is ExitCode.SOME_FAILED and not trouble else code
