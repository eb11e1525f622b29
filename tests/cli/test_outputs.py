"""What programs read: every document parses and has the contract's keys, and standard output holds nothing else."""

import json
from typing import Any

from tests.cli.runner import SharedCloudRunner

STATUS = {"v", "run", "counts", "powered_off", "targets"}
RUN = {
    "id", "name", "state", "plan_digest", "created_at", "started_at", "ended_at", "passes", "resumed", "driver",
    "condition", "cloud", "region", "project_id", "project", "domain", "user", "access_key", "created_by", "owner",
    "plan_path", "images", "since", "pause", "abort", "lease", "left", "not_before",
}  # fmt: skip
# What only the status of one run says, here of one that is not steered.
ROLLOUT: dict[str, Any] = {"waves": [], "budgets": [], "window": None, "groups": []}
TARGET = {
    "server_id", "name", "state", "reason", "image_before", "image_after", "system_disk_before", "system_disk_after",
    "attempts", "labels", "flavor", "az", "wave", "image", "image_name", "since", "detail", "todo", "not_before",
    "waits_for", "powered_off",
}  # fmt: skip
ATTEMPT = {"number", "job_id", "outcome", "error_code", "fail_reason", "submitted_at", "ended_at"}
EVENT = {"v", "seq", "at", "run", "type", "kind"}


def keys_of_status(document: dict[str, Any]) -> tuple[set[str], ...]:
    (target,) = document["targets"]
    (attempt,) = target["attempts"]
    return (set(document), set(document["run"]), set(target), set(attempt))


def check_status(text: str) -> dict[str, Any]:
    document = json.loads(text)
    assert keys_of_status(document) == (STATUS, RUN | ROLLOUT.keys() | {"exit_code"}, TARGET, ATTEMPT)
    assert document["v"] == 1
    assert document["counts"] == {"total": 1, "done": 1}
    assert document["targets"][0]["attempts"][0]["outcome"] == "succeeded"
    assert document["run"]["plan_digest"].startswith("sha256:")
    assert all(document["run"][key].endswith("Z") for key in ("created_at", "started_at", "ended_at"))
    return document


def test_documents_of_one_run(runner: SharedCloudRunner) -> None:
    text = runner.write_plan(runner.take(1))
    applied = runner.fleetos("apply", text, "--yes", "-o", "json", FORCE_COLOR="", TERM="xterm-256color")
    document = check_status(applied.stdout)
    assert "WIPES 1 system disk" in applied.stderr
    assert "\x1b" not in applied.stderr + applied.stdout
    assert check_status(runner.fleetos("status", "-o", "json").stdout) == document
    (line,) = runner.invoke("status", "-o", "jsonl").stdout.splitlines()
    assert json.loads(line) == document["targets"][0]
    listed = runner.invoke("runs", "-o", "json")
    (run,) = json.loads(listed.stdout)["runs"]
    assert set(run) == RUN | {"counts"}
    assert {**{key: run[key] for key in RUN}, **ROLLOUT, "exit_code": 0} == document["run"]
    assert (run["region"], run["project"], run["user"]) == ("eu-de", "eu-de_sim", "sim")
    lines = runner.fleetos("events", "-o", "jsonl").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert json.loads(runner.invoke("events", "-o", "json").stdout) == {"v": 1, "events": events}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(set(event) >= EVENT for event in events)
    assert {event["run"] for event in events} == {run["id"]}
    assert (events[0]["type"], events[-1]["type"]) == ("run.created", "run.done")
    assert {event["server"] for event in events if "server_id" in event} == {document["targets"][0]["name"]}
    (changing,) = [event for event in events if event["type"] == "target.changing"]
    attempt = document["targets"][0]["attempts"][0]
    assert {changing[key] for key in ("server_id", "attempt", "job_id")} == {
        document["targets"][0]["server_id"], 1, attempt["job_id"],
    }  # fmt: skip
    plain = runner.fleetos("status", TERM="xterm-256color")
    assert "\x1b" not in plain.stdout
    assert plain.stderr == ""


def test_events_are_followed_to_the_end_of_the_run(runner: SharedCloudRunner) -> None:
    names = runner.take(2)
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.changing")
    follower = runner.begin("events", began.run_id, "--follow")
    assert began.end().returncode == 0
    assert follower.end().returncode == 0
    assert follower.events == began.events
