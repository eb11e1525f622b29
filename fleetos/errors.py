"""Every error that fleetos raises on purpose.

FleetosError
|-- UsageError           the command was called wrongly (64)
|-- InputError           a plan or another input file is bad (65), with all its problems
|   `-- NoCredentials       nobody has said how to log in
|-- CloudError           the cloud said no, or said nothing (69 unless it is said otherwise)
|   |-- CloudUnreachable    no connection, or nothing but failures (69)
|   |-- AuthenticationFailed  the cloud does not accept who we are (77)
|   |-- PermissionDenied      it knows us and refuses (77)
|   |-- ReadRefused           a read was answered with an error code
|   |-- NotSent               proven: the request never left
|   `-- AnswerLost            it may have left; nobody knows what came of it
|-- StoreError
|   |-- JournalUnwritable   a commit failed, so no further effect is allowed (20)
|   |-- LeaseLost           another process drives the run now (21)
|   |   `-- DatabaseReplaced   the file of the database is not the one that was opened (21)
|   |-- RunDriven           another live process drives the run or holds the database (21)
|   |-- ServerClaimed       an undriven unfinished run holds one of the servers (20)
|   |-- ServerTouched       another run has changed one of the servers since (20)
|   |-- DatabaseUnusable    too new, damaged, or not ours (65)
|   |-- DatabaseUnavailable   the server cannot be reached, or takes no connections now (69)
|   |-- DatabaseRefused     the server refuses the login or a permission (77)
|   `-- UnknownRun          no run of that id (64)
`-- IllegalMove          a defect of fleetos: the law of states forbids the move (1)
"""

from dataclasses import dataclass


class FleetosError(Exception):
    """What went wrong, in `message`; what to do next, in `hint`. Never holds a secret."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(FleetosError):
    """The command was called wrongly."""

    exit_code = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in an input file. Lines and columns count from 1; None where the whole file is meant.

    `expected` is what was expected at the key; with `fact`, and where there is no key, it says itself what is wrong.
    """

    file: str
    line: int | None
    column: int | None
    key: str
    expected: str
    hint: str | None = None
    fact: bool = False

    @property
    def said(self) -> str:
        """The problem as the end of a sentence that begins with the key, or with the file where there is no key."""
        says_itself = self.fact or not self.key or self.expected.startswith("not ")
        return self.expected if says_itself else f"expected {self.expected}"

    @property
    def at(self) -> str:
        """Where it is: file, line, column and key, as far as they are known."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.key}" if self.key else place

    def __str__(self) -> str:
        text = f"{self.at}: {self.said}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class InputError(FleetosError):
    """A plan or another input file is bad; `problems` holds all that was found."""

    exit_code = 65

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class NoCredentials(InputError):
    """Nobody has said how to log in: no entry is named, no variable is set, and there is no file."""


class CloudError(FleetosError):
    """The cloud said no, or said nothing. `code` and `request_id` are the cloud's own, where it gave them.

    Whatever it says, that is no defect of fleetos.
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
    """No connection to the cloud, or nothing but failures from it."""


class AuthenticationFailed(CloudError):
    """The cloud does not accept the credentials. Never tried again: repeated failures lock the account."""

    exit_code = 77


class PermissionDenied(CloudError):
    """The cloud knows who we are and refuses."""

    exit_code = 77


class ReadRefused(CloudError):
    """A read was answered with an error that repeating it did not cure."""


class NotSent(CloudError):
    """Proven: not one byte of the request reached the cloud."""


class AnswerLost(CloudError):
    """The request may have reached the cloud; nobody knows what came of it."""


class StoreError(FleetosError):
    """The database did not do what was asked."""


class JournalUnwritable(StoreError):
    """A commit failed or its outcome is unknown; no further effect is allowed."""

    exit_code = 20


class DatabaseHeld(JournalUnwritable):
    """A commit failed because another process holds the database."""

    exit_code = 21


class LeaseLost(StoreError):
    """Another process has taken the run over."""

    exit_code = 21


class DatabaseReplaced(LeaseLost):
    """The file of the database was moved, deleted, replaced or linked while it was open: no claim in it holds."""


class RunDriven(StoreError):
    """Another live process drives the run, or holds the database."""

    exit_code = 21


class ServerClaimed(StoreError):
    """Another run, unfinished and undriven, holds one of the servers."""

    exit_code = 20


class ServerTouched(StoreError):
    """Another run has changed one of the servers after this run did."""

    exit_code = 20


class DatabaseUnusable(StoreError):
    """The database is newer than this program, damaged, or not one of ours."""

    exit_code = 65


class DatabaseUnavailable(StoreError):
    """The database server cannot be reached, or takes no connections now."""

    exit_code = 69


class DatabaseRefused(StoreError):
    """The database server does not accept the login, or refuses a permission."""

    exit_code = 77


class UnknownRun(StoreError):
    """No run of that id is in the database."""

    exit_code = 64


class IllegalMove(FleetosError):
    """The law of states forbids the move: a defect of fleetos, and nothing was changed."""
