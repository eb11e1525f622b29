"""The question before disks are wiped."""

from fleetos.cli.terminal import ask, on_terminal, say
from fleetos.errors import FleetosError, UsageError
from fleetos.views.confirmation import question
from fleetos.views.console import Shown
from fleetos.views.wording import counted


class NotConfirmed(FleetosError):
    """The operator, or the number that a script expected, did not agree."""

    exit_code = 12


def confirm(text: Shown, wipes: int, *, yes: bool, expected: int | None = None) -> None:
    """Nothing, if the operator agrees to wipe so many system disks.

    Raises UsageError where nobody can be asked, NotConfirmed where the answer is no.
    """
    say(text)
    if expected is not None and expected != wipes:
        raise NotConfirmed(
            f"--expect-wipes {expected}, but {counted(wipes, 'system disk')} would be wiped",
            "nothing was touched; look at the list above",
        )
    if yes or wipes == 0:
        return
    if not on_terminal():
        raise UsageError(
            f"{counted(wipes, 'system disk')} would be wiped and nobody is there to be asked",
            "add --yes if you mean it",
        )
    if ask(question(wipes)).replace(",", "") != str(wipes):
        raise NotConfirmed("not confirmed, nothing was touched")


def agree(prompt: str, *, yes: bool) -> None:
    """Nothing, if the operator agrees. Raises UsageError where nobody can be asked, NotConfirmed on any other word."""
    if yes:
        return
    if not on_terminal():
        raise UsageError(f"{prompt} Nobody is there to be asked.", "add --yes if you mean it")
    if ask(f"{prompt} [y/N] ").lower() not in ("y", "yes"):
        raise NotConfirmed("not confirmed, nothing was touched")
