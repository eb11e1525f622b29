"""Errors with hints: the message after `error:`, what to do next after `hint:`."""

from rich.text import Text

from fleetos.errors import CloudError, CloudUnreachable, FleetosError, InputError, Problem
from fleetos.views.text.format import printable, printable_lines


def failure(error: FleetosError) -> Text:
    """Return the error, the cloud's answer if there is one, and the hint; for an input, a block for each problem."""
    if isinstance(error, InputError) and error.problems:
        return Text("\n").join(_problem(problem) for problem in error.problems)
    lines = [_label("error", "bold red").append(_lines(error.message))]
    if isinstance(error, CloudError):
        lines += [Text(f"  {line}") for line in _cloud_lines(error)]
    if error.hint:
        lines.append(_hint(error.hint))
    return Text("\n").join(lines)


def defect(traceback_text: str) -> Text:
    """Return the traceback of a defect, made printable: it may quote names from outside."""
    return Text(printable_lines(traceback_text.rstrip("\n")))


def _problem(problem: Problem) -> Text:
    place = ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part is not None)
    text = _label("error", "bold red").append(f"{printable(place)}: ", style="bold")
    if problem.key:
        text.append(f"{printable(problem.key)}: ")
    text.append(_lines(problem.text))
    return text.append("\n").append_text(_hint(problem.hint)) if problem.hint else text


def _cloud_lines(error: CloudError) -> list[str]:
    """Return the cloud's answer, as far as the message does not contain it."""
    lines: list[str] = []
    if isinstance(error, CloudUnreachable):
        lines.append("the cloud could not be reached, or answered with nothing but failures")
    if error.code and error.code not in error.message:
        # Imported here: whoever talks to a cloud knows its codes, and a plan is checked without them.
        from fleetos.views.text.code_words import code_words

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
    """Return the text made printable, with its own line breaks kept and its further lines indented."""
    return printable_lines(text).replace("\n", "\n  ")
