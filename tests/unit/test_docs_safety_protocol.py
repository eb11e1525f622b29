"""The page of the safety protocol has every section that code and tests cite, and the numbers of the code."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetos import limits
from fleetos.model.codes import AnswerClass
from tests.test_readme import anchors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "safety-protocol.md"
CITATION = re.compile(
    r"protocol\b[^\n]{0,3}\bsections? (\d+)|sections? (\d+) of the (?:safety )?protocol", re.IGNORECASE
)
RESOLVED = re.compile(r"Safety protocol, section (\d+): docs/safety-protocol\.md#(\1-[\w-]+)$", re.MULTILINE)

# Numbers as the page says them.
NUMBERS = {
    "the intent is older than {} s": limits.INTENT_MAX_AGE_S,
    "requested less than {} s ago": limits.FRESH_READ_MAX_AGE_S,
    "More than {} s between two looks": limits.EVIDENCE_MAX_GAP_S,
    "slept for more than {} s": limits.SUSPEND_NOTICED_S,
    "{} minutes on Open Telekom Cloud": limits.SETTLE_OTC_S / 60,
    "Open Telekom Cloud, {} elsewhere": limits.SETTLE_ELSEWHERE_S / 60,
    "Less than {} minutes is refused": limits.SETTLE_MIN_S / 60,
    "| `ready` | {} s at least | yes |": limits.CONFLICT_WAIT_S,
    "| `ready` | {} s, or what the code or the reply says | yes |": limits.LATER_WAIT_S,
    "looks {} s apart show it stopped": limits.STOP_QUIET_S,
    "forbids stops for {} hours": limits.NO_STOP_AFTER_UNANSWERED_S / 3600,
    "running nor stopped after {} minutes": limits.CHECKING_S / 60,
}


def sources() -> Iterator[tuple[str, str]]:
    for folder in ("fleetos", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != Path(__file__):
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def test_every_cited_section_exists() -> None:
    there = anchors(PAGE.read_text(encoding="utf-8"))
    cited = [(name, anchor) for name, text in sources() for _, anchor in RESOLVED.findall(text)]
    assert len(cited) > 10
    assert [(name, anchor) for name, anchor in cited if anchor not in there] == []


def test_every_citation_resolves() -> None:
    loose = [name for name, text in sources() if len(CITATION.findall(text)) != len(RESOLVED.findall(text))]
    assert loose == [], "write: Safety protocol, section N: docs/safety-protocol.md#N-..."


def test_the_sections_are_numbered_in_order() -> None:
    numbers = re.findall(r"^## (\d+)\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(fleetos/[\w/]+\.py)`", PAGE.read_text(encoding="utf-8")))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_a_citation_that_leads_nowhere_is_seen() -> None:
    assert CITATION.search("Section 4 of the protocol, row by row")
    assert CITATION.search("as the safety protocol, section 12 says")
    assert not RESOLVED.search("Safety protocol, section 4: docs/safety-protocol.md#5-ended-jobs")


@pytest.mark.parametrize("words", NUMBERS)
def test_a_number_of_the_page_is_that_of_the_code(words: str) -> None:
    assert words.format(f"{NUMBERS[words]:g}") in " ".join(PAGE.read_text(encoding="utf-8").split())


def test_every_class_of_replies_has_its_row() -> None:
    rows = PAGE.read_text(encoding="utf-8").partition("### What follows for a change?")[2].partition("\n## ")[0]
    first = " ".join(re.findall(r"^\| ([^|]+) \|", rows, re.MULTILINE))
    assert [kind for kind in AnswerClass if not re.search(rf"\b{kind}\b", first)] == []
