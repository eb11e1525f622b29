"""The documents that programs read have the shape that the contract gives them."""

import json
from dataclasses import replace
from datetime import timedelta

from fleetos.model.journal.events import ChangeAnswered, ChangeIntended, Moved, RunDriverEnded, RunMoved
from fleetos.model.run import LeftBy, Outcome
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.views.documents.run import (
    Document,
    RunLine,
    runs_document,
    status_document,
)
from fleetos.views.text.run_condition import Driver
from tests.unit.views.run_history import IMAGE, JOB, OLD_IMAGE, STOPPED, RunHistory, server_id, target

RUN: Document = {
    "id": "2b7c0m1x4q",
    "name": "web-tier-debian-12",
    "state": "done",
    "plan_digest": "sha256:abc",
    "created_at": "2026-03-01T12:00:00.000Z",
    "started_at": "2026-03-01T12:00:00.000Z",
    "ended_at": "2026-03-01T12:01:11.000Z",
    "passes": 1,
    "resumed": 0,
    "driver": None,
    "condition": "done",
    "cloud": "otc-prod",
    "region": "eu-de",
    "project_id": "0a1b",
    "project": None,
    "domain": None,
    "user": None,
    "access_key": None,
    "created_by": None,
    "owner": None,
    "plan_path": "/plans/web.yaml",
    "images": {"Standard_Debian_12_latest": IMAGE},
    "since": "2026-03-01T12:01:11.000Z",
    "pause": None,
    "abort": None,
    "lease": None,
    "left": None,
    "not_before": None,
    "waves": [],
    "budgets": [],
    "window": None,
    "groups": [],
    "exit_code": 0,
}
ENDED: Document = {
    "labels": {},
    "flavor": None,
    "az": None,
    "wave": None,
    "image": IMAGE,
    "image_name": "Standard_Debian_12_latest",
    "detail": None,
    "todo": None,
    "not_before": None,
    "waits_for": None,
    "powered_off": False,
}


def test_status_of_a_run_that_has_ended() -> None:
    history = RunHistory.of(2)
    history.begin()
    history.wait(10).submit(0)
    history.wait(60).succeed(0)
    history.happen(Moved(server_id(1), TargetState.SKIPPED, reason=Reason.ALREADY_ON_IMAGE))
    history.wait(1).happen(RunMoved(RunState.DONE))
    assert status_document(history.progress, history.now, exit_code=0) == {
        "v": 1,
        "run": RUN,
        "counts": {"total": 2, "done": 1, "skipped": 1},
        "powered_off": [],
        "targets": [
            {
                "server_id": server_id(0),
                "name": "web-00",
                "state": "done",
                "reason": None,
                "image_before": OLD_IMAGE,
                "image_after": IMAGE,
                "system_disk_before": "disk-old",
                "system_disk_after": "disk-new",
                "attempts": [
                    {
                        "number": 1,
                        "job_id": JOB,
                        "outcome": "succeeded",
                        "error_code": None,
                        "fail_reason": None,
                        "submitted_at": "2026-03-01T12:00:10.000Z",
                        "ended_at": "2026-03-01T12:01:10.000Z",
                    }
                ],
                **ENDED,
                "since": "2026-03-01T12:01:10.000Z",
            },
            {
                "server_id": server_id(1),
                "name": "web-01",
                "state": "skipped",
                "reason": "already-on-image",
                "image_before": OLD_IMAGE,
                "image_after": None,
                "system_disk_before": "disk-old",
                "system_disk_after": None,
                "attempts": [],
                **ENDED,
                "since": "2026-03-01T12:01:10.000Z",
            },
        ],
    }


def test_an_attempt_in_flight_has_no_outcome_and_one_left_open_is_unknown() -> None:
    history = RunHistory.of(1)
    history.begin()
    history.stop(0)
    where, deadline = server_id(0), history.now + timedelta(hours=1)
    history.happen(
        Moved(where, TargetState.READY),
        ChangeIntended(where, 1, STOPPED, deadline),
        ChangeAnswered(where, 1, TargetState.INSPECTING, "ambiguous"),
    )
    assert status_document(history.progress, history.now)["targets"][0]["attempts"][0]["outcome"] is None
    history.happen(Moved(where, TargetState.HELD, reason=Reason.OUTCOME_UNKNOWN))
    attempt = status_document(history.progress, history.now)["targets"][0]["attempts"][0]
    assert attempt["outcome"] == "unknown"
    assert attempt["ended_at"] is None


def test_every_outcome_is_a_word_of_the_contract() -> None:
    words = {"succeeded", "failed", "refused", "not_delivered", "unknown", "no_effect", "foreign"}
    assert {outcome.value for outcome in Outcome} == words


def test_a_run_that_was_resumed_twice_says_so_and_names_its_driver() -> None:
    history = RunHistory.of(1)
    history.progress.run = replace(history.progress.run, sessions=3)
    driver = Driver("host-a:4711", 4711, history.now, "alive")
    run = status_document(history.progress, history.now, driver, exit_code=20)["run"]
    assert (run["resumed"], run["driver"]) == (2, "host-a:4711")
    assert (run["condition"], run["exit_code"]) == ("running", None)
    assert run["lease"] == {"holder": "host-a:4711", "last_renewed_at": "2026-03-01T12:00:00.000Z", "life": "alive"}
    assert status_document(RunHistory.of(1).progress, history.now)["run"]["resumed"] == 0


