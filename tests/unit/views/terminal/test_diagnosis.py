"""What doctor prints: one line a check, nothing that a terminal obeys, and JSON as its page says."""

import json
import re
from pathlib import Path

from fleetos.model.diagnosis import Diagnosis, Grade, Topic, diagnose_skipped
from fleetos.views.terminal.diagnosis import diagnosis_document, diagnosis_line, doctor_document, sum_line

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "outputs.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## What doctor finds")[2].partition("\n## ")[0]
CHECK = Diagnosis(Topic.ENDPOINT, Grade.BROKEN, "no answer", "try again", "ecs", {"latency_ms": 7}, 69)


def test_a_line_says_all_of_it_and_obeys_nothing() -> None:
    assert diagnosis_line(CHECK).plain == "broken   endpoint ecs: no answer (try again)"
    wild = Diagnosis(Topic.LEASE, Grade.FINE, "driven by \x1b[2Jal\nb", subject="r\x07")
    assert diagnosis_line(wild).plain == "fine     lease r\\x07: driven by \\x1b[2Jal\\nb"


def test_a_long_line_goes_on_beside_the_grade() -> None:
    assert diagnosis_line(CHECK, 37).plain == "broken   endpoint ecs: no answer (try\n         again)"
    assert diagnosis_line(CHECK, 3).plain.splitlines()[1] == "         answer (try again)"
    styles = [(span.start, span.end, span.style) for span in diagnosis_line(CHECK).spans]
    assert styles == [(0, 9, "bold red")]


def test_the_sum_has_every_grade() -> None:
    assert sum_line([CHECK, CHECK]).plain == "2 checks: 0 fine, 0 doubtful, 2 broken, 0 skipped"
    left_out = diagnose_skipped(Topic.ENDPOINT, "there are no credentials")
    assert sum_line([left_out]).plain == "1 check: 0 fine, 0 doubtful, 0 broken, 1 skipped; no cloud was checked"


def test_the_document_is_as_the_page_says() -> None:
    example = json.loads(SECTION.split("```json\n")[1].split("```")[0])
    document = doctor_document([CHECK], 69)
    assert example.keys() == document.keys()
    assert example["counts"].keys() == document["counts"].keys()
    assert example["checks"][0].keys() == document["checks"][0].keys() == diagnosis_document(CHECK).keys()
    assert document["counts"] == {"total": 1, "fine": 0, "doubtful": 0, "broken": 1, "skipped": 0}


def test_every_topic_and_grade_is_on_the_page() -> None:
    topics = re.findall(r"`([a-z-]+)`", "\n".join(re.findall(r"^\| (`[^|]+) \|", SECTION, re.MULTILINE)))
    assert [one for one in topics if one in set(Topic)] == list(Topic)
    assert all(f"`{grade}`" in SECTION for grade in Grade)
