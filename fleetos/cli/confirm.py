"""Ask the operator before disks are wiped, and show what is known until then."""

import sys
from dataclasses import dataclass, field

from fleetos.cli.output import ask, on_terminal, print_message
from fleetos.cli.usage.options import Output
from fleetos.errors import FleetosError, UsageError
from fleetos.model.findings import Level
from fleetos.model.progress import Progress
from fleetos.model.states import Command
from fleetos.model.wipes import Wipes
from fleetos.planning.agreement import Agreement, NotConfirmed
from fleetos.planning.freeze import FrozenRun
from fleetos.planning.preflight.preflight import Preflight
from fleetos.text import counted
from fleetos.views.terminal.confirmation import (
    abort_confirmation,
    carry_on_confirmation,
    carry_on_question,
    confirmation,
    question,
    retry_confirmation,
)
from fleetos.views.terminal.live import view_on
from fleetos.views.terminal.preview import finding_words, selected_words
from fleetos.views.view import JsonLinesView, View

_NOTHING = "not confirmed, nothing was touched"
# Findings of preflight that are printed before the question.
FINDINGS_SHOWN = 20


class Interrupted(FleetosError):
    """The operator pressed Ctrl-C at the question."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class TerminalOperator:
    """The operator who called a command: agrees in advance by its options, else at the question."""

    output: Output
    agreement: Agreement = field(default_factory=Agreement)
    """A number of disks (--expect-wipes) or a frozen plan; it holds also where nothing is asked."""
    yes: bool = False
    """True if --yes answers the question."""
    waits: bool = True
    """False with --no-wait."""

    @property
    def streams_events(self) -> bool:
        """True if the output is a line of JSON for each event."""
        return self.output is Output.JSONL

    def open_view(self) -> View:
        """Return the view that fits the output. For `json` it writes to stderr, as stdout is for the document."""
        if self.streams_events:
            return JsonLinesView(sys.stdout, sys.stderr)
        return view_on(sys.stdout if self.output is Output.TABLE else sys.stderr)

    def show_preflight(self, preflight: Preflight, frozen: FrozenRun) -> None:
        """Say what was selected and found, the worst first: first of all which servers are left alone, and why."""
        for line in selected_words(preflight.selected):
            print_message(line)
        wiped, levels = {target.server_id for target in frozen.targets_to_wipe}, list(reversed(Level))
        findings = sorted(preflight.findings, key=lambda finding: levels.index(finding.level))
        relevant = [
            finding
            for finding in findings
            if finding.level is Level.REFUSED or finding.server_id is None or finding.server_id in wiped
        ]
        for finding in relevant[:FINDINGS_SHOWN]:
            print_message(f"{finding.level}: {finding_words(finding)}")
        if len(relevant) > FINDINGS_SHOWN:
            print_message(f"and {counted(len(relevant) - FINDINGS_SHOWN, 'finding')} more; fleetos plan shows all")

    def show_wipes(self, wipes: Wipes, command: Command, frozen: FrozenRun | None) -> None:
        """Say which system disks the command would wipe."""
        if frozen is not None:
            print_message(confirmation(frozen.run, frozen.targets_to_wipe, frozen.spared, frozen.sentences))
        elif command is Command.RETRY:
            print_message(retry_confirmation(wipes.run, wipes.left))
        else:
            print_message(carry_on_confirmation(wipes))

    def confirm(self, wipes: Wipes, command: Command, frozen: FrozenRun | None) -> None:
        """Return if the operator agrees to what was shown.

        Raise UsageError if there is no terminal, NotConfirmed or Interrupted if the operator does not agree.
        """
        if self.yes:
            return
        if command is Command.APPLY and frozen is None:
            agree(carry_on_question(wipes), yes=False)
            return
        left = len(wipes.left)
        if not on_terminal():
            raise UsageError(
                f"{counted(left, 'system disk')} would be wiped and there is no terminal to confirm on",
                "add --yes to confirm",
            )
        if _answer(question(left)).replace(",", "") != str(left):
            raise NotConfirmed(_NOTHING)

    def confirm_abort(self, progress: Progress, driver: str | None) -> None:
        """Say what an abort does; on a terminal, return if the operator agrees. An abort wipes nothing."""
        print_message(abort_confirmation(progress, driver))
        if on_terminal():
            agree(f"Abort run {progress.run.id}?", yes=self.yes)


def agree(prompt: str, *, yes: bool) -> None:
    """Return if the operator agrees.

    Raise UsageError if there is no terminal, NotConfirmed on any other word, Interrupted at Ctrl-C.
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
        print_message("")
        raise Interrupted(_NOTHING) from None
