"""What `doctor` tells people, a line each, and programs; its JSON is documented in docs/reference/outputs.md."""

import textwrap
from collections.abc import Sequence

from rich.text import Text

from fleetos.model.diagnosis import Diagnosis, Grade, Topic
from fleetos.text import counted
from fleetos.views.documents.run import VERSION, Document
from fleetos.views.text.format import printable

_STYLES = {Grade.FINE: "green", Grade.DOUBTFUL: "bold yellow", Grade.BROKEN: "bold red", Grade.SKIPPED: "dim"}
_WIDTH = max(map(len, Grade)) + 1
# In less room than this there would be a word a line.
_ROOM_MIN = 20


def diagnosis_line(diagnosis: Diagnosis, width: int | None = None) -> Text:
    """One line: how it is, what was looked at, what was found, and what to do about it.

    Where it is longer than `width` cells, it goes on below, beside the grade; None: it is as long as it needs to be.
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
    """Return how many there are of each grade, and that no cloud was checked if none was asked anything."""
    counts = _counts(diagnoses)
    grades = ", ".join(f"{counts[grade.value]:,} {grade.value}" for grade in Grade)
    asked = any(one.topic is Topic.ENDPOINT and one.grade is not Grade.SKIPPED for one in diagnoses)
    return Text(f"{counted(len(diagnoses), 'check')}: {grades}{'' if asked else '; no cloud was checked'}", "bold")


def diagnosis_document(diagnosis: Diagnosis) -> Document:
    """One check for programs."""
    return {
        "topic": diagnosis.topic.value,
        "subject": diagnosis.subject,
        "grade": diagnosis.grade.value,
        "text": diagnosis.text,
        "hint": diagnosis.hint,
        "values": dict(diagnosis.values),
    }


def doctor_document(diagnoses: Sequence[Diagnosis], exit_code: int) -> Document:
    """All checks, in the order in which they were made, and the exit code that they come to."""
    return {
        "v": VERSION,
        "exit_code": exit_code,
        "counts": {"total": len(diagnoses), **_counts(diagnoses)},
        "checks": [diagnosis_document(one) for one in diagnoses],
    }


def _counts(diagnoses: Sequence[Diagnosis]) -> dict[str, int]:
    return {grade.value: sum(one.grade is grade for one in diagnoses) for grade in Grade}
