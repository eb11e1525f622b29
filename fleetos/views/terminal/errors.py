"""Errors as people read them: what went wrong after `error:`, what to do next after `hint:`."""

from rich.text import Text

from fleetos.errors import CloudError, CloudUnreachable, FleetosError, InputError, Problem
from fleetos.views.text.format import printable, printable_lines
from fleetos.views.text.target_notes import code_words


def failure(error: FleetosError) -> Text:
    """The error, its cause at the cloud where it has one, and the hint; one block for each problem of an input."""
    if isinstance(error, InputError) and error.problems:
        return Text("\n").join(_problem(problem) for problem in error.problems)
    lines = [_label("error", "bold red").append(_lines(error.message))]
    if isinstance(error, CloudError):
        lines += [Text(f"  {line}") for line in _cloud_lines(error)]
    if error.hint:
        lines.append(_hint(error.hint))
    return Text("\n").join(lines)


def defect(told: str) -> Text:
    """The traceback of a defect in its own lines, which may quote names of others."""
    return Text(printable_lines(told.rstrip("\n")))


def _problem(problem: Problem) -> Text:
    place = ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part is not None)
    text = _label("error", "bold red").append(f"{printable(place)}: ", style="bold")
    if problem.key:
        text.append(f"{printable(problem.key)}: ")
    text.append(_lines(problem.said))
    return text.append("\n").append_text(_hint(problem.hint)) if problem.hint else text


def _cloud_lines(error: CloudError) -> list[str]:
    """What the cloud said, unless the message says it already."""
    lines: list[str] = []
    if isinstance(error, CloudUnreachable):
        lines.append("the cloud could not be reached, or answered with nothing but failures")
    if error.code and error.code not in error.message:
        status = f" (HTTP {error.status})" if error.status else ""
        lines.append(f"the cloud said {code_words(error.code)}{status}")
    elif error.status and not error.code:
        lines.append(f"the cloud answered HTTP {error.status}")
    if error.request_id and error.request_id not in error.message:
        lines.append(f"request {printable(error.request_id)}")
    return lines


def _hint(hint: str) -> Text:
    return _label("hint", "bold cyan").append(_lines(hint))


def _label(word: str, style: str) -> Text:
    return Text().append(f"{word}: ", style=style)


def _lines(text: str) -> str:
    """The text with its own line breaks kept, indented, and everything else made printable."""
    return printable_lines(text).replace("\n", "\n  ")
