"""Every event has its type, its fields are those of the catalogue, and the page says the same."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import get_args

import pytest

from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import ChangeAnswered, Enlisted, Event, JobEnded, Moved, NotDelivered, Record
from fleetos.model.states import Reason, TargetState
from fleetos.views.documents.event_types import COMMON_FIELDS, EVENT_TYPES
from fleetos.views.documents.events import event_document, state_of, type_of
from tests.support.builders import START
from tests.unit.views.every_event import SECRET_PLACE, every_event
from tests.unit.views.run_history import JOB, RunHistory, server_id, target

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "outputs.md"


def document(event: Event) -> dict[str, object]:
    return event_document(Record(7, START, event), "2b7c0m1x4q")


def test_the_line_of_the_contract() -> None:
    event = ChangeAnswered(server_id(1), 1, TargetState.CHANGING, "accepted", job_id=JOB, status=200)
    assert document(event) == {
        "v": 1,
        "seq": 7,
        "at": "2026-03-01T12:00:00.000Z",
        "run": "2b7c0m1x4q",
        "type": "target.changing",
        "kind": "change-answered",
        "server_id": server_id(1),
        "attempt": 1,
        "answer": "accepted",
        "job_id": JOB,
        "http_status": 200,
    }


def test_an_event_of_a_target_has_the_name_of_its_server() -> None:
    moved = Record(7, START, Moved(server_id(1), TargetState.HELD, Reason.LOCKED))
    assert event_document(moved, "2b7c0m1x4q", "web-01")["server"] == "web-01"
    assert "server" not in event_document(moved, "2b7c0m1x4q")
    enlisted = Record(7, START, Enlisted(target(1)))
    assert event_document(enlisted, "2b7c0m1x4q")["server"] == "web-01"


def test_every_kind_of_event_is_among_the_samples() -> None:
    kinds: set[type] = set()
    for union in get_args(Event):
        kinds.update(get_args(union) or (union,))
    assert {type(event) for event in every_event()} == kinds


def test_the_catalogue_has_exactly_the_types_and_fields_that_occur() -> None:
    occurring: dict[str, set[str]] = defaultdict(set)
    for event in every_event():
        fields = document(event)
        occurring[str(fields["type"])] |= set(fields) - set(COMMON_FIELDS) - {"server_id", "server"}
    assert dict(occurring) == {name: set(one.fields) for name, one in EVENT_TYPES.items()}


@pytest.mark.parametrize("event", list(every_event()), ids=lambda event: f"{event.kind}-{getattr(event, 'to', '')}")
def test_documents_are_flat_json_in_one_line(event: Event) -> None:
    fields = document(event)
    assert json.loads(json.dumps(fields)) == fields
    assert list(fields)[:6] == list(COMMON_FIELDS)
    assert (fields["type"], "server_id" in fields) == (type_of(event), str(fields["type"]).startswith("target."))
    assert not any(isinstance(value, (dict, list)) for name, value in fields.items() if name != "images")


def test_what_moves_a_target_is_named_after_the_state() -> None:
    history = RunHistory.of(2)
    records = [*history.begin(), *history.submit(0), *history.succeed(0), *history.submit(1), *history.fail(1)]
    states = dict.fromkeys(history.progress.targets, TargetState.WAITING)
    for record in records:
        event, state = record.event, state_of(record.event)
        if state is not None:
            assert type_of(event) == f"target.{state}"
            states[str(document(event)["server_id"])] = state
    assert states == {one.server_id: one.state for one in history.progress.targets.values()}


def test_a_job_that_failed_moves_nothing_and_is_no_state() -> None:
    assert type_of(JobEnded(server_id(1), 1, JOB, JobStatus.FAIL)) == "target.job-ended"
    assert type_of(JobEnded(server_id(1), 1, JOB, JobStatus.SUCCESS)) == "target.verifying"
    assert type_of(NotDelivered(server_id(1), 1)) == "target.ready"


def test_no_event_tells_where_a_secret_is() -> None:
    assert SECRET_PLACE not in json.dumps([document(event) for event in every_event()])


def test_what_has_no_value_is_left_out() -> None:
    assert set(document(Moved(server_id(1), TargetState.HELD, Reason.LOCKED))) == {
        *COMMON_FIELDS,
        "server_id",
        "reason",
    }


def test_the_page_lists_every_type_with_its_meaning_and_fields() -> None:
    rows = re.findall(r"^\| `((?:run|target)\.[a-z-]+)` \| (.*?) \| (.*?) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    page = {name: (what, tuple(re.findall(r"`([a-z_]+)`", fields))) for name, what, fields in rows}
    assert len(page) == len(rows), "no type is listed twice"
    assert page == {name: (one.what, one.fields) for name, one in EVENT_TYPES.items()}
