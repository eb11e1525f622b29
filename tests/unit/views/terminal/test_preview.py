"""What `plan` shows: for a terminal folded with problems first, for a pipe line by line, for programs as a document."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetos.model.findings import Check, Finding, Level
from fleetos.model.plan import SourcePosition
from fleetos.model.preview import Act, Band, Estimate, ImageChoice, Preview
from fleetos.model.run import Target
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.steering.rollout import UNSTEERED, Approval, BetweenWaves, Steering, Wave
from fleetos.model.steering.windows import Windows
from fleetos.views.documents.preview import preview_document, server_documents
from fleetos.views.terminal.preview import FINDINGS_SHOWN, ROWS_SHOWN, estimate_words, preview_lines, preview_table
from tests.unit.views.run_history import IMAGE, OLD_IMAGE, server_id, target, web_tier_run

ESTIMATE = Estimate(Band(60, 240), 0, Band(60, 300), 30, 11, 5.0, 1.0)
CHOICE = ImageChoice("Standard_Debian_12_latest", IMAGE, "v2", "the plan says so")
DOCUMENTED = "One change takes 1m00s to 4m00s, from the cloud's documents, since none was seen here yet."
NAMES = {OLD_IMAGE: "Debian_11"}


def refused(number: int) -> Target:
    state = {"state": TargetState.HELD, "reason": Reason.UNSUITABLE, "detail": "is frozen"}
    return replace(target(number), **state)


def skipped(number: int) -> Target:
    return replace(target(number), state=TargetState.SKIPPED, reason=Reason.ALREADY_ON_IMAGE)


def finding(number: int | None, level: Level = Level.WARNING, text: str = "is old", **more: Any) -> Finding:
    subject = "disks" if number is None else f"web-{number:02}"
    own = None if number is None else server_id(number)
    return Finding(level, more.pop("check", Check.FROZEN), subject, text, server_id=own, **more)


def preview(*targets: Target, findings: tuple[Finding, ...] = (), **more: Any) -> Preview:
    return Preview(web_tier_run(), targets, findings, (CHOICE,), NAMES, more.pop("estimate", ESTIMATE), **more)


MIXED = preview(
    target(1),
    target(2),
    skipped(3),
    refused(4),
    findings=(
        finding(None, Level.NOTE, "are many"),
        finding(None, text="are few", hint="make more"),
        finding(2, check=Check.YEARLY_MONTHLY),
        finding(4, Level.REFUSED, "is frozen", hint="thaw it"),
        finding(4, text="not told of one that is not changed"),
    ),
)


def test_a_pipe_gets_every_server_in_the_order_of_the_plan() -> None:
    lines = preview_lines(MIXED).plain.splitlines()
    assert lines[:4] == [
        "web-01: WIPES system disk disk-old (Debian_11 -> Standard_Debian_12_latest)",
        "web-02: WIPES system disk disk-old (Debian_11 -> Standard_Debian_12_latest); is old",
        "web-03: skip: already on the image",
        "web-04: refuse: is frozen",
    ]
    assert lines[4:10] == [
        "warning: disks: are few (make more)",
        "note: disks: are many",
        "4 servers: 2 to change, 1 to skip, 1 refused",
        "WIPES 2 system disks. Data disks are kept.",
        "  cloud otc-prod, region eu-de, project 0a1b",
        f"  image Standard_Debian_12_latest is {IMAGE}, API v2 (the plan says so)",
    ]
    assert "  At most 40 at once." in lines


def test_a_terminal_gets_problems_first() -> None:
    lines = preview_table(MIXED, 100).plain.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["SERVER", "web-04", "web-02", "warning:", "web-01", "web-03"]
    assert lines[1].endswith("refuse: is frozen (thaw it)")


def test_a_narrow_terminal_gets_the_images_on_a_line_of_their_own() -> None:
    lines = preview_table(preview(target(1)), 60).plain.splitlines()
    assert lines[1:3] == ["web-01  WIPES system disk disk-old", "          (Debian_11 -> Standard_Debian_12_latest)"]


def test_a_large_fleet_is_folded_on_a_terminal_alone() -> None:
    targets = [*(target(number) for number in range(500)), *(refused(number) for number in range(500, 600))]
    large = preview(*targets, findings=tuple(finding(None) for _ in range(FINDINGS_SHOWN + 3)))
    lines = preview_table(large, 100).plain.splitlines()
    assert sum("WIPES system disk " in line for line in lines) == ROWS_SHOWN
    assert [line.strip() for line in lines if line.strip().startswith("and ")] == [
        "and 80 servers more to refuse",
        "and 480 servers more to change",
        "and 3 findings more; -o json shows all",
    ]
    assert all(len(line) <= 100 for line in lines[: 2 * ROWS_SHOWN])
    assert sum("WIPES system disk " in line for line in preview_lines(large).plain.splitlines()) == 500


@pytest.mark.parametrize(("state", "words"), [(RunState.DONE, "does not repeat it"), (RunState.PAUSED, "carries on")])
def test_a_run_that_is_there_already_is_told(state: RunState, words: str) -> None:
    text = preview_lines(preview(target(1), earlier=web_tier_run(state=state))).plain
    assert f"2b7c0m1x4q ({state}): apply {words}" in text


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (
            ESTIMATE,
            [
                DOCUMENTED + " All of them take 1m00s to 5m00s when none fails.",
                "About 41 API calls: 30 reads, 11 writes. The limit in force: 5 reads and 1 writes a second.",
            ],
        ),
        (
            replace(ESTIMATE, change=Band(90, 90), remembered=7, read_rate_per_s=None, write_rate_per_s=None),
            [
                "One change takes 1m30s, from 7 earlier changes. All of them take 1m00s to 5m00s when none fails.",
                "About 41 API calls: 30 reads, 11 writes. No limit is in force.",
            ],
        ),
        (replace(ESTIMATE, remembered=1, run=None), ["One change takes 1m00s to 4m00s, from 1 earlier change."]),
    ],
)
def test_where_figures_come_from_is_told(estimate: Estimate, words: list[str]) -> None:
    assert estimate_words(estimate, UNSTEERED) == tuple(words)


def test_an_estimate_names_the_waits_that_it_does_not_count() -> None:
    waves = (Wave(1, None, 1, BetweenWaves(60.0, Approval())), Wave(2, None, 1, BetweenWaves()))
    besides = "not counting bakes, approvals, closed windows."
    steering = Steering(waves=waves, windows=Windows(zone="UTC"))
    assert estimate_words(ESTIMATE, steering)[0].endswith(f"when none fails, {besides}")


def test_names_of_others_cannot_break_the_screen() -> None:
    evil = replace(target(1), name="web\x1b[2J\nx")
    shown = preview(evil, findings=(finding(1, text="a\x1b[1mb"), finding(None, text="c\nd")))
    for text in (preview_lines(shown).plain, preview_table(shown, 100).plain):
        assert "\x1b" not in text
        assert "\\x1b[2J\\nx" in text


def test_the_document_has_everything() -> None:
    document = preview_document(MIXED)
    assert set(document) == {
        "v", "plan", "counts", "images", "selectors", "servers", "findings", "rules", "estimate", "earlier_run",
    }  # fmt: skip
    assert document["counts"] == {"total": 4, "refuse": 1, "change": 2, "skip": 1}
    assert [one["action"] for one in document["servers"]] == ["change", "change", "skip", "refuse"]
    assert document["servers"] == server_documents(MIXED)
    assert document["servers"][3] == {
        "server_id": server_id(4),
        "name": "web-04",
        "action": "refuse",
        "code": "frozen",
        "reason": "is frozen",
        "hint": "thaw it",
        "system_disk": "disk-old",
        "image_before": OLD_IMAGE,
        "image_after": IMAGE,
        "reinstall": False,
        "api": "v2",
        "wave": None,
    }
    assert document["servers"][2]["code"] == "already-on-image"
    assert len(document["findings"]) == 5
    assert document["estimate"]["source"] == "documented"
    assert preview_document(preview(target(1), earlier=web_tier_run()))["earlier_run"] == {
        "id": "2b7c0m1x4q",
        "state": "running",
    }


def test_every_code_and_field_stands_on_the_page() -> None:
    page = (Path(__file__).parents[4] / "docs" / "reference" / "outputs.md").read_text(encoding="utf-8")
    section = page.partition("## What a plan would do")[2].partition("\n## ")[0]
    table = section.partition("| Code | What was checked |")[2]
    assert set(re.findall(r"`([a-z-]+)`", table.partition("\n\n")[0])) == {check.value for check in Check}
    example = json.loads(section.partition("```json\n")[2].partition("```")[0])
    document = preview_document(MIXED)
    assert example.keys() == document.keys()
    for key in ("plan", "counts", "rules", "estimate"):
        assert example[key].keys() == document[key].keys()
    for key in ("images", "servers", "findings"):
        assert example[key][0].keys() == document[key][0].keys()


def test_acts_are_ordered_by_what_needs_a_human() -> None:
    assert list(Act) == ["refuse", "change", "skip"]


def test_a_selector_is_told_with_its_number_and_the_same_image_once() -> None:
    again = target(1)
    order = replace(again.order, image_id=OLD_IMAGE, image_name="Debian_11", reinstall=True)
    shown = preview(replace(again, order=order), selected={SourcePosition("p.yaml", 4, 5, "servers[0].select"): 1})
    text = preview_lines(shown).plain
    assert "(Debian_11 again)" in text
    assert "servers[0].select at p.yaml:4:5 matches 1 server" in text
    told = preview_document(shown)
    assert told["selectors"] == [{"key": "servers[0].select", "place": "p.yaml:4:5", "servers": 1}]
    assert server_documents(shown)[0]["reinstall"] is True