def test_counts_add_up_to_the_total_and_leave_out_zeros() -> None:
    history = RunHistory.of(7)
    history.begin()
    history.submit(3)
    counts = status_document(history.progress, history.now)["counts"]
    assert counts == {"total": 7, "waiting": 6, "changing": 1}


def test_runs() -> None:
    history = RunHistory.of(3)
    driver = Driver("host:1", 1, history.now, "alive")
    document = runs_document([RunLine(history.progress.run, history.progress.counts, driver)])
    assert document["v"] == 1
    assert document["runs"][0]["counts"] == {"total": 3, "waiting": 3}
    assert document["runs"][0]["driver"] == "host:1"


def test_documents_are_json() -> None:
    history = RunHistory.of(2)
    history.begin()
    history.submit(0)
    document = status_document(history.progress, history.now)
    assert json.loads(json.dumps(document)) == document


def test_the_document_says_what_the_messages_promise_of_a_run_that_was_left() -> None:
    history = RunHistory([replace(target(number), labels={"pair": "a"}, az="eu-de-01") for number in range(4)])
    history.begin()
    history.stop(0)
    history.submit(1)
    history.fail(1, TargetState.BACKOFF)
    history.happen(Moved(server_id(2), TargetState.HELD, reason=Reason.LOCKED, detail="is locked"))
    history.wait(60).happen(RunDriverEnded("process 8514 of root on vm", LeftBy.SIGNAL, "SIGTERM"))
    document = status_document(history.progress, history.now, exit_code=20)
    run, targets = document["run"], document["targets"]
    assert (run["state"], run["condition"], run["driver"], run["exit_code"]) == ("running", "interrupted", None, 20)
    assert run["left"] == {
        "at": "2026-03-01T12:01:00.000Z",
        "driver": "process 8514 of root on vm",
        "why": "signal",
        "detail": "SIGTERM",
    }
    assert [one["name"] for one in document["powered_off"]] == ["web-00", "web-01"]
    assert [one["powered_off"] for one in targets] == [True, True, False, False]
    assert {one["waits_for"] and one["waits_for"]["reason"] for one in targets} == {"not-driven", None}
    assert targets[1]["not_before"] == "2026-03-01T12:00:30.000Z"
    retry = f"`fleetos retry 2b7c0m1x4q {server_id(2)} --reason TEXT`"
    assert (targets[2]["detail"], targets[2]["todo"]) == ("is locked", f"Unlock it, then {retry}.")
    assert (targets[3]["labels"], targets[3]["az"]) == ({"pair": "a"}, "eu-de-01")


def test_an_unknown_outcome_says_until_when_it_is_watched() -> None:
    history = RunHistory.of(3)
    history.begin()
    for number in range(3):
        history.stop(number)
        history.happen(Moved(server_id(number), TargetState.READY))
    deadline = history.now + timedelta(hours=1)
    for number in (0, 1):
        lost = ChangeAnswered(server_id(number), 1, TargetState.INSPECTING, "ambiguous")
        history.happen(ChangeIntended(server_id(number), 1, STOPPED, deadline), lost)

    alive = Driver("host:1", 1, history.now, "alive")

    def waits(lease: Driver | None) -> list[tuple[str, str | None]]:
        found = [one["waits_for"] for one in status_document(history.progress, history.now, lease)["targets"]]
        return [(one["reason"], one["ends_at"]) for one in found]

    until = "2026-03-01T13:10:00.000Z"
    assert waits(alive)[:2] == [("outcome", until), ("outcome", until)]
    assert waits(alive)[2][0] == "pace"
    assert waits(None) == [("not-driven", None)] * 3
    # Past that time only the driver knows when its last look began.
    history.wait(2 * 3600)
    assert waits(alive)[0] == ("outcome", None)


def test_a_pause_and_an_abort_say_why_since_when_and_by_whom() -> None:
    history = RunHistory.of(1)
    history.begin()
    history.wait(5).happen(RunMoved(RunState.PAUSED, Reason.PERMISSION, "Policy.0001: ecs:cloudServers:changeOS"))
    run = status_document(history.progress, history.now, exit_code=77)["run"]
    assert run["pause"] == {
        "reason": "permission",
        "detail": "Policy.0001: ecs:cloudServers:changeOS",
        "by": None,
        "at": "2026-03-01T12:00:05.000Z",
        "todo": "Fix what its code names: grant the permission, clear the account or correct the project; then "
        "`fleetos resume 2b7c0m1x4q`.",
    }
    assert (run["abort"], run["exit_code"]) == (None, 77)
    history.wait(5).happen(RunMoved(RunState.FINISHING, Reason.ABORTED, "aborted by anna", "anna"))
    run = status_document(history.progress, history.now)["run"]
    assert (run["pause"], run["abort"]["by"], run["abort"]["at"]) == (None, "anna", "2026-03-01T12:00:10.000Z")


def test_a_driver_that_vanished_is_no_driver_and_its_last_sign_of_life_is_told() -> None:
    history = RunHistory.of(1)
    history.begin()
    run = status_document(history.progress, history.now, Driver("host:1", 1, history.now, "gone"), exit_code=20)["run"]
    assert (run["driver"], run["condition"], run["exit_code"]) == (None, "abandoned", 20)
    assert run["lease"]["last_renewed_at"] == "2026-03-01T12:00:00.000Z"
