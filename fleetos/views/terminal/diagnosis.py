"""Text of `doctor`, a line for each check, and its JSON, documented in docs/reference/outputs.md."""

import textwrap
from collections.abc import Sequence

from rich.text import Text

from fleetos.model.diagnosis import Diagnosis, Grade, Topic
from fleetos.text import counted
from fleetos.views.documents.document import VERSION, Document
from fleetos.views.text.format import printable

_STYLES = {Grade.FINE: "green", Grade.DOUBTFUL: "bold yellow", Grade.BROKEN: "bold red", Grade.SKIPPED: "dim"}
_WIDTH = max(map(len, Grade)) + 1
# On a narrower terminal each word would stand on a line of its own.
_ROOM_MIN = 20


def diagnosis_line(diagnosis: Diagnosis, width: int | None = None) -> Text:
    """Return the check in one line: its grade, its topic, the result, and the hint.

    A line longer than `width` cells continues below, indented past the grade; None: no limit.
    """
    about = " ".join(part for part in (diagnosis.topic.value, diagnosis.subject) if part)
    hint = f" ({printable(diagnosis.hint)})" if diagnosis.hint else ""
    words = f"{printable(about)}: {printable(diagnosis.text)}{hint}"
    if width is not None:
        room = max(width - _WIDTH, _ROOM_MIN)
        broken = textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False)
        words = f"\n{' ' * _WIDTH}".join(broken)
    return Text().append(f"{diagnosis.grade:<{_WIDTH}}", _STYLES[diagnosis.grade]).append(words)


def sum_line(diagnoses: Sequence[Diagnosis]) -> Text:
    """Return the number of checks of each grade, and a note if no cloud was checked."""
    counts = _counts(diagnoses)
    grades = ", ".join(f"{counts[grade.value]:,} {grade.value}" for grade in Grade)
    cloud_checked = any(
        diagnosis.topic is Topic.ENDPOINT and diagnosis.grade is not Grade.SKIPPED for diagnosis in diagnoses
    )
    return Text(
        f"{counted(len(diagnoses), 'check')}: {grades}{'' if cloud_checked else '; no cloud was checked'}", "bold"
    )


def diagnosis_document(diagnosis: Diagnosis) -> Document:
    """Return one check for programs."""
    return {
        "topic": diagnosis.topic.value,
        "subject": diagnosis.subject,
        "grade": diagnosis.grade.value,
        "text": diagnosis.text,
        "hint": diagnosis.hint,
        "values": dict(diagnosis.values),
    }


def doctor_document(diagnoses: Sequence[Diagnosis], exit_code: int) -> Document:
    """Return all checks, in the order in which they were made, and the resulting exit code."""
    return {
        "v": VERSION,
        "exit_code": exit_code,
        "counts": {"total": len(diagnoses), **_counts(diagnoses)},
        "checks": [diagnosis_document(diagnosis) for diagnosis in diagnoses],
    }


def _counts(diagnoses: Sequence[Diagnosis]) -> dict[str, int]:
    return {grade.value: sum(diagnosis.grade is grade for diagnosis in diagnoses) for grade in Grade}
