"""Jobs, and the traces that a request left. In virtual time."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetos.cloud.client import CloudClient
from fleetos.errors import CloudUnreachable, ReadRefused
from fleetos.model.inventory import Job, JobStatus, SubJob
from fleetos.model.traces import LoggedEnd, Traces
from tests.support.clocks import VIRTUAL_START
from tests.support.clouds.scripted import (
    PROJECT,
    Answer,
    ScriptedCloud,
    answer,
    error,
    with_cloud,
)


@pytest.mark.parametrize(
    ("body", "job"),
    [
        (
            {
                "job_id": "j",
                "status": "SUCCESS",
                "error_code": None,
                "fail_reason": None,
                "entities": {"server_id": "s"},
            },
            Job("j", JobStatus.SUCCESS),
        ),
        ({"status": "RUNNING", "end_time": "", "entities": {}}, Job("j", JobStatus.RUNNING)),
        ({"status": "INIT"}, Job("j", JobStatus.INIT)),
        ({"status": "PENDING_PAYMENT", "entities": None}, Job("j", JobStatus.RUNNING)),
        ({"status": "whatever"}, Job("j", JobStatus.RUNNING)),
        (
            {"status": "FAIL", "error_code": "Ecs.0202", "fail_reason": "create\ndisk"},
            Job("j", JobStatus.FAIL, "Ecs.0202", "create disk"),
        ),
        ({"status": "FAIL", "error_code": 202, "fail_reason": ""}, Job("j", JobStatus.FAIL, "202")),
        (
            {
                "status": "FAIL",
                "error_code": "Common.0021",
                "entities": {
                    "sub_jobs_total": 3,
                    "sub_jobs": [
                        {"job_id": "a", "status": "SUCCESS", "entities": {"server_id": "s1"}},
                        {
                            "job_id": "b",
                            "status": "FAIL",
                            "error_code": "Ecs.0605",
                            "entities": {"server_id": "s2", "errorcode_message": "locked"},
                        },
                        {"job_id": "c", "status": "RUNNING", "entities": {"nic_id": "n"}},
                    ],
                },
            },
            Job(
                "j",
                JobStatus.FAIL,
                "Common.0021",
                None,
                (SubJob("s1", "a", JobStatus.SUCCESS), SubJob("s2", "b", JobStatus.FAIL, "Ecs.0605", "locked")),
            ),
        ),
    ],
)
def test_jobs_are_read(body: dict[str, object], job: Job) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.job("j") == job
        assert cloud.calls[0].path == f"/v1/{PROJECT}/jobs/j"

    with_cloud(answer(200, body), then=then)


@pytest.mark.parametrize(
    "given",
    [
        answer(400, {"code": "Common.0011", "message": "unknown"}),
        answer(404, {"code": "Common.0011", "message": "unknown"}),
        answer(200, {"code": "Common.0011", "message": "unknown"}),
        answer(404, {"itemNotFound": {"message": "no job", "code": 404}}),
        error(404, "Ecs.0114"),
    ],
)
def test_a_job_that_the_cloud_does_not_know(given: Answer) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.job("j") is None

    with_cloud(given, then=then)


@pytest.mark.parametrize(
    "given",
    [
        answer(200, {}),
        answer(200, {"status": 5}),
        answer(200, {"status": "SUCCESS", "entities": []}),
        answer(200, {"status": "SUCCESS", "entities": {"sub_jobs": 5}}),
        answer(200, {"status": "FAIL", "error_code": []}),
        answer(200, {"status": "FAIL", "fail_reason": {}}),
        answer(404, b"<html>"),
        error(400, "Ecs.0000"),
    ],
)
def test_a_job_that_cannot_be_read_is_not_unknown(given: Answer) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(ReadRefused, match="job j"):
            await client.job("j")

    with_cloud(given, then=then)


ACTIONS = answer(
    200,
    {
        "instanceActions": [
            {"action": "start", "start_time": "2026-01-02T03:10:00.000000"},
            {"action": "rebuild", "start_time": "2026-01-02T03:09:00.000000"},
            {"action": "stop", "start_time": "2026-01-02T03:08:00.000000"},
            {"action": "detach_volume", "start_time": "2026-01-02T03:07:00Z"},
            {"action": "rebuild", "start_time": "2026-01-02T02:00:00.000000"},
            {"action": "attach_volume"},
        ]
    },
)
MADE: list[dict[str, object]] = [
    {"id": "new", "created_at": "2026-01-02T03:09:30.000000", "attachments": [{"server_id": "s1"}]},
    {"id": "old", "created_at": "2025-01-02T03:09:30.000000", "attachments": [{"server_id": "s1"}]},
    {"id": "other", "created_at": "2026-01-02T03:09:30.000000", "attachments": [{"server_id": "s2"}]},
    {"id": "free", "created_at": "2026-01-02T03:09:30.000000", "attachments": []},
    {"id": "timeless", "attachments": [{"server_id": "s1"}]},
]
VOLUMES = answer(200, {"volumes": MADE})
ACTION_WORDS = (
    "action rebuild at 2026-01-02T03:09:00+00:00",
    "action detach_volume at 2026-01-02T03:07:00+00:00",
    "action attach_volume at an unknown time",
)
VOLUME_WORDS = ("volume new made at 2026-01-02T03:09:30+00:00",)
NONE_OF_IT = error(404, "APIGW.0101")


@pytest.mark.parametrize(
    ("actions", "volumes", "found"),
    [
        (ACTIONS, VOLUMES, (*ACTION_WORDS, *VOLUME_WORDS)),
        (ACTIONS, NONE_OF_IT, ACTION_WORDS),
        (NONE_OF_IT, VOLUMES, VOLUME_WORDS),
        (NONE_OF_IT, NONE_OF_IT, None),
        (answer(404, b"<html>"), error(403, "Pdp.0001"), None),
        (answer(200, {"instanceActions": []}), NONE_OF_IT, ()),
        (answer(200, {}), answer(200, {"volumes": None}), ()),
    ],
)
def test_traces_of_a_change(actions: Answer, volumes: Answer, found: tuple[str, ...] | None) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.traces("s1", VIRTUAL_START) == (None if found is None else Traces(found))
        assert [(one.host, one.path) for one in cloud.calls] == [
            ("ecs.eu-de.cloud.invalid", f"/v2.1/{PROJECT}/servers/s1/os-instance-actions"),
            ("evs.eu-de.cloud.invalid", f"/v2/{PROJECT}/cloudvolumes/detail"),
        ]
        assert cloud.calls[1].params["server_id"] == "s1"

    with_cloud(actions, volumes, then=then)


BEGAN = "2026-08-01T10:00:00.000Z"


@pytest.mark.parametrize(
    ("began", "ended", "took_s"),
    [
        pytest.param(BEGAN, "2026-08-01T10:05:00.500Z", 300.5, id="told"),
        pytest.param(BEGAN, BEGAN, 0.0, id="at-once"),
        pytest.param("2026-08-01T10:00:00", "2026-08-01T12:01:00+02:00", 60.0, id="zones"),
        pytest.param(BEGAN, "", None, id="runs"),
        pytest.param(BEGAN, None, None, id="no-end"),
        pytest.param(None, BEGAN, None, id="no-begin"),
        pytest.param(BEGAN, "2026-08-01T09:59:59.999Z", None, id="ends-before-it-begins"),
        pytest.param(BEGAN, "9999-12-31T23:59:59Z", None, id="never-ends"),
        pytest.param("0001-01-01T00:00:00+23:59", BEGAN, None, id="before-all-time"),
        pytest.param(BEGAN, 1785578700, None, id="a-number"),
        pytest.param(BEGAN, {"at": BEGAN}, None, id="an-object"),
        pytest.param(BEGAN, "soon", None, id="a-word"),
        pytest.param(BEGAN, "2026-08-01T10:05:00Z" + " " * 100, None, id="too-long"),
    ],
)
def test_a_job_tells_how_long_it_took_if_that_can_be_true(began: object, ended: object, took_s: float | None) -> None:
    times = {"begin_time": began, "end_time": ended}
    part = {"job_id": "a", "status": "SUCCESS", "entities": {"server_id": "s"}, **times}
    body = {"status": "SUCCESS", "entities": {"sub_jobs": [part]}, **times}

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        job = await client.job("j")
        assert job is not None
        assert job.took_s == took_s
        assert [one.took_s for one in job.sub_jobs] == [took_s]

    with_cloud(answer(200, body), then=then)


REBUILD: dict[str, object] = {
    "action": "rebuild",
    "request_id": "req-1",
    "user_id": "user-1",
    "start_time": "2026-01-02T03:09:00.000000",
}
BEGUN_AT = datetime(2026, 1, 2, 3, 9, tzinfo=UTC)
ENDED = "2026-01-02T03:10:00.000000"


def event(result: object, finish_time: object = ENDED) -> dict[str, object]:
    return {"event": "compute_rebuild_instance", "result": result, "finish_time": finish_time}


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ([event("Error")], LoggedEnd.ERROR),
        ([event("Success")], LoggedEnd.SUCCESS),
        ([event("Success"), event("Error")], LoggedEnd.ERROR),
        ([event("error"), event("SUCCESS")], LoggedEnd.ERROR),
        ([event("Error"), event(None, None)], LoggedEnd.RUNNING),
        ([event(None, None)], LoggedEnd.RUNNING),
        ([event("Error", "soon")], LoggedEnd.RUNNING),
        ([event("Error"), event("Aborted")], LoggedEnd.UNTOLD),
        ([event(None)], LoggedEnd.UNTOLD),
        ([], LoggedEnd.UNTOLD),
        (None, LoggedEnd.UNTOLD),
    ],
)
def test_how_our_change_ended_by_its_events(events: list[dict[str, object]] | None, end: LoggedEnd) -> None:
    shown = answer(200, {"instanceAction": {**REBUILD, "events": events}})

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        traces = await client.traces("s1", VIRTUAL_START)
        assert traces is not None
        assert traces.words == (ACTION_WORDS[0],)
        assert traces.change is not None
        assert (traces.change.started_at, traces.change.end) == (BEGUN_AT, end)
        assert cloud.calls[-1].path == f"/v2.1/{PROJECT}/servers/s1/os-instance-actions/req-1"

    with_cloud(answer(200, {"instanceActions": [REBUILD]}), shown, then=then, evs=False)


@pytest.mark.parametrize(
    ("listed", "volumes"),
    [
        pytest.param([{**REBUILD, "user_id": "another"}], NONE_OF_IT, id="another-user"),
        pytest.param([{**REBUILD, "user_id": None}], NONE_OF_IT, id="no-user"),
        pytest.param([{**REBUILD, "request_id": None}], NONE_OF_IT, id="no-request-id"),
        pytest.param([{**REBUILD, "start_time": "soon"}], NONE_OF_IT, id="no-time"),
        pytest.param([REBUILD, REBUILD], NONE_OF_IT, id="two-of-them"),
        pytest.param([REBUILD, {**REBUILD, "action": "attach_volume"}], NONE_OF_IT, id="something-else-beside-it"),
        pytest.param([{**REBUILD, "action": "resize"}], NONE_OF_IT, id="another-action"),
        pytest.param([REBUILD], VOLUMES, id="a-new-disk"),
    ],
)
def test_in_any_doubt_no_action_is_ours(listed: list[dict[str, object]], volumes: Answer) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        traces = await client.traces("s1", VIRTUAL_START)
        assert traces is not None
        assert traces.words
        assert traces.change is None
        assert len(cloud.calls) == 2

    with_cloud(answer(200, {"instanceActions": listed}), volumes, then=then)


@pytest.mark.parametrize(
    "shown", [NONE_OF_IT, error(403, "Pdp.0001"), answer(200, {"instanceAction": {**REBUILD, "request_id": "req-2"}})]
)
def test_where_events_are_not_offered_nothing_is_told_of_the_end(shown: Answer) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        assert await client.traces("s1", VIRTUAL_START) == Traces((ACTION_WORDS[0],))

    with_cloud(answer(200, {"instanceActions": [REBUILD]}), shown, then=then, evs=False)


def test_the_clouds_clock_may_be_a_little_behind() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        at = VIRTUAL_START.replace(hour=3, minute=9, second=0)
        for seconds, told in ((9, True), (11, False)):
            traces = await client.traces("s1", at + timedelta(seconds=seconds))
            assert traces is not None
            assert (ACTION_WORDS[0] in traces.words) is told

    with_cloud(ACTIONS, then=then, evs=False)


def test_a_view_that_fails_is_not_the_same_as_one_that_is_not_offered() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        with pytest.raises(CloudUnreachable):
            await client.traces("s1", VIRTUAL_START)

    with_cloud(error(500, "Common.0001"), then=then)
