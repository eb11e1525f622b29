"""The question before disks are wiped."""

from dataclasses import dataclass, field

from fleetos.cli.output import ask, on_terminal, say
from fleetos.errors import FleetosError, UsageError
from fleetos.model.states import Command
from fleetos.model.wipes import Wipes
from fleetos.planning.agreement import Agreement, NotConfirmed, disagreement
from fleetos.planning.freeze import FrozenRun
from fleetos.text import counted
from fleetos.views.confirmation import carry_on_question, question
from fleetos.views.console import Shown

_NOTHING = "not confirmed, nothing was touched"


class Interrupted(FleetosError):
    """The operator pressed Ctrl-C at the question."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Consent:
    """How the operator agrees: in advance by --yes, --expect-wipes or a frozen plan, else at the question."""

    yes: bool = False
    agreement: Agreement = field(default_factory=Agreement)


def confirm(consent: Consent, wipes: Wipes, command: Command, text: Shown, frozen: FrozenRun | None = None) -> None:
    """Return if the operator agrees to what the command would wipe; `frozen` is the run where it makes a new one.

    Raises what `disagreement` finds, UsageError where nobody can be asked, NotConfirmed or Interrupted where the
    answer is no.
    """
    refused = disagreement(consent.agreement, wipes, command, frozen)
    if refused is None or isinstance(refused, NotConfirmed):
        say(text)
    if refused is not None:
        raise refused
    left = len(wipes.left)
    if consent.yes or not left + wipes.under_way:
        return
    if command is Command.APPLY and frozen is None:
        agree(carry_on_question(wipes), yes=False)
        return
    if not on_terminal():
        raise UsageError(
            f"{counted(left, 'system disk')} would be wiped and there is no terminal to confirm on",
            "add --yes to confirm",
        )
    if _answer(question(left)).replace(",", "") != str(left):
        raise NotConfirmed(_NOTHING)


def agree(prompt: str, *, yes: bool) -> None:
    """Return if the operator agrees.

    Raises UsageError where nobody can be asked, NotConfirmed on any other word, Interrupted at Ctrl-C.
    """
    if yes:
        return
    if not on_terminal():
        raise UsageError(f"{prompt} There is no terminal to confirm on.", "add --yes to confirm")
    if _answer(f"{prompt} [y/N] ").lower() not in ("y", "yes"):
        raise NotConfirmed(_NOTHING)


def _answer(prompt: str) -> str:
    try:
        return ask(prompt)
    except KeyboardInterrupt:
        # The line of the question is still open.
        say("")
        raise Interrupted(_NOTHING) from None
