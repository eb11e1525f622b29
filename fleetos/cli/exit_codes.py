"""Exit codes: what a script learns from how fleetos left."""

from enum import IntEnum

from fleetos.model.progress import Progress
from fleetos.model.states import ENDED_BY_APPLY, RUN_ENDS, Reason, RunState, TargetState


class ExitCode(IntEnum):
    """The contract's exit codes."""

    OK = 0
    DEFECT = 1
    CHANGES_PENDING = 2
    SOME_FAILED = 10
    BUDGET = 11
    GATE = 12
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
    """Leaves the command with a code; everything that was to be said has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(int(code))


_BY_PAUSE = {
    Reason.AUTHENTICATION: ExitCode.AUTHENTICATION,
    Reason.PERMISSION: ExitCode.AUTHENTICATION,
    Reason.UNREACHABLE: ExitCode.UNREACHABLE,
}


def code_of_reason(reason: Reason | None) -> ExitCode:
    """The exit code of a run that was left before its end for that reason; None: there is none, it can be resumed.

    A pause that the next call of a timer does not end needs a person.
    """
    if reason is None:
        return ExitCode.RESUMABLE
    return _BY_PAUSE[reason] if reason in ENDED_BY_APPLY else ExitCode.UNKNOWN


def code_of(progress: Progress) -> ExitCode:
    """The exit code that the run's state and counts ask for."""
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
