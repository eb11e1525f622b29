"""Errors that fleetos raises on purpose. The numbers are exit codes.

FleetosError
|-- UsageError           the command line is wrong (64)
|-- InputError           a plan or another input file is bad (65), with all its problems
|   `-- NoCredentials       no credentials are given
|-- CloudError           the cloud refused, or did not answer (69 unless another number is here)
|   |-- CloudUnreachable    no connection, or only failures (69)
|   |-- AuthenticationFailed  the cloud does not accept the credentials (77)
|   |-- PermissionDenied      the cloud accepts the credentials and refuses the request (77)
|   |-- ReadRefused           the cloud answered a read with an error code
|   |-- NotSent               proven: the request never left this machine
|   `-- AnswerLost            the request may have left; its outcome is unknown
|-- StoreError
|   |-- JournalUnwritable   a commit failed, so no further effect is allowed (20)
|   |-- LeaseLost           another process has taken over the run (21)
|   |   `-- DatabaseReplaced   the file of the database was replaced after it was opened (21)
|   |-- RunDriven           another live process drives the run or holds the database (21)
|   |-- ServerClaimed       another run, which has no driver, claims one of the servers (20)
|   |-- ServerTouched       another run has changed one of the servers since (20)
|   |-- DatabaseUnusable    the database is too new, damaged, or not of fleetos (65)
|   |-- DatabaseUnavailable   the database server cannot be reached, or accepts no connections now (69)
|   |-- DatabaseRefused     the database server refuses the login or a permission (77)
|   `-- UnknownRun          the database has no run with that id (64)
`-- IllegalMove          a defect of fleetos: the law of states forbids the move (1)
"""

from dataclasses import dataclass


class FleetosError(Exception):
    """Error for an operator: `message` says what went wrong, `hint` what to do next. Never holds a secret."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(FleetosError):
    """Wrong command line."""

    exit_code = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem in an input file."""

    file: str
    line: int | None
    """Counts from 1; None: the whole file is meant."""
    column: int | None
    """Counts from 1; None: the whole line or file is meant."""
    key: str
    """Dotted key, empty if the problem is about none."""
    expected: str
    """Value that was expected at the key. With `fact`, or without a key: the problem itself, as a phrase."""
    hint: str | None = None
    fact: bool = False
    """`expected` describes the problem itself."""

    @property
    def text(self) -> str:
        """End of the sentence that begins with the key, or with the file if there is no key."""
        says_itself = self.fact or not self.key or self.expected.startswith("not ")
        return self.expected if says_itself else f"expected {self.expected}"

    @property
    def position(self) -> str:
        """Position of the problem: file, line, column and key, as far as they are known."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.key}" if self.key else place

    def __str__(self) -> str:
        text = f"{self.position}: {self.text}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class InputError(FleetosError):
    """Bad plan or other input file, with all its problems."""

    exit_code = 65

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class NoCredentials(InputError):
    """Lack of credentials: no entry is named, no variable is set, and there is no file."""


class CloudError(FleetosError):
    """Refusal by the cloud, or lack of an answer; never a defect of fleetos.

    `code` and `request_id` are the cloud's own, None if it gave none.
    """

    exit_code = 69

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.code = code
        self.status = status
        self.request_id = request_id


class CloudUnreachable(CloudError):
    """Cloud without a connection, or with nothing but failures."""


class AuthenticationFailed(CloudError):
    """Refusal of the credentials. Never tried again: repeated failures lock the account."""

    exit_code = 77


class PermissionDenied(CloudError):
    """Refusal of a request although the credentials are accepted."""

    exit_code = 77


class ReadRefused(CloudError):
    """Error answer to a read that repetitions did not cure."""


class NotSent(CloudError):
    """Proof that not one byte of the request reached the cloud."""


class AnswerLost(CloudError):
    """Request that may have reached the cloud, with an unknown outcome."""


class StoreError(FleetosError):
    """Failure of the database."""


class JournalUnwritable(StoreError):
    """Commit that failed or has an unknown outcome; no further effect is allowed."""

    exit_code = 20


class DatabaseHeld(JournalUnwritable):
    """Commit that failed because another process holds the database."""

    exit_code = 21


class LeaseLost(StoreError):
    """Loss of the lease: another process has taken over the run."""

    exit_code = 21


class DatabaseReplaced(LeaseLost):
    """Database file that was moved, deleted, replaced or linked while it was open: no claim in it holds."""


class RunDriven(StoreError):
    """Refusal because another live process drives the run, or holds the database."""

    exit_code = 21


class ServerClaimed(StoreError):
    """Refusal because another run claims one of the servers."""

    exit_code = 20


class ServerTouched(StoreError):
    """Refusal because another run has changed one of the servers after this run did."""

    exit_code = 20


class DatabaseUnusable(StoreError):
    """Database that is newer than this program, damaged, or not one of fleetos."""

    exit_code = 65


class DatabaseUnavailable(StoreError):
    """Database server that cannot be reached, or accepts no connections now."""

    exit_code = 69


class DatabaseRefused(StoreError):
    """Refusal of the login or a permission by the database server."""

    exit_code = 77


class UnknownRun(StoreError):
    """Run id that is not in the database."""

    exit_code = 64


class IllegalMove(FleetosError):
    """Move that the law of states forbids: a defect of fleetos, and nothing was changed."""
